//! What a group has left unread for a while, wherever its lanes run: its stored positions against the ends of what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::{Offset, TopicPartitionList};

use super::fault::storage;
use super::notes::Quiet;
use super::position::stored_in;
use super::reader::KafkaReader;
use super::seat::{Place, add};
use super::shared::Shared;
use crate::broker::{BrokerError, Reader};
use crate::engine::model::scalar::Timestamp;

const WAIT: Duration = Duration::from_secs(5);

/// Looked at over and over; the first look finds nothing.
pub struct Backlog {
    shared: Arc<Shared>,
    reader: Arc<KafkaReader>,
    consumer: BaseConsumer<Quiet>,
    /// Where each partition ended at the look before.
    ends: BTreeMap<Place, i64>,
    /// Partitions that the group cannot go on in, and when they were found: its position lies beyond their end.
    beyond: BTreeMap<Place, Timestamp>,
}

impl Backlog {
    pub fn new(shared: &Arc<Shared>, reader: &Arc<KafkaReader>, group: &str) -> Result<Self, BrokerError> {
        let consumer = shared.options.tail_consumer("backlog", group).create_with_context(Quiet);
        let consumer = consumer.map_err(|error| storage("a consumer could not be made", &error))?;
        Ok(Self {
            shared: shared.clone(),
            reader: reader.clone(),
            consumer,
            ends: BTreeMap::new(),
            beyond: BTreeMap::new(),
        })
    }

    /// When the oldest record was appended that lay there at the look before and is not read yet.
    pub fn oldest(&mut self, prefixes: &[String]) -> Result<Option<Timestamp>, BrokerError> {
        let mut oldest = None;
        let read = self.read_by_the_group(prefixes)?;
        self.ends.retain(|place, _| read.contains(place));
        self.beyond.retain(|place, _| read.contains(place));
        let mut list = TopicPartitionList::new();
        read.iter().for_each(|place| add(&mut list, &place.0, place.1, Offset::Invalid));
        // Where the group is to read next. A position that an open transaction moves is left out: there somebody reads.
        for (place, stored) in stored_in(&self.consumer, list, WAIT)? {
            let (topic, partition, next) = (&place.0, place.1, stored.position.unwrap_or(0));
            let end = self.reader.end_offset(topic, partition)?;
            if stored.is_refused || next > end {
                let now = Timestamp::from_jiff(jiff::Timestamp::now());
                let since = *self.beyond.entry(place).or_insert(now);
                oldest = oldest.into_iter().chain([since]).min();
                continue;
            }
            self.beyond.remove(&place);
            if is_left(next, self.ends.insert(place.clone(), end)) {
                // What lies there may be no record but the mark of a transaction, which nobody reads.
                let unread = self.reader.read(topic, partition, next, 1)?;
                oldest = unread.first().map(|record| record.timestamp).into_iter().chain(oldest).min();
            }
        }
        Ok(oldest)
    }

    fn read_by_the_group(&self, prefixes: &[String]) -> Result<BTreeSet<Place>, BrokerError> {
        let topics = self.shared.topology.topics()?;
        let read = topics.into_iter().filter(|(topic, _)| prefixes.iter().any(|prefix| topic.starts_with(prefix)));
        let places = read.map(|(topic, partitions)| {
            let topic: Arc<str> = topic.into();
            (0..partitions).map(move |partition| (topic.clone(), partition))
        });
        Ok(places.flatten().collect())
    }
}

/// Whether what is to be read next lay there at the look before.
fn is_left(next: i64, end_before: Option<i64>) -> bool {
    end_before.is_some_and(|end| next < end)
}

#[cfg(test)]
mod tests {
    use super::is_left;

    #[test]
    fn what_came_since_the_look_before_is_not_left_behind() {
        assert!(!is_left(0, None), "the first look");
        assert!(is_left(4, Some(5)), "it lay there already");
        assert!(!is_left(5, Some(5)), "all of that was read");
        assert!(!is_left(7, Some(5)), "and more");
    }
}
