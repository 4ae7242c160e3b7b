//! Appends for gateways: a bounded queue in front of an idempotent producer; answered when every copy has the record.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::fault::{named, storage};
use super::notes::{log, unasked};
use super::shared::Shared;
use super::transaction::headers;
use crate::broker::{BrokerError, PublishDone, Published, Publisher, Write, vital};
use crate::engine::model::scalar::Timestamp;

/// How long librdkafka's full queue is waited for.
const FULL_WAIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

pub struct KafkaPublisher {
    shared: Arc<Shared>,
    /// None: closed.
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One publication on its way. Answered once, by its last record.
struct Batch {
    shared: Arc<Shared>,
    bytes: usize,
    left: AtomicUsize,
    results: Mutex<Vec<Option<Published>>>,
    failed: Mutex<Option<BrokerError>>,
    done: Mutex<Option<PublishDone>>,
}

struct Request {
    writes: Vec<Write>,
    batch: Arc<Batch>,
}

/// A record's way back to its publication.
pub struct Part {
    batch: Arc<Batch>,
    index: usize,
}

impl KafkaPublisher {
    pub fn start(shared: &Arc<Shared>) -> Result<Self, BrokerError> {
        let (requests, received) = channel();
        let producer = Appender::new(shared)?;
        let thread = vital::spawn("publisher", move || producer.run(&received))?;
        Ok(Self { shared: shared.clone(), requests: Mutex::new(Some(requests)), thread: Mutex::new(Some(thread)) })
    }

    /// Finishes what was accepted.
    pub fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&self, writes: Vec<Write>, done: PublishDone) {
        if let Err(stopping) = self.shared.check() {
            return done(Err(stopping));
        }
        if writes.is_empty() {
            return done(Ok(Vec::new()));
        }
        let bytes = writes.iter().map(weight).sum();
        let options = &self.shared.options;
        let requests = self.shared.queued_requests.fetch_add(1, Ordering::AcqRel);
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let batch = Arc::new(Batch {
            shared: self.shared.clone(),
            bytes,
            left: AtomicUsize::new(writes.len()),
            results: Mutex::new(vec![None; writes.len()]),
            failed: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let fits = requests < options.queue_requests_max && (queued == 0 || queued + bytes <= options.queue_bytes_max);
        if !fits {
            return batch.answer(Err(BrokerError::Busy));
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sent = requests.is_some_and(|requests| requests.send(Request { writes, batch: batch.clone() }).is_ok());
        if !sent {
            batch.answer(Err(BrokerError::Stopping));
        }
    }
}

fn weight(write: &Write) -> usize {
    write.key.len() + write.value.as_ref().map_or(0, Vec::len) + write.headers.bytes()
}

impl Batch {
    fn answer(&self, result: Result<Vec<Published>, BrokerError>) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            self.shared.queued_requests.fetch_sub(1, Ordering::AcqRel);
            self.shared.queued_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
            done(result);
        }
    }

    fn arrived(&self, index: usize, result: Result<Published, BrokerError>) {
        match result {
            Ok(published) => {
                let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = results.get_mut(index) {
                    *place = Some(published);
                }
            }
            Err(error) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let results = std::mem::take(&mut *self.results.lock().unwrap_or_else(PoisonError::into_inner));
        match failed {
            Some(error) => self.answer(Err(error)),
            None => {
                self.shared.announce();
                self.answer(Ok(results.into_iter().flatten().collect()));
            }
        }
    }
}

/// Owns the producer, and replaces it when it has failed for good.
struct Appender {
    shared: Arc<Shared>,
    producer: ThreadedProducer<Reports>,
}

impl Appender {
    fn new(shared: &Arc<Shared>) -> Result<Self, BrokerError> {
        Ok(Self { producer: producer(shared)?, shared: shared.clone() })
    }

    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(Request { writes, batch }) = requests.recv() {
            if self.producer.client().fatal_error().is_some() {
                match producer(&self.shared) {
                    Ok(fresh) => self.producer = fresh,
                    Err(error) => {
                        batch.answer(Err(error));
                        continue;
                    }
                }
            }
            // Refused whole before anything is sent.
            match writes.iter().map(|write| self.shared.place(write)).collect::<Result<Vec<u32>, _>>() {
                Ok(places) => self.append(&writes, places, &batch),
                Err(error) => batch.answer(Err(error)),
            }
        }
        // What was accepted is finished.
        let _ = self.producer.flush(FULL_WAIT);
    }

    fn append(&self, writes: &[Write], places: Vec<u32>, batch: &Arc<Batch>) {
        for (index, (write, partition)) in writes.iter().zip(places).enumerate() {
            let part = Box::new(Part { batch: batch.clone(), index });
            let mut record: BaseRecord<'_, [u8], [u8], Box<Part>> = BaseRecord::with_opaque_to(&write.topic, part)
                .partition(i32::try_from(partition).unwrap_or(i32::MAX))
                .key(write.key.as_slice())
                .headers(headers(write, None));
            record.payload = write.value.as_deref();
            let deadline = Instant::now() + FULL_WAIT;
            while let Err((error, unsent)) = self.producer.send(record) {
                let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                if !full || Instant::now() >= deadline {
                    batch.arrived(index, Err(storage("a record was not taken", &error)));
                    break;
                }
                record = unsent;
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn producer(shared: &Arc<Shared>) -> Result<ThreadedProducer<Reports>, BrokerError> {
    let made = shared.options.publisher().create_with_context(Reports { shared: shared.clone() });
    made.map_err(|error| storage("a producer could not be made", &error))
}

/// Delivery reports, on the producer's own thread.
struct Reports {
    shared: Arc<Shared>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.shared.unreachable.store(true, Ordering::Release);
        }
        unasked(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Part>;

    fn delivery(&self, result: &DeliveryResult<'_>, part: Box<Part>) {
        let arrived = match result {
            Ok(message) => {
                self.shared.unreachable.store(false, Ordering::Release);
                Ok(Published {
                    partition: u32::try_from(message.partition()).unwrap_or_default(),
                    offset: message.offset(),
                    timestamp: Timestamp(message.timestamp().to_millis().unwrap_or_default()),
                })
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                Err(named("a record was not stored", code))
            }
        };
        part.batch.arrived(part.index, arrived);
    }
}
