//! Reads committed records: a few read-only connections, lent one call at a time.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::catalogue::Topic;
use super::layout;
use super::shared::{Shared, locked};
use crate::broker::{BrokerError, Reader, Record};
use crate::engine::model::scalar::Timestamp;

/// Connections kept for the next call; more are opened, and closed, when more calls come at once.
const IDLE_CONNECTIONS_MAX: usize = 4;

pub struct EmbeddedReader {
    pub shared: Arc<Shared>,
    pub idle: Mutex<Vec<Connection>>,
}

/// Records of one partition from an offset on, in order.
pub fn select(
    shared: &Shared,
    connection: &Connection,
    topic: &Topic,
    partition: u32,
    from: i64,
    records_max: usize,
    mut each: impl FnMut(Record) -> bool,
) -> Result<(), BrokerError> {
    let mut run = || -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT {} FROM {} WHERE off >= ?1 ORDER BY off LIMIT ?2",
            layout::COLUMNS,
            layout::table(topic.id, partition)
        ))?;
        let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
        for row in select.query_map(params![from, limit], layout::stored)? {
            if !each(record(topic, partition, row?)) {
                break;
            }
        }
        Ok(())
    };
    run().map_err(|error| shared.read_failed(&error))
}

pub fn record(topic: &Topic, partition: u32, stored: layout::Stored) -> Record {
    Record {
        topic: topic.name.clone(),
        partition,
        offset: stored.offset,
        timestamp: Timestamp(stored.timestamp),
        key: stored.key,
        value: stored.value,
        headers: stored.headers,
        fault: None,
    }
}

impl EmbeddedReader {
    /// Lends a connection for one call.
    pub fn lend<T>(&self, call: impl FnOnce(&Connection) -> Result<T, BrokerError>) -> Result<T, BrokerError> {
        let idle = locked(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => layout::open_reader(&self.shared.path)?,
        };
        let result = call(&connection);
        let mut idle = locked(&self.idle);
        if result.is_ok() && idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        result
    }

    fn partition(&self, topic: &str, partition: u32) -> Result<Arc<Topic>, BrokerError> {
        let topic = self.shared.topic(topic)?;
        if partition >= topic.spec.partitions {
            return Err(BrokerError::Mismatch(format!(
                "topic {} has {} partitions",
                topic.name, topic.spec.partitions
            )));
        }
        Ok(topic)
    }
}

impl Reader for EmbeddedReader {
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError> {
        let topic = self.partition(topic, partition)?;
        let mut records = Vec::new();
        self.lend(|connection| {
            select(&self.shared, connection, &topic, partition, from_offset, records_max, |record| {
                records.push(record);
                true
            })
        })?;
        Ok(records)
    }

    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        let topic = self.partition(topic, partition)?;
        Ok(topic.partitions.get(partition as usize).map_or(0, |log| log.end()))
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        Ok(self.shared.topic(topic)?.spec.partitions)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        Ok(self.shared.catalogue().topics.keys().map(ToString::to_string).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}
