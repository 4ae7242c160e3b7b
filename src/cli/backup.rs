//! `backup`: a copy of the data file, of a router that runs or not.

use std::path::PathBuf;

use super::files::is_there;
use super::local::load_config;
use super::{CliError, Ending, output};
use crate::broker::embedded;
use crate::config::broker::Broker;

/// Copy the data file, also while the router runs
#[derive(clap::Args)]
#[command(
    after_help = "The copy is whole, consistent, readable by you alone, and on disk when the command ends. It never \
replaces a file. The configuration, the keys and the tokens are not in it: keep them too, elsewhere.\n\n\
Example:\n  pathway-router backup /var/backups/pathway-2026-10-09.db --config /etc/pathway-router/config.toml"
)]
pub struct Arguments {
    /// File to write; must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,

    /// Settings of the router whose data file is copied
    #[arg(long, value_name = "FILE", default_value = "data/config.toml")]
    config: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    if !is_there(&arguments.config)? {
        let file = arguments.config.display();
        return Err(CliError::Usage(format!("there is no {file}; name the router's configuration with --config")));
    }
    let Broker::Embedded { file } = load_config(&arguments.config)?.broker else {
        let reason = "this router's log is a Kafka cluster's: back up that, and its keys";
        return Err(CliError::Usage(reason.to_owned()));
    };
    if !is_there(&file)? {
        return Err(CliError::failed(format!("there is no {}: nothing to copy", file.display())));
    }
    if arguments.to.exists() {
        let to = arguments.to.display();
        return Err(CliError::Usage(format!("{to} exists, and a backup never replaces a file; name another")));
    }
    embedded::backup(&file, &arguments.to).map_err(CliError::failed)?;
    let bytes = std::fs::metadata(&arguments.to).map_or(0, |metadata| metadata.len());
    output::line(format_args!("{} ({bytes} bytes)", arguments.to.display()));
    Ok(Ending::Clean)
}
