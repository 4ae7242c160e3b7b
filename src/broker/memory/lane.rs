//! One lane's hold on a broker in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Held;
use super::faults::Fate;
use super::storage::Storage;
use crate::broker::partition::is_ours;
use crate::broker::{
    BatchLimit, BrokerError, Commit, Consumed, LaneBroker, LanePlan, LaneShare, PartitionOwner, Record, Write,
};
use crate::engine::model::scalar::Timestamp;

pub struct MemoryLane {
    held: Arc<Held>,
    plan: LanePlan,
    share: LaneShare,
    epoch: u64,
    partitions: Vec<LanePartition>,
    owned: BTreeSet<u32>,
    turn: usize,
    writes: Vec<Write>,
    consumed: Vec<Consumed>,
}

struct LanePartition {
    topic: Arc<str>,
    partition: u32,
    position: i64,
    committed: i64,
}

impl MemoryLane {
    pub fn open(held: Arc<Held>, plan: LanePlan, share: LaneShare) -> Result<Self, BrokerError> {
        if share.index >= share.count {
            return Err(BrokerError::Mismatch(format!("there is no lane {} of {}", share.index, share.count)));
        }
        let epoch = held.living()?.register_lane(&plan.group, share, &plan.topics);
        Ok(Self {
            held,
            plan,
            share,
            epoch,
            partitions: Vec::new(),
            owned: BTreeSet::new(),
            turn: 0,
            writes: Vec::new(),
            consumed: Vec::new(),
        })
    }

    fn take_up(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        let storage = self.held.living()?;
        let (plan, share, held) = (&self.plan, self.share, &self.partitions);
        let mut fresh = Vec::new();
        for (name, topic) in storage.topics().filter(|(name, _)| plan.topics.matches(name)) {
            for partition in (0..topic.spec.partitions).filter(|number| is_ours(plan, share, topic.number, *number)) {
                if !held.iter().any(|known| known.topic == *name && known.partition == partition) {
                    let committed = storage.position(&plan.group, name, partition).unwrap_or(0);
                    fresh.push(LanePartition { topic: name.clone(), partition, position: committed, committed });
                }
            }
        }
        for taken in fresh {
            if self.owned.insert(taken.partition) {
                let restored: Vec<Record> = match &self.plan.restore_from {
                    Some(name) => storage.partition(name, taken.partition)?.from(0).cloned().collect(),
                    None => Vec::new(),
                };
                owner.assigned(taken.partition, &mut restored.into_iter().map(Ok))?;
            }
            self.partitions.push(taken);
        }
        Ok(())
    }

    fn gather(&mut self, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let storage = self.held.living()?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        let count = self.partitions.len();
        self.turn = self.turn.wrapping_add(1);
        for index in 0..count {
            let Some(held) = self.partitions.get_mut(self.turn.wrapping_add(index) % count) else { continue };
            for record in storage.partition(&held.topic, held.partition)?.from(held.position) {
                bytes += record.key.len() + record.value.as_ref().map_or(0, Vec::len);
                if records.len() >= limit.records_max || (bytes > limit.bytes_max && !records.is_empty()) {
                    return Ok(records);
                }
                held.position = record.offset + 1;
                records.push(record.clone());
            }
        }
        Ok(records)
    }

    fn transact(&self, writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<Commit, BrokerError> {
        let now = (self.held.options.clock)();
        let mut storage = self.held.living()?;
        if !storage.is_current(&self.plan.group, self.share, self.epoch) {
            return Err(BrokerError::Fenced);
        }
        match storage.faults.of_commit() {
            Fate::Done | Fate::Twice | Fate::LostAnswer => {
                storage.transact(&self.plan.group, writes, consumed, now)?;
                Ok(Commit::Committed)
            }
            Fate::Refused => Ok(Commit::Aborted),
            Fate::CrashBefore => {
                storage.stopped = true;
                Err(BrokerError::Stopping)
            }
            Fate::CrashAfter => {
                storage.transact(&self.plan.group, writes, consumed, now)?;
                storage.stopped = true;
                Err(BrokerError::Stopping)
            }
        }
    }

    fn wait_beyond(&self, seen: u64, deadline: Instant) -> Result<(), BrokerError> {
        let storage = self.held.living()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let unchanged = |storage: &mut Storage| storage.changes == seen && !storage.stopped;
        let waited = self.held.log.appended.wait_timeout_while(storage, left, unchanged);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl LaneBroker for MemoryLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let deadline = Instant::now() + limit.wait;
        loop {
            let seen = self.held.living()?.changes;
            self.take_up(owner)?;
            let records = self.gather(limit)?;
            if !records.is_empty() || Instant::now() >= deadline {
                return Ok(records);
            }
            self.wait_beyond(seen, deadline)?;
        }
    }

    fn stage(&mut self, mut writes: Vec<Write>, mut consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        self.writes.append(&mut writes);
        self.consumed.append(&mut consumed);
        Ok(())
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        let (writes, consumed) = (std::mem::take(&mut self.writes), std::mem::take(&mut self.consumed));
        let result = self.transact(writes, consumed.clone());
        if result == Ok(Commit::Committed) {
            for Consumed { topic, partition, next_offset } in consumed {
                let found = self.partitions.iter_mut().find(|held| held.topic == topic && held.partition == partition);
                if let Some(held) = found {
                    held.committed = next_offset;
                }
            }
            self.held.log.announce();
            owner.committed();
        } else {
            self.partitions.iter_mut().for_each(|held| held.position = held.committed);
            owner.aborted();
        }
        result
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        let storage = self.held.living()?;
        let mut oldest = None;
        for held in &self.partitions {
            let first = storage.partition(&held.topic, held.partition)?.from(held.position).next();
            oldest = first.map(|record| record.timestamp).into_iter().chain(oldest).min();
        }
        Ok(oldest)
    }

    fn owned(&self) -> Vec<u32> {
        self.owned.iter().copied().collect()
    }
}
