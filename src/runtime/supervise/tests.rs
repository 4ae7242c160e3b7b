//! A lane that fails over and over is never called ready between two tries.

use std::sync::Mutex;

use super::*;
use crate::broker::memory::{Memory, MemoryOptions};
use crate::broker::{
    BatchLimit, Commit, Consumed, PartitionOwner, Placement, Publisher, Reader, Record, TopicPattern, TopicSpec, Write,
    system_clock,
};
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::Metrics;

/// A broker whose lanes cannot commit while a topic is missing.
struct Lacking {
    memory: Memory,
    is_missing: Arc<AtomicBool>,
    tries: Arc<Mutex<u32>>,
}

struct LackingLane {
    lane: Box<dyn LaneBroker>,
    is_missing: Arc<AtomicBool>,
    tries: Arc<Mutex<u32>>,
}

impl Broker for Lacking {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        self.memory.ensure_topics(topics)
    }

    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError> {
        let (is_missing, tries) = (self.is_missing.clone(), self.tries.clone());
        Ok(Box::new(LackingLane { lane: self.memory.lane(plan, share)?, is_missing, tries }))
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        self.memory.publisher()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.memory.reader()
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn queued(&self) -> (usize, usize) {
        (0, 1)
    }

    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError> {
        self.memory.position(group, topic, partition)
    }

    fn delete_expired(&self) -> Result<u64, BrokerError> {
        Ok(0)
    }

    fn close(&self) {}
}

impl LaneBroker for LackingLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        // As on Kafka: what lies there comes a little after the partition.
        match limit.wait {
            Duration::ZERO => self.lane.poll(owner, &BatchLimit { records_max: 0, ..*limit }),
            _ => self.lane.poll(owner, limit),
        }
    }

    fn stage(&mut self, writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        self.lane.stage(writes, consumed)
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        if self.is_missing.load(Ordering::Acquire) {
            owner.aborted();
            *self.tries.lock().unwrap() += 1;
            return Err(BrokerError::Mismatch("not there on Kafka any more: tasks.camhs".to_owned()));
        }
        self.lane.commit(owner)
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        self.lane.oldest_unread()
    }

    fn owned(&self) -> Vec<u32> {
        self.lane.owned()
    }
}

/// Passes nothing on.
struct Reads;

impl PartitionOwner for Reads {
    fn restored(&mut self, _: u32, _: Record) -> Result<(), BrokerError> {
        Ok(())
    }

    fn assigned(&mut self, _: u32) -> Result<(), BrokerError> {
        Ok(())
    }

    fn revoked(&mut self, _: u32) {}

    fn committed(&mut self) {}

    fn aborted(&mut self) {}
}

impl LaneWork for Reads {
    fn stage(&self) -> Stage {
        Stage::Decide
    }

    fn begin(&mut self) {}

    fn process(&mut self, _: Record, _: &mut Vec<Write>) -> Result<(), LaneError> {
        Ok(())
    }

    fn conclude(&mut self, _: Timestamp, _: &mut Vec<Write>) -> Result<(), LaneError> {
        Ok(())
    }

    fn progressed(&mut self, _: Timestamp, _: Option<Timestamp>) {}
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_lane_that_fails_over_and_over_is_not_ready_in_between_and_says_why() {
    let (memory, is_missing) = (Memory::new(MemoryOptions::default()), Arc::new(AtomicBool::new(false)));
    let spec = TopicSpec { name: "inbox".to_owned(), partitions: 1, compacted: false, retention: None };
    memory.ensure_topics(&[spec]).unwrap();
    let (stop, readiness, tries) = (Arc::<AtomicBool>::default(), Arc::new(Readiness::default()), Arc::default());
    let lacking = Lacking { memory: memory.clone(), is_missing: is_missing.clone(), tries: Arc::clone(&tries) };
    let seat = LaneSeat {
        name: "decide-0".to_owned(),
        broker: Arc::new(lacking),
        stage: Stage::Decide,
        plan: LanePlan {
            group: "decide".to_owned(),
            topics: TopicPattern::Names(vec!["inbox".into()]),
            restore_from: None,
        },
        share: LaneShare { index: 0, count: 1 },
        control: LaneControl {
            stop: stop.clone(),
            metrics: Arc::new(Metrics::new().unwrap()),
            clock: system_clock(),
            number: 0,
        },
        readiness: readiness.clone(),
        work: Box::new(|| Box::new(Reads)),
    };
    let thread = start(seat).unwrap();
    until("the lane", || readiness.is_ready());
    is_missing.store(true, Ordering::Release);
    let (key, value) = (b"key".to_vec(), Some(b"value".to_vec()));
    let write =
        Write { topic: "inbox".into(), placement: Placement::Partition(0), key, value, headers: Default::default() };
    memory.publisher().publish(vec![write], Box::new(|_| {}));
    until("its first failure", || !readiness.is_ready());
    // The pauses are half a second, one and two.
    while *tries.lock().unwrap() < 4 {
        assert!(!readiness.is_ready(), "nothing was mended");
        assert!(readiness.why_not().concat().contains("tasks.camhs"), "{:?}", readiness.why_not());
        std::thread::sleep(Duration::from_millis(1));
    }
    is_missing.store(false, Ordering::Release);
    until("that it works again", || readiness.is_ready());
    assert_eq!(memory.position("decide", "inbox", 0).unwrap(), Some(1));
    stop.store(true, Ordering::Release);
    thread.join().unwrap();
}
