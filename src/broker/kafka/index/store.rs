//! The inboxes' file: made anew when it is missing, of another cluster, or cannot be used. Nothing is lost with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::broker::embedded::files;
use crate::broker::embedded::layout::Stored;
use crate::broker::headers::Headers;
use crate::broker::{BrokerError, Record};
use crate::engine::model::scalar::Timestamp;

pub const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Another form of the file gets another number.
const FORM: &str = "1";

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS places (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    UNIQUE (topic, partition));
CREATE TABLE IF NOT EXISTS records (
    place INTEGER NOT NULL, off INTEGER NOT NULL, ts INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, headers BLOB,
    PRIMARY KEY (place, off)) WITHOUT ROWID;
";

/// Opens the file for its one writer.
pub fn open(file: &Path, cluster: &str) -> Result<Connection, BrokerError> {
    let failed = |error: String| {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let file = file.display();
        BrokerError::Storage(format!(
            "{file} (index_file) cannot be used: {error}; set `index_file` under [broker] to a file in a folder that this user may write to"
        ))
    };
    let opened = make_private(file).map_err(|error| error.to_string());
    let opened = opened.and_then(|()| of_cluster(file, cluster).map_err(|error| error.to_string()));
    match opened {
        Ok(Some(connection)) => Ok(connection),
        // Of another cluster or form, or damaged: all of it can be had again.
        Ok(None) | Err(_) => {
            remove(file);
            make_private(file).map_err(|error| failed(error.to_string()))?;
            let made = of_cluster(file, cluster).map_err(|error| failed(error.to_string()))?;
            made.ok_or_else(|| failed("it could not be made anew".to_owned()))
        }
    }
}

pub fn remove(file: &Path) {
    for name in [file.to_owned(), files::log_beside(file), files::index_beside(file)] {
        if let Err(error) = std::fs::remove_file(&name)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "an old file of the inboxes is still there");
        }
    }
}

/// It names children: its owner alone may read it.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// None: it belongs to another cluster, or has another form.
fn of_cluster(file: &Path, cluster: &str) -> rusqlite::Result<Option<Connection>> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a power cut takes is read again.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(TABLES)?;
    let about = format!("{FORM} {cluster}");
    connection.execute("INSERT OR IGNORE INTO about VALUES ('of', ?)", [&about])?;
    let found: String = connection.query_row("SELECT value FROM about WHERE name = 'of'", [], |row| row.get(0))?;
    Ok((found == about).then_some(connection))
}

/// A partition's number in the file and where following it goes on. What lies there from a topic that was deleted and
/// made again, or is past its retention, goes.
pub fn place(
    transaction: &Transaction<'_>,
    (topic, partition): (&str, u32),
    (first, end): (i64, i64),
) -> rusqlite::Result<(i64, i64)> {
    let known = transaction
        .query_row("SELECT id, next FROM places WHERE topic = ? AND partition = ?", (topic, partition), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (place, next) = match known {
        Some(known) => known,
        None => {
            let insert = "INSERT INTO places (topic, partition, next) VALUES (?, ?, ?)";
            transaction.execute(insert, (topic, partition, first))?;
            (transaction.last_insert_rowid(), first)
        }
    };
    let next = if next > end {
        transaction.execute("DELETE FROM records WHERE place = ?", [place])?;
        first
    } else {
        next.max(first)
    };
    forget_before(transaction, place, first)?;
    reached(transaction, place, next)?;
    Ok((place, next))
}

pub fn forget_before(transaction: &Transaction<'_>, place: i64, first: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM records WHERE place = ? AND off < ?")?.execute((place, first)).map(drop)
}

pub fn reached(transaction: &Transaction<'_>, place: i64, next: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE places SET next = ? WHERE id = ?")?.execute((next, place)).map(drop)
}

pub fn put(transaction: &Transaction<'_>, place: i64, record: &Record) -> rusqlite::Result<()> {
    let Record { offset, timestamp, key, value, headers, .. } = record;
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)")?;
    insert.execute((place, offset, timestamp.0, key, value, Headers::from(headers.as_slice()).stored())).map(drop)
}

pub fn record(topic: &Arc<str>, partition: u32, stored: Stored) -> Record {
    let Stored { offset, timestamp, key, value, headers } = stored;
    Record {
        topic: topic.clone(),
        partition,
        offset,
        timestamp: Timestamp(timestamp),
        key,
        value,
        headers,
        fault: None,
    }
}
