//! Moves committed pages from the write-ahead log into the file, beside the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::files;
use super::layout::{BUSY_WAIT_MS, PAGE_BYTES, is_damage, is_held, storage};
use super::shared::Shared;

/// How often the write-ahead log is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// Below this many pages it is left alone.
const PAGES_MIN: i64 = 250;
/// Above this many pages (64 MiB) it is started over, for which the writer waits once.
const PAGES_MAX: i64 = 4096;
/// The writer waits this long for readers before it gives up starting over.
const RESTART_WAIT_MS: u32 = 200;
/// So often, and so far apart, somebody who empties the log is waited for.
const TRIES_MAX: u32 = 20;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Runs until the sender of `stop` is gone. A PASSIVE checkpoint never holds the writer up, but it cannot shorten a
/// log that is always being written: that is asked of the writer itself, between two transactions.
pub fn run(connection: &Connection, shared: &Arc<Shared>, stop: &Receiver<()>) {
    let warned = AtomicBool::new(false);
    while matches!(stop.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
        if let Err(error) = shared.in_place.look(&shared.path) {
            // A log that was removed is still open here: what lies in it alone goes into the file as long as it is.
            if !shared.in_place.is_cut() {
                let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            }
            shared.fail(&error);
        }
        if shared.in_place.is_cut() {
            leave_as_it_is(connection);
            continue;
        }
        if shared.restart_log.load(Ordering::Acquire) || log_pages(shared) < PAGES_MIN {
            continue;
        }
        let pages = connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        match pages {
            Ok((in_log, _)) => shared.restart_log.store(in_log > PAGES_MAX, Ordering::Release),
            // Pages of another file, or none: what is written from now on may never be read again.
            Err(error) if is_damage(&error) => shared.fail(&storage(&error)),
            Err(error) if !warned.swap(true, Ordering::Relaxed) => {
                tracing::warn!(code = ?error.sqlite_error_code(), "the write-ahead log cannot be emptied into the file");
            }
            Err(_) => {}
        }
    }
}

fn log_pages(shared: &Shared) -> i64 {
    let bytes = std::fs::metadata(files::log_beside(&shared.path)).map(|metadata| metadata.len()).unwrap_or_default();
    i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX)
}

/// Empties the log whole and starts it over, if no reader is in the way. For the writer's own connection. Whether all of it is
/// in the file now.
pub fn restart(connection: &Connection) -> bool {
    let _ = connection.execute_batch(&format!("PRAGMA busy_timeout = {RESTART_WAIT_MS}"));
    let answer = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    let _ = connection.execute_batch(&format!("PRAGMA busy_timeout = {BUSY_WAIT_MS}"));
    // While somebody else empties it, SQLite tells neither number: both are -1 then.
    answer.is_ok_and(|(busy, in_log, moved)| busy == 0 || (in_log == moved && in_log >= 0))
}

/// Whether whoever emptied the log moved all of it into the file first: SQLite's index of it says so. None: somebody is just about it.
pub fn is_emptied_in_order(connection: &Connection) -> Option<bool> {
    for _ in 0..TRIES_MAX {
        let in_log = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
        match in_log {
            Ok(in_log) if in_log >= 0 => return Some(in_log == 0),
            // It was to be moved into the file, and cannot be read.
            Err(error) if !is_held(&error) => return Some(false),
            Ok(_) | Err(_) => std::thread::sleep(TRY_AGAIN_AFTER),
        }
    }
    None
}

/// What is left of a log that was cut does not go into the file as this connection is closed.
pub fn leave_as_it_is(connection: &Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn while_somebody_else_empties_the_log_it_is_not_taken_for_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let open = || Connection::open(&path).unwrap();
        let writer = open();
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE it (n)").unwrap();
        // Reads what was there before, so that whoever empties the log waits.
        let reader = open();
        reader.execute_batch("BEGIN; SELECT count(*) FROM it").unwrap();
        writer.execute_batch("INSERT INTO it VALUES (1)").unwrap();
        assert!(!restart(&writer), "what came after a reader's view cannot be moved");
        let other = open();
        other.busy_timeout(Duration::from_secs(60)).unwrap();
        let emptying = std::thread::spawn(move || {
            let in_log = || other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(1)).unwrap();
            while in_log() < 0 {}
        });
        let ask = || writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while ask() >= 0 {
            assert!(Instant::now() < deadline, "the other never came to it");
        }
        assert!(!restart(&writer), "nothing is told of it");
        reader.execute_batch("COMMIT").unwrap();
        emptying.join().unwrap();
        assert!(restart(&writer));
    }
}
