//! `keygen`: new secrets for a router.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Make new keys for a router
#[derive(clap::Args)]
#[command(
    after_help = "Writes two files readable by you alone: subject.key (turns identifiers into subject keys; losing it \
loses the link to all history) and reply.key (seals reply addresses). Never overwrites a key.\n\n\
Example:\n  pathway-router keygen --out /etc/pathway-router/keys"
)]
pub struct Arguments {
    /// Folder to write the keys to; made if absent
    #[arg(long, value_name = "DIR", default_value = "keys")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    Err(CliError::failed(format!("keygen {} is not wired yet", arguments.out.display())))
}
