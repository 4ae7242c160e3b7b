//! One lane's transactional producer: opened by the first record, settled by commit or abort, replaced when in doubt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use super::fault::{Fault, Remedy, gone, is_fenced, lacks_right, lacks_topic, named, storage, words};
use super::native::{is_member, transactions};
use super::notes::Deliveries;
use super::settings::KafkaOptions;
use crate::broker::{BrokerError, Write};

/// How long the same call is repeated before its result counts as unknown.
const PATIENCE: Duration = Duration::from_secs(15);
/// One call's share of it.
const CALL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

pub struct Transaction {
    options: KafkaOptions,
    transactional_id: String,
    producer: BaseProducer<Deliveries>,
    open: bool,
    /// Why the open transaction can only be aborted.
    failed: Option<BrokerError>,
    /// librdkafka has given the open transaction up, as where a record was refused, and takes no more for it.
    spoilt: bool,
    /// What the open transaction has records for.
    topics: BTreeSet<Arc<str>>,
    /// Something was delivered: aborting before the first delivery can be fatal to the producer.
    proven: bool,
}

/// How a transaction ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    Committed,
    Aborted,
    /// The commit was asked for and not answered. It is settled now, one way or the other: the committed offsets tell.
    Unknown,
}

impl Transaction {
    /// Fences whoever used the id before; what they left open is aborted.
    pub fn begin_with(options: &KafkaOptions, transactional_id: &str) -> Result<Self, BrokerError> {
        let producer = initialised(options, transactional_id)?;
        Ok(Self {
            options: options.clone(),
            transactional_id: transactional_id.to_owned(),
            producer,
            open: false,
            failed: None,
            spoilt: false,
            topics: BTreeSet::new(),
            proven: false,
        })
    }

