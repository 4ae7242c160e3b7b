//! The log engine that a configuration names.

use std::path::Path;
use std::sync::Arc;

use super::CliError;
use crate::broker::embedded::{Embedded, EmbeddedOptions, Expected};
use crate::broker::kafka::Kafka;
use crate::broker::kafka::index::IndexOptions;
use crate::broker::kafka::settings::KafkaOptions;
use crate::broker::{self, BrokerError};
use crate::config::broker::Broker;
use crate::config::secrets::others_may_read;
use crate::config::{self, Config};
use crate::runtime::topics::{FEEDBACK_PREFIX, TASKS_PREFIX, schema_of};
use crate::wire::Wire;
use crate::wire::framed::Framed;

/// Opens it. An embedded one is refused while another process has its file, and unless `expected` is what is there.
pub fn open(config: &Config, expected: Expected) -> Result<Arc<dyn broker::Broker>, CliError> {
    Ok(match &config.broker {
        Broker::Embedded { file } => Arc::new(embedded(config, file, expected).map_err(CliError::failed)?),
        Broker::Kafka(kafka) => {
            let prefixes = vec![TASKS_PREFIX.to_owned(), FEEDBACK_PREFIX.to_owned()];
            let index = IndexOptions { file: kafka.index_file.clone(), prefixes };
            let options = KafkaOptions { index: Some(index), ..kafka_options(config, kafka) };
            let log: Arc<dyn broker::Broker> = Arc::new(Kafka::open(options).map_err(CliError::failed)?);
            match wire(config)? {
                Some(wire) => Arc::new(Framed::new(log, Arc::new(wire))),
                None => log,
            }
        }
    })
}

/// Opens the log in this file.
pub fn embedded(config: &Config, file: &Path, expected: Expected) -> Result<Embedded, BrokerError> {
    if others_may_read(file) {
        let file = file.display();
        tracing::warn!(%file, "anyone on this machine could read the data file: it is its owner's alone from now on");
    }
    Embedded::open(EmbeddedOptions {
        queue_requests_max: config.limits.queue_requests,
        expected,
        belongs_to: config.keys.fingerprints(),
        ..EmbeddedOptions::new(file)
    })
}

/// What frames records for the configured registry, if there is one.
pub fn wire(config: &Config) -> Result<Option<Wire>, CliError> {
    let wire = config.registry.as_ref().map(|registry| Wire::new(registry, schema_of));
    wire.transpose().map_err(CliError::failed)
}

pub fn open_kafka(config: &Config, kafka: &config::broker::Kafka) -> Result<Kafka, CliError> {
    Kafka::open(kafka_options(config, kafka)).map_err(CliError::failed)
}

fn kafka_options(config: &Config, kafka: &config::broker::Kafka) -> KafkaOptions {
    let copies = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    KafkaOptions {
        properties: kafka.properties.0.clone(),
        replication: copies(kafka.replication),
        min_in_sync: copies(kafka.min_in_sync),
        commit_interval: kafka.commit_interval,
        queue_requests_max: config.limits.queue_requests,
        ..KafkaOptions::new(&kafka.bootstrap, &kafka.instance)
    }
}
