//! How many partitions each topic has, asked once: a partition count never changes under us.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::fault::storage;
use super::notes::{Noting, Trouble};
use super::settings::KafkaOptions;
use crate::broker::BrokerError;

const WAIT: Duration = Duration::from_secs(10);
/// One call's share of it.
const CALL: Duration = Duration::from_secs(2);
/// Of the client's events, taken at a time.
const EVENTS_MAX: usize = 100;

pub struct Topology {
    client: BaseConsumer<Noting>,
    trouble: Arc<Trouble>,
    counts: Mutex<HashMap<String, u32>>,
}

impl Topology {
    pub fn new(options: &KafkaOptions) -> Result<Self, BrokerError> {
        let trouble = Arc::new(Trouble::default());
        let client = options.admin().create_with_context(Noting(trouble.clone()));
        let client = client.map_err(|error| storage("a client could not be made", &error))?;
        Ok(Self { client, trouble, counts: Mutex::default() })
    }

    /// `UnknownTopic` if there is none.
    pub fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        if let Some(count) = self.counts().get(topic) {
            return Ok(*count);
        }
        let metadata = self.fetch(Some(topic))?;
        match counts(&metadata).find(|(name, _)| name == topic) {
            Some((_, count)) if count > 0 => {
                self.counts().insert(topic.to_owned(), count);
                Ok(count)
            }
            Some(_) | None => Err(BrokerError::UnknownTopic(topic.to_owned())),
        }
    }

    /// The cluster's own name for itself.
    pub fn cluster(&self) -> Result<String, BrokerError> {
        let deadline = Instant::now() + WAIT;
        loop {
            self.serve();
            if let Some(name) = self.client.client().fetch_cluster_id(CALL) {
                self.trouble.forget();
                return Ok(name);
            }
            self.serve();
            match self.trouble.lately() {
                Some(denied @ BrokerError::Denied(_)) => return Err(denied),
                told if Instant::now() >= deadline => {
                    let missing = "the broker did not say which cluster it belongs to";
                    return Err(told.unwrap_or_else(|| BrokerError::Storage(missing.to_owned())));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Every topic and its partitions, sorted; the broker's own are left out.
    pub fn topics(&self) -> Result<Vec<(String, u32)>, BrokerError> {
        let metadata = self.fetch(None)?;
        let mut topics: Vec<_> = counts(&metadata).filter(|(name, _)| !name.starts_with("__")).collect();
        topics.sort();
        Ok(topics)
    }

    /// Which of these the cluster does not have now, or does not show us; what was asked before is forgotten of those.
    pub fn missing<'t>(&self, wanted: impl Iterator<Item = &'t str>) -> Result<Vec<&'t str>, BrokerError> {
        let metadata = self.fetch(None)?;
        let present: BTreeSet<String> = counts(&metadata).map(|(name, _)| name).collect();
        let missing: Vec<&str> = wanted.filter(|topic| !present.contains(*topic)).collect();
        let mut known = self.counts();
        for topic in &missing {
            known.remove(*topic);
        }
        Ok(missing)
    }

    fn fetch(&self, topic: Option<&str>) -> Result<Metadata, BrokerError> {
        let deadline = Instant::now() + WAIT;
        loop {
            // Nothing else polls this client: its log lines should not pile up, and why nobody answers is told here.
            self.serve();
            match self.client.fetch_metadata(topic, CALL) {
                Ok(metadata) => {
                    self.trouble.forget();
                    return Ok(metadata);
                }
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                )) => return Err(BrokerError::UnknownTopic(topic.unwrap_or_default().to_owned())),
                Err(error) => {
                    self.serve();
                    match self.trouble.lately() {
                        Some(denied @ BrokerError::Denied(_)) => return Err(denied),
                        told if Instant::now() >= deadline => {
                            let what = "the broker did not say what topics there are";
                            return Err(told.unwrap_or_else(|| storage(what, &error)));
                        }
                        Some(_) | None => {}
                    }
                }
            }
        }
    }

    /// Lets the client say what it was told.
    fn serve(&self) {
        for _ in 0..EVENTS_MAX {
            // None is no end: a line of its log is an event, too, and why nobody answers may come after many.
            drop(self.client.poll(Duration::ZERO));
        }
    }

    /// Why the broker is not reached, if that is known.
    pub fn trouble(&self) -> Option<BrokerError> {
        self.trouble.lately()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic that there was an error about comes without partitions: its code is not looked at (`native/codes.rs`).
fn counts(metadata: &Metadata) -> impl Iterator<Item = (String, u32)> + '_ {
    let of = |topic: &rdkafka::metadata::MetadataTopic| {
        (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))
    };
    metadata.topics().iter().filter(|topic| !topic.partitions().is_empty()).map(of)
}
