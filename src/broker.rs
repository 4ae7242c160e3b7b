//! The port every log engine implements: lanes poll, stage and commit; gateways publish; readers read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::model::scalar::Timestamp;
use headers::Headers;

pub mod embedded;
pub mod headers;
pub mod kafka;
pub mod memory;
pub mod partition;
pub mod vital;

/// The largest record a topic takes: a partner's largest (1 MiB) in quarantine with its headers, a child's whole history.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// Where append times come from: the system's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock, in milliseconds.
pub fn system_clock() -> Clock {
    Arc::new(|| Timestamp::from_jiff(jiff::Timestamp::now()))
}

/// A log engine: makes topics, and hands out what lanes, gateways and readers hold.
pub trait Broker: Send + Sync {
    /// Creates the topics that are missing and adjusts retention. A topic that exists with another number of
    /// partitions, or compacted otherwise, is refused with `Mismatch`, and nothing is changed.
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError>;

    /// One lane of a group. A second call for the same lane takes over from the first.
    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError>;

    fn publisher(&self) -> Arc<dyn Publisher>;

    fn reader(&self) -> Arc<dyn Reader>;

    fn health(&self) -> Health;

    /// How many publications wait to be made durable, and how many may.
    fn queued(&self) -> (usize, usize);

    /// Where a group will read next; None before its first commit there.
    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError>;

    /// Whether other processes may read and write it too.
    fn is_shared(&self) -> bool {
        false
    }

    /// What somebody must see to though records are taken, a sentence each: partitions that wait for long.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether another process runs under this one's name, so that each ends the lanes of the other.
    fn is_doubled(&self) -> bool {
        false
    }

    /// How many offsets of topics that lanes here read were deleted before they were read, since this process began.
    fn passed_over(&self) -> u64 {
        0
    }

    /// When the oldest record was appended that a group has left unread since this was asked before, wherever its lanes run.
    /// None where there is none, and where no other process can read: then this one's own lanes say.
    fn left_unread(&self, _group: &str, _prefixes: &[String]) -> Result<Option<Timestamp>, BrokerError> {
        Ok(None)
    }

    /// Deletes what is past its topic's retention, but never a record that a group has yet to read.
    /// Answers how many records went.
    fn delete_expired(&self) -> Result<u64, BrokerError>;

    /// Finishes what was accepted and lets go of the storage. Everything after is answered `Stopping`.
    fn close(&self);
}

/// Which of a group's lanes this is: `index` counts from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneShare {
    pub index: u32,
    pub count: u32,
}

/// Whether the broker takes records now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    Ready,
    /// What is read over HTTP is not all here yet.
    CatchingUp,
    /// Nothing is accepted until there is room; lanes wait, nothing acknowledged is lost.
    DiskFull,
    /// Another program holds what only one may write at a time: nothing is accepted until it lets go; lanes wait, nothing
    /// acknowledged is lost.
    HeldByAnother,
    /// What the log needs (its cluster, a schema registry) does not answer, and why; tried again until it does.
    Unreachable(String),
    /// Storage failed in a way that only a restart can mend.
    Failed(String),
    Stopped,
}

/// One record as it lies in a topic.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub topic: Arc<str>,
    pub partition: u32,
    pub offset: i64,
    /// When the broker appended it; never decreases within a partition.
    pub timestamp: Timestamp,
    pub key: Vec<u8>,
    /// None: a tombstone in a compacted topic.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Why the value could not be put into our own schema on its way here; None: it could, or nobody tried.
    pub fault: Option<String>,
}

/// One record to append.
#[derive(Clone, PartialEq, Debug)]
pub struct Write {
    pub topic: Arc<str>,
    pub placement: Placement,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

/// Which partition a record goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// By murmur2 of the key, as Kafka's own clients do.
    ByKey,
    Partition(u32),
}

/// How far a lane has read one partition: the offset of the next record it will read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumed {
    pub topic: Arc<str>,
    pub partition: u32,
    pub next_offset: i64,
}

/// What a lane reads, and what is restored when it is given a partition.
#[derive(Clone, PartialEq, Debug)]
pub struct LanePlan {
    /// Consumer group: positions are kept per group.
    pub group: String,
    pub topics: TopicPattern,
    /// A compacted topic, partitioned alike, read whole before the first record of a partition.
    pub restore_from: Option<Arc<str>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicPattern {
    /// These topics.
    Names(Vec<Arc<str>>),
    /// Every topic whose name starts so, also those created later.
    Prefixes(Vec<String>),
}

/// How much one poll may bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchLimit {
    pub records_max: usize,
    pub bytes_max: usize,
    pub wait: Duration,
}

