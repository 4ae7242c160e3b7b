//! Whether this is the file that the router wrote before, with the keys it has now.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::layout::of_file;
use super::room;
use crate::broker::BrokerError;

/// A router that began again with nothing would know no child and no open task, and nobody would notice.
pub fn missing(path: &Path, how: &str) -> BrokerError {
    BrokerError::Mismatch(format!(
        "the data file {} {how}: every history and open task lies in it. Restore it from a backup; only for a router \
         that never ran, `pathway-router run --new-data-file` makes a new one",
        path.display()
    ))
}

pub fn present(path: &Path) -> BrokerError {
    let path = path.display();
    BrokerError::Mismatch(format!("the data file {path} exists: start without --new-data-file to go on with it"))
}

/// Compares what the file belongs to with what it says; says it if it does not yet.
pub fn check(connection: &Connection, path: &Path, belongs_to: &[(&str, String)]) -> Result<(), BrokerError> {
    if belongs_to.is_empty() {
        return Ok(());
    }
    let failed = |error: rusqlite::Error| of_file(path, room::of_opening(path, &error));
    // Not of layout 1 from its beginning: files without it get it here.
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        .map_err(failed)?;
    for (name, fingerprint) in belongs_to {
        let known: Option<String> = connection
            .query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        match known {
            Some(known) if known == *fingerprint => {}
            Some(_) => return Err(other(path, name)),
            None => {
                connection
                    .execute("INSERT INTO settings (name, value) VALUES (?1, ?2)", [name, fingerprint.as_str()])
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn other(path: &Path, name: &str) -> BrokerError {
    BrokerError::Mismatch(format!(
        "{} was written with another {name} than the one given now: put back the {name} that was kept with it. With \
         another one no child would be recognised or no task could be answered",
        path.display()
    ))
}
