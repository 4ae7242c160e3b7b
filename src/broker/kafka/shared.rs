//! What everything handed out shares: where the broker is, what topics there are, and whether we are stopping.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::hanging::Hanging;
use super::namesakes::Namesakes;
use super::passed_over::PassedOver;
use super::settings::KafkaOptions;
use super::topology::Topology;
use crate::broker::partition::place;
use crate::broker::{BrokerError, Write};

pub struct Shared {
    pub options: KafkaOptions,
    pub topology: Topology,
    pub stopping: AtomicBool,
    pub unreachable: AtomicBool,
    pub hanging: Hanging,
    pub changes: watch::Sender<u64>,
    pub queued_requests: AtomicUsize,
    pub queued_bytes: AtomicUsize,
    /// Partitions that wait for long to be taken up, and why, by the lane's transactional id.
    waiting: Mutex<BTreeMap<String, Vec<String>>>,
    pub passed_over: PassedOver,
    pub namesakes: Namesakes,
}

impl Shared {
    pub fn new(options: KafkaOptions) -> Result<Arc<Self>, BrokerError> {
        Ok(Arc::new(Self {
            topology: Topology::new(&options)?,
            options,
            stopping: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
            hanging: Hanging::default(),
            changes: watch::Sender::new(0),
            queued_requests: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
            passed_over: PassedOver::default(),
            namesakes: Namesakes::default(),
        }))
    }

    pub fn check(&self) -> Result<(), BrokerError> {
        if self.stopping.load(Ordering::Acquire) { Err(BrokerError::Stopping) } else { Ok(()) }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a lane waits for is this now, a sentence each.
    pub fn waits(&self, lane: &str, sentences: Vec<String>) {
        if sentences.is_empty() {
            self.waiting().remove(lane);
        } else {
            self.waiting().insert(lane.to_owned(), sentences);
        }
    }

    /// What any lane here waits for.
    pub fn waited_for(&self) -> Vec<String> {
        self.waiting().values().flatten().cloned().collect()
    }

    /// Something was committed here.
    pub fn announce(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// The partition a record goes to, as Kafka's own clients place it.
    pub fn place(&self, write: &Write) -> Result<u32, BrokerError> {
        place(write.placement, &write.key, &write.topic, self.topology.partitions(&write.topic)?)
    }
}
