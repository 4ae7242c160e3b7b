//! `import`: history from before go-live.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Import history from before go-live
#[derive(clap::Subcommand)]
#[command(
    after_help = "Example:\n  pathway-router import ssda903 missing.csv --to http://127.0.0.1:8080 \\\n      --token-file data/tokens/operator.token"
)]
pub enum Command {
    /// The statutory looked-after-children return's MISSING file (CSV)
    #[command(
        after_help = "Columns: CHILD, DOB, MISSING (M missing, A away without authorisation), MIS_START, MIS_END \
(may be empty); dates dd/mm/yyyy. History only: nobody gets a task. Importing again changes nothing. A bad row is \
reported with its line and the rest is imported.\n\n\
Examples:\n  pathway-router import ssda903 missing.csv --to http://127.0.0.1:8080 \\\n      --token-file data/tokens/operator.token\n  \
pathway-router import ssda903 missing.csv --as-events --rules rules/cheshire-east"
    )]
    Ssda903(Ssda903),
}

#[derive(clap::Args)]
pub struct Ssda903 {
    /// The MISSING file
    file: PathBuf,

    /// The authority whose return it is; child ids are unique within it
    #[arg(long, value_name = "NAME", default_value = "children-looked-after-return")]
    partner: String,

    /// Print the tasks that the episodes would have given, as of then; imports nothing
    #[arg(long)]
    as_events: bool,

    /// Folder of the rule book, for --as-events
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// Address of a running router; without it the router's own file is opened
    #[arg(long, value_name = "URL", conflicts_with = "as_events")]
    to: Option<String>,

    /// File that holds the operator's token, for --to
    #[arg(long, value_name = "T", requires = "to")]
    token_file: Option<PathBuf>,

    /// Settings of the router whose file is opened [default: data/router.toml]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "as_events"])]
    config: Option<PathBuf>,
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::Ssda903(arguments) => Err(CliError::failed(format!(
            "import {} {} {} {:?} {:?} {:?} {:?} is not wired yet",
            arguments.file.display(),
            arguments.partner,
            arguments.as_events,
            arguments.rules,
            arguments.to,
            arguments.token_file,
            arguments.config
        ))),
    }
}
