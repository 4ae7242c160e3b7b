//! Deleting what is past its topic's retention, but never what a group has yet to read.

use std::sync::mpsc::{Sender, sync_channel};

use rusqlite::{Connection, OptionalExtension, params};

use super::catalogue::Topic;
use super::layout::{self, storage};
use super::shared::Shared;
use super::writer::Request;
use crate::broker::BrokerError;

/// Records deleted in one transaction: others wait no longer than this takes.
const SLICE_RECORDS: u32 = 4000;

/// One pass over every topic; answers how many records went.
pub fn pass(connection: &Connection, shared: &Shared, requests: &Sender<Request>) -> Result<u64, BrokerError> {
    let now = (shared.clock)().0;
    let mut deleted = 0;
    for topic in shared.catalogue().topics.values() {
        let Some(retention) = topic.spec.retention.filter(|_| !topic.spec.compacted) else { continue };
        let before = now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        for partition in 0..topic.spec.partitions {
            let below = first_to_keep(connection, shared, topic, partition, before)?;
            deleted += delete(requests, topic.id, partition, below)?;
        }
    }
    Ok(deleted)
}

fn first_to_keep(
    connection: &Connection,
    shared: &Shared,
    topic: &Topic,
    partition: u32,
    before: i64,
) -> Result<i64, BrokerError> {
    let by_age = first_since(connection, topic, partition, before)?;
    Ok(first_unread(connection, shared, topic, partition)?.map_or(by_age, |unread| by_age.min(unread)))
}

/// The first offset appended at or after `instant`, by halving: times never decrease within a partition.
fn first_since(connection: &Connection, topic: &Topic, partition: u32, instant: i64) -> Result<i64, BrokerError> {
    let end = topic.partitions.get(partition as usize).map_or(0, |log| log.end());
    let table = layout::table(topic.id, partition);
    let sql = format!("SELECT off, ts FROM {table} WHERE off >= ?1 ORDER BY off LIMIT 1");
    let mut at = connection.prepare_cached(&sql).map_err(|error| storage(&error))?;
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = at
            .query_row(params![middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|error| storage(&error))?;
        match found {
            Some((offset, timestamp)) if timestamp < instant => low = offset + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The lowest position of the groups that read this partition; None when none does.
fn first_unread(
    connection: &Connection,
    shared: &Shared,
    topic: &Topic,
    partition: u32,
) -> Result<Option<i64>, BrokerError> {
    let stored: Vec<(String, i64)> = connection
        .prepare_cached("SELECT consumers, next_off FROM positions WHERE topic = ?1 AND part = ?2")
        .and_then(|mut select| {
            select.query_map(params![topic.id, partition], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .map_err(|error| storage(&error))?;
    let began = |group: &str| stored.iter().any(|(name, _)| name == group);
    if shared.groups_reading(&topic.name).iter().any(|group| !began(group)) {
        return Ok(Some(0));
    }
    Ok(stored.iter().map(|(_, next)| *next).min())
}

fn delete(requests: &Sender<Request>, topic: i64, partition: u32, below: i64) -> Result<u64, BrokerError> {
    let mut deleted = 0;
    loop {
        let (answer, answered) = sync_channel(1);
        let request = Request::Delete { topic, partition, below, records_max: SLICE_RECORDS, answer };
        requests.send(request).map_err(|_| BrokerError::Stopping)?;
        let went = answered.recv().map_err(|_| BrokerError::Stopping)??;
        deleted += went;
        if went < u64::from(SLICE_RECORDS) {
            return Ok(deleted);
        }
    }
}
