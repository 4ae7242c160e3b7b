//! Follows what the router publishes, counts it, and hands tasks to the simulated agencies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::tally::Tally;
use crate::broker::{BrokerError, Reader, Record};
use crate::engine::codec::decode;
use crate::engine::model::decision::Decision;
use crate::engine::model::quarantine::Quarantined;
use crate::engine::model::task::Task;
use crate::runtime::topics::{DECISIONS, FEEDBACK_PREFIX, QUARANTINE, TASKS_PREFIX};

const CHUNK_RECORDS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(30);

/// What the demo's threads share.
#[derive(Default)]
pub struct Shared {
    tally: Mutex<Tally>,
    pub stop: AtomicBool,
    /// Milliseconds since the start at which the router last published something.
    last_seen_ms: AtomicU64,
}

impl Shared {
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// For how long the router has published nothing.
    pub fn quiet_for(&self, started: Instant) -> Duration {
        started.elapsed().saturating_sub(Duration::from_millis(self.last_seen_ms.load(Ordering::Acquire)))
    }
}

/// Reads on until told to stop.
pub fn follow(reader: &dyn Reader, shared: &Arc<Shared>, started: Instant, tasks: &Sender<Task>) {
    let mut positions = BTreeMap::new();
    while !shared.is_stopping() {
        match read_on(reader, &mut positions, shared, tasks) {
            Ok(0) => thread::sleep(PAUSE),
            Ok(_) => {
                let now = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                shared.last_seen_ms.store(now, Ordering::Release);
            }
            Err(_) => return,
        }
    }
}

fn read_on(
    reader: &dyn Reader,
    positions: &mut BTreeMap<(String, u32), i64>,
    shared: &Shared,
    tasks: &Sender<Task>,
) -> Result<usize, BrokerError> {
    let mut seen = 0;
    for topic in reader.topics()?.into_iter().filter(|topic| is_output(topic)) {
        for partition in 0..reader.partitions(&topic)? {
            let next = positions.entry((topic.clone(), partition)).or_insert(0);
            for record in reader.read(&topic, partition, *next, CHUNK_RECORDS)? {
                *next = record.offset + 1;
                seen += 1;
                count(&record, shared, tasks);
            }
        }
    }
    Ok(seen)
}

fn is_output(topic: &str) -> bool {
    topic == DECISIONS || topic == QUARANTINE || topic.starts_with(TASKS_PREFIX) || topic.starts_with(FEEDBACK_PREFIX)
}

fn count(record: &Record, shared: &Shared, tasks: &Sender<Task>) {
    let value = record.value.as_deref().unwrap_or_default();
    let mut tally = shared.tally();
    if record.topic.starts_with(TASKS_PREFIX) {
        if let Ok(task) = decode::<Task>(value) {
            tally.task(&task);
            // The agencies have gone home: nobody answers any more.
            let _ = tasks.send(task);
        }
    } else if &*record.topic == DECISIONS {
        if let Ok(decision) = decode::<Decision>(value) {
            tally.decision(&decision);
        }
    } else if &*record.topic == QUARANTINE {
        if let Ok(quarantined) = decode::<Quarantined>(value) {
            tally.quarantined(&quarantined);
        }
    } else {
        tally.feedback();
    }
}
