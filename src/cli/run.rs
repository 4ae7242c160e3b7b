//! `run`: the service, until it is told to stop.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::descriptors::make_room;
use super::files::is_there;
use super::local::{config_error, load_config};
use super::reload::reload;
use super::rule_book::read_sound;
use super::service::{Reloads, RunningRouter, reloads, told_to_stop};
use super::{CliError, Ending};
use crate::broker::embedded::{Expected, is_begun};
use crate::config::Config;
use crate::config::broker::Broker;
use crate::config::first_start::own_book::OwnBook;
use crate::config::first_start::{
    Told, begin, config_file, config_to_come, create_private_folder, data_file, put_in_place,
};
use crate::telemetry::logging;

/// What `/readyz` calls it that fewer connections are let in than were asked for.
const CONNECTIONS: &str = "connections";

/// For what is under way beside when the router has stopped, as it holds nothing that was accepted.
const LEFT_OVER_WAIT: Duration = Duration::from_secs(1);
/// Where a router without a configuration lives.
const DATA_FOLDER: &str = "data";

/// Run the router until it is told to stop (Ctrl-C or SIGTERM)
#[derive(clap::Args)]
#[command(
    after_help = "Without --config: an embedded broker in ./data; the first start writes config, keys and sample \
tokens there (readable by you alone) and names them. A configuration whose data file is missing or empty is refused: \
restore a backup, or say --new-data-file the first time. With --rules the first start writes a configuration for that \
rule book and ends: what no book says, as the number to ring, is yours to write.\n\n\
Examples:\n  pathway-router run\n  pathway-router run --rules rules/weirdale\n  pathway-router run --bind 127.0.0.1:8181\n  pathway-router run --config /etc/pathway-router/config.toml --new-data-file\n  \
pathway-router run --config /etc/pathway-router/config.toml"
)]
pub struct Arguments {
    /// Settings file; paths in it are relative to its folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Make the data file, for a router that never ran; refused if there is one
    #[arg(long)]
    new_data_file: bool,

    /// Address and port to listen on, for a first start without --config: written into the configuration
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    bind: Option<SocketAddr>,

    /// Folder of a rule book of your own, for a first start: a configuration that fits it is written, for you to complete
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "new_data_file"])]
    rules: Option<PathBuf>,

    /// Only one of the two stages; others of the same cluster must run the other (Kafka alone)
    #[arg(long, value_name = "STAGE", value_enum)]
    stages: Option<Stage>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Stage {
    Intake,
    Decide,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    // First of all: a signal that is not listened for ends the process.
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    let (stop, asked) = {
        let _entered = runtime.enter();
        (told_to_stop(), reloads())
    };
    let folder = Path::new(DATA_FOLDER);
    let begins = || Ok::<_, CliError>(arguments.config.is_none() && !is_there(&config_file(folder))?);
    // Until the process ends: what two of them wrote would fit neither.
    let _alone = if begins()? { Some(alone_in(folder)?) } else { None };
    let has_none = begins()?;
    // Else a first start was killed once there was a data file.
    let is_first = has_none && !(is_there(&config_to_come(folder))? && is_there(&data_file(folder))?);
    if let Some(rules) = &arguments.rules {
        return write_for_own_book(folder, is_first, rules, arguments.bind);
    }
    if arguments.bind.is_some() && !is_first {
        let file = if has_none { config_to_come(folder) } else { config_file(folder) };
        let reason = format!("--bind is for a first start: set `bind` under [http] in {}", file.display());
        return Err(CliError::Usage(reason));
    }
    if is_first {
        write_own_config(folder, Told { bind: arguments.bind, own_book: None })?;
    }
    let expected = match has_none {
        _ if is_first || arguments.new_data_file => Expected::Nothing,
        // It may be empty yet.
        true => Expected::Either,
        false => Expected::File,
    };
    let ended = run_as_configured(arguments, has_none, |config, few_files| {
        runtime.block_on(serve(config, (expected, has_none), few_files, stop, asked))
    });
    // All that was accepted is written: nobody waits for what is still judged of those who are gone.
    runtime.shutdown_timeout(LEFT_OVER_WAIT);
    if has_none && !is_there(&config_file(folder))? {
        // Once the configuration has its name, a file in which nothing lies is missed.
        if is_begun(&data_file(folder)) {
            put_config_in_place(folder)?;
        } else if !is_there(&data_file(folder))? {
            eprintln!(
                "It did not come to a data file: the next start is a first one, too. For a rule book with other agencies: \
                 pathway-router run --rules DIR."
            );
        }
    }
    ended
}

