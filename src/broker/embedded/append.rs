//! The writer's hold on the log: appends groups of requests, all in one SQLite transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, ErrorCode, Statement, params};

use super::catalogue::PartitionLog;
use super::compaction::Compaction;
use super::layout::{self, storage};
use super::shared::Shared;
use super::topics;
use super::writer::{Publication, Transaction};
use crate::broker::partition::place;
use crate::broker::{BrokerError, Consumed, Published, Record, TopicSpec, Write};
use crate::engine::model::scalar::Timestamp;

pub enum Failure {
    Full,
    /// Another program may write, and did not let go for as long as is waited for it.
    HeldByAnother,
    Storage(BrokerError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Failure::Full,
            _ if layout::is_held(&error) => Failure::HeldByAnother,
            _ => Failure::Storage(storage(&error)),
        }
    }
}

/// What is appended together. Every write already has its partition.
#[derive(Default)]
pub struct Group {
    items: Vec<Item>,
    records: usize,
    bytes: usize,
}

struct Item {
    writes: Vec<Write>,
    /// The partition of each write, as an index into `Log::partitions`.
    places: Vec<usize>,
    /// Where each write came to lie.
    published: Vec<Published>,
    asked_by: Asker,
}

enum Asker {
    Publisher { done: crate::broker::PublishDone, place: super::publisher::QueuePlace },
    Lane { transaction: Transaction },
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn records(&self) -> usize {
        self.records
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, writes: Vec<Write>, places: Vec<usize>, asked_by: Asker) {
        self.records += writes.len();
        self.bytes +=
            writes.iter().map(|write| write.value.as_ref().map_or(0, Vec::len) + write.key.len()).sum::<usize>();
        self.items.push(Item { published: Vec::with_capacity(writes.len()), writes, places, asked_by });
    }

    pub fn refuse(self, error: &BrokerError) {
        for transaction in self.refuse_publications(error) {
            let _ = transaction.answer.send(Err(error.clone()));
        }
    }

    /// Answers the publishers; the lanes' transactions come back whole.
    pub fn refuse_publications(self, error: &BrokerError) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        for item in self.items {
            match item.asked_by {
                Asker::Publisher { done, place } => {
                    drop(place);
                    done(Err(error.clone()));
                }
                Asker::Lane { transaction } => transactions.push(Transaction { writes: item.writes, ..transaction }),
            }
        }
        transactions
    }
}

/// One partition as the writer sees it.
struct WriterPartition<'c> {
    topic: Arc<str>,
    partition: u32,
    topic_id: i64,
    insert: Statement<'c>,
    log: Arc<PartitionLog>,
    /// Where the open transaction has come to; `log` says what is committed.
    next: i64,
    timestamp: i64,
    compaction: Option<Compaction>,
    /// What the open transaction deletes of the compacted partition.
    deleting: Vec<i64>,
}

pub struct Log<'c> {
    connection: &'c Connection,
    shared: &'c Shared,
    partitions: Vec<WriterPartition<'c>>,
    /// For each topic, its partitions' indexes.
    topics: HashMap<Arc<str>, Vec<usize>>,
}

impl<'c> Log<'c> {
    pub fn open(connection: &'c Connection, shared: &'c Shared) -> Result<Self, BrokerError> {
        let mut log = Self { connection, shared, partitions: Vec::new(), topics: HashMap::new() };
        log.take_up_new_topics()?;
        Ok(log)
    }

    fn take_up_new_topics(&mut self) -> Result<(), BrokerError> {
        for (name, topic) in &self.shared.catalogue().topics {
            if self.topics.contains_key(name) {
                continue;
            }
            let mut indexes = Vec::new();
            for (partition, log) in (0..).zip(&topic.partitions) {
                let table = layout::table(topic.id, partition);
                let insert = self
                    .connection
                    .prepare(&format!("INSERT INTO {table} ({}) VALUES (?1, ?2, ?3, ?4, ?5)", layout::COLUMNS))
                    .map_err(|error| storage(&error))?;
                let compaction = match topic.spec.compacted {
                    true => Some(topics::out_of_date(self.connection, &table)?),
                    false => None,
                };
                indexes.push(self.partitions.len());
                self.partitions.push(WriterPartition {
                    topic: name.clone(),
                    partition,
                    topic_id: topic.id,
                    insert,
                    next: log.end(),
                    timestamp: log.last_timestamp.load(Ordering::Acquire),
                    log: log.clone(),
                    compaction,
                    deleting: Vec::new(),
                });
            }
            self.topics.insert(name.clone(), indexes);
        }
        Ok(())
    }

