//! The one thread that writes: gathers what waits, appends it in one transaction, syncs once, answers all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::append::{Failure, Group, Log};
use super::publisher::QueuePlace;
use super::shared::Shared;
use super::{layout, room, topics};
use crate::broker::{BrokerError, Consumed, Health, LaneShare, PublishDone, TopicSpec, Write};

/// How much goes into one transaction. More waits for the next.
const GROUP_RECORDS_MAX: usize = 50_000;
const GROUP_BYTES_MAX: usize = 32 << 20;
/// With nothing to do for this long, the writer tidies.
const IDLE: Duration = Duration::from_millis(250);
/// How often a full disk, or a file that another program holds, is tried again.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// So long a try waits for another program to let go.
const PROBE_WAIT_MS: u32 = 200;
/// Out-of-date records deleted at a time when idle.
const TIDY_RECORDS: usize = 4000;

/// What the writer is asked.
pub enum Request {
    Publish(Publication),
    Transact(Transaction),
    Topics {
        topics: Vec<TopicSpec>,
        answer: SyncSender<Result<(), BrokerError>>,
    },
    /// Deletes the records of a partition below an offset, at most `records_max`; answers how many went.
    Delete {
        topic: i64,
        partition: u32,
        below: i64,
        records_max: u32,
        answer: SyncSender<Result<u64, BrokerError>>,
    },
    LimitPages(Option<u32>),
    /// Answered when everything asked before is settled.
    Barrier {
        answer: SyncSender<()>,
    },
    Close,
}

pub struct Publication {
    pub writes: Vec<Write>,
    pub done: PublishDone,
    /// Given back when the publication is dropped.
    pub place: QueuePlace,
}

/// A lane's outputs and positions: together or not at all.
pub struct Transaction {
    pub group: Arc<str>,
    pub share: LaneShare,
    pub epoch: u64,
    pub writes: Vec<Write>,
    pub consumed: Vec<Consumed>,
    pub answer: SyncSender<Result<(), BrokerError>>,
}

/// Runs until `Close`, or until every sender is gone.
pub fn run(connection: &Connection, shared: &Shared, requests: &Receiver<Request>) {
    let _guard = StopGuard(shared);
    let log = match Log::open(connection, shared) {
        Ok(log) => log,
        Err(error) => {
            shared.fail(&error);
            return;
        }
    };
    let mut writer = Writer { connection, shared, requests, log, held: Vec::new(), held_since: None, closing: false };
    while !writer.closing {
        writer.turn();
    }
    writer.refuse_the_rest();
}

/// However the thread ends, nobody goes on believing that records are accepted.
struct StopGuard<'a>(&'a Shared);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        if matches!(self.0.health(), Health::Ready | Health::DiskFull | Health::HeldByAnother) {
            self.0.set_health(Health::Failed("the log's writer stopped".to_owned()));
        }
    }
}

struct Writer<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    requests: &'a Receiver<Request>,
    log: Log<'a>,
    /// Transactions of lanes that met a full disk, or a file that another program holds: tried again until they can be written, as
    /// lanes cannot go on without.
    held: Vec<Transaction>,
    /// Since when another program has held the file, while there was nothing to write.
    held_since: Option<Instant>,
    closing: bool,
}

