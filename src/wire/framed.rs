//! A log seen through the wire: what others read is framed on the way out, what they wrote is unframed on the way in.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Wire;
use crate::broker::{
    BatchLimit, Broker, BrokerError, Commit, Consumed, Health, LaneBroker, LanePlan, LaneShare, PartitionOwner,
    Publisher, Reader, Record, TopicSpec, Write,
};
use crate::engine::model::scalar::Timestamp;

/// The longest wait for a registry before the group is served again.
const GLANCE: Duration = Duration::from_millis(100);

/// Why a record is not unframed that the router fails on.
const FAILED: &str = "the router failed on reading the record by its schema";

/// A broker whose shared topics are framed for a schema registry.
pub struct Framed {
    inner: Arc<dyn Broker>,
    wire: Arc<Wire>,
}

impl Framed {
    pub fn new(inner: Arc<dyn Broker>, wire: Arc<Wire>) -> Self {
        Self { inner, wire }
    }
}

impl Broker for Framed {
    /// Learns the ids of what will be written there too.
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        self.inner.ensure_topics(topics)?;
        self.wire.learn(topics.iter().map(|topic| topic.name.as_str()))
    }

    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError> {
        let inner = self.inner.lane(plan, share)?;
        Ok(Box::new(FramedLane { inner, wire: self.wire.clone(), held: VecDeque::new() }))
    }

    /// What a gateway publishes is read by the router alone.
    fn publisher(&self) -> Arc<dyn Publisher> {
        self.inner.publisher()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(FramedReader { inner: self.inner.reader(), wire: self.wire.clone() })
    }

    fn health(&self) -> Health {
        match (self.inner.health(), self.wire.trouble()) {
            (Health::Ready, Some(problem)) => Health::Unreachable(problem),
            (health, _) => health,
        }
    }

    fn queued(&self) -> (usize, usize) {
        self.inner.queued()
    }

    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError> {
        self.inner.position(group, topic, partition)
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn is_doubled(&self) -> bool {
        self.inner.is_doubled()
    }

    fn passed_over(&self) -> u64 {
        self.inner.passed_over()
    }

    fn left_unread(&self, group: &str, prefixes: &[String]) -> Result<Option<Timestamp>, BrokerError> {
        self.inner.left_unread(group, prefixes)
    }

    fn delete_expired(&self) -> Result<u64, BrokerError> {
        self.inner.delete_expired()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// Unframed in place; the record says why, if it cannot be. A panic over somebody else's schema, or over bytes by it, costs that
/// record.
fn unframe(wire: &Wire, record: &mut Record) -> Result<(), BrokerError> {
    if let Some(value) = &mut record.value {
        let unframed = catch_unwind(AssertUnwindSafe(|| wire.unframe(&record.topic, value)));
        record.fault = unframed.unwrap_or_else(|_| Ok(Err(FAILED.to_owned())))?.err();
    }
    Ok(())
}

struct FramedLane {
    inner: Box<dyn LaneBroker>,
    wire: Arc<Wire>,
    /// Read, and waiting for the registry. Nothing is read beyond them, so that a partition that went and came back
    /// makes their commit fail rather than repeat them.
    held: VecDeque<Record>,
}

/// Hears that reading starts again, on its way to the owner.
struct Relay<'o> {
    owner: &'o mut dyn PartitionOwner,
    aborted: bool,
}

impl PartitionOwner for Relay<'_> {
    fn restored(&mut self, partition: u32, record: Record) -> Result<(), BrokerError> {
        self.owner.restored(partition, record)
    }

    fn assigned(&mut self, partition: u32) -> Result<(), BrokerError> {
        self.owner.assigned(partition)
    }

    fn revoked(&mut self, partition: u32) {
        self.owner.revoked(partition);
    }

    fn committed(&mut self) {
        self.owner.committed();
    }

    fn aborted(&mut self) {
        self.aborted = true;
        self.owner.aborted();
    }
}

impl FramedLane {
    /// What waits, as far as the registry allows.
    fn release(&mut self, records_max: usize) -> Vec<Record> {
        let mut records = Vec::new();
        while records.len() < records_max {
            let Some(next) = self.held.front_mut() else { break };
            if unframe(&self.wire, next).is_err() {
                break;
            }
            records.extend(self.held.pop_front());
        }
        records
    }
}

impl LaneBroker for FramedLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let mut relay = Relay { owner, aborted: false };
        if self.held.is_empty() {
            self.held.extend(self.inner.poll(&mut relay, limit)?);
        } else {
            let glance = BatchLimit { records_max: 0, wait: limit.wait.min(GLANCE), ..*limit };
            self.inner.poll(&mut relay, &glance)?;
            if relay.aborted {
                self.held.clear();
            }
        }
        Ok(self.release(limit.records_max))
    }

    fn stage(&mut self, mut writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        for write in &mut writes {
            if let Some(value) = &mut write.value {
                self.wire.frame(&write.topic, value)?;
            }
        }
        self.inner.stage(writes, consumed)
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        let mut relay = Relay { owner, aborted: false };
        let committed = self.inner.commit(&mut relay);
        if relay.aborted {
            self.held.clear();
        }
        committed
    }

    fn gathers_on(&self, since: Instant, spare: Duration) -> bool {
        self.inner.gathers_on(since, spare)
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        let held = self.held.iter().map(|record| record.timestamp).min();
        Ok(held.into_iter().chain(self.inner.oldest_unread()?).min())
    }

    fn owned(&self) -> Vec<u32> {
        self.inner.owned()
    }

    fn is_restored(&self) -> bool {
        self.inner.is_restored()
    }
}

struct FramedReader {
    inner: Arc<dyn Reader>,
    wire: Arc<Wire>,
}

impl Reader for FramedReader {
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError> {
        let mut records = self.inner.read(topic, partition, from_offset, records_max)?;
        records.iter_mut().try_for_each(|record| unframe(&self.wire, record))?;
        Ok(records)
    }

    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        self.inner.end_offset(topic, partition)
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        self.inner.partitions(topic)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        self.inner.topics()
    }

    fn as_read(&self, topic: &str, mut value: Vec<u8>) -> Result<Result<Vec<u8>, String>, BrokerError> {
        Ok(self.wire.unframe(topic, &mut value)?.map(|()| value))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
}
