//! The broker in memory: the suite, and its faults.

use std::sync::{Arc, Mutex};

use pathway_router::broker::memory::faults::FaultPlan;
use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{Broker, Clock, Commit, LaneShare};

use super::kit::{Harness, Owner, consumed, contents, limit, names, publish, topic, write};

#[derive(Default)]
struct InMemory(Mutex<Option<Memory>>);

impl Harness for InMemory {
    fn open(&self, clock: Clock) -> Arc<dyn Broker> {
        let memory = Memory::new(MemoryOptions { clock, ..MemoryOptions::default() });
        *self.0.lock().unwrap() = Some(memory.clone());
        Arc::new(memory)
    }

    fn reopen(&self, before: Arc<dyn Broker>, clock: Clock) -> Arc<dyn Broker> {
        drop((before, clock));
        let memory = self.0.lock().unwrap().as_ref().unwrap().restart();
        Arc::new(memory)
    }

    fn open_without_queue(&self) -> Arc<dyn Broker> {
        Arc::new(Memory::new(MemoryOptions { queue_requests_max: 0, ..MemoryOptions::default() }))
    }
}

crate::suite::suite!(Some(InMemory::default()));
crate::alone::alone!(Some(InMemory::default()));

/// Copies `in` to `out` through every kind of fault; each input is copied once.
#[test]
fn faults_cost_nothing_and_repeat_nothing() {
    for seed in 0..50 {
        let faults = FaultPlan {
            seed,
            abort: 0.2,
            crash_before: 0.1,
            crash_after: 0.1,
            duplicate: 0.1,
            lost_answer: 0.1,
            busy: 0.1,
            crash_during: 0.1,
            unknown: 0.1,
            ..FaultPlan::default()
        };
        let mut memory = Memory::new(MemoryOptions { faults, ..MemoryOptions::default() });
        memory.ensure_topics(&[topic("in", 1), topic("out", 1)]).unwrap();
        let mut acknowledged = Vec::new();
        for n in 0..30 {
            if publish(&memory, vec![write("in", "a", &n.to_string())]).is_ok() {
                acknowledged.push(n.to_string());
            }
            if memory.ensure_topics(&[]).is_err() {
                memory = memory.restart();
            }
            if n == 20 {
                memory.end_faults();
            }
            let copied = copy(&memory);
            if copied.is_none() {
                memory = memory.restart();
            }
        }
        while copy(&memory) != Some(0) {}
        let (sent, copied) = (contents(&memory, "in", 0), contents(&memory, "out", 0));
        assert_eq!(sent, copied, "seed {seed}");
        assert!(acknowledged.iter().all(|n| copied.contains(n)), "seed {seed}");
    }
}

/// One batch; None when the process ended.
fn copy(memory: &Memory) -> Option<usize> {
    let mut owner = Owner::default();
    let mut lane = memory.lane(names("g", &["in"]), LaneShare { index: 0, count: 1 }).ok()?;
    loop {
        let records = lane.poll(&mut owner, &limit(3)).ok()?;
        let writes = records.iter().map(|record| {
            let value = String::from_utf8(record.value.clone().unwrap()).unwrap();
            write("out", "a", &value)
        });
        lane.stage(writes.collect(), records.iter().map(consumed).collect()).ok()?;
        if lane.commit(&mut owner).ok()? == Commit::Committed {
            return Some(records.len());
        }
    }
}
