//! The undisturbed run: every input record through fresh lanes, once, in order, with no broker between. What a
//! disturbed router left in its topics must be that, no more and no less.

use std::collections::BTreeMap;
use std::sync::Arc;

use pathway_router::broker::{PartitionOwner, Reader, Record, Write};
use pathway_router::engine::codec;
use pathway_router::engine::context::Context;
use pathway_router::engine::intake::Partners;
use pathway_router::engine::model::decision::Decision;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord};
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::runtime::decide_lane::DecideLane;
use pathway_router::runtime::intake_lane::IntakeLane;
use pathway_router::runtime::lane::LaneWork;
use pathway_router::runtime::progress::IntakeProgress;
use pathway_router::runtime::topics::{HISTORY, INBOX, OutputTopics, is_read_by_intake};
use pathway_router::telemetry::metrics::Metrics;

/// What one topic holds: for each key its values, in order where order is promised.
type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<Vec<u8>>>>;

/// Compares every topic the lanes write with the undisturbed run on the same inputs.
pub fn check(reader: &dyn Reader, context: Arc<Context>, partners: Arc<Partners>) {
    let expected = undisturbed(reader, context, partners);
    let held = held(reader);
    for topic in expected.keys().chain(held.keys()) {
        let (expected, held) = (expected.get(topic), held.get(topic));
        let count = |contents: Option<&BTreeMap<Vec<u8>, Vec<Vec<u8>>>>| {
            contents.map_or(0, |contents| contents.values().map(Vec::len).sum::<usize>())
        };
        assert_eq!(count(held), count(expected), "records in {topic}");
        if held != expected {
            panic!("{topic} differs from the undisturbed run: {}", first_difference(topic, held, expected));
        }
    }
    no_task_twice(reader);
}

/// The first decision that differs, for whoever has to find out why.
fn first_difference(
    topic: &str,
    held: Option<&BTreeMap<Vec<u8>, Vec<Vec<u8>>>>,
    expected: Option<&BTreeMap<Vec<u8>, Vec<Vec<u8>>>>,
) -> String {
    let shown = |values: Option<&Vec<Vec<u8>>>, place: usize| {
        let value = values.and_then(|values| values.get(place)).cloned().unwrap_or_default();
        match topic {
            "decisions" => format!("{:#?}", codec::decode::<Decision>(&value)),
            HISTORY => format!("{:#?}", codec::decode::<History>(&value)),
            INBOX => format!("{:#?}", codec::decode::<InboxRecord>(&value)),
            _ => format!("{:#?}", codec::decode::<Task>(&value)),
        }
    };
    let empty = BTreeMap::new();
    let (held, expected) = (held.unwrap_or(&empty), expected.unwrap_or(&empty));
    let key = held.keys().chain(expected.keys()).find(|key| held.get(*key) != expected.get(*key));
    let Some(key) = key else { return String::new() };
    let (held, expected) = (held.get(key), expected.get(key));
    let place = (0..)
        .find(|place| held.and_then(|values| values.get(*place)) != expected.and_then(|values| values.get(*place)));
    let place = place.unwrap_or(0);
    format!("at {place}, held {}\nexpected {}", shown(held, place), shown(expected, place))
}

fn all(reader: &dyn Reader, topic: &str, partition: u32) -> Vec<Record> {
    reader.read(topic, partition, 0, usize::MAX).unwrap()
}

/// INTAKE on every partner's topic; DECIDE on every inbox partition as it came to be.
fn undisturbed(reader: &dyn Reader, context: Arc<Context>, partners: Arc<Partners>) -> Contents {
    let names = reader.topics().unwrap();
    let topics = OutputTopics::of(names.iter().map(String::as_str));
    let metrics = Arc::new(Metrics::new().unwrap());
    let progress = Arc::new(IntakeProgress::new(0));
    let mut writes = Vec::new();
    let mut intake = IntakeLane::new(context.clone(), partners, topics.clone(), metrics.clone(), progress.clone(), 0);
    for topic in names.iter().filter(|name| is_read_by_intake(name)) {
        for record in all(reader, topic, 0) {
            intake.process(record, &mut writes).unwrap();
        }
    }
    let mut decide = DecideLane::new(context, topics, metrics, progress, 0);
    for partition in 0..reader.partitions(INBOX).unwrap() {
        decide.assigned(partition, &mut std::iter::empty()).unwrap();
        for record in all(reader, INBOX, partition) {
            decide.process(record, &mut writes).unwrap();
            decide.committed();
        }
    }
    // Long before any timer: histories, and no tick.
    decide.conclude(Timestamp(i64::MIN), &mut writes).unwrap();
    contents(writes.into_iter().map(|Write { topic, key, value, .. }| (topic.to_string(), key, value)))
}

/// What the router left: of histories the newest; of the inbox all but the ticks, which are input.
fn held(reader: &dyn Reader) -> Contents {
    let mut records = Vec::new();
    for topic in reader.topics().unwrap() {
        if is_read_by_intake(&topic) {
            continue;
        }
        let mut newest: BTreeMap<Vec<u8>, Record> = BTreeMap::new();
        for record in (0..reader.partitions(&topic).unwrap()).flat_map(|partition| all(reader, &topic, partition)) {
            if topic == HISTORY {
                newest.insert(record.key.clone(), record);
            } else if topic != INBOX || !is_tick(&record) {
                records.push(record);
            }
        }
        records.extend(newest.into_values());
    }
    contents(records.into_iter().map(|record| (record.topic.to_string(), record.key, record.value)))
}

fn contents(records: impl Iterator<Item = (String, Vec<u8>, Option<Vec<u8>>)>) -> Contents {
    let mut contents = Contents::new();
    for (topic, key, value) in records {
        contents.entry(topic).or_default().entry(key).or_default().extend(value);
    }
    // Senders' records mix in the inbox as they come; and what is not by subject keeps no order.
    for (topic, keys) in &mut contents {
        let ordered = topic == "decisions" || topic.starts_with("tasks.") || topic == HISTORY;
        if !ordered {
            keys.values_mut().for_each(|values| values.sort());
        }
    }
    contents
}

fn is_tick(record: &Record) -> bool {
    let inbox: InboxRecord = codec::decode(record.value.as_deref().unwrap_or_default()).unwrap();
    matches!(inbox.body, InboxBody::Tick(_))
}

fn no_task_twice(reader: &dyn Reader) {
    let mut seen = std::collections::BTreeSet::new();
    for topic in reader.topics().unwrap().iter().filter(|name| name.starts_with("tasks.")) {
        for record in all(reader, topic, 0) {
            let task: Task = codec::decode(record.value.as_deref().unwrap_or_default()).unwrap();
            assert!(seen.insert(task.task_id), "a task was published twice on {topic}");
        }
    }
}
