//! Reads a compacted partition whole: up to its end as a reader of open transactions sees it, waiting those out or
//! fencing their dead writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::fault::{lacks_right, named, storage, words};
use super::fencing::{Fencing, Subject};
use super::native::{Drawn, Queue, answers};
use super::notes::Quiet;
use super::position::Bounds;
use super::seat::add;
use super::shared::Shared;
use super::transaction::WRITER;
use crate::broker::{BrokerError, Record};

/// Records taken at a time, and how long one look waits.
const DRAW_MAX: usize = 500;
/// The same while other partitions wait to be read.
const PIECE_WAIT: Duration = Duration::from_millis(2);
/// How often the log says how far a long restore has come.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// An open transaction that blocks for this long is taken for a dead one's.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);
/// Nothing moved for this long: the partition is begun again, by another reader.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_secs(60);
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

    /// Reads on in several partitions at once, and in no others.
    pub fn start_all(&self, places: &[(&str, u32, i64)]) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in places {
            add(&mut list, topic, *partition, Offset::Offset(*offset));
            self.queue.forward(topic, *partition);
        }
        self.consumer.assign(&list).map_err(|error| storage("partitions could not be read", &error))
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
        let bounds = answers::watermarks(&self.consumer, topic, number, WAIT);
        bounds.map_err(|error| storage("a partition's end is not known", &error))
    }
}

/// Restores partitions of one topic, one after the other, each a piece at a time.
pub struct Restorer {
    subject: Subject,
    committed: Tail,
    bounds: Arc<Bounds>,
    /// Once it was needed.
    fencing: Option<Fencing>,
    current: Option<Restoring>,
    /// Begun, and left off for others while nothing came.
    put_off: Vec<Restoring>,
    /// Some of their records were handed out, and not yet all.
    begun: BTreeSet<u32>,
}

/// A partition that is being restored. Done when the position has reached the end, control records counted.
struct Restoring {
    partition: u32,
    first: i64,
    position: i64,
    end: i64,
    records: u64,
    started: Instant,
    said_at: Instant,
    moved_at: Instant,
    resumed_at: Instant,
    looked_at: Instant,
    /// For how long nothing came until it was put off last.
    stood_still: Duration,
    /// An open transaction explains why nothing comes: the operator is told, and the other partitions go on.
    open: bool,
}

