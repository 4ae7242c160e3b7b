//! A whole, consistent copy of a log, also while a router uses it.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rusqlite::ErrorCode;

use super::layout::{self, of_file, storage};
use super::{file_failed, files, identity, located, rights, sync_folder};
use crate::broker::BrokerError;

/// Copies the log `from` to `to`, which must not exist; readable by its owner alone. It has that name only once it is
/// whole and on disk.
pub fn backup(from: &Path, to: &Path) -> Result<(), BrokerError> {
    if to.exists() {
        return Err(BrokerError::InUse(format!("{} exists: name a file that does not", to.display())));
    }
    let part = files::part_beside(to);
    let copied = copy(from, &part).and_then(|()| fs::rename(&part, to).map_err(|error| file_failed(to, &error)));
    if copied.is_err() {
        remove(&part);
    }
    copied.and_then(|()| sync_folder(to))
}

fn copy(from: &Path, part: &Path) -> Result<(), BrokerError> {
    let target = part.to_str().ok_or_else(|| BrokerError::Mismatch("the path is not UTF-8".to_owned()))?;
    let from = &located(from)?;
    let connection = layout::open_reader(from).map_err(|error| rights::explained(from, error))?;
    let objects = layout::objects_of_ours(&connection, from).map_err(|error| rights::explained(from, error))?;
    if objects == 0 {
        // A copy of nothing would be kept for a good one.
        return Err(identity::missing(from, "is empty"));
    }
    // What a copy that was killed has left.
    remove(part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(part).map_err(|error| file_failed(part, &error))?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(|error| of_copy(from, part, &error))?;
    File::open(part).and_then(|file| file.sync_all()).map_err(|error| file_failed(part, &error))
}

/// What is left of a copy that did not end well, with SQLite's journal of it.
fn remove(part: &Path) {
    for file in [part, &files::journal_beside(part)] {
        let _ = fs::remove_file(file);
    }
}

/// The copy is what is written, and the log what is read.
fn of_copy(from: &Path, part: &Path, error: &rusqlite::Error) -> BrokerError {
    let copy = part.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BrokerError::Storage(format!(
            "{copy}: there is no room for the copy on its disk; the router's own file is as it was. Make room there, or name another place"
        )),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly) => {
            let from = from.display();
            of_file(part, BrokerError::Storage(format!("the copy of {from} cannot be written: {}", shown(error))))
        }
        _ => of_file(from, storage(error)),
    }
}

fn shown(error: &rusqlite::Error) -> String {
    match storage(error) {
        BrokerError::Storage(problem) => problem,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_that_of_the_copy() {
        let (from, part) = (Path::new("data/pathway.db"), Path::new("small/b.db.part"));
        let failed = |code| of_copy(from, part, &rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        let full = failed(rusqlite::ffi::SQLITE_FULL).to_string();
        assert!(full.contains("small/b.db.part: there is no room") && !full.contains("pathway.db"), "{full}");
        let damaged = failed(rusqlite::ffi::SQLITE_CORRUPT).to_string();
        assert!(damaged.contains("data/pathway.db") && !damaged.contains("b.db"), "{damaged}");
    }
}
