//! Whether there is room on the disk, tried rather than asked.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::Connection;

use crate::broker::BrokerError;

/// Room there must be before records are accepted again.
const ROOM_BYTES: usize = 1 << 20;

/// What SQLite failed over, if the disk of the file is full: not even its index may fit, and its own words tell nobody that.
pub fn or_full(path: &Path, error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Storage(_) if is_short_on_disk(path) => {
            BrokerError::DiskFull(format!("{} cannot be opened before there is room", path.display()))
        }
        other => other,
    }
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
    let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    matches!(tried, Err(error) if kinds.contains(&error.kind()))
}
