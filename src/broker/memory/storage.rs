//! What a broker in memory holds: topics, positions, and who reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::faults::Faults;
use super::group::{Groups, Holder, Seat};
use crate::broker::partition::place;
use crate::broker::{BrokerError, Consumed, LanePlan, Placement, Published, Record, TopicPattern, TopicSpec, Write};
use crate::engine::model::scalar::Timestamp;

pub struct Storage {
    topics: BTreeMap<Arc<str>, Topic>,
    positions: BTreeMap<Seat, i64>,
    patterns: BTreeMap<String, TopicPattern>,
    unsettled: Vec<Unsettled>,
    pub groups: Groups,
    pub faults: Faults,
    /// Counts whatever a waiting lane may care about.
    pub changes: u64,
}

/// A commit whose lane died in the middle of it.
pub struct Unsettled {
    pub group: String,
    pub holder: Holder,
    pub writes: Vec<Write>,
    pub consumed: Vec<Consumed>,
    /// How many more looks it takes to be settled.
    pub looks: u32,
    pub comes_to_pass: bool,
}

pub struct Topic {
    pub number: u32,
    pub spec: TopicSpec,
    pub partitions: Vec<Partition>,
}

#[derive(Default)]
pub struct Partition {
    next: i64,
    last: Timestamp,
    records: BTreeMap<i64, Record>,
    /// Of a compacted topic: the newest offset of each key.
    newest: HashMap<Vec<u8>, i64>,
}

impl Partition {
    pub fn from(&self, offset: i64) -> impl Iterator<Item = &Record> {
        self.records.range(offset..).map(|(_, record)| record)
    }

    pub fn end(&self) -> i64 {
        self.next
    }

    fn push(&mut self, record: Record, compacted: bool) {
        self.next = record.offset + 1;
        self.last = record.timestamp;
        if compacted && let Some(before) = self.newest.insert(record.key.clone(), record.offset) {
            self.records.remove(&before);
        }
        self.records.insert(record.offset, record);
    }
}

