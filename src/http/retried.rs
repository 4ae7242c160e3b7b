//! Which records of quarantine were sent again: each has a mark on the same topic, under its id and without content.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Gateway;
use super::publish::header;
use super::quarantine::TOPIC;
use crate::broker::{BrokerError, Placement, Reader, Record, Write};
use crate::engine::model::scalar::Timestamp;

/// The header of a mark.
const RETRIED: &str = "retried";
const CHUNK_RECORDS: usize = 500;

/// Every mark read so far.
#[derive(Default)]
pub struct Retried {
    /// Of each partition.
    next_offsets: BTreeMap<u32, i64>,
    /// When, by the record's id; the last time counts.
    at: BTreeMap<String, Timestamp>,
}

pub fn mark(id: &str) -> Write {
    Write {
        topic: TOPIC.into(),
        placement: Placement::ByKey,
        key: id.as_bytes().to_vec(),
        value: None,
        headers: vec![header(RETRIED, "true")].into(),
    }
}

impl Retried {
    fn read(&mut self, reader: &dyn Reader) -> Result<(), BrokerError> {
        for partition in 0..reader.partitions(TOPIC)? {
            loop {
                let next = self.next_offsets.entry(partition).or_default();
                let records = reader.read(TOPIC, partition, *next, CHUNK_RECORDS)?;
                let Some(last) = records.last() else { break };
                *next = last.offset + 1;
                records.into_iter().for_each(|record| self.take(record));
            }
        }
        Ok(())
    }

    fn take(&mut self, record: Record) {
        let is_mark = record.value.is_none() && record.headers.iter().any(|(name, _)| name == RETRIED);
        if let (true, Ok(id)) = (is_mark, String::from_utf8(record.key)) {
            self.at.insert(id, record.timestamp);
        }
    }
}

impl Gateway {
    /// Reads on to the end of the marks, and lets go of those whose records quarantine keeps no longer. Waits for the broker:
    /// not for a thread of the runtime.
    pub fn read_retried(&self) -> Result<(), BrokerError> {
        let oldest = self.now().plus_millis(-i64::try_from(self.quarantine_kept.as_millis()).unwrap_or(i64::MAX));
        let mut retried = self.retried.lock().unwrap_or_else(PoisonError::into_inner);
        retried.read(&*self.reader)?;
        retried.at.retain(|_, at| *at >= oldest);
        Ok(())
    }

    /// When a record was sent again, as far as was read.
    pub fn retried_at(&self, id: &str) -> Option<Timestamp> {
        self.retried.lock().unwrap_or_else(PoisonError::into_inner).at.get(id).copied()
    }
}
