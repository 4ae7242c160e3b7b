//! How many partitions each topic has, asked once: a partition count never changes under us.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::fault::storage;
use super::notes::Quiet;
use super::settings::KafkaOptions;
use crate::broker::BrokerError;

const WAIT: Duration = Duration::from_secs(10);

pub struct Topology {
    client: BaseConsumer<Quiet>,
    counts: Mutex<HashMap<String, u32>>,
}

impl Topology {
    pub fn new(options: &KafkaOptions) -> Result<Self, BrokerError> {
        let client = options.admin().create_with_context(Quiet).map_err(|error| storage("a client", &error))?;
        Ok(Self { client, counts: Mutex::default() })
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

    /// Every topic and its partitions, sorted; the broker's own are left out.
    pub fn topics(&self) -> Result<Vec<(String, u32)>, BrokerError> {
        let metadata = self.fetch(None)?;
        let mut topics: Vec<_> = counts(&metadata).filter(|(name, _)| !name.starts_with("__")).collect();
        topics.sort();
        Ok(topics)
    }

    fn fetch(&self, topic: Option<&str>) -> Result<Metadata, BrokerError> {
        // Nothing else polls this client, and its log lines should not pile up.
        drop(self.client.poll(Duration::ZERO));
        match self.client.fetch_metadata(topic, WAIT) {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            )) => Err(BrokerError::UnknownTopic(topic.unwrap_or_default().to_owned())),
            other => other.map_err(|error| storage("the broker did not say what topics there are", &error)),
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counts(metadata: &Metadata) -> impl Iterator<Item = (String, u32)> + '_ {
    let of = |topic: &rdkafka::metadata::MetadataTopic| {
        (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))
    };
    metadata.topics().iter().filter(|topic| topic.error().is_none()).map(of)
}