    pub fn ensure_topics(&mut self, specs: &[TopicSpec]) -> Result<(), BrokerError> {
        topics::ensure(self.connection, self.shared, specs)?;
        self.take_up_new_topics()
    }

    pub fn admit_publication(&self, group: &mut Group, publication: Publication) {
        let Publication { writes, done, place } = publication;
        match self.places(&writes) {
            Ok(places) => group.push(writes, places, Asker::Publisher { done, place }),
            Err(error) => {
                drop(place);
                done(Err(error));
            }
        }
    }

    pub fn admit_transaction(&self, group: &mut Group, mut transaction: Transaction) {
        let writes = std::mem::take(&mut transaction.writes);
        let known = transaction.consumed.iter().find(|consumed| !self.topics.contains_key(&consumed.topic));
        let unknown = known.map(|consumed| BrokerError::UnknownTopic(consumed.topic.to_string()));
        match (self.places(&writes), unknown) {
            (Ok(places), None) => group.push(writes, places, Asker::Lane { transaction }),
            (Err(error), _) | (Ok(_), Some(error)) => drop(transaction.answer.send(Err(error))),
        }
    }

    fn places(&self, writes: &[Write]) -> Result<Vec<usize>, BrokerError> {
        let place_of = |write: &Write| {
            let unknown = || BrokerError::UnknownTopic(write.topic.to_string());
            let indexes = self.topics.get(&write.topic).ok_or_else(unknown)?;
            let count = u32::try_from(indexes.len()).unwrap_or(u32::MAX);
            let partition = place(write.placement, &write.key, &write.topic, count)?;
            indexes.get(partition as usize).copied().ok_or_else(unknown)
        };
        writes.iter().map(place_of).collect()
    }

    /// Appends the group and answers everyone in it; when that fails nothing of it was appended, and it comes back.
    pub fn commit(&mut self, mut group: Group) -> Result<(), (Group, Failure)> {
        match self.append(&mut group) {
            Ok(()) => {
                self.partitions.iter_mut().for_each(|partition| partition.deleting.clear());
                self.applied(group);
                Ok(())
            }
            Err(failure) => {
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                self.partitions.iter_mut().for_each(WriterPartition::roll_back);
                group.items.iter_mut().for_each(|item| item.published.clear());
                Err((group, failure))
            }
        }
    }

    fn append(&mut self, group: &mut Group) -> Result<(), Failure> {
        self.shared.is_in_place(self.connection).map_err(Failure::Storage)?;
        let now = (self.shared.clock)().0;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for item in &mut group.items {
            for (write, place) in item.writes.iter().zip(&item.places) {
                let Some(partition) = self.partitions.get_mut(*place) else { continue };
                item.published.push(partition.insert(write, now)?);
            }
        }
        self.store_positions(group)?;
        let due = group.records.saturating_mul(2);
        self.delete_where(due, Compaction::is_due)?;
        self.committed()
    }

    /// Commits, and has it noted.
    fn committed(&self) -> Result<(), Failure> {
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.shared.note_commit(self.connection).map_err(Failure::Storage)
    }

    fn store_positions(&self, group: &Group) -> Result<(), Failure> {
        let mut newest: BTreeMap<(&str, usize), i64> = BTreeMap::new();
        for item in &group.items {
            let Asker::Lane { transaction } = &item.asked_by else { continue };
            for Consumed { topic, partition, next_offset } in &transaction.consumed {
                let indexes = self.topics.get(topic);
                if let Some(place) = indexes.and_then(|indexes| indexes.get(*partition as usize)) {
                    newest.insert((transaction.group.as_ref(), *place), *next_offset);
                }
            }
        }
        let mut store = self.connection.prepare_cached(
            "INSERT INTO positions (consumers, topic, part, next_off) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET next_off = excluded.next_off",
        )?;
        for ((group, place), next_offset) in newest {
            if let Some(partition) = self.partitions.get(place) {
                store.execute(params![group, partition.topic_id, partition.partition, next_offset])?;
            }
        }
        Ok(())
    }

    /// The group is durable: tell the lanes, then whoever asked.
    fn applied(&mut self, group: Group) {
        for item in group.items {
            let places = item.places.iter().zip(&item.published);
            for (write, (place, published)) in item.writes.into_iter().zip(places) {
                if let Some(partition) = self.partitions.get_mut(*place) {
                    partition.applied(write, *published);
                }
            }
            match item.asked_by {
                Asker::Publisher { done, place } => {
                    drop(place);
                    done(Ok(item.published));
                }
                Asker::Lane { transaction } => drop(transaction.answer.send(Ok(()))),
            }
        }
    }

