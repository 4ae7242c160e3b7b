//! Committed records at any offset, through consumers that belong to no group.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use tokio::sync::watch;

use super::native::Drawn;
use super::restore::Tail;
use super::settings::READERS;
use super::shared::Shared;
use crate::broker::{BrokerError, Reader, Record};

/// Consumers kept for the next read.
const KEPT_MAX: usize = 4;
const DRAW_MAX: usize = 500;
const DRAW_WAIT: Duration = Duration::from_millis(50);
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

pub struct KafkaReader {
    shared: Arc<Shared>,
    kept: Mutex<Vec<Tail>>,
}

impl KafkaReader {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, kept: Mutex::default() }
    }

    fn lend<T>(&self, with: impl FnOnce(&mut Tail) -> Result<T, BrokerError>) -> Result<T, BrokerError> {
        self.shared.check()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tail = match kept {
            Some(tail) => tail,
            None => Tail::new(&self.shared.options.tail_consumer("reader", READERS))?,
        };
        let result = with(&mut tail);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // One that failed is not used again.
        if result.is_ok() && kept.len() < KEPT_MAX {
            kept.push(tail);
        }
        result
    }

    fn check_partition(&self, topic: &str, partition: u32) -> Result<(), BrokerError> {
        let partitions = self.shared.topology.partitions(topic)?;
        if partition < partitions {
            return Ok(());
        }
        Err(BrokerError::Mismatch(format!("topic {topic} has {partitions} partitions, none is number {partition}")))
    }
}

impl Reader for KafkaReader {
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from_offset: i64,
        records_max: usize,
    ) -> Result<Vec<Record>, BrokerError> {
        self.check_partition(topic, partition)?;
        self.lend(|tail| {
            let (first, end) = tail.bounds(topic, partition)?;
            let from = from_offset.max(first);
            if from >= end || records_max == 0 {
                return Ok(Vec::new());
            }
            tail.start(topic, partition, Offset::Offset(from))?;
            let read = read_until(tail, (topic, partition), from, end, records_max);
            tail.stop();
            read
        })
    }

    /// Control records take offsets too: the newest record may lie further back than one.
    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        self.check_partition(topic, partition)?;
        self.lend(|tail| Ok(tail.bounds(topic, partition)?.1))
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        self.shared.topology.partitions(topic)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        Ok(self.shared.topology.topics()?.into_iter().map(|(name, _)| name).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

fn read_until(
    tail: &mut Tail,
    place: (&str, u32),
    from: i64,
    end: i64,
    records_max: usize,
) -> Result<Vec<Record>, BrokerError> {
    let mut records = Vec::new();
    let mut position = from;
    let mut drawn = Vec::new();
    let mut moved_at = Instant::now();
    while position < end {
        tail.draw(DRAW_MAX, DRAW_WAIT, &mut drawn);
        let before = position;
        for look in drawn.drain(..) {
            match look {
                Drawn::Record(record) if is_at(&record.topic, record.partition, place) && record.offset >= position => {
                    position = record.offset + 1;
                    records.push(record);
                    if records.len() >= records_max {
                        return Ok(records);
                    }
                }
                Drawn::End { topic, partition, offset } if is_at(&topic, partition, place) => {
                    position = position.max(offset);
                }
                Drawn::Record(_) | Drawn::End { .. } => {}
                Drawn::Fault { code, .. } => return Err(super::fault::named("a partition could not be read", code)),
            }
        }
        if position > before {
            moved_at = Instant::now();
        } else if moved_at.elapsed() > GIVE_UP_AFTER {
            return Err(BrokerError::Storage("the broker did not answer a reader in time".to_owned()));
        }
    }
    Ok(records)
}

fn is_at(topic: &str, partition: u32, place: (&str, u32)) -> bool {
    (topic, partition) == place
}