impl Writer<'_> {
    fn turn(&mut self) {
        let health = self.shared.health();
        if matches!(health, Health::DiskFull | Health::HeldByAnother) {
            self.turn_while_waiting(&health);
            return;
        }
        match self.requests.recv_timeout(IDLE) {
            Ok(request) => {
                self.held_since = None;
                self.gather_and_commit(request);
            }
            Err(RecvTimeoutError::Timeout) => self.tidy(),
            Err(RecvTimeoutError::Disconnected) => self.closing = true,
        }
        if self.shared.restart_log.swap(false, Ordering::AcqRel) {
            self.restart_log();
        }
    }

    /// Empties the write-ahead log into the file. Whether all of it is there now.
    fn restart_log(&self) -> bool {
        if self.shared.in_place.is_cut() {
            super::checkpoint::leave_as_it_is(self.connection);
            return false;
        }
        let held = self.shared.log_holds.load(Ordering::Acquire);
        // Before it: a crash behind it leaves an empty log that nobody is to miss.
        self.shared.say_log_holds(false);
        let is_whole = super::checkpoint::restart(self.connection);
        self.shared.say_log_holds(held && !is_whole);
        is_whole
    }

    fn gather_and_commit(&mut self, first: Request) {
        let mut group = Group::default();
        let mut next = Some(first);
        let mut other = None;
        while let Some(request) = next.take() {
            match request {
                Request::Publish(publication) => self.log.admit_publication(&mut group, publication),
                Request::Transact(transaction) => self.admit_transaction(&mut group, transaction),
                Request::Topics { .. }
                | Request::Delete { .. }
                | Request::LimitPages(_)
                | Request::Barrier { .. }
                | Request::Close => {
                    other = Some(request);
                    break;
                }
            }
            if group.records() < GROUP_RECORDS_MAX && group.bytes() < GROUP_BYTES_MAX {
                next = self.requests.try_recv().ok();
            }
        }
        self.commit(group);
        if let Some(request) = other {
            self.handle_alone(request);
        }
    }

    fn admit_transaction(&mut self, group: &mut Group, transaction: Transaction) {
        if self.shared.is_current(&transaction.group, transaction.share, transaction.epoch) {
            self.log.admit_transaction(group, transaction);
        } else {
            let _ = transaction.answer.send(Err(BrokerError::Fenced));
        }
    }

    /// Answers everyone in the group. Health decides what becomes of the next one.
    fn commit(&mut self, group: Group) {
        if group.is_empty() {
            return;
        }
        if let Some(refusal) = self.shared.refusal() {
            group.refuse(&refusal);
            return;
        }
        match self.log.commit(group) {
            Ok(()) => self.shared.announce(),
            Err((group, failure)) => self.failed(group, failure),
        }
    }

    fn failed(&mut self, group: Group, failure: Failure) {
        let waits_in = match failure {
            Failure::Storage(error) if !room::is_short(self.connection, &self.shared.path) => {
                self.shared.fail(&error);
                group.refuse(&error);
                return;
            }
            Failure::Storage(_) | Failure::Full => Health::DiskFull,
            Failure::HeldByAnother => Health::HeldByAnother,
        };
        // Before the answers, so that whoever is refused finds the reason.
        self.waits(waits_in);
        self.held.extend(group.refuse_publications(&self.refusal()));
    }

    /// Nothing is accepted until a full disk has room, or another program lets go of the file.
    fn waits(&mut self, waits_in: Health) {
        let file = self.shared.path.display();
        match waits_in {
            Health::DiskFull => tracing::error!(%file, "the disk is full: nothing is accepted until there is room"),
            Health::HeldByAnother => {
                tracing::error!(%file, "another program holds the data file: nothing is accepted until it lets go");
            }
            // Nothing that is waited for.
            Health::Ready | Health::CatchingUp | Health::Unreachable(_) | Health::Failed(_) | Health::Stopped => {}
        }
        self.held_since = None;
        self.shared.set_health(waits_in);
    }

    fn refusal(&self) -> BrokerError {
        self.shared.refusal().unwrap_or(BrokerError::Stopping)
    }

    fn turn_while_waiting(&mut self, waits_in: &Health) {
        let probe_at = Instant::now() + PROBE_EVERY;
        while !self.closing {
            let left = probe_at.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(left) {
                Ok(Request::Publish(publication)) => (publication.done)(Err(self.refusal())),
                Ok(Request::Transact(transaction)) => self.held.push(transaction),
                Ok(other) => self.handle_alone(other),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.closing = true,
            }
        }
        if self.closing || !self.may_go_on(waits_in) || !self.shared.recover(waits_in) {
            return;
        }
        let mut group = Group::default();
        for transaction in std::mem::take(&mut self.held) {
            self.admit_transaction(&mut group, transaction);
        }
        self.commit(group);
        if self.shared.health() == Health::Ready {
            tracing::info!("the data file can be written again: records are accepted");
        }
    }

    fn may_go_on(&self, waits_in: &Health) -> bool {
        if *waits_in == Health::HeldByAnother {
            return layout::may_write(self.connection, PROBE_WAIT_MS);
        }
        // What lies in the write-ahead log and in the file too takes room twice.
        self.restart_log();
        !room::is_short(self.connection, &self.shared.path)
    }

    fn handle_alone(&mut self, request: Request) {
        // Once it is known, nobody waits for it.
        let held = (self.shared.health() == Health::HeldByAnother).then(|| self.refusal());
        match request {
            Request::Topics { topics, answer } => {
                let _ = answer.send(self.make(&topics));
                self.shared.announce();
            }
            Request::Delete { topic, partition, below, records_max, answer } => {
                let deleted = held.map_or_else(|| self.log.delete_below(topic, partition, below, records_max), Err);
                let _ = answer.send(deleted);
            }
            Request::LimitPages(pages) => {
                // 2^32 - 2 is SQLite's own ceiling.
                let pages = pages.unwrap_or(u32::MAX - 1);
                let _ = self.connection.execute_batch(&format!("PRAGMA max_page_count = {pages};"));
            }
            Request::Barrier { answer } => drop(answer.send(())),
            Request::Close => self.closing = true,
            Request::Publish(_) | Request::Transact(_) => self.gather_and_commit(request),
        }
    }

    /// Makes topics. A disk that is full, and another program that holds the file, are waited for; where there is nothing to make, nothing is
    /// written.
    fn make(&mut self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        let is_any_to_make = topics::to_make(&self.shared.catalogue(), topics).is_ok_and(|to_make| !to_make.is_empty());
        let waits = matches!(self.shared.health(), Health::DiskFull | Health::HeldByAnother);
        if waits && is_any_to_make {
            return Err(self.refusal());
        }
        self.log.ensure_topics(topics).map_err(|error| match error {
            BrokerError::Storage(_) if room::is_short(self.connection, &self.shared.path) => {
                self.waits(Health::DiskFull);
                self.refusal()
            }
            error => layout::of_file(&self.shared.path, error),
        })
    }

    /// Looks whether another program holds the file just now, and notes since when.
    fn look_who_holds(&mut self) -> Option<Instant> {
        let is_held = !layout::may_write(self.connection, 0);
        self.held_since = is_held.then(|| self.held_since.unwrap_or_else(Instant::now));
        self.held_since
    }

    fn tidy(&mut self) {
        if self.shared.health() != Health::Ready {
            return;
        }
        if let Err(error) = self.shared.is_in_place(self.connection) {
            self.shared.fail(&error);
        } else if let Some(since) = self.look_who_holds() {
            // Nobody is to hear of it first by an event that is refused.
            if since.elapsed() >= Duration::from_millis(layout::BUSY_WAIT_MS.into()) {
                self.waits(Health::HeldByAnother);
            }
        } else if let Err(error) = self.log.delete_superseded(TIDY_RECORDS) {
            tracing::warn!(%error, "out-of-date records could not be deleted");
        }
    }

    fn refuse_the_rest(&mut self) {
        self.shared.set_health(Health::Stopped);
        for transaction in std::mem::take(&mut self.held) {
            let _ = transaction.answer.send(Err(BrokerError::Stopping));
        }
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Publish(publication) => (publication.done)(Err(BrokerError::Stopping)),
                Request::Transact(transaction) => drop(transaction.answer.send(Err(BrokerError::Stopping))),
                Request::Topics { answer, .. } => drop(answer.send(Err(BrokerError::Stopping))),
                Request::Delete { answer, .. } => drop(answer.send(Err(BrokerError::Stopping))),
                Request::LimitPages(_) | Request::Barrier { .. } | Request::Close => {}
            }
        }
        let is_whole = self.restart_log();
        self.shared.log_written_back.store(is_whole, Ordering::Release);
    }
}
