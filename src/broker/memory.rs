//! The same port in memory, with faults injected by a seeded plan: for simulations and tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::faults::{Fate, FaultPlan, Faults};
use self::lane::MemoryLane;
use self::storage::Storage;
use super::{
    Broker, BrokerError, Clock, Health, LaneBroker, LanePlan, LaneShare, PublishDone, Publisher, Reader, Record,
    TopicSpec, Write, system_clock,
};

pub mod faults;
mod group;
mod lane;
mod storage;

/// How a broker in memory behaves.
#[derive(Clone)]
pub struct MemoryOptions {
    pub clock: Clock,
    pub faults: FaultPlan,
    /// 0: every publication is answered `Busy`. Nothing ever waits here, so any other number is the same.
    pub queue_requests_max: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { clock: system_clock(), faults: FaultPlan::default(), queue_requests_max: 1 }
    }
}

/// One process's hold on the log. What is committed outlives it: see `restart`. Others may hold the same: see `join`.
#[derive(Clone)]
pub struct Memory {
    held: Arc<Held>,
}

/// Shared by everything that one process was handed out.
struct Held {
    options: MemoryOptions,
    dead: AtomicBool,
    log: Arc<Log>,
}

struct Log {
    storage: Mutex<Storage>,
    appended: std::sync::Condvar,
    changes: watch::Sender<u64>,
}

impl Memory {
    pub fn new(options: MemoryOptions) -> Self {
        let storage = Storage::new(Faults::new(&options.faults));
        let log =
            Log { storage: Mutex::new(storage), appended: std::sync::Condvar::new(), changes: watch::Sender::new(0) };
        Self { held: Arc::new(Held { options, dead: AtomicBool::new(false), log: Arc::new(log) }) }
    }

    /// The process after this one: the same log, and nothing that was not committed.
    pub fn restart(&self) -> Self {
        {
            let _storage = self.held.log.locked();
            self.held.die();
        }
        self.join()
    }

    /// Another process on the same log.
    pub fn join(&self) -> Self {
        let Held { options, log, .. } = &*self.held;
        Self { held: Arc::new(Held { options: options.clone(), dead: AtomicBool::new(false), log: log.clone() }) }
    }

    /// Gives a partition to another lane of its group. The lane that holds it settles and lets go at its next poll, or,
    /// `at_once`, is taken for dead: what it has open is refused.
    pub fn give(&self, group: &str, topic: &str, partition: u32, to: LaneShare, at_once: bool) {
        self.held.log.locked().groups.give((group.to_owned(), topic.into(), partition), to, at_once);
    }

    /// In every group, the lanes of a share are taken for dead: what they hold goes to another share's.
    pub fn expire(&self, of: LaneShare, to: LaneShare) {
        self.held.log.locked().groups.expire(of, to);
    }

    /// No more faults from now on: to let a simulation come to rest.
    pub fn end_faults(&self) {
        self.held.log.locked().faults = Faults::new(&FaultPlan::default());
    }

    /// Appends records exactly as they are, times and offsets too: for replaying what another broker held.
    pub fn load(&self, records: impl IntoIterator<Item = Record>) -> Result<(), BrokerError> {
        let mut storage = self.held.log.locked();
        records.into_iter().try_for_each(|record| storage.load(record))
    }
}

impl Log {
    fn locked(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.appended.notify_all();
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Held {
    /// The log, unless this process is over.
    fn living(&self) -> Result<MutexGuard<'_, Storage>, BrokerError> {
        let storage = self.log.locked();
        if self.is_alive() { Ok(storage) } else { Err(BrokerError::Stopping) }
    }

    fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire)
    }

    /// Called with the log locked, so that nothing of this process's is half done.
    fn die(&self) {
        self.dead.store(true, Ordering::Release);
    }
}

impl Broker for Memory {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        self.held.living()?.ensure_topics(topics)?;
        self.held.log.announce();
        Ok(())
    }

    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError> {
        Ok(Box::new(MemoryLane::open(self.held.clone(), plan, share)?))
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.clone())
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.clone())
    }

    fn health(&self) -> Health {
        if self.held.living().is_ok() { Health::Ready } else { Health::Stopped }
    }

    fn queued(&self) -> (usize, usize) {
        (0, self.held.options.queue_requests_max)
    }

    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError> {
        Ok(self.held.living()?.position(group, topic, partition))
    }

    fn delete_expired(&self) -> Result<u64, BrokerError> {
        let now = (self.held.options.clock)();
        Ok(self.held.living()?.delete_expired(now))
    }

    fn close(&self) {
        if let Ok(_storage) = self.held.living() {
            self.held.die();
        }
        self.held.log.announce();
    }
}

impl Publisher for Memory {
    fn publish(&self, writes: Vec<Write>, done: PublishDone) {
        let result = self.append(writes);
        self.held.log.announce();
        done(result);
    }
}

impl Memory {
    fn append(&self, writes: Vec<Write>) -> Result<Vec<super::Published>, BrokerError> {
        let now = (self.held.options.clock)();
        let mut storage = self.held.living()?;
        if self.held.options.queue_requests_max == 0 {
            return Err(BrokerError::Busy);
        }
        let fate = storage.faults.of_publication();
        match fate {
            Fate::Done => storage.append(writes, now),
            Fate::Refused => Err(BrokerError::Busy),
            Fate::Twice => {
                storage.append(writes.clone(), now)?;
                storage.append(writes, now)
            }
            Fate::LostAnswer => {
                storage.append(writes, now)?;
                Err(BrokerError::Stopping)
            }
            Fate::CrashBefore => {
                self.held.die();
                Err(BrokerError::Stopping)
            }
            // Appends are atomic: in the middle is before or after.
            Fate::CrashAfter | Fate::CrashDuring(..) | Fate::Unknown(_) => {
                storage.append(writes, now)?;
                self.held.die();
                Err(BrokerError::Stopping)
            }
        }
    }
}

impl Reader for Memory {
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError> {
        let storage = self.held.living()?;
        Ok(storage.partition(topic, partition)?.from(from_offset).take(records_max).cloned().collect())
    }

    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        Ok(self.held.living()?.partition(topic, partition)?.end())
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        Ok(self.held.living()?.topic(topic)?.spec.partitions)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        Ok(self.held.living()?.topics().map(|(name, _)| name.to_string()).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.held.log.changes.subscribe()
    }
}
