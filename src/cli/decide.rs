//! `decide`: events in, decisions out, without a broker.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Judge events offline: CloudEvents as JSON lines in, decisions as JSON lines out
#[derive(clap::Args)]
#[command(
    after_help = "An event is judged at its `receivedtime` if it has one, else at its `time`; lines must be in that \
order. Deadlines that pass between two events are acted on, and after the last one those up to --until.\n\n\
Example:\n  pathway-router decide --rules rules/cheshire-east events.jsonl \\\n      --until 2026-10-16T17:00:00+01:00"
)]
pub struct Arguments {
    /// Folder of the rule book
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,

    /// Let time pass up to this instant (RFC 3339) after the last event
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// File with the router's keys; without it a public test key, whose subject keys mean nothing elsewhere
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// JSON lines; standard input if absent or `-`
    file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    Err(CliError::failed(format!(
        "decide {:?} {:?} {:?} {:?} is not wired yet",
        arguments.rules, arguments.until, arguments.keys, arguments.file
    )))
}
