//! Follows the topics into the inboxes' file, on one thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Followed, Index, store};
use crate::broker::kafka::fault::words;
use crate::broker::kafka::native::Drawn;
use crate::broker::kafka::restore::Tail;
use crate::broker::{BrokerError, Record, vital};

/// Not a group that anybody joins: librdkafka wants a name.
const GROUP: &str = "pathway-router.readers";
/// Records taken at a time, how long one look waits, and how many make one write of the file.
const DRAW_MAX: usize = 500;
const DRAW_WAIT: Duration = Duration::from_millis(50);
/// How soon a new topic is followed.
const TOPICS_EVERY: Duration = Duration::from_secs(5);
/// How soon what is past its retention goes.
const FORGET_EVERY: Duration = Duration::from_secs(300);
const REPORT_EVERY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
/// That the broker does not answer is tried over and over, and said once in so long.
const SAID_FOR: Duration = Duration::from_secs(60);

type Places = BTreeMap<(String, u32), Followed>;

/// Refused if the file cannot be made; what fails later is tried again.
pub fn start(index: &Arc<Index>) -> Result<JoinHandle<()>, BrokerError> {
    let known = match index.shared.topology.cluster() {
        Ok(cluster) => {
            let connection = store::open(&index.options.file, &cluster)?;
            Some((cluster, connection))
        }
        // Like everything else it waits for the cluster, and the file is opened once that is known by name.
        Err(BrokerError::Unreachable(_)) => None,
        Err(error) => return Err(error),
    };
    let index = index.clone();
    vital::spawn("inboxes", move || keep_following(&index, known))
}

/// Why following stopped.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the inboxes' file: {0}")]
    File(#[from] rusqlite::Error),
}

fn reopened(index: &Index, cluster: &mut Option<String>) -> Result<Connection, Fault> {
    let name = match cluster.take() {
        Some(name) => name,
        None => index.shared.topology.cluster()?,
    };
    let opened = store::open(&index.options.file, &name);
    *cluster = Some(name);
    Ok(opened?)
}

fn keep_following(index: &Index, known: Option<(String, Connection)>) {
    let (mut cluster, mut connection) = known.unzip();
    let mut said_at: Option<Instant> = None;
    while index.shared.check().is_ok() {
        let fault = match connection.take() {
            Some(mut open) => {
                let ended = follow(index, &mut open);
                connection = Some(open);
                ended.err()
            }
            None => match reopened(index, &mut cluster) {
                Ok(open) => {
                    connection = Some(open);
                    None
                }
                Err(fault) => Some(fault),
            },
        };
        let Some(fault) = fault else { continue };
        if matches!(fault, Fault::File(_)) || said_at.is_none_or(|at| at.elapsed() >= SAID_FOR) {
            said_at = Some(Instant::now());
            tracing::warn!(%fault, "the inboxes could not be followed; it is tried again");
        }
        if let Fault::File(_) = fault {
            connection = None;
            index.followed().clear();
            store::remove(&index.options.file);
            index.file_number.fetch_add(1, Ordering::AcqRel);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Ends when the router stops.
fn follow(index: &Index, connection: &mut Connection) -> Result<(), Fault> {
    let mut tail = Tail::new(&index.shared.options.tail_consumer("inboxes", GROUP))?;
    let mut places = Places::new();
    let mut goals: Option<BTreeMap<(String, u32), i64>> = None;
    let (started, mut said_at, mut forget_at) = (Instant::now(), Instant::now(), Instant::now() + FORGET_EVERY);
    let mut look_at = Instant::now();
    while index.shared.check().is_ok() {
        if Instant::now() >= look_at {
            look_at = Instant::now() + TOPICS_EVERY;
            let ends = take_up(index, connection, &mut tail, &mut places)?;
            goals.get_or_insert(ends);
        }
        if Instant::now() >= forget_at {
            forget_at = Instant::now() + FORGET_EVERY;
            forget(connection, &tail, &places)?;
        }
        let mut drawn = Vec::new();
        tail.draw(DRAW_MAX, DRAW_WAIT, &mut drawn);
        if take(connection, &mut places, drawn)? {
            index.followed().clone_from(&places);
            index.shared.announce();
        }
        let Some(aims) = goals.as_ref().filter(|_| !index.caught_up.load(Ordering::Acquire)) else { continue };
        let left: i64 = aims.iter().map(|(place, end)| (end - places.get(place).map_or(0, |it| it.next)).max(0)).sum();
        if left == 0 {
            index.followed().clone_from(&places);
            index.caught_up.store(true, Ordering::Release);
            tracing::info!(took_ms = started.elapsed().as_millis(), "the inboxes are here");
        } else if said_at.elapsed() >= REPORT_EVERY {
            said_at = Instant::now();
            tracing::info!(left, "reading in the inboxes");
        }
    }
    Ok(())
}

/// Follows partitions that are not followed yet. Answers where every one ends now.
fn take_up(
    index: &Index,
    connection: &mut Connection,
    tail: &mut Tail,
    places: &mut Places,
) -> Result<BTreeMap<(String, u32), i64>, Fault> {
    let mut ends = BTreeMap::new();
    let topics = index.shared.topology.topics()?;
    let is_ours = |topic: &str| index.options.prefixes.iter().any(|prefix| topic.starts_with(prefix.as_str()));
    let transaction = connection.transaction()?;
    let before = places.len();
    for (topic, partitions) in topics.into_iter().filter(|(topic, _)| is_ours(topic)) {
        for partition in 0..partitions {
            let at = (topic.clone(), partition);
            if places.contains_key(&at) {
                continue;
            }
            let (first, end) = tail.bounds(&topic, partition)?;
            let (place, next) = store::place(&transaction, (&topic, partition), (first, end))?;
            ends.insert(at.clone(), end);
            places.insert(at, Followed { place, next });
        }
    }
    transaction.commit()?;
    if places.len() > before {
        let from: Vec<(&str, u32, i64)> =
            places.iter().map(|((topic, partition), it)| (topic.as_str(), *partition, it.next)).collect();
        tail.start_all(&from)?;
    }
    Ok(ends)
}

/// One write of the file. True: something came.
fn take(connection: &mut Connection, places: &mut Places, drawn: Vec<Drawn>) -> Result<bool, Fault> {
    if drawn.is_empty() {
        return Ok(false);
    }
    let transaction = connection.transaction()?;
    let mut moved = BTreeMap::new();
    let mut came = false;
    for look in drawn {
        let (topic, partition, next, record): (_, _, _, Option<Record>) = match look {
            Drawn::Record(record) => (record.topic.clone(), record.partition, record.offset + 1, Some(record)),
            Drawn::End { topic, partition, offset } => (topic, partition, offset, None),
            Drawn::Fault { topic, partition, code } => {
                tracing::warn!(%topic, partition, code = words(code), "reading in the inboxes");
                continue;
            }
        };
        let Some(held) = places.get_mut(&(topic.to_string(), partition)).filter(|held| held.next < next) else {
            continue;
        };
        held.next = next;
        moved.insert(held.place, next);
        if let Some(record) = record {
            store::put(&transaction, held.place, &record)?;
            came = true;
        }
    }
    for (place, next) in moved {
        store::reached(&transaction, place, next)?;
    }
    transaction.commit()?;
    Ok(came)
}

fn forget(connection: &mut Connection, tail: &Tail, places: &Places) -> Result<(), Fault> {
    let transaction = connection.transaction()?;
    for ((topic, partition), held) in places {
        let (first, _) = tail.bounds(topic, *partition)?;
        store::forget_before(&transaction, held.place, first)?;
    }
    Ok(transaction.commit()?)
}
