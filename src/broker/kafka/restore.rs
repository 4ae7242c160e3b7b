//! Reads a compacted partition whole: up to its end as a reader of open transactions sees it, waiting those out or
//! fencing their dead writer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::fault::storage;
use super::native::{Drawn, Queue};
use super::notes::Quiet;
use super::seat::add;
use super::settings::KafkaOptions;
use super::transaction::{WRITER, fence};
use crate::broker::{BrokerError, Record};

/// Records taken at a time, and how long one look waits.
const DRAW_MAX: usize = 500;
const DRAW_WAIT: Duration = Duration::from_millis(50);
/// An open transaction that blocks for this long is taken for a dead one's.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);
/// Nothing moved for this long: give up, and let the lane start again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(5);

/// Reads named partitions, outside any group.
pub struct Tail {
    queue: Queue,
    consumer: BaseConsumer<Quiet>,
}

impl Tail {
    pub fn new(config: &rdkafka::ClientConfig) -> Result<Self, BrokerError> {
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet).map_err(|error| storage("a reader could not be made", &error))?;
        let missing = || BrokerError::Storage("a queue could not be made".to_owned());
        Ok(Self { queue: Queue::of(&consumer).ok_or_else(missing)?, consumer })
    }

    pub fn start(&self, topic: &str, partition: u32, offset: Offset) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::new();
        add(&mut list, topic, partition, offset);
        self.queue.forward(topic, partition);
        self.consumer.assign(&list).map_err(|error| storage("a partition could not be read", &error))
    }

    pub fn stop(&self) {
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "a reader kept its partition");
        }
    }

    /// What was fetched. Serves the client's own events too.
    pub fn draw(&mut self, max: usize, wait: Duration, into: &mut Vec<Drawn>) {
        // Stale errors of connections: whoever reads hears of real ones through the queue.
        drop(self.consumer.poll(Duration::ZERO));
        self.queue.draw(max, wait, into);
    }

    /// First and next offset, as this reader may see them.
    pub fn bounds(&self, topic: &str, partition: u32) -> Result<(i64, i64), BrokerError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let bounds = self.consumer.fetch_watermarks(topic, number, WAIT);
        bounds.map_err(|error| storage("a partition's end is not known", &error))
    }
}

/// Restores partitions of one topic, one after the other.
pub struct Restorer {
    options: KafkaOptions,
    committed: Tail,
    uncommitted: Tail,
    topic: std::sync::Arc<str>,
    /// Ours: never fenced.
    transactional_id: String,
}

impl Restorer {
    pub fn new(
        options: &KafkaOptions,
        group: &str,
        topic: std::sync::Arc<str>,
        transactional_id: &str,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            committed: Tail::new(&options.tail_consumer("restore", group))?,
            uncommitted: Tail::new(&options.uncommitted_consumer(group))?,
            options: options.clone(),
            topic,
            transactional_id: transactional_id.to_owned(),
        })
    }

    /// `alive` is called between looks: it serves the group, and refuses when the partition is another's by now.
    pub fn restore<'a>(
        &'a mut self,
        partition: u32,
        alive: &'a mut dyn FnMut() -> Result<(), BrokerError>,
    ) -> Result<Restoring<'a>, BrokerError> {
        let (_, end) = self.uncommitted.bounds(&self.topic, partition)?;
        self.committed.start(&self.topic, partition, Offset::Beginning)?;
        let now = Instant::now();
        Ok(Restoring {
            restorer: self,
            alive,
            partition,
            position: 0,
            end,
            waiting: VecDeque::new(),
            moved_at: now,
            fenced_at: now,
            ended: false,
        })
    }

    /// Fences the writer whose transaction is the first that is open in a partition. False: none is open, or it
    /// is not known whose it is.
    pub fn fence_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        let (_, stable) = self.committed.bounds(&self.topic, partition)?;
        let (_, end) = self.uncommitted.bounds(&self.topic, partition)?;
        if stable >= end {
            return Ok(false);
        }
        let writer = self.writer_at(partition, stable)?;
        let Some(writer) = writer.filter(|writer| *writer != self.transactional_id) else { return Ok(false) };
        tracing::warn!(partition, %writer, "a transaction was left open: its writer is fenced");
        fence(&self.options, &writer).map(|()| true)
    }

    /// Who wrote the first record at or after an offset, committed or not.
    fn writer_at(&mut self, partition: u32, offset: i64) -> Result<Option<String>, BrokerError> {
        self.uncommitted.start(&self.topic, partition, Offset::Offset(offset))?;
        let deadline = Instant::now() + WAIT;
        let mut drawn = Vec::new();
        let mut found = None;
        'look: while Instant::now() < deadline {
            self.uncommitted.draw(1, DRAW_WAIT, &mut drawn);
            for look in drawn.drain(..) {
                match look {
                    Drawn::Record(record) if record.partition == partition && record.offset >= offset => {
                        let header = record.headers.iter().find(|(name, _)| name == WRITER);
                        found = header.and_then(|(_, value)| String::from_utf8(value.clone()).ok());
                        break 'look;
                    }
                    Drawn::End { offset: end, .. } if end > offset => break 'look,
                    Drawn::Record(_) | Drawn::End { .. } | Drawn::Fault { .. } => {}
                }
            }
        }
        self.uncommitted.stop();
        Ok(found)
    }
}

/// A partition's records, oldest first. Ends when the position has reached the end, control records counted.
pub struct Restoring<'a> {
    restorer: &'a mut Restorer,
    alive: &'a mut dyn FnMut() -> Result<(), BrokerError>,
    partition: u32,
    position: i64,
    end: i64,
    waiting: VecDeque<Record>,
    moved_at: Instant,
    fenced_at: Instant,
    ended: bool,
}

impl Restoring<'_> {
    fn look(&mut self) -> Result<(), BrokerError> {
        (self.alive)()?;
        let mut drawn = Vec::new();
        self.restorer.committed.draw(DRAW_MAX, DRAW_WAIT, &mut drawn);
        let before = self.position;
        for look in drawn {
            match look {
                Drawn::Record(mut record) if record.partition == self.partition && record.offset >= self.position => {
                    self.position = record.offset + 1;
                    record.headers.retain(|(name, _)| name != WRITER);
                    self.waiting.push_back(record);
                }
                Drawn::End { partition, offset, .. } if partition == self.partition => {
                    self.position = self.position.max(offset);
                }
                Drawn::Record(_) | Drawn::End { .. } => {}
                Drawn::Fault { code, .. } => tracing::warn!(partition = self.partition, %code, "restoring"),
            }
        }
        if self.position > before {
            self.moved_at = Instant::now();
        } else {
            self.blocked()?;
        }
        Ok(())
    }

    /// Nothing came. If a transaction is open there, its writer is dead or a zombie: this partition is ours now.
    fn blocked(&mut self) -> Result<(), BrokerError> {
        let since = self.moved_at.elapsed();
        if since >= GIVE_UP_AFTER {
            let (partition, end) = (self.partition, self.end);
            let position = self.position;
            return Err(BrokerError::Storage(format!("partition {partition} is restored to {position} of {end} only")));
        }
        if since >= BLOCKED_AFTER && self.fenced_at.elapsed() >= BLOCKED_AFTER {
            self.restorer.fence_open(self.partition)?;
            self.fenced_at = Instant::now();
        }
        Ok(())
    }
}

impl Iterator for Restoring<'_> {
    type Item = Result<Record, BrokerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(Ok(record));
            }
            if self.ended || self.position >= self.end {
                return None;
            }
            if let Err(error) = self.look() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        self.restorer.committed.stop();
    }
}
