//! Where a group goes on in a partition: its stored position, held against where the log begins and ends.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::fault::storage;
use super::native::answers;
use super::notes::Quiet;
use super::restore::not_yet;
use super::seat::{Place, add};
use super::settings::KafkaOptions;
use super::shared::Shared;
use crate::broker::BrokerError;

const POSITION_WAIT: Duration = Duration::from_millis(200);
/// How long a partition's ends are waited for, while the lane's other partitions wait too.
const ENDS_WAIT: Duration = Duration::from_millis(500);
/// Kept beside a stored position that lies beyond the end of the log, where whoever takes the partition up finds it: the log
/// may have grown past that position by then, and what was written meanwhile would be taken for read. Whoever sets the
/// position anew, as the operator must, takes it away.
const REFUSED: &str = "pathway-router: refused";

/// Kept beside a stored position, before the offset up to which nothing else is there to read.
const READ_TO: &str = "pathway-router: read to ";

/// Notes beside a position in a list that up to `passed` nothing is left to read: the marks of transactions that lie behind it, deleted
/// with their topic's retention, would be taken for records.
pub fn mark_read_to(list: &mut TopicPartitionList, place: &Place, passed: i64) {
    let partition = i32::try_from(place.1).unwrap_or(i32::MAX);
    if let Some(mut element) = list.find_partition(&place.0, partition) {
        element.set_metadata(format!("{READ_TO}{passed}"));
    }
}

/// What a group has stored for a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// None: nothing was ever committed there.
    pub position: Option<i64>,
    /// At least up to here nothing is left to read.
    read_to: i64,
    pub is_refused: bool,
}

impl Stored {
    fn of(element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> Self {
        match element.offset() {
            Offset::Offset(offset) => {
                let passed = element.metadata().strip_prefix(READ_TO).and_then(|passed| passed.parse().ok());
                let read_to = passed.map_or(offset, |passed: i64| passed.max(offset));
                Self { position: Some(offset), read_to, is_refused: element.metadata() == REFUSED }
            }
            Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => {
                Self { position: None, read_to: 0, is_refused: false }
            }
        }
    }
}

/// What each of some partitions has stored. One whose position an open transaction may move is left out.
pub fn stored_in<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
    wait: Duration,
) -> Result<Vec<(Place, Stored)>, BrokerError> {
    let stored = answers::committed(consumer, list, wait);
    let stored = stored.map_err(|error| storage("what a group has read is not known", &error))?;
    let known = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let (topic, partition) = (element.topic(), u32::try_from(element.partition()).ok()?);
        answers::of_place(&stored, topic, partition).ok()?;
        Some(((topic.into(), partition), Stored::of(element)))
    };
    Ok(stored.elements().iter().filter_map(known).collect())
}

/// Where the group will read next. Err while a transaction that may move it is open.
pub fn stored_position<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    place: &Place,
) -> Result<Option<i64>, BrokerError> {
    stored(consumer, place).map(|stored| stored.position)
}

fn stored<C: ConsumerContext>(consumer: &BaseConsumer<C>, place: &Place) -> Result<Stored, BrokerError> {
    let mut list = TopicPartitionList::new();
    add(&mut list, &place.0, place.1, Offset::Invalid);
    let stored = answers::committed(consumer, list, POSITION_WAIT);
    let stored = stored.map_err(|error| storage("a stored position is not known", &error))?;
    let elements = stored.elements();
    let element = elements.first().ok_or_else(|| BrokerError::UnknownTopic(place.0.to_string()))?;
    answers::of_place(&stored, &place.0, place.1).map_err(|error| storage("a stored position is not known", &error))?;
    Ok(Stored::of(element))
}

