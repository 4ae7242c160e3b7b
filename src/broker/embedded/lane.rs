//! One lane's hold on the file: reads its share of the partitions, and commits through the writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, sync_channel};
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use super::catalogue::{Handed, Limits, Topic, weight};
use super::layout::{self, storage};
use super::reader::{record, select};
use super::shared::Shared;
use super::writer::{Request, Transaction};
use crate::broker::partition::is_ours;
use crate::broker::{
    BatchLimit, BrokerError, Commit, Consumed, Health, LaneBroker, LanePlan, LaneShare, PartitionOwner, Record, Write,
};
use crate::engine::model::scalar::Timestamp;

/// Records read from the file at a time, a partition; what is newest comes from memory instead.
const READ_RECORDS_MAX: usize = 2000;

pub struct EmbeddedLane {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    connection: Connection,
    plan: LanePlan,
    group: Arc<str>,
    share: LaneShare,
    epoch: u64,
    partitions: Vec<LanePartition>,
    /// Numbers the owner was told of.
    owned: BTreeSet<u32>,
    /// None: no partition was taken up yet.
    catalogue_version: Option<u64>,
    /// Where the next poll begins, so that no partition waits behind a busy one for ever.
    turn: usize,
    writes: Vec<Write>,
    consumed: Vec<Consumed>,
}

struct LanePartition {
    topic: Arc<Topic>,
    partition: u32,
    /// Next to read, and where reading starts again after an abort.
    position: i64,
    committed: i64,
}

impl EmbeddedLane {
    /// Takes over the share from an earlier lane, whose open transaction is settled or refused first.
    pub fn open(
        shared: Arc<Shared>,
        requests: Sender<Request>,
        plan: LanePlan,
        share: LaneShare,
    ) -> Result<Self, BrokerError> {
        if share.index >= share.count {
            return Err(BrokerError::Mismatch(format!("there is no lane {} of {}", share.index, share.count)));
        }
        let group: Arc<str> = plan.group.as_str().into();
        let epoch = shared.register_lane(&group, share, &plan.topics);
        let (answer, settled) = sync_channel(1);
        requests.send(Request::Barrier { answer }).map_err(|_| BrokerError::Stopping)?;
        settled.recv().map_err(|_| BrokerError::Stopping)?;
        Ok(Self {
            connection: layout::open_reader(&shared.path)?,
            shared,
            requests,
            plan,
            group,
            share,
            epoch,
            partitions: Vec::new(),
            owned: BTreeSet::new(),
            catalogue_version: None,
            turn: 0,
            writes: Vec::new(),
            consumed: Vec::new(),
        })
    }

    /// Takes up every partition of the lane's that is new since the last look.
    fn take_up(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        let catalogue = self.shared.catalogue();
        if self.catalogue_version == Some(catalogue.version) {
            return Ok(());
        }
        for (name, topic) in catalogue.topics.iter().filter(|(name, _)| self.plan.topics.matches(name)) {
            for (partition, log) in (0..).zip(&topic.partitions) {
                let known = |held: &LanePartition| held.partition == partition && held.topic.id == topic.id;
                let ours = is_ours(&self.plan, self.share, topic.number(), partition);
                if !ours || self.partitions.iter().any(known) {
                    continue;
                }
                if !self.owned.contains(&partition) {
                    self.restore(owner, partition)?;
                    self.owned.insert(partition);
                }
                log.read_by_lane.store(true, Ordering::Release);
                let committed = position(&self.connection, &self.group, topic.id, partition)?.unwrap_or(0);
                if committed > log.end() {
                    return Err(self.read_past_the_end(name, partition));
                }
                tracing::debug!(topic = %name, partition, "lane reads a partition");
                let topic = topic.clone();
                self.partitions.push(LanePartition { topic, partition, position: committed, committed });
            }
        }
        self.catalogue_version = Some(catalogue.version);
        Ok(())
    }

    /// Records that come would lie before what the group has read, and never be read: the file is not what was backed up.
    fn read_past_the_end(&self, topic: &str, partition: u32) -> BrokerError {
        let group = &self.group;
        let failure = BrokerError::Storage(format!(
            "{group} has read further in {topic}, partition {partition}, than it goes: the file is a mixture of two, as \
             when a backup is put back beside the -wal file of another; restore the backup alone"
        ));
        self.shared.fail(&failure);
        failure
    }

    fn restore(&self, owner: &mut dyn PartitionOwner, partition: u32) -> Result<(), BrokerError> {
        let Some(name) = &self.plan.restore_from else {
            return owner.assigned(partition);
        };
        let topic = self.shared.topic(name)?;
        let table = layout::table(topic.id, partition);
        let mut select = self
            .connection
            .prepare(&format!("SELECT {} FROM {table} ORDER BY off", layout::COLUMNS))
            .map_err(|error| self.shared.read_failed(&error))?;
        let rows = select.query_map([], layout::stored).map_err(|error| self.shared.read_failed(&error))?;
        for row in rows {
            let stored = row.map_err(|error| self.shared.read_failed(&error))?;
            owner.restored(partition, record(&topic, partition, stored))?;
        }
        owner.assigned(partition)
    }

