//! What the suite is written in: harnesses, owners that note what they are told, short ways to write records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pathway_router::broker::{
    BatchLimit, Broker, BrokerError, Clock, Commit, Consumed, LaneBroker, LanePlan, LaneShare, PartitionOwner,
    Placement, Published, Record, TopicPattern, TopicSpec, Write,
};

/// One kind of broker, as the suite handles it.
pub trait Harness {
    fn open(&self, clock: Clock) -> Arc<dyn Broker>;

    /// The next process on the same log. The one before is gone.
    fn reopen(&self, before: Arc<dyn Broker>, clock: Clock) -> Arc<dyn Broker>;

    /// A broker whose queue has no room.
    fn open_without_queue(&self) -> Arc<dyn Broker>;

    /// Has a group with no lane at work go on elsewhere in a partition.
    fn store_position(&self, broker: &dyn Broker, group: &str, (topic, partition): (&str, u32), next_offset: i64) {
        let mut owner = Owner::default();
        let mut lane = broker.lane(names(group, &[topic]), LaneShare { index: 0, count: 1 }).unwrap();
        poll_all(&mut *lane, &mut owner);
        lane.stage(Vec::new(), vec![Consumed { topic: topic.into(), partition, next_offset }]).unwrap();
        assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    }
}

/// Notes what a lane's owner is told.
#[derive(Default)]
pub struct Owner {
    pub assigned: Vec<u32>,
    pub restored: Vec<Record>,
    pub committed: usize,
    pub aborted: usize,
}

impl PartitionOwner for Owner {
    fn restored(&mut self, _partition: u32, record: Record) -> Result<(), BrokerError> {
        self.restored.push(record);
        Ok(())
    }

    fn assigned(&mut self, partition: u32) -> Result<(), BrokerError> {
        self.assigned.push(partition);
        Ok(())
    }

    fn revoked(&mut self, _partition: u32) {}

    fn committed(&mut self) {
        self.committed += 1;
    }

    fn aborted(&mut self) {
        self.aborted += 1;
    }
}

pub fn topic(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, compacted: false, retention: None }
}

pub fn compacted(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { compacted: true, ..topic(name, partitions) }
}

pub fn write(topic: &str, key: &str, value: &str) -> Write {
    Write {
        topic: topic.into(),
        placement: Placement::ByKey,
        key: key.as_bytes().to_vec(),
        value: Some(value.as_bytes().to_vec()),
        headers: vec![("unit".to_owned(), key.as_bytes().to_vec())].into(),
    }
}

pub fn write_to(topic: &str, partition: u32, value: &str) -> Write {
    Write { placement: Placement::Partition(partition), ..write(topic, value, value) }
}

pub fn names(group: &str, topics: &[&str]) -> LanePlan {
    let topics = TopicPattern::Names(topics.iter().map(|name| (*name).into()).collect());
    LanePlan { group: group.to_owned(), topics, restore_from: None }
}

pub fn limit(records_max: usize) -> BatchLimit {
    BatchLimit { records_max, bytes_max: 1 << 20, wait: Duration::from_millis(20) }
}

/// Publishes and waits for the answer.
pub fn publish(broker: &dyn Broker, writes: Vec<Write>) -> Result<Vec<Published>, BrokerError> {
    let (answer, answered) = mpsc::channel();
    broker.publisher().publish(writes, Box::new(move |result| answer.send(result).unwrap()));
    answered.recv().unwrap()
}

pub fn values(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.clone().unwrap_or_default()).unwrap()).collect()
}

/// Everything in a partition, as text.
pub fn contents(broker: &dyn Broker, topic: &str, partition: u32) -> Vec<String> {
    values(&broker.reader().read(topic, partition, 0, usize::MAX).unwrap())
}

/// How long nothing may come from a broker before it is believed that nothing will. A group takes its time to share out.
pub static QUIET_MS: AtomicU64 = AtomicU64::new(0);
/// Longer than any broker takes for anything.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// The next records; none only if all has been read.
pub fn poll_some(lane: &mut dyn LaneBroker, owner: &mut Owner, limit: &BatchLimit) -> Vec<Record> {
    let started = Instant::now();
    let quiet = Duration::from_millis(QUIET_MS.load(Ordering::Relaxed));
    let mut quiet_since = None;
    loop {
        let records = lane.poll(owner, limit).unwrap();
        if !records.is_empty() {
            return records;
        }
        if lane.is_restored() && lane.oldest_unread().unwrap().is_none() {
            if quiet_since.get_or_insert_with(Instant::now).elapsed() >= quiet {
                return records;
            }
        } else {
            quiet_since = None;
        }
        assert!(started.elapsed() < GIVE_UP_AFTER, "the lane did not come to rest");
    }
}

/// Waits until a partition shows just this. What is committed may show a little later than the commit is answered.
pub fn shows(broker: &dyn Broker, topic: &str, partition: u32, expected: &[&str]) {
    let started = Instant::now();
    let patience = Duration::from_millis(QUIET_MS.load(Ordering::Relaxed) * 10);
    loop {
        let found = contents(broker, topic, partition);
        if found == expected || started.elapsed() >= patience {
            assert_eq!(found, expected);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Polls until nothing comes any more.
pub fn poll_all(lane: &mut dyn LaneBroker, owner: &mut Owner) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let more = poll_some(lane, owner, &limit(100));
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

pub fn consumed(record: &Record) -> Consumed {
    Consumed { topic: record.topic.clone(), partition: record.partition, next_offset: record.offset + 1 }
}