/// Who owns the state behind a lane's partitions. Called only from within `poll` and `commit`.
pub trait PartitionOwner {
    /// A record of the compacted topic, oldest first, for a partition that is on its way to this lane. Between two of
    /// them the lane may read and commit in other partitions.
    fn restored(&mut self, partition: u32, record: Record) -> Result<(), BrokerError>;

    /// The partition is this lane's: all there was has been restored.
    fn assigned(&mut self, partition: u32) -> Result<(), BrokerError>;

    /// The partition is another's now, or was on its way and does not come: drop its state.
    fn revoked(&mut self, partition: u32);

    /// All that was staged is durable: apply it.
    fn committed(&mut self);

    /// All that was staged is gone, and reading starts again at the committed offsets: drop it.
    fn aborted(&mut self);
}

/// One lane's hold on the log: reads its partitions, and commits inputs and outputs together or not at all.
pub trait LaneBroker: Send {
    /// The next records of this lane's partitions, each partition's in order. Empty after `limit.wait`.
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError>;

    /// Adds outputs and the positions they came from to the open transaction.
    fn stage(&mut self, writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<(), BrokerError>;

    /// Commits what was staged; tells `owner` whether it was committed or aborted. `Ok` in both cases: an abort
    /// is the broker's to repair (by rewinding), not the lane's.
    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError>;

    /// Whether more may join the transaction that was begun then, before it is committed. `spare`: for so long its records would
    /// only wait for who reads them next.
    fn gathers_on(&self, _since: Instant, _spare: Duration) -> bool {
        false
    }

    /// Oldest unread record's append time among this lane's partitions; None when all is read.
    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError>;

    /// Partitions this lane owns now.
    fn owned(&self) -> Vec<u32>;

    /// Whether the broker has said which partitions are this lane's, and each is restored. Asked after a poll.
    fn is_restored(&self) -> bool {
        true
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commit {
    Committed,
    Aborted,
}

/// Where a published record came to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    pub partition: u32,
    pub offset: i64,
    pub timestamp: Timestamp,
}

/// Called once with the result, from a thread of the broker's.
pub type PublishDone = Box<dyn FnOnce(Result<Vec<Published>, BrokerError>) + Send>;

/// Appends records durably, all of one call together or none. Never blocks: answers `Busy` through `done` when
/// its bounded queue is full.
pub trait Publisher: Send + Sync {
    fn publish(&self, writes: Vec<Write>, done: PublishDone);
}

/// Reads committed records at any offset: for the HTTP inboxes and for people.
pub trait Reader: Send + Sync {
    /// Up to `records_max` records from `from_offset` on, in order.
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError>;

    /// The offset the next record will get.
    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError>;

    /// How many partitions a topic has; `UnknownTopic` if there is none.
    fn partitions(&self, topic: &str) -> Result<u32, BrokerError>;

    /// Every topic's name, sorted.
    fn topics(&self) -> Result<Vec<String>, BrokerError>;

    /// What a reader of this topic is given for these bytes, now. Inner Err: why they cannot be read.
    fn as_read(&self, _topic: &str, value: Vec<u8>) -> Result<Result<Vec<u8>, String>, BrokerError> {
        Ok(Ok(value))
    }

    /// Changes value after every commit, so that a long poll can wait.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
}

/// A topic as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: u32,
    /// Keeps only the newest record of each key.
    pub compacted: bool,
    /// None: kept for ever.
    pub retention: Option<Duration>,
}

/// What a broker may answer. Messages never carry a record's content.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the queue is full")]
    Busy,
    #[error("the disk is full: {0}")]
    DiskFull(String),
    #[error("another program holds the data file: {0}")]
    HeldByAnother(String),
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    /// Topics that were there, by name: nothing that has a record for one can be written before somebody makes them.
    #[error("not there on Kafka any more: {}; nothing that has a record for it can be written. `pathway-router topics apply` makes what is missing", .0.join(", "))]
    Gone(Vec<String>),
    #[error("{0}")]
    InUse(String),
    #[error("{0}")]
    Mismatch(String),
    #[error("another lane took over from this one")]
    Fenced,
    #[error("storage failed: {0}")]
    Storage(String),
    /// Nobody answers now: the same may succeed later.
    #[error("{0}")]
    Unreachable(String),
    /// Wrong credentials, or a right that is missing: someone must change that.
    #[error("{0}")]
    Denied(String),
    #[error("the broker is stopping")]
    Stopping,
}
