//! One lane's hold on a broker in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Held;
use super::faults::Fate;
use super::group::{Holder, Seat};
use super::storage::{Storage, Unsettled};
use crate::broker::{
    BatchLimit, BrokerError, Commit, Consumed, LaneBroker, LanePlan, LaneShare, PartitionOwner, Record, Write,
};
use crate::engine::model::scalar::Timestamp;

pub struct MemoryLane {
    held: Arc<Held>,
    plan: LanePlan,
    holder: Holder,
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

/// What came of an attempt to commit.
enum Attempt {
    Settled(Commit),
    /// Not answered.
    Unknown,
}

impl MemoryLane {
    pub fn open(held: Arc<Held>, plan: LanePlan, share: LaneShare) -> Result<Self, BrokerError> {
        if share.index >= share.count {
            return Err(BrokerError::Mismatch(format!("there is no lane {} of {}", share.index, share.count)));
        }
        let now = (held.options.clock)();
        let holder = held.living()?.register_lane(&plan, share, now);
        Ok(Self {
            held,
            plan,
            holder,
            partitions: Vec::new(),
            owned: BTreeSet::new(),
            turn: 0,
            writes: Vec::new(),
            consumed: Vec::new(),
        })
    }

    fn seat(&self, topic: &Arc<str>, partition: u32) -> Seat {
        (self.plan.group.clone(), topic.clone(), partition)
    }

    /// Partitions that are another's now go, after what is open over them was settled.
    fn give_up(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        let lost: Vec<Seat> = {
            let storage = self.held.living()?;
            let seats = self.partitions.iter().map(|held| self.seat(&held.topic, held.partition));
            let is_lost = |seat: &Seat| {
                let number = storage.topic(&seat.1).map_or(0, |topic| topic.number);
                let groups = &storage.groups;
                !groups.holds(seat, self.holder) || !groups.is_due(&self.plan, self.holder.0, number, seat)
            };
            seats.filter(is_lost).collect()
        };
        if lost.is_empty() {
            return Ok(());
        }
        if !(self.writes.is_empty() && self.consumed.is_empty()) {
            self.commit(owner)?;
        }
        for seat in lost {
            self.held.living()?.groups.release(&seat, self.holder);
            self.partitions.retain(|held| (&held.topic, held.partition) != (&seat.1, seat.2));
            if !self.partitions.iter().any(|held| held.partition == seat.2) && self.owned.remove(&seat.2) {
                owner.revoked(seat.2);
            }
        }
        Ok(())
    }