    pub fn id(&self) -> &str {
        &self.transactional_id
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    fn open(&mut self) -> Result<(), BrokerError> {
        if !self.open {
            self.producer
                .begin_transaction()
                .map_err(|error| named("a transaction could not be begun", Fault::of(&error).code))?;
            self.open = true;
            (self.failed, self.spoilt) = (None, false);
            self.topics.clear();
            self.producer.context().take_failure();
        }
        Ok(())
    }

    /// Adds a record. What is wrong is told at the commit: until then the transaction is one that can only be aborted.
    /// `writer`: a header with our transactional id, so that others can fence us if we die.
    pub fn write(&mut self, write: &Write, partition: Result<u32, BrokerError>, writer: Option<&str>) {
        let written = self.open().and(partition).and_then(|partition| match self.spoilt {
            true => Ok(()),
            false => self.send(write, partition, writer),
        });
        if !self.topics.contains(&write.topic) {
            self.topics.insert(write.topic.clone());
        }
        if let Err(error) = written {
            let error = match error {
                BrokerError::UnknownTopic(topic) => gone([topic.as_str()]),
                other => other,
            };
            self.open = true;
            self.failed.get_or_insert(error);
        }
    }

    fn send(&mut self, write: &Write, partition: u32, writer: Option<&str>) -> Result<(), BrokerError> {
        let mut record = record(write, partition, writer);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent))
                    if Instant::now() < deadline =>
                {
                    record = unsent;
                    self.producer.poll(PAUSE);
                }
                // Why, the commit finds out.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::State), _)) => {
                    self.spoilt = true;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(code), _)) if lacks_topic(code) => {
                    return Err(gone([&*write.topic]));
                }
                Err((error, _)) => return Err(storage("a record was not taken", &error)),
            }
        }
    }

    /// Opened without a record: a commit of positions alone.
    pub fn ensure_open(&mut self) {
        if let Err(error) = self.open() {
            self.open = true;
            self.failed.get_or_insert(error);
        }
    }

    /// Commits records and positions, or aborts both. Err: aborted, and for a reason that the lane must hear.
    pub fn commit<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        positions: &TopicPartitionList,
    ) -> Result<Settled, BrokerError> {
        self.producer.poll(Duration::ZERO);
        if let Some(error) = self.failed.take() {
            self.abort_after(error)?;
        }
        if positions.count() > 0 && !self.spoilt {
            if consumer.assignment_lost() || !is_member(consumer) {
                return self.abort().map(|()| Settled::Aborted);
            }
            if let Some(settled) = self.send_positions(consumer, positions)? {
                return Ok(settled);
            }
        }
        let Err(fault) = self.repeated(|producer| transactions::commit(producer, CALL)) else {
            (self.open, self.proven) = (false, true);
            if self.spoilt {
                return Err(BrokerError::Storage(
                    "a transaction was committed that had not taken all its records".to_owned(),
                ));
            }
            return Ok(Settled::Committed);
        };
        tracing::warn!(code = words(fault.code), "a transaction was not committed");
        if let Some(refused) = self.refused(&fault) {
            self.abort_after(refused)?;
        }
        let settled = match fault.remedy() {
            Remedy::Leave => self.leave(),
            Remedy::Abort => self.abort().map(|()| Settled::Aborted),
            Remedy::Repeat | Remedy::Rebuild => self.rebuild().map(|()| Settled::Unknown),
        };
        settled.map_err(|error| self.of_missing(error))
    }

    /// Aborts, and answers why. That an abort fails, as over a topic that is gone, is of no help to anybody.
    fn abort_after(&mut self, why: BrokerError) -> Result<(), BrokerError> {
        if let Err(error) = self.abort() {
            tracing::debug!(%error, "an abort failed, too");
        }
        Err(why)
    }

    /// Where a topic of the transaction is gone, Kafka may say that another has our name: it cannot end the transaction.
    fn of_missing(&self, error: BrokerError) -> BrokerError {
        let missing = if error == BrokerError::Fenced { self.missing() } else { BTreeSet::new() };
        if missing.is_empty() { error } else { gone(missing.iter().map(|topic| &**topic)) }
    }

    /// None: they are part of the transaction.
    fn send_positions<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        positions: &TopicPartitionList,
    ) -> Result<Option<Settled>, BrokerError> {
        let sent = self.repeated(|producer| transactions::send_positions(producer, consumer, positions, CALL));
        let Err(fault) = sent else { return Ok(None) };
        if lacks_right(fault.code) {
            self.abort_after(named("how far was read could not be stored", fault.code))?;
        }
        tracing::info!(code = words(fault.code), "the broker refused a batch's positions; the batch is done again");
        let settled = match fault.remedy() {
            Remedy::Leave => self.leave(),
            Remedy::Abort => self.abort(),
            Remedy::Repeat | Remedy::Rebuild => self.rebuild(),
        };
        settled.map_err(|error| self.of_missing(error))?;
        Ok(Some(Settled::Aborted))
    }

    /// A record of this transaction was not taken for want of a right, or of its topic: doing the batch again would not help.
    fn refused(&self, fault: &Fault) -> Option<BrokerError> {
        let record = self.producer.context().take_failure();
        let codes = [Some(fault.code), record.as_ref().map(|(code, _)| *code)];
        let denied = match record.filter(|(code, _)| lacks_right(*code)) {
            None if lacks_right(fault.code) => Some((fault.code, "a topic that librdkafka's lines name".to_owned())),
            record => record,
        };
        if let Some((code, topic)) = denied {
            return Some(named(&format!("a record could not be written to {topic}"), code));
        }
        if !codes.into_iter().flatten().any(lacks_topic) {
            return None;
        }
        let missing = self.missing();
        (!missing.is_empty()).then(|| gone(missing.iter().map(|topic| &**topic)))
    }

    /// Which topics of this transaction the cluster does not have: what a record was refused with may be named of any of them. None where it does
    /// not say, or has them all, as one that is just being made.
    fn missing(&self) -> BTreeSet<Arc<str>> {
        let Ok(metadata) = self.producer.client().fetch_metadata(None, CALL) else { return BTreeSet::new() };
        let present: BTreeSet<&str> =
            metadata.topics().iter().filter(|topic| !topic.partitions().is_empty()).map(MetadataTopic::name).collect();
        self.topics.iter().filter(|topic| !present.contains(&***topic)).cloned().collect()
    }

    /// Another has our id: nothing of ours is left to settle.
    fn leave<T>(&mut self) -> Result<T, BrokerError> {
        self.open = false;
        Err(BrokerError::Fenced)
    }

    /// The same call until it is answered, or patience ends.
    fn repeated(&self, mut call: impl FnMut(&BaseProducer<Deliveries>) -> Result<(), Fault>) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match call(&self.producer) {
                Err(fault) if fault.remedy() == Remedy::Repeat && Instant::now() < deadline => {
                    self.producer.poll(PAUSE);
                }
                answer => return answer,
            }
        }
    }

    /// Everything since the last commit is gone afterwards.
    pub fn abort(&mut self) -> Result<(), BrokerError> {
        self.failed = None;
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        if !self.proven {
            let _ = self.producer.flush(CALL * 2);
            self.proven = true;
        }
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let aborted = self.repeated(|producer| {
            producer.poll(Duration::ZERO);
            transactions::abort(producer, CALL)
        });
        match aborted {
            Ok(()) => {
                self.drain();
                Ok(())
            }
            Err(fault) if is_fenced(fault.code) => Err(BrokerError::Fenced),
            Err(fault) => {
                tracing::warn!(code = words(fault.code), "an abort was not answered");
                self.rebuild()
            }
        }
    }

    /// The lane ends: a short try to tell the broker. If it fails, the successor's start or a time-out settles it.
    pub fn abandon(&mut self) {
        if std::mem::take(&mut self.open) {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.producer.poll(Duration::ZERO);
            if let Err(fault) = transactions::abort(&self.producer, CALL) {
                tracing::debug!(code = %fault.code, "an open transaction was left to time out");
            }
        }
    }

    /// Reports of purged records must be read, else the next commit is refused.
    fn drain(&self) {
        let deadline = Instant::now() + CALL;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(PAUSE);
        }
        self.producer.poll(Duration::ZERO);
        self.producer.context().take_failure();
    }

    /// A new producer under the same id: the broker settles what the old one left, and a late word of the old one's
    /// is refused.
    fn rebuild(&mut self) -> Result<(), BrokerError> {
        self.open = false;
        self.failed = None;
        self.proven = false;
        self.producer = initialised(&self.options, &self.transactional_id)?;
        Ok(())
    }
}

