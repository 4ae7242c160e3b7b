//! Apache Kafka as the log: any number of instances share its partitions, and nothing is lost or published twice
//! whichever of them dies. Everything that knows librdkafka lies in this folder.
//!
//! Where it differs from the embedded broker, because Kafka does: times are the broker's clocks' (keep them in step);
//! retention is Kafka's own and does not wait for readers; a publication of several records whose broker fails
//! half-way is answered with an error though some lie there, so senders' ids must let receivers drop a repetition.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rdkafka::consumer::BaseConsumer;

use self::backlog::Backlog;
use self::fault::storage;
use self::index::IndexedReader;
use self::lane::KafkaLane;
use self::notes::Quiet;
use self::position::stored_position;
use self::publisher::KafkaPublisher;
use self::reader::KafkaReader;
use self::settings::KafkaOptions;
use self::shared::Shared;
use super::{Broker, BrokerError, Health, LaneBroker, LanePlan, LaneShare, Publisher, Reader, TopicSpec};
use crate::engine::model::scalar::Timestamp;

pub mod access;
pub mod admin;
mod arrivals;
mod backlog;
mod fault;
mod fencing;
mod hanging;
pub mod index;
mod lane;
mod namesakes;
mod native;
mod notes;
mod passed_over;
mod position;
mod publisher;
mod reader;
mod restore;
mod seat;
pub mod settings;
mod shared;
mod standing;
mod topology;
mod transaction;
mod watch;

pub struct Kafka {
    shared: Arc<Shared>,
    publisher: Arc<KafkaPublisher>,
    reader: Arc<KafkaReader>,
    indexed: Option<Arc<IndexedReader>>,
    watchers: Mutex<Vec<JoinHandle<()>>>,
    /// Of each group that was asked about.
    backlogs: Mutex<BTreeMap<String, Backlog>>,
}

impl Kafka {
    /// Does not wait for the broker to be there: the first call that needs it does.
    pub fn open(options: KafkaOptions) -> Result<Self, BrokerError> {
        let index = options.index.clone();
        let shared = Shared::new(options)?;
        let reader = Arc::new(KafkaReader::new(shared.clone()));
        let indexed = index.map(|index| IndexedReader::start(&shared, index, reader.clone()).map(Arc::new));
        Ok(Self {
            publisher: Arc::new(KafkaPublisher::start(&shared)?),
            indexed: indexed.transpose()?,
            reader,
            watchers: Mutex::new(watch::start(&shared)?),
            backlogs: Mutex::default(),
            shared,
        })
    }

    /// How many copies must have a record before it counts.
    pub fn min_in_sync(&self) -> i32 {
        self.shared.options.min_in_sync
    }

    /// The rights there are against those wanted, on these topics.
    pub fn plan_rights(
        &self,
        wanted: &BTreeSet<access::Right>,
        topics: &BTreeSet<String>,
    ) -> Result<access::RightChanges, BrokerError> {
        access::plan(&self.shared, wanted, topics)
    }

    pub fn grant(&self, changes: &access::RightChanges) -> Result<(), BrokerError> {
        access::apply(&self.shared, changes)
    }

    /// What `ensure_topics` would do.
    pub fn plan_topics(&self, topics: &[TopicSpec]) -> Result<admin::TopicChanges, BrokerError> {
        admin::plan(&self.shared, topics)
    }
}

impl Broker for Kafka {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        self.shared.check()?;
        admin::apply(&self.shared, &admin::plan(&self.shared, topics)?)
    }

    /// `share` names the lane; which partitions it reads is the group's affair.
    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError> {
        self.shared.check()?;
        Ok(Box::new(KafkaLane::open(self.shared.clone(), plan, share)?))
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        self.publisher.clone()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        match &self.indexed {
            Some(indexed) => indexed.clone(),
            None => self.reader.clone(),
        }
    }

    fn health(&self) -> Health {
        if self.shared.stopping.load(Ordering::Acquire) {
            Health::Stopped
        } else if self.shared.unreachable.load(Ordering::Acquire) {
            let told = self.shared.topology.trouble().map(|told| told.to_string());
            Health::Unreachable(told.unwrap_or_else(|| "no Kafka broker can be reached".to_owned()))
        } else if self.indexed.as_ref().is_some_and(|indexed| !indexed.is_caught_up()) {
            Health::CatchingUp
        } else {
            Health::Ready
        }
    }

    fn queued(&self) -> (usize, usize) {
        (self.shared.queued_requests.load(Ordering::Relaxed), self.shared.options.queue_requests_max)
    }

    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError> {
        self.shared.check()?;
        self.shared.topology.partitions(topic)?;
        let consumer: BaseConsumer<Quiet> = self
            .shared
            .options
            .tail_consumer("position", group)
            .create_with_context(Quiet)
            .map_err(|error| storage("a consumer could not be made", &error))?;
        let deadline = std::time::Instant::now() + watch::POSITION_WITHIN;
        loop {
            match stored_position(&consumer, &(topic.into(), partition)) {
                Err(_) if std::time::Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn warnings(&self) -> Vec<String> {
        let namesakes = self.shared.namesakes.sentences(&self.shared.options.instance);
        [self.shared.waited_for(), self.shared.passed_over.sentences(), namesakes].concat()
    }

    fn is_doubled(&self) -> bool {
        self.shared.namesakes.is_doubled()
    }

    fn passed_over(&self) -> u64 {
        self.shared.passed_over.count()
    }

    fn left_unread(&self, group: &str, prefixes: &[String]) -> Result<Option<Timestamp>, BrokerError> {
        self.shared.check()?;
        let mut backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        let backlog = match backlogs.entry(group.to_owned()) {
            Entry::Occupied(present) => present.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Backlog::new(&self.shared, &self.reader, group)?),
        };
        backlog.oldest(prefixes)
    }

    /// Kafka deletes by itself what is past a topic's retention.
    fn delete_expired(&self) -> Result<u64, BrokerError> {
        self.shared.check().map(|()| 0)
    }

    fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.publisher.close();
        if let Some(indexed) = &self.indexed {
            indexed.join();
        }
        let watchers = std::mem::take(&mut *self.watchers.lock().unwrap_or_else(PoisonError::into_inner));
        for watcher in watchers {
            let _ = watcher.join();
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.close();
    }
}