    fn take_up(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        let mut storage = self.held.living()?;
        let (plan, holder) = (&self.plan, self.holder);
        let mut fresh = Vec::new();
        for (name, topic) in storage.topics().filter(|(name, _)| plan.topics.matches(name)) {
            for partition in 0..topic.spec.partitions {
                let is_known = self.partitions.iter().any(|known| known.topic == *name && known.partition == partition);
                let seat = (plan.group.clone(), name.clone(), partition);
                if !is_known
                    && storage.groups.is_due(plan, holder.0, topic.number, &seat)
                    && !storage.is_unsettled(plan, name, partition)
                {
                    fresh.push(seat);
                }
            }
        }
        for seat in fresh {
            if !storage.groups.take(seat.clone(), holder) {
                continue;
            }
            let (_, topic, partition) = seat;
            let committed = storage.position(&plan.group, &topic, partition).unwrap_or(0);
            if committed > storage.partition(&topic, partition)?.end() {
                let group = &plan.group;
                let problem = format!("{group} has read further in {topic}, partition {partition}, than it goes");
                return Err(BrokerError::Storage(problem));
            }
            if self.owned.insert(partition) {
                if let Some(name) = &plan.restore_from {
                    let records: Vec<Record> = storage.partition(name, partition)?.from(0).cloned().collect();
                    let breaks_off = storage.faults.of_restore();
                    let whole = if breaks_off { records.len() / 2 } else { records.len() };
                    records.into_iter().take(whole).try_for_each(|record| owner.restored(partition, record))?;
                    if breaks_off {
                        return Err(BrokerError::Storage("restoring broke off".to_owned()));
                    }
                }
                owner.assigned(partition)?;
            }
            self.partitions.push(LanePartition { topic, partition, position: committed, committed });
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

    fn transact(&mut self, writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<Attempt, BrokerError> {
        let now = (self.held.options.clock)();
        let mut storage = self.held.living()?;
        let (group, holder) = (&self.plan.group, self.holder);
        if !storage.groups.is_current(group, holder) {
            return Err(BrokerError::Fenced);
        }
        let mut seats = self.partitions.iter().map(|held| self.seat(&held.topic, held.partition));
        if seats.any(|seat| !storage.groups.holds(&seat, holder)) {
            return Ok(Attempt::Settled(Commit::Aborted));
        }
        match storage.faults.of_commit() {
            Fate::Done | Fate::Twice | Fate::LostAnswer => {
                storage.transact(group, writes, consumed, now)?;
                Ok(Attempt::Settled(Commit::Committed))
            }
            Fate::Refused => Ok(Attempt::Settled(Commit::Aborted)),
            Fate::Unknown(comes_to_pass) => {
                if comes_to_pass {
                    storage.transact(group, writes, consumed, now)?;
                }
                Ok(Attempt::Unknown)
            }
            Fate::CrashBefore => {
                self.held.die();
                Err(BrokerError::Stopping)
            }
            Fate::CrashDuring(looks, comes_to_pass) => {
                let group = group.clone();
                storage.leave_unsettled(Unsettled { group, holder, writes, consumed, looks, comes_to_pass });
                self.held.die();
                Err(BrokerError::Stopping)
            }
            Fate::CrashAfter => {
                storage.transact(group, writes, consumed, now)?;
                self.held.die();
                Err(BrokerError::Stopping)
            }
        }
    }

    /// The stored positions tell whether a commit that was not answered came to pass.
    fn find_out(&self, consumed: &[Consumed]) -> Result<Commit, BrokerError> {
        let storage = self.held.living()?;
        let is_stored = |moved: &Consumed| {
            storage.position(&self.plan.group, &moved.topic, moved.partition) == Some(moved.next_offset)
        };
        let came_to_pass = !consumed.is_empty() && consumed.iter().all(is_stored);
        Ok(if came_to_pass { Commit::Committed } else { Commit::Aborted })
    }

    fn wait_beyond(&self, seen: u64, deadline: Instant) -> Result<(), BrokerError> {
        let storage = self.held.living()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let unchanged = |storage: &mut Storage| storage.changes == seen && self.held.is_alive();
        let waited = self.held.log.appended.wait_timeout_while(storage, left, unchanged);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl LaneBroker for MemoryLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let deadline = Instant::now() + limit.wait;
        loop {
            let seen = {
                let mut storage = self.held.living()?;
                storage.look((self.held.options.clock)());
                storage.changes
            };
            self.give_up(owner)?;
            self.take_up(owner)?;
            let records = self.gather(limit)?;
            if !records.is_empty() || Instant::now() >= deadline {
                return Ok(records);
            }
            self.wait_beyond(seen, deadline)?;
        }
    }

    fn stage(&mut self, mut writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        self.writes.append(&mut writes);
        for later in consumed {
            self.consumed.retain(|staged| (&staged.topic, staged.partition) != (&later.topic, later.partition));
            self.consumed.push(later);
        }
        Ok(())
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        let (writes, consumed) = (std::mem::take(&mut self.writes), std::mem::take(&mut self.consumed));
        let result = match self.transact(writes, consumed.clone()) {
            Ok(Attempt::Settled(commit)) => Ok(commit),
            Ok(Attempt::Unknown) => self.find_out(&consumed),
            Err(error) => Err(error),
        };
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

impl Drop for MemoryLane {
    /// Leaves its group, unless the process is over: then nobody is told.
    fn drop(&mut self) {
        let Ok(mut storage) = self.held.living() else { return };
        for held in &self.partitions {
            storage.groups.release(&self.seat(&held.topic, held.partition), self.holder);
        }
    }
}
