//! Appends for gateways: a bounded queue in front of the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use super::shared::Shared;
use super::writer::{Publication, Request};
use crate::broker::{BrokerError, PublishDone, Publisher, Write};

/// What may wait for the writer at once.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    pub requests_max: usize,
    pub bytes_max: usize,
}

pub struct EmbeddedPublisher {
    pub shared: Arc<Shared>,
    pub requests: Sender<Request>,
    pub limits: QueueLimits,
}

/// A publication's place in the queue.
pub struct QueuePlace {
    shared: Arc<Shared>,
    bytes: usize,
}

impl QueuePlace {
    fn take(shared: &Arc<Shared>, limits: QueueLimits, bytes: usize) -> Result<Self, BrokerError> {
        // Counted first: dropping the place gives it back, also when there was none.
        let requests = shared.queued_requests.fetch_add(1, Ordering::AcqRel);
        let queued = shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let place = Self { shared: shared.clone(), bytes };
        let fits = requests < limits.requests_max && (queued == 0 || queued + bytes <= limits.bytes_max);
        if fits { Ok(place) } else { Err(BrokerError::Busy) }
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.shared.queued_requests.fetch_sub(1, Ordering::AcqRel);
        self.shared.queued_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Publisher for EmbeddedPublisher {
    fn publish(&self, writes: Vec<Write>, done: PublishDone) {
        if let Some(refusal) = self.shared.refusal() {
            return done(Err(refusal));
        }
        let bytes = writes.iter().map(bytes_of).sum();
        let place = match QueuePlace::take(&self.shared, self.limits, bytes) {
            Ok(place) => place,
            Err(busy) => return done(Err(busy)),
        };
        if let Err(unsent) = self.requests.send(Request::Publish(Publication { writes, done, place }))
            && let Request::Publish(Publication { done, .. }) = unsent.0
        {
            done(Err(BrokerError::Stopping));
        }
    }
}

fn bytes_of(write: &Write) -> usize {
    write.key.len() + write.value.as_ref().map_or(0, Vec::len) + write.headers.bytes()
}
