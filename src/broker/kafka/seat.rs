//! What a lane and the rebalance callback share: the open transaction, the partitions held, and what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::native::Queue;
use super::notes::{log, unasked};
use super::position::mark_read_to;
use super::transaction::{Settled, Transaction};
use crate::broker::{BrokerError, Commit, Consumed};
use crate::engine::model::scalar::Timestamp;

/// A topic and a partition of it.
pub type Place = (Arc<str>, u32);

pub struct Seat {
    pub transaction: Transaction,
    /// Made with the consumer, gone before it.
    pub queue: Option<Queue>,
    pub partitions: BTreeMap<Place, Held>,
    /// Positions staged for the open transaction.
    pub staged: BTreeMap<Place, i64>,
    /// What the owner has yet to hear, in order.
    pub events: VecDeque<Event>,
    /// The group has answered at least once.
    pub joined: bool,
}

/// One partition of this lane's.
pub struct Held {
    pub stage: Stage,
    pub paused: bool,
    /// Of the last record handed out, or when the partition came.
    pub reached: Timestamp,
    /// Next to hand out, and where reading starts again after an abort.
    pub position: i64,
    /// Between `position` and this nothing is left but marks of transactions and what was aborted. Where it is less: not known.
    pub passed: i64,
    /// None: nothing was ever committed there.
    pub committed: Option<i64>,
}

impl Held {
    fn given() -> Self {
        Self {
            stage: Stage::Given,
            paused: true,
            reached: Timestamp::from_jiff(jiff::Timestamp::now()),
            position: 0,
            passed: 0,
            committed: None,
        }
    }
}

/// How far a partition has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Assigned and paused: where to begin is not known, its state not restored.
    Given,
    /// Reading must start at `position`; what comes before that is sure is dropped.
    Seeking,
    Reading,
}

/// What happened while control events were served.
pub enum Event {
    Settled(Commit),
    Given(Place),
    Taken(Place),
    /// The lane cannot go on.
    Failed(BrokerError),
}

impl Seat {
    pub fn new(transaction: Transaction) -> Self {
        Self {
            transaction,
            queue: None,
            partitions: BTreeMap::new(),
            staged: BTreeMap::new(),
            events: VecDeque::new(),
            joined: false,
        }
    }

    pub fn stage_positions(&mut self, consumed: Vec<Consumed>) {
        for Consumed { topic, partition, next_offset } in consumed {
            self.staged.insert((topic, partition), next_offset);
        }
    }

    /// Commits or aborts what is open, and moves positions to match. The owner is told by the caller.
    pub fn settle<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) -> Result<Commit, BrokerError> {
        if !self.transaction.is_open() {
            self.staged.clear();
            return Ok(Commit::Committed);
        }
        let staged = std::mem::take(&mut self.staged);
        // A batch read under an assignment that has ended since is not ours to commit: when the partition came back,
        // another may have read further, or not as far.
        let ours = staged.iter().all(|(place, next)| {
            self.partitions.get(place).is_some_and(|held| {
                held.stage == Stage::Reading && *next <= held.position && held.committed.is_none_or(|done| *next > done)
            })
        });
        let settled = match ours {
            true => self.transaction.commit(consumer, &self.positions(&staged)),
            false => self.transaction.abort().map(|()| Settled::Aborted),
        };
        match settled {
            Ok(Settled::Committed) => {
                self.advance(staged);
                Ok(Commit::Committed)
            }
            Ok(Settled::Aborted) => {
                self.rewind();
                Ok(Commit::Aborted)
            }
            Ok(Settled::Unknown) => self.find_out(consumer, staged),
            Err(error) => {
                self.rewind();
                Err(error)
            }
        }
    }

    /// With no position of its own, a transaction carries one that changes nothing: the broker then refuses it
    /// from a lane that has lost its partitions.
    fn positions(&self, staged: &BTreeMap<Place, i64>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let mut add_read = |place: &Place, next: i64| {
            add(&mut list, &place.0, place.1, Offset::Offset(next));
            if let Some(held) = self.partitions.get(place).filter(|held| held.position == next && held.passed > next) {
                mark_read_to(&mut list, place, held.passed);
            }
        };
        staged.iter().for_each(|(place, next)| add_read(place, *next));
        if staged.is_empty() {
            let known = self.partitions.iter().find_map(|(place, held)| Some((place, held.committed?)));
            if let Some((place, committed)) = known {
                add_read(place, committed);
            }
        }
        list
    }

    fn advance(&mut self, staged: BTreeMap<Place, i64>) {
        for (place, next) in staged {
            if let Some(held) = self.partitions.get_mut(&place) {
                held.committed = Some(next);
            }
        }
    }

    /// Reading starts again where the last commit left off.
    pub fn rewind(&mut self) {
        for held in self.partitions.values_mut().filter(|held| held.stage == Stage::Reading) {
            let committed = held.committed.unwrap_or(0);
            if held.position != committed {
                held.position = committed;
                // Of what lies behind it now it is not true.
                held.passed = 0;
                held.stage = Stage::Seeking;
            }
        }
    }

    /// The transaction was settled by its successor: the stored positions tell which way.
    fn find_out<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        staged: BTreeMap<Place, i64>,
    ) -> Result<Commit, BrokerError> {
        let stored = |(place, next): (&Place, &i64)| {
            super::position::stored_position(consumer, place).map(|stored| stored == Some(*next))
        };
        let moved =
            |(place, next): (&Place, &i64)| self.partitions.get(place).and_then(|held| held.committed) != Some(*next);
        let found: Result<Vec<bool>, _> = staged.iter().filter(|entry| moved(*entry)).map(stored).collect();
        let committed = found.inspect_err(|_| self.rewind())?;
        if !committed.is_empty() && committed.iter().all(|is_stored| *is_stored) {
            tracing::info!("a commit that was not answered had succeeded");
            self.advance(staged);
            return Ok(Commit::Committed);
        }
        self.rewind();
        Ok(Commit::Aborted)
    }
}

