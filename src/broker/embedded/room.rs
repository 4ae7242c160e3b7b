//! Whether there is room on the disk, tried rather than asked.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::{Connection, ffi};

use super::{files, layout, rights};
use crate::broker::BrokerError;

/// Room there must be before records are accepted again.
const ROOM_BYTES: usize = 1 << 20;

/// What SQLite failed over as it opened the file. Where that was for want of room (not even its index may fit) it is told as that: SQLite's own
/// words tell nobody. What room would not mend, as a damaged file, is told as what it is, however full the disk.
pub fn of_opening(path: &Path, error: &rusqlite::Error) -> BrokerError {
    let file = files::real(path);
    if may_want_room(error) && !rights::is_any_closed(&file) && is_short_on_disk(&file) {
        return cannot_be_opened(&file);
    }
    layout::storage(error)
}

pub fn cannot_be_opened(file: &Path) -> BrokerError {
    BrokerError::DiskFull(format!("{} cannot be opened before there is room", file.display()))
}

/// What SQLite says where it found no room, among other things.
fn may_want_room(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(error, _) = error else { return false };
    [
        ffi::SQLITE_FULL,
        ffi::SQLITE_CANTOPEN,
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ]
    .contains(&error.extended_code)
}

/// The same of the operating system.
pub fn is_for_want_of_room(error: &std::io::Error) -> bool {
    [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge].contains(&error.kind())
}

/// True when a mebibyte fits neither into the SQLite file's page limit nor onto the disk beside it.
pub fn is_short(connection: &Connection, path: &Path) -> bool {
    is_short_in_file(connection) || is_short_on_disk(path)
}

fn is_short_in_file(connection: &Connection) -> bool {
    let tried = connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE room_probe (bytes BLOB);
         INSERT INTO room_probe VALUES (zeroblob({ROOM_BYTES}));
         ROLLBACK;"
    ));
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    matches!(tried, Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
}

pub fn is_short_on_disk(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(".room");
    let tried = File::create(&name).and_then(|mut file| {
        file.write_all(&vec![0; ROOM_BYTES])?;
        file.sync_all()
    });
    let _ = fs::remove_file(&name);
    tried.is_err_and(|error| is_for_want_of_room(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_room_would_not_mend_is_not_waited_for() {
        let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_WRITE] {
            assert!(may_want_room(&failed(code)), "{code}");
        }
        for code in
            [ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT, ffi::SQLITE_PERM, ffi::SQLITE_IOERR_READ, ffi::SQLITE_READONLY]
        {
            assert!(!may_want_room(&failed(code)), "{code}");
        }
    }
}
