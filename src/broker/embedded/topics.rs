//! Topics in the file: reading the catalogue at start, creating what is missing, refusing what differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::catalogue::{Catalogue, PartitionLog, Topic};
use super::compaction::Compaction;
use super::layout::{self, storage};
use super::shared::Shared;
use crate::broker::{BrokerError, TopicSpec};

/// The catalogue as the file has it.
pub fn read(connection: &Connection) -> Result<Catalogue, BrokerError> {
    read_rows(connection, &Catalogue::default()).map_err(|error| storage(&error))
}

fn read_rows(connection: &Connection, before: &Catalogue) -> rusqlite::Result<Catalogue> {
    let mut select = connection.prepare("SELECT id, name, partitions, compacted, retention_ms FROM topics")?;
    let mut rows = select.query([])?;
    let mut topics = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, name): (i64, String) = (row.get(0)?, row.get(1)?);
        let retention: Option<i64> = row.get(4)?;
        let retention = retention.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or_default()));
        let spec = TopicSpec { name, partitions: row.get(2)?, compacted: row.get(3)?, retention };
        let logs = (0..spec.partitions).map(|partition| log(connection, id, partition, &before.handed_bytes));
        let partitions = logs.collect::<rusqlite::Result<_>>()?;
        let name: Arc<str> = spec.name.as_str().into();
        topics.insert(name.clone(), Arc::new(Topic { id, name, spec, partitions }));
    }
    Ok(Catalogue { version: before.version + 1, handed_bytes: before.handed_bytes.clone(), topics })
}

fn log(
    connection: &Connection,
    topic: i64,
    partition: u32,
    handed_bytes: &Arc<AtomicUsize>,
) -> rusqlite::Result<Arc<PartitionLog>> {
    let floor: Option<(i64, i64)> = connection
        .prepare_cached("SELECT next_off, last_ts FROM floors WHERE topic = ?1 AND part = ?2")?
        .query_row(params![topic, partition], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let last: Option<(i64, i64)> = connection
        .prepare(&format!("SELECT off + 1, ts FROM {} ORDER BY off DESC LIMIT 1", layout::table(topic, partition)))?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (end, timestamp) = floor.max(last).unwrap_or((0, 0));
    Ok(Arc::new(PartitionLog::new(end, timestamp, handed_bytes.clone())))
}

/// What a compacted partition holds beyond the newest record of each key.
pub fn out_of_date(connection: &Connection, table: &str) -> Result<Compaction, BrokerError> {
    let scan = || -> rusqlite::Result<Compaction> {
        let mut compaction = Compaction::default();
        let mut select = connection.prepare(&format!("SELECT off, key, value IS NULL FROM {table} ORDER BY off"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            compaction.appended(row.get_ref(1)?.as_blob().unwrap_or_default(), row.get(0)?, row.get(2)?);
        }
        Ok(compaction)
    };
    scan().map_err(|error| storage(&error))
}

/// Which of them are missing or otherwise kept.
pub fn to_make<'s>(present: &Catalogue, specs: &'s [TopicSpec]) -> Result<Vec<&'s TopicSpec>, BrokerError> {
    for spec in specs {
        if let Some(topic) = present.topics.get(spec.name.as_str()) {
            refuse_mismatch(&topic.spec, spec)?;
        } else if spec.partitions == 0 {
            return Err(BrokerError::Mismatch(format!("topic {} needs at least one partition", spec.name)));
        }
    }
    let differs = |spec: &&TopicSpec| present.topics.get(spec.name.as_str()).is_none_or(|topic| topic.spec != **spec);
    Ok(specs.iter().filter(differs).collect())
}

/// Creates and adjusts, all or nothing. Only the writer thread calls this.
pub fn ensure(connection: &Connection, shared: &Shared, specs: &[TopicSpec]) -> Result<(), BrokerError> {
    let present = shared.catalogue();
    let wanted = to_make(&present, specs)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let result = write(connection, &wanted).and_then(|()| read_rows(connection, &present));
    let fresh = match result {
        Ok(fresh) => fresh,
        Err(error) => {
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            return Err(match layout::is_held(&error) {
                true => BrokerError::HeldByAnother(shared.path.display().to_string()),
                false => storage(&error),
            });
        }
    };
    shared.replace_catalogue(keep_partitions(&present, fresh));
    shared.note_commit(connection)
}

fn refuse_mismatch(present: &TopicSpec, wanted: &TopicSpec) -> Result<(), BrokerError> {
    if present.partitions != wanted.partitions {
        return Err(BrokerError::Mismatch(format!(
            "topic {} has {} partitions and {} were asked for: a partition count cannot be changed, as keys would move",
            present.name, present.partitions, wanted.partitions
        )));
    }
    if present.compacted != wanted.compacted {
        let is = if present.compacted { "compacted" } else { "not compacted" };
        return Err(BrokerError::Mismatch(format!("topic {} is {is}: that cannot be changed", present.name)));
    }
    Ok(())
}

fn write(connection: &Connection, wanted: &[&TopicSpec]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for spec in wanted {
        let retention = spec.retention.map(|kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let known: Option<i64> =
            connection.query_row("SELECT id FROM topics WHERE name = ?1", [&spec.name], |row| row.get(0)).optional()?;
        if let Some(id) = known {
            connection.execute("UPDATE topics SET retention_ms = ?2 WHERE id = ?1", params![id, retention])?;
            continue;
        }
        connection.execute(
            "INSERT INTO topics (name, partitions, compacted, retention_ms) VALUES (?1, ?2, ?3, ?4)",
            params![spec.name, spec.partitions, spec.compacted, retention],
        )?;
        let id = connection.last_insert_rowid();
        for partition in 0..spec.partitions {
            connection.execute_batch(&layout::create_table(id, partition))?;
        }
    }
    connection.execute_batch("COMMIT")
}

/// The partitions that threads already hold stay the same objects.
fn keep_partitions(present: &Catalogue, mut fresh: Catalogue) -> Catalogue {
    for (name, topic) in &mut fresh.topics {
        if let Some(before) = present.topics.get(name) {
            let (name, spec) = (name.clone(), topic.spec.clone());
            *topic = Arc::new(Topic { id: topic.id, name, spec, partitions: before.partitions.clone() });
        }
    }
    fresh
}
