//! How the log lies in its SQLite file: one rowid table per topic-partition, and the tables that describe them.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::{Expected, identity, room};
use crate::broker::BrokerError;
use crate::broker::headers::Headers;

/// "PWLG": tells our file from any other SQLite file.
const APPLICATION_ID: i32 = 0x5057_4c47;
const LAYOUT_VERSION: i32 = 1;
/// Larger than SQLite's usual 4096: fewer, longer writes for the same records.
pub const PAGE_BYTES: u64 = 16_384;
/// Pages the writer keeps: 64 MiB.
const WRITER_CACHE_KIB: u32 = 65_536;
/// Pages each reading connection keeps: 4 MiB.
const READER_CACHE_KIB: u32 = 4096;
pub const BUSY_WAIT_MS: u32 = 5000;
const STATEMENTS_KEPT: usize = 256;

pub fn storage(error: &rusqlite::Error) -> BrokerError {
    // SQLite's own words for the code: the message of a failed statement may hold more than an operator should see.
    match error {
        rusqlite::Error::SqliteFailure(code, _) => {
            let advice = match error {
                _ if is_damage(error) => "; the file is damaged: restore a backup of it",
                _ if is_held(error) => "; another program holds the file: end it",
                _ => "",
            };
            BrokerError::Storage(format!("SQLite: {} (code {}){advice}", code, code.extended_code))
        }
        other => BrokerError::Storage(format!("SQLite: {other}")),
    }
}

/// The file does not hold what was written to it.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Another program holds one of the file's locks, and kept it for longer than is waited.
pub fn is_held(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed))
}

/// Whether writing could begin now, or something else than another program is in the way. For the writer's own connection.
pub fn may_write(connection: &Connection, wait_ms: u32) -> bool {
    let _ = connection.execute_batch(&format!("PRAGMA busy_timeout = {wait_ms}"));
    let begun = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    let _ = connection.execute_batch(&format!("PRAGMA busy_timeout = {BUSY_WAIT_MS}"));
    !begun.is_err_and(|error| is_held(&error))
}

/// The same error with the file's name.
pub fn of_file(path: &Path, error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Storage(problem) => BrokerError::Storage(format!("{}: {problem}", path.display())),
        other => other,
    }
}

/// Opens the file for writing, creating it when it is missing and that was not ruled out.
pub fn open_writer(path: &Path, pages_max: Option<u32>, expected: Expected) -> Result<Connection, BrokerError> {
    let connection = Connection::open(path).map_err(|error| room::of_opening(path, &error))?;
    prepare_writer(&connection, path, pages_max, expected)?;
    Ok(connection)
}

fn prepare_writer(
    connection: &Connection,
    path: &Path,
    pages_max: Option<u32>,
    expected: Expected,
) -> Result<(), BrokerError> {
    let failed = |error: rusqlite::Error| room::of_opening(path, &error);
    let objects = objects_of_ours(connection, path)?;
    match expected {
        Expected::File if objects == 0 => return Err(identity::missing(path, "is empty")),
        Expected::Nothing if objects > 0 => return Err(identity::present(path)),
        Expected::File | Expected::Nothing | Expected::Either => {}
    }
    // Children's records lie in it: for its owner alone. SQLite gives the log beside it the same mode.
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|error| BrokerError::Storage(format!("{}: {error}", path.display())))?;
    connection
        .execute_batch(&format!(
            "PRAGMA busy_timeout = {BUSY_WAIT_MS};
             PRAGMA page_size = {PAGE_BYTES};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA secure_delete = FAST;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{WRITER_CACHE_KIB};"
        ))
        .map_err(failed)?;
    if let Some(pages) = pages_max {
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages};")).map_err(failed)?;
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    if objects == 0 {
        create_catalogue(connection, path)?;
    }
    Ok(())
}

/// How many tables and indexes lie in the file: none in one that is empty. An error where it is not ours to read.
pub fn objects_of_ours(connection: &Connection, path: &Path) -> Result<i64, BrokerError> {
    let failed = |error: rusqlite::Error| room::of_opening(path, &error);
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    if objects > 0 && application != APPLICATION_ID {
        return Err(BrokerError::Mismatch(format!("{} is a SQLite file of another program", path.display())));
    }
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if version > LAYOUT_VERSION {
        return Err(BrokerError::Mismatch(format!(
            "{} was written by a newer router (layout {version}, this one knows {LAYOUT_VERSION})",
            path.display()
        )));
    }
    Ok(objects)
}

fn create_catalogue(connection: &Connection, path: &Path) -> Result<(), BrokerError> {
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {LAYOUT_VERSION};
             CREATE TABLE topics (
                 id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
                 compacted INTEGER NOT NULL, retention_ms INTEGER
             );
             -- Where a partition stood when records were last deleted from it: offsets and times never go back.
             CREATE TABLE floors (
                 topic INTEGER NOT NULL, part INTEGER NOT NULL, next_off INTEGER NOT NULL, last_ts INTEGER NOT NULL,
                 PRIMARY KEY (topic, part)
             ) WITHOUT ROWID;
             CREATE TABLE positions (
                 consumers TEXT NOT NULL, topic INTEGER NOT NULL, part INTEGER NOT NULL, next_off INTEGER NOT NULL,
                 PRIMARY KEY (consumers, topic, part)
             ) WITHOUT ROWID;
             COMMIT;"
        ))
        .map_err(|error| room::of_opening(path, &error))
}

/// A connection that cannot write.
pub fn open_reader(path: &Path) -> Result<Connection, BrokerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| room::of_opening(path, &error))?;
    connection
        .execute_batch(&format!("PRAGMA busy_timeout = {BUSY_WAIT_MS}; PRAGMA cache_size = -{READER_CACHE_KIB};"))
        .map_err(|error| room::of_opening(path, &error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// A connection that moves the write-ahead log into the file.
pub fn open_checkpointer(path: &Path) -> Result<Connection, BrokerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| room::of_opening(path, &error))?;
    let settings = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;";
    connection.execute_batch(settings).map_err(|error| room::of_opening(path, &error))?;
    Ok(connection)
}

/// How many pages make up so many bytes.
pub fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes / PAGE_BYTES).unwrap_or(u32::MAX).max(1)
}

/// The table of one topic-partition.
pub fn table(topic: i64, partition: u32) -> String {
    format!("log_{topic}_{partition}")
}

pub fn create_table(topic: i64, partition: u32) -> String {
    format!(
        "CREATE TABLE {} (off INTEGER PRIMARY KEY, ts INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, headers BLOB)",
        table(topic, partition)
    )
}

/// One row of a topic-partition.
pub struct Stored {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Columns in the order `stored` reads them.
pub const COLUMNS: &str = "off, ts, key, value, headers";

pub fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let headers = row.get_ref(4)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    Ok(Stored {
        offset: row.get(0)?,
        timestamp: row.get(1)?,
        key: row.get(2)?,
        value: row.get(3)?,
        headers: Headers::read(headers).unwrap_or_default(),
    })
}
