//! `send`: posts events to a running router.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Send events to a running router
#[derive(clap::Args)]
#[command(
    after_help = "FILE holds one CloudEvents JSON object, a JSON array of them, or one a line. Sending again is \
harmless.\n\n\
Example:\n  pathway-router send event.json --to http://127.0.0.1:8080 \\\n      --token-file data/tokens/police.token"
)]
pub struct Arguments {
    /// JSON or JSON lines; `-` is standard input
    file: PathBuf,

    /// Address of the router
    #[arg(long, value_name = "URL")]
    to: String,

    /// File that holds the partner's token
    #[arg(long, value_name = "T")]
    token_file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    Err(CliError::failed(format!(
        "send {} {} {} is not wired yet",
        arguments.file.display(),
        arguments.to,
        arguments.token_file.display()
    )))
}
