//! Notices what other instances commit, and whether the broker can be reached at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::{Offset, TopicPartitionList};

use super::fault::storage;
use super::namesakes;
use super::native::answers;
use super::notes::Quiet;
use super::seat::add;
use super::settings::READERS;
use super::shared::Shared;
use crate::broker::{BrokerError, vital};

/// How long `position` waits for an open transaction to end.
pub const POSITION_WITHIN: Duration = Duration::from_secs(20);
/// How soon a waiting reader hears of a commit elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How soon a new topic is watched too.
const TOPICS_EVERY: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(5);

pub fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, BrokerError> {
    let config = shared.options.tail_consumer("watch", READERS);
    let client: BaseConsumer<Quiet> =
        config.create_with_context(Quiet).map_err(|error| storage("a client could not be made", &error))?;
    let (client, watched, counted) = (Arc::new(client), shared.clone(), shared.clone());
    let counting = client.clone();
    Ok(vec![
        vital::spawn("kafka-watch", move || run(&watched, &client))?,
        vital::spawn("kafka-namesakes", move || namesakes::run(&counted, &counting))?,
    ])
}

fn run(shared: &Shared, client: &BaseConsumer<Quiet>) {
    let mut topics = TopicPartitionList::new();
    let mut ends: Vec<(String, i32, Offset)> = Vec::new();
    let mut listed: Option<Instant> = None;
    while !shared.stopping.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        drop(client.poll(Duration::ZERO));
        if listed.is_none_or(|at| at.elapsed() >= TOPICS_EVERY) {
            let found = shared.topology.topics();
            shared.unreachable.store(found.is_err(), Ordering::Release);
            let Ok(found) = found else { continue };
            topics = every_partition(&found);
            listed = Some(Instant::now());
        }
        if shared.changes.receiver_count() == 0 || topics.count() == 0 {
            continue;
        }
        let Ok(now) = answers::offsets_for_times(client, topics.clone(), WAIT) else { continue };
        let now: Vec<_> = now
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition(), element.offset()))
            .collect();
        if now != ends {
            ends = now;
            shared.announce();
        }
    }
}

/// Asked for by the time that means "the end".
fn every_partition(topics: &[(String, u32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in topics {
        for partition in 0..*partitions {
            add(&mut list, topic, partition, Offset::End);
        }
    }
    list
}