    /// Deletes some of what newer records of the same key replaced.
    pub fn delete_superseded(&mut self, records_max: usize) -> Result<(), BrokerError> {
        if self.partitions.iter().all(|partition| partition.compaction.as_ref().is_none_or(Compaction::is_clean)) {
            return Ok(());
        }
        let result = (|| {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.delete_where(records_max, |compaction| !compaction.is_clean())?;
            self.committed()
        })();
        self.settle(result)
    }

    fn delete_where(&mut self, records_max: usize, due: fn(&Compaction) -> bool) -> Result<(), Failure> {
        for partition in &mut self.partitions {
            let Some(compaction) = partition.compaction.as_mut().filter(|compaction| due(compaction)) else { continue };
            partition.deleting = compaction.take(records_max);
            let table = layout::table(partition.topic_id, partition.partition);
            let mut delete = self.connection.prepare_cached(&format!("DELETE FROM {table} WHERE off = ?1"))?;
            for offset in &partition.deleting {
                delete.execute([offset])?;
            }
            partition.store_floor(self.connection)?;
        }
        Ok(())
    }

    /// Deletes the records of a partition below an offset, a few at a time; answers how many went.
    pub fn delete_below(&mut self, topic: i64, part: u32, below: i64, records_max: u32) -> Result<u64, BrokerError> {
        let found = self.partitions.iter().find(|found| found.topic_id == topic && found.partition == part);
        let Some(partition) = found else { return Ok(0) };
        let table = layout::table(topic, part);
        let result = (|| {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let deleted = self
                .connection
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE off IN (SELECT off FROM {table} WHERE off < ?1 ORDER BY off LIMIT ?2)"
                ))?
                .execute(params![below, records_max])?;
            partition.store_floor(self.connection)?;
            self.committed()?;
            Ok(deleted as u64)
        })();
        self.settle(result)
    }

    fn settle<T>(&mut self, result: Result<T, Failure>) -> Result<T, BrokerError> {
        if result.is_err() {
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            self.partitions.iter_mut().for_each(WriterPartition::roll_back);
        }
        self.partitions.iter_mut().for_each(|partition| partition.deleting.clear());
        result.map_err(|failure| match failure {
            Failure::Full => BrokerError::DiskFull(self.shared.path.display().to_string()),
            Failure::HeldByAnother => BrokerError::HeldByAnother(self.shared.path.display().to_string()),
            Failure::Storage(error) => error,
        })
    }
}

impl WriterPartition<'_> {
    fn insert(&mut self, write: &Write, now: i64) -> Result<Published, Failure> {
        let (offset, timestamp) = (self.next, self.timestamp.max(now));
        self.insert.execute(params![offset, timestamp, write.key, write.value, write.headers.stored()])?;
        (self.next, self.timestamp) = (offset + 1, timestamp);
        Ok(Published { partition: self.partition, offset, timestamp: Timestamp(timestamp) })
    }

    fn roll_back(&mut self) {
        self.next = self.log.end();
        self.timestamp = self.log.last_timestamp.load(Ordering::Acquire);
        if let Some(compaction) = &mut self.compaction {
            compaction.put_back(&std::mem::take(&mut self.deleting));
        }
    }

    fn applied(&mut self, write: Write, at: Published) {
        if let Some(compaction) = &mut self.compaction {
            compaction.appended(&write.key, at.offset, write.value.is_none());
        }
        if self.log.read_by_lane.load(Ordering::Acquire) {
            let Write { key, value, headers, .. } = write;
            let (topic, headers) = (self.topic.clone(), headers.to_vec());
            let Published { partition, offset, timestamp } = at;
            let record = Record { topic, partition, offset, timestamp, key, value, headers, fault: None };
            self.log.hand_over(record);
        }
        self.log.last_timestamp.store(at.timestamp.0, Ordering::Release);
        self.log.end.store(at.offset + 1, Ordering::Release);
    }

    fn store_floor(&self, connection: &Connection) -> Result<(), Failure> {
        connection
            .prepare_cached(
                "INSERT INTO floors (topic, part, next_off, last_ts) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET next_off = excluded.next_off, last_ts = excluded.last_ts",
            )?
            .execute(params![self.topic_id, self.partition, self.next, self.timestamp])?;
        Ok(())
    }
}