impl Storage {
    pub fn new(faults: Faults) -> Self {
        Self {
            topics: BTreeMap::new(),
            positions: BTreeMap::new(),
            patterns: BTreeMap::new(),
            unsettled: Vec::new(),
            groups: Groups::default(),
            faults,
            changes: 0,
        }
    }

    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &Topic)> {
        self.topics.iter()
    }

    pub fn topic(&self, name: &str) -> Result<&Topic, BrokerError> {
        self.topics.get(name).ok_or_else(|| BrokerError::UnknownTopic(name.to_owned()))
    }

    pub fn partition(&self, topic: &str, partition: u32) -> Result<&Partition, BrokerError> {
        let missing = || BrokerError::Mismatch(format!("topic {topic} has no partition {partition}"));
        self.topic(topic)?.partitions.get(partition as usize).ok_or_else(missing)
    }

    pub fn ensure_topics(&mut self, specs: &[TopicSpec]) -> Result<(), BrokerError> {
        for spec in specs {
            if let Some(topic) = self.topics.get(spec.name.as_str())
                && (topic.spec.partitions, topic.spec.compacted) != (spec.partitions, spec.compacted)
            {
                return Err(BrokerError::Mismatch(format!("topic {} exists with another shape", spec.name)));
            }
        }
        for spec in specs {
            let number = u32::try_from(self.topics.len()).unwrap_or(u32::MAX);
            let topic = self.topics.entry(spec.name.as_str().into()).or_insert_with(|| Topic {
                number,
                spec: spec.clone(),
                partitions: (0..spec.partitions).map(|_| Partition::default()).collect(),
            });
            topic.spec.retention = spec.retention;
        }
        self.changes += 1;
        Ok(())
    }

    fn placed(&self, write: &Write) -> Result<u32, BrokerError> {
        place(write.placement, &write.key, &write.topic, self.topic(&write.topic)?.spec.partitions)
    }

    /// All of them or none.
    pub fn append(&mut self, writes: Vec<Write>, now: Timestamp) -> Result<Vec<Published>, BrokerError> {
        let places = writes.iter().map(|write| self.placed(write)).collect::<Result<Vec<u32>, _>>()?;
        let mut published = Vec::new();
        for (write, partition) in writes.into_iter().zip(places) {
            let Write { topic, key, value, headers, .. } = write;
            let Some(held) = self.topics.get_mut(&topic) else { continue };
            let compacted = held.spec.compacted;
            let Some(log) = held.partitions.get_mut(partition as usize) else { continue };
            let (offset, timestamp, headers) = (log.next, log.last.max(now), headers.to_vec());
            log.push(Record { topic, partition, offset, timestamp, key, value, headers, fault: None }, compacted);
            published.push(Published { partition, offset, timestamp });
        }
        self.changes += 1;
        Ok(published)
    }

    pub fn load(&mut self, record: Record) -> Result<(), BrokerError> {
        let compacted = self.topic(&record.topic)?.spec.compacted;
        let missing = || BrokerError::Mismatch(format!("topic {} has no such partition", record.topic));
        let topic = self.topics.get_mut(&record.topic).ok_or_else(missing)?;
        let log = topic.partitions.get_mut(record.partition as usize).ok_or_else(missing)?;
        log.push(record, compacted);
        self.changes += 1;
        Ok(())
    }

    pub fn position(&self, group: &str, topic: &str, partition: u32) -> Option<i64> {
        self.positions.get(&(group.to_owned(), topic.into(), partition)).copied()
    }

    pub fn transact(
        &mut self,
        group: &str,
        writes: Vec<Write>,
        consumed: Vec<Consumed>,
        now: Timestamp,
    ) -> Result<(), BrokerError> {
        self.append(writes, now)?;
        for Consumed { topic, partition, next_offset } in consumed {
            self.positions.insert((group.to_owned(), topic, partition), next_offset);
        }
        Ok(())
    }

    /// What an earlier lane of the name left unsettled is settled.
    pub fn register_lane(&mut self, plan: &LanePlan, share: crate::broker::LaneShare, now: Timestamp) -> Holder {
        self.patterns.insert(plan.group.clone(), plan.topics.clone());
        for open in &mut self.unsettled {
            if open.group == plan.group && open.holder.0 == share {
                open.looks = 0;
            }
        }
        self.settle(now);
        self.groups.register(&plan.group, share)
    }

    pub fn leave_unsettled(&mut self, unsettled: Unsettled) {
        self.unsettled.push(unsettled);
    }

    /// One more look: what has been unsettled for long enough comes to pass, or does not.
    pub fn look(&mut self, now: Timestamp) {
        self.unsettled.iter_mut().for_each(|open| open.looks = open.looks.saturating_sub(1));
        self.settle(now);
    }

    fn settle(&mut self, now: Timestamp) {
        let (settled, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unsettled).into_iter().partition(|open| open.looks == 0);
        self.unsettled = open;
        for Unsettled { group, writes, consumed, .. } in settled.into_iter().filter(|open| open.comes_to_pass) {
            // Its topics were there when it was staged.
            let settled = self.transact(&group, writes, consumed, now);
            debug_assert!(settled.is_ok(), "what was staged can be settled");
        }
    }

    /// Whether an unsettled commit may yet move a partition's position, or change what is restored there.
    pub fn is_unsettled(&self, plan: &LanePlan, topic: &str, partition: u32) -> bool {
        self.unsettled.iter().filter(|open| open.group == plan.group).any(|open| {
            let moves = |consumed: &Consumed| &*consumed.topic == topic && consumed.partition == partition;
            let changes = |write: &Write| {
                plan.restore_from.as_ref() == Some(&write.topic) && write.placement == Placement::Partition(partition)
            };
            open.consumed.iter().any(moves) || open.writes.iter().any(changes)
        })
    }

    pub fn delete_expired(&mut self, now: Timestamp) -> u64 {
        let mut deleted = 0;
        for (name, topic) in &mut self.topics {
            let Some(retention) = topic.spec.retention.filter(|_| !topic.spec.compacted) else { continue };
            let before = now.plus_millis(-i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
            for (partition, log) in (0..).zip(&mut topic.partitions) {
                let readers = self.patterns.iter().filter(|(_, pattern)| pattern.matches(name));
                let stored = self.positions.iter().filter(|((_, held, part), _)| held == name && *part == partition);
                let began = |group: &str| self.positions.contains_key(&(group.to_owned(), name.clone(), partition));
                let unread = if readers.map(|(group, _)| group).any(|group| !began(group)) {
                    Some(0)
                } else {
                    stored.map(|(_, next)| *next).min()
                };
                let kept = log.records.len();
                log.records.retain(|offset, record| {
                    record.timestamp >= before || unread.is_some_and(|unread| *offset >= unread)
                });
                deleted += (kept - log.records.len()) as u64;
            }
        }
        deleted
    }
}
