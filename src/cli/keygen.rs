//! `keygen`: new secrets for a router.

use std::fs;
use std::path::PathBuf;

use super::{CliError, Ending, output};
use crate::config::first_start::{create_private_folder, new_key, write_private};

/// Make new keys for a router
#[derive(clap::Args)]
#[command(
    after_help = "Writes two files readable by you alone: subject.key (turns identifiers into subject keys; losing \
it loses the link to all history) and sealing.key (seals reply addresses; losing it leaves open tasks without an \
answer). Never overwrites a key.\n\n\
Example:\n  pathway-router keygen --out /etc/pathway-router/keys"
)]
pub struct Arguments {
    /// Folder to write the keys to; made if absent
    #[arg(long, value_name = "DIR", default_value = "keys")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    let folder = &arguments.out;
    let failed = |error: std::io::Error| CliError::failed(format!("{} cannot be written: {error}", folder.display()));
    create_private_folder(folder).map_err(failed)?;
    let files = ["subject.key", "sealing.key"].map(|name| folder.join(name));
    // In one that is empty lies no key.
    let holds_any = |file: &&PathBuf| fs::metadata(file).is_ok_and(|found| found.len() > 0);
    if let Some(file) = files.iter().find(holds_any) {
        let file = file.display();
        return Err(CliError::Usage(format!(
            "{file} exists already, and a key is never overwritten; name another --out"
        )));
    }
    for (made, file) in files.iter().enumerate() {
        if let Err(error) = write_private(file, new_key().as_bytes()) {
            // One without the other would be kept from the next attempt.
            for made in files.iter().take(made) {
                let _ = fs::remove_file(made);
            }
            return Err(failed(error));
        }
    }
    for file in &files {
        output::line(format_args!("{}", file.display()));
    }
    Ok(Ending::Clean)
}
