//! What the writer, the lanes, the publishers and the readers of one file share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::catalogue::{Catalogue, Topic};
use super::checkpoint;
use super::in_place::{InPlace, Log};
use super::layout::{self, storage};
use super::lock::FileLock;
use super::room;
use crate::broker::{BrokerError, Clock, Health, LaneShare, TopicPattern};

/// A lock whose holder panicked is still good here: every critical section leaves whole values.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Shared {
    pub path: PathBuf,
    pub in_place: InPlace,
    pub clock: Clock,
    pub catalogue: RwLock<Arc<Catalogue>>,
    pub health: Mutex<Health>,
    /// Requests and bytes of publishers that the writer has not answered yet.
    pub queued_requests: AtomicUsize,
    pub queued_bytes: AtomicUsize,
    /// Set by the checkpoint thread: the write-ahead log is long, start it over when it is safe.
    pub restart_log: AtomicBool,
    /// Of the file, for as long as it is open.
    pub lock: Mutex<Option<FileLock>>,
    /// Whether the lock says that records lie in the write-ahead log.
    pub log_holds: AtomicBool,
    /// Set by the writer as it ends: nothing lies in the write-ahead log alone.
    pub log_written_back: AtomicBool,
    pub changes: watch::Sender<u64>,
    commits: Mutex<u64>,
    committed: Condvar,
    lanes: Mutex<Lanes>,
    next_epoch: AtomicU64,
}

#[derive(Default)]
struct Lanes {
    epochs: HashMap<(Arc<str>, LaneShare), u64>,
    /// What each group reads, so that nothing it has yet to read is deleted.
    patterns: HashMap<Arc<str>, TopicPattern>,
}

impl Shared {
    pub fn new(path: PathBuf, clock: Clock, catalogue: Catalogue) -> Self {
        Self {
            in_place: InPlace::new(&path),
            path,
            clock,
            catalogue: RwLock::new(Arc::new(catalogue)),
            health: Mutex::new(Health::Ready),
            queued_requests: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            restart_log: AtomicBool::new(false),
            lock: Mutex::default(),
            log_holds: AtomicBool::new(false),
            log_written_back: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            commits: Mutex::new(0),
            committed: Condvar::new(),
            lanes: Mutex::default(),
            next_epoch: AtomicU64::new(1),
        }
    }

    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn replace_catalogue(&self, catalogue: Catalogue) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }

    pub fn topic(&self, name: &str) -> Result<Arc<Topic>, BrokerError> {
        self.catalogue().topics.get(name).cloned().ok_or_else(|| BrokerError::UnknownTopic(name.to_owned()))
    }

    pub fn health(&self) -> Health {
        locked(&self.health).clone()
    }

    pub fn set_health(&self, health: Health) {
        *locked(&self.health) = health;
        self.announce();
    }

    /// Storage failed for good: says so in the log, once, with the file's name, and nothing is accepted any more.
    pub fn fail(&self, error: &BrokerError) {
        let problem = layout::of_file(&self.path, error.clone()).to_string();
        {
            let mut health = locked(&self.health);
            if matches!(*health, Health::Failed(_) | Health::Stopped) {
                return;
            }
            *health = Health::Failed(problem.clone());
        }
        tracing::error!(file = %self.path.display(), %problem, "nothing is accepted until it is mended and restarted");
        self.announce();
    }

    /// Whether the file and the log beside it are as they were left. For the writer: nobody else writes meanwhile. A log that another
    /// program emptied into the file holds nothing any more, and that is noted.
    pub fn is_in_place(&self, connection: &Connection) -> Result<(), BrokerError> {
        if self.in_place.look(&self.path)? == Log::Empty && self.log_holds.load(Ordering::Acquire) {
            match checkpoint::is_emptied_in_order(connection) {
                Some(true) => self.say_log_holds(false),
                Some(false) => return Err(self.in_place.cut()),
                None => {}
            }
        }
        Ok(())
    }

    /// For the writer, after each commit, whatever it was for: any may have started the log over. Whatever is found, it is noted before
    /// anything of it is acknowledged.
    pub fn note_commit(&self, connection: &Connection) -> Result<(), BrokerError> {
        let in_place = self.is_in_place(connection);
        self.say_log_holds(true);
        in_place
    }

    /// Notes in the lock that records lie in the write-ahead log, and in which, or that it is about to be emptied: where that was not so
    /// before.
    pub fn say_log_holds(&self, holds: bool) {
        self.log_holds.store(holds, Ordering::Release);
        if let Some(lock) = &mut *locked(&self.lock) {
            lock.log_holds(holds, self.in_place.salt());
        }
    }

    /// What the writer waited for has come. False: something worse happened meanwhile.
    pub fn recover(&self, waited_in: &Health) -> bool {
        let recovered = {
            let mut health = locked(&self.health);
            let recovered = *health == *waited_in;
            if recovered {
                *health = Health::Ready;
            }
            recovered
        };
        self.announce();
        recovered
    }

    /// A read failed. If the file is damaged or cannot be read, a restart alone would not help and more writes may harm.
    pub fn read_failed(&self, error: &rusqlite::Error) -> BrokerError {
        let failure = storage(error);
        let unreadable = error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure);
        if layout::is_damage(error) || (unreadable && !room::is_short_on_disk(&self.path)) {
            self.fail(&failure);
        }
        failure
    }

    /// The error that the present health answers requests with.
    pub fn refusal(&self) -> Option<BrokerError> {
        match self.health() {
            Health::Ready | Health::CatchingUp => None,
            Health::DiskFull => Some(BrokerError::DiskFull(self.path.display().to_string())),
            Health::HeldByAnother => Some(BrokerError::HeldByAnother(self.path.display().to_string())),
            Health::Unreachable(problem) => Some(BrokerError::Unreachable(problem)),
            Health::Failed(problem) => Some(BrokerError::Storage(problem)),
            Health::Stopped => Some(BrokerError::Stopping),
        }
    }

    /// Wakes everyone who waits for something new.
    pub fn announce(&self) {
        let mut commits = locked(&self.commits);
        *commits += 1;
        self.changes.send_replace(*commits);
        self.committed.notify_all();
    }

    pub fn commits(&self) -> u64 {
        *locked(&self.commits)
    }

    /// Waits until there was a commit after `seen`, or `deadline`.
    pub fn wait_beyond(&self, seen: u64, deadline: Instant) {
        let mut commits = locked(&self.commits);
        while *commits == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            commits = self.committed.wait_timeout(commits, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Registers a lane; an earlier one of the same share is fenced from now on.
    pub fn register_lane(&self, group: &Arc<str>, share: LaneShare, pattern: &TopicPattern) -> u64 {
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        let mut lanes = locked(&self.lanes);
        lanes.epochs.insert((group.clone(), share), epoch);
        lanes.patterns.insert(group.clone(), pattern.clone());
        epoch
    }

    pub fn is_current(&self, group: &Arc<str>, share: LaneShare, epoch: u64) -> bool {
        locked(&self.lanes).epochs.get(&(group.clone(), share)) == Some(&epoch)
    }

    /// The groups with a lane that reads this topic.
    pub fn groups_reading(&self, topic: &str) -> Vec<Arc<str>> {
        let lanes = locked(&self.lanes);
        lanes.patterns.iter().filter(|(_, pattern)| pattern.matches(topic)).map(|(group, _)| group.clone()).collect()
    }
}
