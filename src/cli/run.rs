//! `run`: the service, until it is told to stop.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Run the router until it is told to stop (Ctrl-C or SIGTERM)
#[derive(clap::Args)]
#[command(
    after_help = "Without --config: an embedded broker in ./data; the first start writes config, keys and sample \
tokens there (readable by you alone) and names them.\n\n\
Examples:\n  pathway-router run\n  pathway-router run --config /etc/pathway-router/router.toml"
)]
pub struct Arguments {
    /// Settings file; its folder holds what it names by relative paths
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    Err(CliError::failed(format!("run {:?} is not wired yet", arguments.config)))
}