    fn gather(&mut self, limits: &mut Limits) -> Result<Vec<Record>, BrokerError> {
        let mut records = Vec::new();
        let count = self.partitions.len();
        let first = self.turn;
        self.turn = self.turn.wrapping_add(1);
        for index in 0..count {
            if limits.is_spent() {
                break;
            }
            if let Some(held) = self.partitions.get_mut(first.wrapping_add(index) % count) {
                read_on(&self.shared, &self.connection, held, limits, &mut records)?;
            }
        }
        Ok(records)
    }

    fn rewind(&mut self) {
        for held in &mut self.partitions {
            held.position = held.committed;
        }
    }

    fn transact(&mut self) -> Result<(), BrokerError> {
        let (answer, answered) = sync_channel(1);
        let transaction = Transaction {
            group: self.group.clone(),
            share: self.share,
            epoch: self.epoch,
            writes: std::mem::take(&mut self.writes),
            consumed: self.consumed.clone(),
            answer,
        };
        self.requests.send(Request::Transact(transaction)).map_err(|_| BrokerError::Stopping)?;
        answered.recv().map_err(|_| BrokerError::Stopping)?
    }
}

/// The newest records come from memory; what lies before them from the file.
fn read_on(
    shared: &Shared,
    connection: &Connection,
    held: &mut LanePartition,
    limits: &mut Limits,
    records: &mut Vec<Record>,
) -> Result<(), BrokerError> {
    let Some(log) = held.topic.partitions.get(held.partition as usize).cloned() else { return Ok(()) };
    while log.end() > held.position && !limits.is_spent() {
        let before = held.position;
        let next_handed = match log.take_handed(&mut held.position, limits, records) {
            Handed::Enough => return Ok(()),
            Handed::Out if held.position > before => continue,
            Handed::Out => log.end(),
            Handed::Gap(offset) => offset,
        };
        let gap = usize::try_from(next_handed - held.position).unwrap_or_default();
        let (from, mut refused) = (held.position, false);
        let count = limits.records.min(READ_RECORDS_MAX).min(gap);
        select(shared, connection, &held.topic, held.partition, from, count, |record| {
            let wanted = record.offset < next_handed;
            refused = wanted && !limits.take(weight(&record));
            if wanted && !refused {
                held.position = record.offset + 1;
                records.push(record);
            }
            wanted && !refused
        })?;
        if refused {
            return Ok(());
        }
        // Nothing is there although the partition ends further on: it was deleted.
        if held.position == from {
            held.position = next_handed;
        }
    }
    Ok(())
}

/// A group's stored position; None before its first commit.
pub fn position(connection: &Connection, group: &str, topic: i64, partition: u32) -> Result<Option<i64>, BrokerError> {
    connection
        .prepare_cached("SELECT next_off FROM positions WHERE consumers = ?1 AND topic = ?2 AND part = ?3")
        .and_then(|mut select| select.query_row(params![group, topic, partition], |row| row.get(0)).optional())
        .map_err(|error| storage(&error))
}

impl LaneBroker for EmbeddedLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let deadline = Instant::now() + limit.wait;
        loop {
            let seen = self.shared.commits();
            match self.shared.health() {
                Health::Ready | Health::CatchingUp | Health::DiskFull | Health::HeldByAnother => {}
                Health::Unreachable(problem) => return Err(BrokerError::Unreachable(problem)),
                Health::Failed(problem) => return Err(BrokerError::Storage(problem)),
                Health::Stopped => return Err(BrokerError::Stopping),
            }
            self.take_up(owner)?;
            let mut limits = Limits { records: limit.records_max, bytes: limit.bytes_max, begun: false };
            let records = self.gather(&mut limits)?;
            if !records.is_empty() || Instant::now() >= deadline {
                return Ok(records);
            }
            self.shared.wait_beyond(seen, deadline);
        }
    }

    fn stage(&mut self, mut writes: Vec<Write>, mut consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        self.writes.append(&mut writes);
        self.consumed.append(&mut consumed);
        Ok(())
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        if self.writes.is_empty() && self.consumed.is_empty() {
            owner.committed();
            return Ok(Commit::Committed);
        }
        let result = self.transact();
        let consumed = std::mem::take(&mut self.consumed);
        match result {
            Ok(()) => {
                for Consumed { topic, partition, next_offset } in consumed {
                    let found =
                        self.partitions.iter_mut().find(|held| held.partition == partition && held.topic.name == topic);
                    if let Some(held) = found {
                        held.committed = next_offset;
                    }
                }
                owner.committed();
                Ok(Commit::Committed)
            }
            Err(error) => {
                self.rewind();
                owner.aborted();
                Err(error)
            }
        }
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        let mut oldest = None;
        for held in &self.partitions {
            let Some(log) = held.topic.partitions.get(held.partition as usize) else { continue };
            if log.end() <= held.position {
                continue;
            }
            let mut first = log.handed_time(held.position);
            if first.is_some() {
                oldest = first.into_iter().chain(oldest).min();
                continue;
            }
            select(&self.shared, &self.connection, &held.topic, held.partition, held.position, 1, |record| {
                first = Some(record.timestamp);
                true
            })?;
            oldest = first.into_iter().chain(oldest).min();
        }
        Ok(oldest)
    }

    fn owned(&self) -> Vec<u32> {
        self.owned.iter().copied().collect()
    }
}
