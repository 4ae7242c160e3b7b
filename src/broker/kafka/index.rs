//! What agencies and partners read over HTTP, kept beside this instance in a SQLite file that follows their topics: any
//! instance can make it anew, and offsets are the log's own, so each serves every cursor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::reader::KafkaReader;
use super::shared::Shared;
use crate::broker::embedded::layout::{COLUMNS, stored};
use crate::broker::{BrokerError, Reader, Record};

mod follow;
mod store;

/// Connections kept for the next read.
const KEPT_MAX: usize = 8;

/// Which topics are kept, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexOptions {
    /// Names children, as the topics do: readable by its owner alone.
    pub file: PathBuf,
    /// Topics whose names begin so.
    pub prefixes: Vec<String>,
}

/// How far one partition is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Followed {
    /// Its number in the file.
    place: i64,
    next: i64,
}

struct Index {
    shared: Arc<Shared>,
    options: IndexOptions,
    followed: Mutex<BTreeMap<(String, u32), Followed>>,
    caught_up: AtomicBool,
    /// Counts the files there were: a connection to an earlier one is not used.
    file_number: AtomicU64,
    kept: Mutex<Vec<(u64, Connection)>>,
}

impl Index {
    fn followed(&self) -> MutexGuard<'_, BTreeMap<(String, u32), Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend<T>(&self, with: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, BrokerError> {
        let number = self.file_number.load(Ordering::Acquire);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept().pop().filter(|(of, _)| *of == number);
        let failed = |error| BrokerError::Storage(format!("the inboxes' file could not be read: {error}"));
        let connection = match found {
            Some((_, connection)) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.options.file, flags).map_err(failed)?;
                connection.busy_timeout(store::BUSY_WAIT).map_err(failed)?;
                connection
            }
        };
        let result = with(&connection).map_err(failed);
        let mut kept = kept();
        if result.is_ok() && kept.len() < KEPT_MAX {
            kept.push((number, connection));
        }
        result
    }

    fn read(&self, topic: &str, partition: u32, place: i64, from: i64, max: usize) -> Result<Vec<Record>, BrokerError> {
        let topic: Arc<str> = topic.into();
        self.lend(|connection| {
            let select = format!("SELECT {COLUMNS} FROM records WHERE place = ? AND off >= ? ORDER BY off LIMIT ?");
            let mut select = connection.prepare_cached(&select)?;
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            let rows = select.query_map((place, from, max), stored)?;
            rows.map(|row| Ok(store::record(&topic, partition, row?))).collect()
        })
    }
}

/// Reads from the file what it follows, and all else from the broker.
pub struct IndexedReader {
    index: Arc<Index>,
    direct: Arc<KafkaReader>,
    follower: Mutex<Option<JoinHandle<()>>>,
}

impl IndexedReader {
    /// Follows from now on, on a thread of its own.
    pub fn start(shared: &Arc<Shared>, options: IndexOptions, direct: Arc<KafkaReader>) -> Result<Self, BrokerError> {
        let index = Arc::new(Index {
            shared: shared.clone(),
            options,
            followed: Mutex::default(),
            caught_up: AtomicBool::new(false),
            file_number: AtomicU64::new(0),
            kept: Mutex::default(),
        });
        let follower = Mutex::new(Some(follow::start(&index)?));
        Ok(Self { index, direct, follower })
    }

    /// Whether all that lay in the topics at the start is here.
    pub fn is_caught_up(&self) -> bool {
        self.index.caught_up.load(Ordering::Acquire)
    }

    /// Called when the broker is stopping.
    pub fn join(&self) {
        let follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(follower) = follower {
            let _ = follower.join();
        }
    }
}

impl Reader for IndexedReader {
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError> {
        let followed = self.index.followed().get(&(topic.to_owned(), partition)).copied();
        match followed {
            Some(Followed { place, .. }) => self.index.read(topic, partition, place, from_offset, records_max),
            None => self.direct.read(topic, partition, from_offset, records_max),
        }
    }

    /// The broker's word: a cursor that another instance gave may be further than this one has followed.
    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        self.direct.end_offset(topic, partition)
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        self.direct.partitions(topic)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        self.direct.topics()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.direct.changes()
    }
}