/// Whoever holds this id is fenced, and its open transaction aborted.
pub fn fence(options: &KafkaOptions, transactional_id: &str) -> Result<(), BrokerError> {
    match initialised(options, transactional_id) {
        // Somebody else began with it meanwhile, which ends that transaction as well. It is not us who was fenced.
        Ok(_) | Err(BrokerError::Fenced) => Ok(()),
        Err(error) => Err(error),
    }
}

fn initialised(options: &KafkaOptions, transactional_id: &str) -> Result<BaseProducer<Deliveries>, BrokerError> {
    let producer: BaseProducer<Deliveries> = options
        .transactional(transactional_id)
        .create_with_context(Deliveries::default())
        .map_err(|error| storage("a producer", &error))?;
    let deadline = Instant::now() + PATIENCE * 2;
    loop {
        let Err(fault) = transactions::init(&producer, CALL * 5) else { return Ok(producer) };
        // As while the marks of the transaction that it ends are written.
        let is_early = fault.remedy() == Remedy::Repeat || fault.code == RDKafkaErrorCode::ConcurrentTransactions;
        if !is_early || Instant::now() >= deadline {
            return Err(named("transactions could not be begun", fault.code));
        }
        producer.poll(PAUSE);
    }
}

/// Names the lane that wrote a record.
pub const WRITER: &str = "writer";

fn record<'a>(write: &'a Write, partition: u32, writer: Option<&str>) -> BaseRecord<'a, [u8], [u8]> {
    let mut record = BaseRecord::to(&write.topic)
        .partition(i32::try_from(partition).unwrap_or(i32::MAX))
        .key(write.key.as_slice())
        .headers(headers(write, writer));
    record.payload = write.value.as_deref();
    record
}

/// A record's headers, as librdkafka takes them.
pub fn headers(write: &Write, writer: Option<&str>) -> OwnedHeaders {
    let count = write.headers.count() + usize::from(writer.is_some());
    let mut headers = OwnedHeaders::new_with_capacity(count);
    for (key, value) in write.headers.iter() {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    if let Some(writer) = writer {
        headers = headers.insert(Header { key: WRITER, value: Some(writer) });
    }
    headers
}