/// Adds a partition to a list; one that cannot be named is left out.
pub fn add(list: &mut TopicPartitionList, topic: &str, partition: u32, offset: Offset) {
    if let Ok(partition) = i32::try_from(partition) {
        let added = list.add_partition_offset(topic, partition, offset);
        debug_assert!(added.is_ok(), "an offset that librdkafka cannot hold");
    }
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    let place = |(topic, partition): (&str, i32)| (topic.into(), u32::try_from(partition).unwrap_or_default());
    list.elements().iter().map(|element| place((element.topic(), element.partition()))).collect()
}

/// The consumer's side of a seat. Its callbacks run within `poll` alone, on the lane's own thread.
pub struct SeatContext(pub Arc<Mutex<Seat>>);

impl SeatContext {
    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for SeatContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        unasked(&error, reason);
    }
}

impl ConsumerContext for SeatContext {
    /// Settles first, whatever changes: a transaction open across a rebalance is published twice.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut seat = self.seat();
        if seat.transaction.is_open() {
            let event = match seat.settle(consumer) {
                Ok(commit) => Event::Settled(commit),
                Err(error) => Event::Failed(error),
            };
            seat.events.push_back(event);
        }
        seat.joined = true;
        let places = places(list);
        tracing::debug!(partitions = places.len(), given = is_given(what), "partitions change hands");
        let result = if is_given(what) { seat.give(consumer, places) } else { seat.take(consumer, places, list) };
        if let Err(error) = result {
            // Until it is answered one way or another, the group waits for us, and so does a lane that is closing.
            if let Err(error) = consumer.incremental_unassign(list).or_else(|_| consumer.unassign()) {
                tracing::warn!(%error, "partitions could not be given up");
            }
            seat.events.push_back(Event::Failed(super::fault::storage("partitions could not change hands", &error)));
        }
    }
}

fn is_given(what: RDKafkaRespErr) -> bool {
    what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
}

impl Seat {
    /// Taken up paused: where to begin and what to restore is found out later, so that nobody waits in a callback.
    fn give<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>, places: Vec<Place>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in &places {
            add(&mut list, topic, *partition, Offset::Beginning);
            if let Some(queue) = &self.queue {
                queue.forward(topic, *partition);
            }
        }
        consumer.incremental_assign(&list)?;
        if list.count() > 0 {
            consumer.pause(&list)?;
        }
        for place in places {
            self.partitions.insert(place.clone(), Held::given());
            self.events.push_back(Event::Given(place));
        }
        Ok(())
    }

    fn take<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        places: Vec<Place>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        for place in places {
            self.partitions.remove(&place);
            self.events.push_back(Event::Taken(place));
        }
        consumer.incremental_unassign(list)
    }
}