impl Restorer {
    pub fn new(
        shared: &Arc<Shared>,
        group: &str,
        topic: Arc<str>,
        transactional_id: &str,
        bounds: Arc<Bounds>,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            committed: Tail::new(&shared.options.tail_consumer("restore", group))?,
            bounds,
            subject: Subject {
                shared: shared.clone(),
                group: group.to_owned(),
                topic,
                transactional_id: transactional_id.to_owned(),
            },
            fencing: None,
            current: None,
            put_off: Vec::new(),
            begun: BTreeSet::new(),
        })
    }

    /// The partition that is being restored.
    pub fn current(&self) -> Option<u32> {
        self.current.as_ref().map(|restoring| restoring.partition)
    }

    /// Begins, or goes on where it was put off. True: all over again, and what was handed out of it is to be dropped.
    pub fn begin(&mut self, partition: u32) -> Result<bool, BrokerError> {
        if let Some(index) = self.put_off.iter().position(|restoring| restoring.partition == partition) {
            let position = self.put_off.get(index).map_or(0, |restoring| restoring.position);
            self.committed.start(&self.subject.topic, partition, Offset::Offset(position))?;
            let mut restoring = self.put_off.swap_remove(index);
            restoring.resumed_at = Instant::now();
            self.current = Some(restoring);
            return Ok(false);
        }
        let (first, end) = self.bounds.of(&self.subject.topic, partition)?;
        self.committed.start(&self.subject.topic, partition, Offset::Beginning)?;
        let now = Instant::now();
        self.current = Some(Restoring {
            partition,
            first,
            position: first,
            end,
            records: 0,
            started: now,
            said_at: now,
            moved_at: now,
            resumed_at: now,
            looked_at: now,
            stood_still: Duration::ZERO,
            open: false,
        });
        Ok(!self.begun.insert(partition))
    }

    /// One piece. True: that was the last.
    pub fn advance(&mut self, take: &mut dyn FnMut(Record) -> Result<(), BrokerError>) -> Result<bool, BrokerError> {
        let Some(restoring) = &mut self.current else { return Ok(true) };
        let before = restoring.position;
        if before < restoring.end {
            let mut drawn = Vec::new();
            self.committed.draw(DRAW_MAX, PIECE_WAIT, &mut drawn);
            for look in drawn {
                restoring.take(look, take)?;
            }
        }
        if restoring.position >= restoring.end {
            restoring.report("a partition is restored");
            let partition = restoring.partition;
            self.begun.remove(&partition);
            self.withdraw(partition);
            self.stop();
            return Ok(true);
        }
        if restoring.position > before {
            restoring.moved_at = Instant::now();
            restoring.stood_still = Duration::ZERO;
            if restoring.said_at.elapsed() >= REPORT_EVERY {
                restoring.said_at = Instant::now();
                restoring.report("restoring");
            }
        } else {
            self.blocked()?;
        }
        Ok(false)
    }

    fn stop(&mut self) {
        self.current = None;
        self.committed.stop();
    }

    pub fn moved_since(&self, since: Instant) -> bool {
        self.current.as_ref().is_some_and(|restoring| restoring.moved_at >= since)
    }

    /// Nothing has come for a while: others may go first.
    pub fn is_blocked(&self) -> bool {
        let waits = |restoring: &Restoring| restoring.moved_at.max(restoring.resumed_at).elapsed() >= BLOCKED_AFTER;
        self.current.as_ref().is_some_and(waits)
    }

    pub fn put_off(&mut self) {
        if let Some(restoring) = &mut self.current {
            restoring.stood_still += restoring.moved_at.max(restoring.resumed_at).elapsed();
        }
        self.put_off.extend(self.current.take());
        self.committed.stop();
    }

    /// The partition went elsewhere. True: it had been begun.
    pub fn forget(&mut self, partition: u32) -> bool {
        self.withdraw(partition);
        if self.current() == Some(partition) {
            self.stop();
        }
        self.put_off.retain(|restoring| restoring.partition != partition);
        self.begun.remove(&partition)
    }

    /// Nobody is fenced for it any more.
    fn withdraw(&mut self, partition: u32) {
        if let Some(fencing) = &mut self.fencing {
            fencing.forget(partition);
        }
    }

    /// Nothing came. If a transaction is open there, its writer is dead or a zombie: this partition is ours now.
    fn blocked(&mut self) -> Result<(), BrokerError> {
        let Some(Restoring { partition, position, end, moved_at, resumed_at, looked_at, stood_still, open, .. }) =
            self.current.as_mut()
        else {
            return Ok(());
        };
        let since = moved_at.elapsed();
        // Not the time for which it was put off.
        if *stood_still + (*moved_at).max(*resumed_at).elapsed() >= BEGIN_AGAIN_AFTER && !*open {
            tracing::error!(partition, position, end, "a partition's restore does not go on: it is begun again");
            self.current = None;
            let Subject { shared, group, .. } = &self.subject;
            self.committed = Tail::new(&shared.options.tail_consumer("restore", group))?;
            return Ok(());
        }
        if since >= BLOCKED_AFTER && looked_at.elapsed() >= BLOCKED_AFTER {
            *looked_at = Instant::now();
            let partition = *partition;
            let open = self.is_open(partition)?;
            self.current.iter_mut().for_each(|restoring| restoring.open = open);
        }
        Ok(())
    }

    /// The same, where what cannot be found out yet is asked again: it is one partition's, and the others go on.
    pub fn is_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        self.fence_open(partition).or_else(|error| not_yet(partition, error).map(|()| false))
    }

    /// Whether a transaction is known to be open in a partition; a dead one's is ended meanwhile.
    fn fence_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        let fencing = match self.fencing.take().filter(|fencing| !fencing.has_ended()) {
            Some(fencing) => fencing,
            None => Fencing::start(self.subject.clone())?,
        };
        self.fencing.insert(fencing).is_open(partition)
    }
}

/// What one partition cannot be told yet (it has no leader, or Kafka is slow to answer) is no fault of the lane's, which has
/// others to go on with. That the router lacks a right, or is cut off, is.
pub fn not_yet(partition: u32, error: BrokerError) -> Result<(), BrokerError> {
    match error {
        BrokerError::Unreachable(_) | BrokerError::Storage(_) | BrokerError::UnknownTopic(_) => {
            tracing::debug!(%error, partition, "it cannot be taken up yet");
            Ok(())
        }
        error => Err(error),
    }
}

impl Restoring {
    fn take(
        &mut self,
        look: Drawn,
        take: &mut dyn FnMut(Record) -> Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        match look {
            Drawn::Record(mut record) if record.partition == self.partition && record.offset >= self.position => {
                self.position = record.offset + 1;
                self.records += 1;
                record.headers.retain(|(name, _)| name != WRITER);
                take(record)?;
            }
            Drawn::End { partition, offset, .. } if partition == self.partition => {
                self.position = self.position.max(offset);
            }
            Drawn::Record(_) | Drawn::End { .. } => {}
            // Said once, and never again while the right is missing.
            Drawn::Fault { topic, partition, code } if lacks_right(code) => {
                return Err(named(&format!("{topic}, partition {partition}, could not be restored"), code));
            }
            Drawn::Fault { code, .. } => tracing::warn!(partition = self.partition, code = words(code), "restoring"),
        }
        Ok(())
    }

    fn report(&self, what: &str) {
        let Self { partition, records, .. } = self;
        let percent = (self.position - self.first) * 100 / (self.end - self.first).max(1);
        tracing::info!(partition, records, percent, took_ms = self.started.elapsed().as_millis(), "{what}");
    }
}