/// Holds the folder of a first start for this process.
fn alone_in(folder: &Path) -> Result<Option<File>, CliError> {
    // Where it cannot be made, opened or locked, nobody can tell; what is written into it says why.
    let Ok(held) = create_private_folder(folder).and_then(|()| File::open(folder)) else { return Ok(None) };
    match held.try_lock() {
        Err(TryLockError::WouldBlock) => Err(CliError::Usage(format!(
            "another first start is under way in {}: wait until it has ended, or is ready",
            folder.display()
        ))),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(held)),
    }
}

fn put_config_in_place(folder: &Path) -> Result<(), CliError> {
    put_in_place(folder).map_err(|faults| config_error(&faults))
}

fn run_as_configured(
    arguments: &Arguments,
    has_none: bool,
    serve: impl FnOnce(&Config, Option<String>) -> Result<Ending, CliError>,
) -> Result<Ending, CliError> {
    let config = match &arguments.config {
        Some(file) if !is_there(file)? => {
            let file = file.display();
            return Err(CliError::Usage(format!(
                "there is no file {file}; start once without --config to have one written, for a rule book of your own with --rules DIR"
            )));
        }
        Some(file) => load_config(file)?,
        None => {
            let folder = Path::new(DATA_FOLDER);
            let file = config_file(folder);
            let now = if has_none { config_to_come(folder) } else { file.clone() };
            Config { file, ..load_config(&now)? }
        }
    };
    if arguments.stages.is_some() && matches!(config.broker, Broker::Embedded { .. }) {
        let reason = "--stages is for Kafka: nobody else can run the other stage on an embedded broker";
        return Err(CliError::Usage(reason.to_owned()));
    }
    logging::start(config.log.format, config.log.level);
    let mut config = of_stage(config, arguments.stages);
    let few_files = make_room(&mut config);
    serve(&config, few_files)
}

/// Without the lanes of the other stage.
fn of_stage(mut config: Config, stage: Option<Stage>) -> Config {
    match stage {
        None => {}
        Some(Stage::Intake) => config.lanes.decide = 0,
        Some(Stage::Decide) => config.lanes.intake = 0,
    }
    config
}

/// The first start: a configuration, keys and sample tokens in the data folder.
fn write_own_config(folder: &Path, told: Told<'_>) -> Result<(), CliError> {
    let written = begin(folder, told).map_err(|faults| config_error(&faults))?;
    eprintln!("First start. Written, readable by you alone:");
    for file in written {
        eprintln!("  {:<44} {}", file.path.display(), file.what);
    }
    Ok(())
}

/// The same for a rule book of the partnership's own. It is not started: whom to ring stands in no book, and who sends is not
/// known.
fn write_for_own_book(
    folder: &Path,
    is_first: bool,
    rules: &Path,
    bind: Option<SocketAddr>,
) -> Result<Ending, CliError> {
    let file = config_file(folder);
    let file = file.display();
    if !is_first {
        return Err(CliError::Usage(format!(
            "--rules is for a first start, and there is {file} or a data file: another rule book comes by `pathway-router rules publish`; for a \
             router that is to begin anew, move {} away",
            folder.display()
        )));
    }
    let book = read_sound(rules)?;
    // As seen from the data folder, which lies in the working folder.
    let seen = if rules.is_absolute() { rules.to_owned() } else { Path::new("..").join(rules) };
    let own_book = Some(OwnBook { folder: &seen.to_string_lossy(), book: &book });
    write_own_config(folder, Told { bind, own_book })?;
    // It is to be completed by hand, so it has its name before there is a data file.
    put_config_in_place(folder)?;
    eprintln!(
        "Now write into {file} whom senders ring ([front_door]) and which systems send ([partners]), then start it:\n  \
         pathway-router run --config {file} --new-data-file"
    );
    Ok(Ending::Clean)
}

async fn serve(
    config: &Config,
    (expected, has_none): (Expected, bool),
    few_files: Option<String>,
    stop: impl Future<Output = ()>,
    mut asked: Reloads,
) -> Result<Ending, CliError> {
    tokio::pin!(stop);
    let router = tokio::select! {
        router = RunningRouter::start(config, expected) => router?,
        () = &mut stop => {
            tracing::info!("stopped before it was ready");
            return Ok(Ending::Clean);
        }
    };
    if has_none {
        put_config_in_place(Path::new(DATA_FOLDER))?;
    }
    if let Some(problem) = few_files {
        router.readiness.warn(CONNECTIONS, &problem);
    }
    let mut is_ready = false;
    loop {
        tokio::select! {
            () = router.until_ready(), if !is_ready => {
                tracing::info!("ready");
                is_ready = true;
            }
            () = asked.next() => reload(&router, &config.file).await,
            () = &mut stop => break,
        }
    }
    tracing::info!("stopping");
    router.stop().await.map_err(CliError::failed)?;
    tracing::info!("stopped");
    Ok(Ending::Clean)
}
