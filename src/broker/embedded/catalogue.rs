//! The topics as every thread sees them: where each partition ends, and its newest records on their way to a lane.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::{Record, TopicSpec};
use crate::engine::model::scalar::Timestamp;

/// Newest records kept for lanes: of one partition, and of all. What is beyond is read from the file.
const HANDOFF_BYTES_MAX: usize = 16 << 20;
const HANDOFF_BYTES_MAX_IN_ALL: usize = 64 << 20;

/// Every topic, by name. Replaced whole when a topic is added; partitions are shared between versions.
#[derive(Default, Clone)]
pub struct Catalogue {
    pub version: u64,
    pub handed_bytes: Arc<AtomicUsize>,
    pub topics: BTreeMap<Arc<str>, Arc<Topic>>,
}

pub struct Topic {
    pub id: i64,
    pub name: Arc<str>,
    pub spec: TopicSpec,
    pub partitions: Vec<Arc<PartitionLog>>,
}

impl Topic {
    /// A number that stays with the topic, for sharing topics out among lanes.
    pub fn number(&self) -> u32 {
        u32::try_from(self.id.rem_euclid(i64::from(u32::MAX))).unwrap_or_default()
    }
}

/// One topic-partition. Only the writer thread moves `end` and `last_timestamp`.
pub struct PartitionLog {
    pub end: AtomicI64,
    pub last_timestamp: AtomicI64,
    /// A lane reads this partition: the writer hands it what it appends.
    pub read_by_lane: AtomicBool,
    handoff: Mutex<Handoff>,
    /// Bytes handed over and not yet taken, of all partitions.
    handed_bytes: Arc<AtomicUsize>,
}

/// What became of the wish to read on from the records handed over.
pub enum Handed {
    /// No more are there.
    Out,
    /// The next one is at this offset, beyond the position: what lies between must be read from the file.
    Gap(i64),
    /// The limits are reached.
    Enough,
}

#[derive(Default)]
struct Handoff {
    records: VecDeque<Record>,
    bytes: usize,
}

impl PartitionLog {
    pub fn new(end: i64, last_timestamp: i64, handed_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            end: AtomicI64::new(end),
            last_timestamp: AtomicI64::new(last_timestamp),
            read_by_lane: AtomicBool::new(false),
            handoff: Mutex::default(),
            handed_bytes,
        }
    }

    /// Keeps a committed record for the lane, while there is room and no gap before it.
    pub fn hand_over(&self, record: Record) {
        let mut handoff = self.handoff.lock().unwrap_or_else(PoisonError::into_inner);
        let follows = handoff.records.back().is_none_or(|last| last.offset + 1 == record.offset);
        let bytes = weight(&record);
        let in_all = self.handed_bytes.load(Ordering::Relaxed);
        if follows && handoff.bytes + bytes <= HANDOFF_BYTES_MAX && in_all + bytes <= HANDOFF_BYTES_MAX_IN_ALL {
            handoff.bytes += bytes;
            self.handed_bytes.fetch_add(bytes, Ordering::Relaxed);
            handoff.records.push_back(record);
        }
    }

    /// Moves to `into` the handed-over records from `position` on, within the limits.
    pub fn take_handed(&self, position: &mut i64, limits: &mut Limits, into: &mut Vec<Record>) -> Handed {
        let mut handoff = self.handoff.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = handoff.records.front() {
            if first.offset > *position {
                return Handed::Gap(first.offset);
            }
            let bytes = weight(first);
            let wanted = first.offset == *position;
            if wanted && !limits.take(bytes) {
                return Handed::Enough;
            }
            handoff.bytes -= bytes;
            self.handed_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let record = handoff.records.pop_front();
            if wanted {
                *position += 1;
                into.extend(record);
            }
        }
        Handed::Out
    }

    /// When the record at `position` was appended, if it is among those handed over.
    pub fn handed_time(&self, position: i64) -> Option<Timestamp> {
        let handoff = self.handoff.lock().unwrap_or_else(PoisonError::into_inner);
        let first = handoff.records.front()?.offset;
        let place = usize::try_from(position.checked_sub(first)?).ok()?;
        handoff.records.get(place).map(|record| record.timestamp)
    }

    pub fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }
}

/// What one poll may still bring. A first record is always allowed, however large.
pub struct Limits {
    pub records: usize,
    pub bytes: usize,
    pub begun: bool,
}

impl Limits {
    pub fn take(&mut self, bytes: usize) -> bool {
        if self.records == 0 || (self.begun && self.bytes < bytes) {
            return false;
        }
        self.begun = true;
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    pub fn is_spent(&self) -> bool {
        self.records == 0 || (self.begun && self.bytes == 0)
    }
}

/// Bytes a record holds in memory, roughly.
pub fn weight(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    record.key.len() + record.value.as_ref().map_or(0, Vec::len) + headers + 128
}
