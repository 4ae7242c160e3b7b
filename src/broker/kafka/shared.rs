//! What everything handed out shares: where the broker is, what topics there are, and whether we are stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::hanging::Hanging;
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
        }))
    }

    pub fn check(&self) -> Result<(), BrokerError> {
        if self.stopping.load(Ordering::Acquire) { Err(BrokerError::Stopping) } else { Ok(()) }
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
