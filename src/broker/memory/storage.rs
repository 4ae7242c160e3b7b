//! What a broker in memory holds: topics, positions, and who reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::faults::Faults;
use crate::broker::partition::place;
use crate::broker::{BrokerError, Consumed, LaneShare, Published, Record, TopicPattern, TopicSpec, Write};
use crate::engine::model::scalar::Timestamp;

pub struct Storage {
    topics: BTreeMap<Arc<str>, Topic>,
    positions: BTreeMap<(String, Arc<str>, u32), i64>,
    lanes: HashMap<(String, LaneShare), u64>,
    patterns: BTreeMap<String, TopicPattern>,
    pub faults: Faults,
    pub life: u64,
    pub stopped: bool,
    /// Counts whatever a waiting lane may care about.
    pub changes: u64,
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
            lanes: HashMap::new(),
            patterns: BTreeMap::new(),
            faults,
            life: 0,
            stopped: false,
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
            let (offset, timestamp) = (log.next, log.last.max(now));
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

    pub fn register_lane(&mut self, group: &str, share: LaneShare, pattern: &TopicPattern) -> u64 {
        self.patterns.insert(group.to_owned(), pattern.clone());
        let epoch = self.lanes.entry((group.to_owned(), share)).or_default();
        *epoch += 1;
        *epoch
    }

    pub fn is_current(&self, group: &str, share: LaneShare, epoch: u64) -> bool {
        self.lanes.get(&(group.to_owned(), share)) == Some(&epoch)
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