/// Moves a stored position outside any transaction, while nothing of the partition is read: waited for, since one that came late would
/// undo what the lane has committed meanwhile. False: Kafka did not say that it is stored, which it may be all the same.
fn store<C: ConsumerContext>(consumer: &BaseConsumer<C>, place: &Place, position: i64, mark: Option<&str>) -> bool {
    let mut list = TopicPartitionList::new();
    add(&mut list, &place.0, place.1, Offset::Offset(position));
    if let (Some(mark), Some(mut element)) = (mark, list.elements().pop()) {
        element.set_metadata(mark);
    }
    let stored = consumer.commit(&list, CommitMode::Sync);
    if let Err(error) = &stored {
        tracing::debug!(%error, partition = place.1, "a position could not be stored");
    }
    stored.is_ok()
}

/// Where partitions begin and end, as a reader of open transactions sees them: nothing that was read lies beyond.
pub struct Bounds(BaseConsumer<Quiet>);

impl Bounds {
    pub fn new(options: &KafkaOptions, group: &str) -> Result<Self, BrokerError> {
        let made = options.uncommitted_consumer(group).create_with_context(Quiet);
        made.map(Self).map_err(|error| storage("a reader could not be made", &error))
    }

    /// First and next offset.
    pub fn of(&self, topic: &str, partition: u32) -> Result<(i64, i64), BrokerError> {
        // Its log lines should not pile up.
        drop(self.0.poll(Duration::ZERO));
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let bounds = answers::watermarks(&self.0, topic, number, ENDS_WAIT);
        bounds.map_err(|error| storage("a partition's end is not known", &error))
    }
}

/// What came of a look for where a partition is to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// None: at its beginning, for nothing was ever committed there.
    Begins(Option<i64>),
    /// It is not told, as while a transaction that may move the position is open.
    Open,
    /// How far the log goes is not told.
    EndUnknown,
    /// The log ends before this position: what came from now on would lie before it, and never be read.
    Beyond(i64),
    /// What was not read was deleted, and Kafka did not say that the position is stored behind it.
    NotStored(Gap),
}

/// What was deleted before it was read: the first offset, and the first that is there. The same where nothing was but marks of
/// transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    pub from: i64,
    pub to: i64,
}

/// What earlier looks at a partition found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Before {
    /// This position was found to lie beyond the end.
    pub refused: Option<i64>,
    /// Not told yet, as it is not known whether a position is stored behind it.
    pub gap: Option<Gap>,
}

impl Before {
    /// The partition goes elsewhere, and the position behind what was deleted may be stored all the same: whoever takes it up next would
    /// find nothing amiss. Rather told by both than by nobody.
    pub fn tell_gap(&self, shared: &Shared, place: &Place) {
        if let Some(gap) = self.gap {
            shared.passed_over.add(place, gap);
        }
    }
}

/// Looks where a partition is to begin.
pub fn look<C: ConsumerContext>(
    shared: &Shared,
    consumer: &BaseConsumer<C>,
    bounds: &Bounds,
    place: &Place,
    before: Before,
) -> Result<Look, BrokerError> {
    let stored = match stored(consumer, place) {
        Ok(stored) => stored,
        Err(error) => return not_yet(place.1, error).map(|()| Look::Open),
    };
    let Some(position) = stored.position else { return Ok(Look::Begins(None)) };
    if stored.is_refused {
        return Ok(Look::Beyond(position));
    }
    let (first, end) = match bounds.of(&place.0, place.1) {
        Ok(bounds) => bounds,
        Err(error) => return not_yet(place.1, error).map(|()| Look::EndUnknown),
    };
    if position > end || before.refused == Some(position) {
        store(consumer, place, position, Some(REFUSED));
        return Ok(Look::Beyond(position));
    }
    // Told once, whoever takes it up next; and of one that was stored though the answer did not come.
    if let Some(gap) = before.gap.filter(|gap| gap.to == position) {
        shared.passed_over.add(place, gap);
    }
    if position < first {
        let gap = Gap { from: stored.read_to.min(first), to: first };
        if !store(consumer, place, first, None) {
            return Ok(Look::NotStored(gap));
        }
        shared.passed_over.add(place, gap);
    }
    Ok(Look::Begins(Some(position.max(first))))
}
