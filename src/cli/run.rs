//! `run`: the service, until it is told to stop.

use std::path::{Path, PathBuf};

use super::local::{config_error, load_config};
use super::service::{RunningRouter, until_told_to_stop};
use super::{CliError, Ending};
use crate::config::Config;
use crate::config::first_start::{config_file, first_start};
use crate::telemetry::logging;

/// Where a router without a configuration lives.
const DATA_FOLDER: &str = "data";

/// Run the router until it is told to stop (Ctrl-C or SIGTERM)
#[derive(clap::Args)]
#[command(
    after_help = "Without --config: an embedded broker in ./data; the first start writes config, keys and sample \
tokens there (readable by you alone) and names them.\n\n\
Examples:\n  pathway-router run\n  pathway-router run --config /etc/pathway-router/config.toml"
)]
pub struct Arguments {
    /// Settings file; paths in it are relative to its folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    let config = match &arguments.config {
        Some(file) if !file.is_file() => {
            let file = file.display();
            return Err(CliError::Usage(format!(
                "there is no {file}; start once without --config to have one written"
            )));
        }
        Some(file) => load_config(file)?,
        None => own_config(Path::new(DATA_FOLDER))?,
    };
    logging::start(config.log.format, config.log.level);
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    runtime.block_on(serve(&config))
}

/// The configuration in the data folder, written first if this is the first start.
fn own_config(folder: &Path) -> Result<Config, CliError> {
    let file = config_file(folder);
    if !file.is_file() {
        let written = first_start(folder).map_err(|faults| config_error(&faults))?;
        eprintln!("First start. Written, readable by you alone:");
        for file in written {
            eprintln!("  {:<44} {}", file.path.display(), file.what);
        }
    }
    load_config(&file)
}

async fn serve(config: &Config) -> Result<Ending, CliError> {
    let router = RunningRouter::start(config).await?;
    tracing::info!(address = router.url(config), "listening");
    let stop = until_told_to_stop();
    tokio::pin!(stop);
    tokio::select! {
        () = router.until_ready() => {
            tracing::info!("ready");
            stop.await;
        }
        () = &mut stop => {}
    }
    tracing::info!("stopping");
    if router.stop().await {
        tracing::info!("stopped");
        Ok(Ending::Clean)
    } else {
        Err(CliError::failed("stopped before every lane had finished; nothing acknowledged is lost"))
    }
}
