//! What must hold of everything a router left in its topics, however it was disturbed: equal to the reference router,
//! and counted from the outputs alone, each input came to one thing, once, in order.

use std::collections::{BTreeMap, BTreeSet};

use pathway_router::broker::{Record, Write};
use pathway_router::engine::codec;
use pathway_router::engine::model::decision::{Decision, Trigger};
use pathway_router::engine::model::feedback::Feedback;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord};
use pathway_router::engine::model::quarantine::Quarantined;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::schema::Published;
use pathway_router::runtime::topics::{DECISIONS, HISTORY, IDENTITY, INBOX, QUARANTINE, RULE_BOOKS, is_read_by_intake};

use super::reference::{Log, Reference};

/// What one topic holds: for each key its values, in order where order is promised.
type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<Vec<u8>>>>;

/// What was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    pub inputs: usize,
    pub inbox: usize,
    pub decisions: usize,
    pub tasks: usize,
    pub histories: usize,
}

/// Panics with what differs.
pub fn check(log: &Log, reference: &Reference<'_>) -> Counts {
    compare(log, reference);
    count(log)
}

/// Every topic against what the reference wrote, and every history against what it remembers.
fn compare(log: &Log, reference: &Reference<'_>) {
    let written = reference.writes.iter().map(|Write { topic, key, value, .. }| (&**topic, key, value));
    let expected = contents(written);
    // What a router keeps for itself comes of no record.
    let own = [HISTORY, RULE_BOOKS, IDENTITY];
    let outputs = log.iter().filter(|(topic, _)| !is_read_by_intake(topic) && !own.contains(&topic.as_str()));
    let held = outputs.flat_map(|(_, partitions)| partitions.iter().flatten());
    let held = held.filter(|record| &*record.topic != INBOX || !is_tick(record));
    let held = contents(held.map(|record| (&*record.topic, &record.key, &record.value)));
    let none = BTreeMap::new();
    for topic in expected.keys().chain(held.keys()) {
        let (expected, held) = (expected.get(topic).unwrap_or(&none), held.get(topic).unwrap_or(&none));
        if held != expected {
            panic!("{topic} differs from the reference: {}", first_difference(topic, held, expected));
        }
    }
    for (partition, records) in (0..).zip(&log[HISTORY]) {
        // Of what was taken out, the last record has no value.
        let latest: BTreeMap<&[u8], &Record> = records.iter().map(|record| (record.key.as_slice(), record)).collect();
        let kept = latest.into_values().filter(|record| record.value.is_some());
        let held: BTreeMap<SubjectKey, History> = kept.map(history).collect();
        let remembered = &reference.remembered[&partition];
        let differing = |subject: &&SubjectKey| held.get(subject) != remembered.get(subject);
        if let Some(subject) = held.keys().chain(remembered.keys()).find(differing) {
            let (held, expected) = (held.get(subject), remembered.get(subject));
            panic!("a history in partition {partition} differs:\nheld {held:#?}\nexpected {expected:#?}");
        }
    }
}

fn history(record: &Record) -> (SubjectKey, History) {
    (SubjectKey(record.key.as_slice().try_into().unwrap()), decoded(record))
}

fn decoded<T: Published>(record: &Record) -> T {
    codec::decode(record.value.as_deref().unwrap_or_default()).unwrap()
}

fn all<'a, T: Published>(log: &'a Log, topic: &str) -> impl Iterator<Item = T> + use<'a, T> {
    log[topic].iter().flatten().map(decoded)
}

fn is_tick(record: &Record) -> bool {
    matches!(decoded::<InboxRecord>(record).body, InboxBody::Tick(_))
}

fn contents<'a>(records: impl Iterator<Item = (&'a str, &'a Vec<u8>, &'a Option<Vec<u8>>)>) -> Contents {
    let mut contents = Contents::new();
    for (topic, key, value) in records {
        contents.entry(topic.to_owned()).or_default().entry(key.clone()).or_default().extend(value.clone());
    }
    // Senders' records mix in the inbox as they come; and what is not by subject keeps no order.
    for (topic, keys) in &mut contents {
        if topic != DECISIONS && !topic.starts_with("tasks.") {
            keys.values_mut().for_each(|values| values.sort());
        }
    }
    contents
}

/// The first record that differs, for whoever has to find out why.
fn first_difference(
    topic: &str,
    held: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    expected: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
) -> String {
    let count = |contents: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>| contents.values().map(Vec::len).sum::<usize>();
    let none = Vec::new();
    let mut keys = held.keys().chain(expected.keys());
    let key = keys.find(|key| held.get(*key) != expected.get(*key)).unwrap();
    let (of_key, expected_of_key) = (held.get(key).unwrap_or(&none), expected.get(key).unwrap_or(&none));
    let place = (0..).find(|place| of_key.get(*place) != expected_of_key.get(*place)).unwrap();
    let shown = |values: &Vec<Vec<u8>>| match values.get(place) {
        None => "nothing".to_owned(),
        Some(value) => match topic {
            DECISIONS => format!("{:#?}", codec::decode::<Decision>(value)),
            INBOX => format!("{:#?}", codec::decode::<InboxRecord>(value)),
            QUARANTINE => format!("{:#?}", codec::decode::<Quarantined>(value)),
            tasks if tasks.starts_with("tasks.") => format!("{:#?}", codec::decode::<Task>(value)),
            _ => format!("{:#?}", codec::decode::<Feedback>(value)),
        },
    };
    let (records, expected_records) = (count(held), count(expected));
    let (held, expected) = (shown(of_key), shown(expected_of_key));
    format!("{records} records, not {expected_records}; number {place} of a key is {held}\nnot {expected}")
}

/// Counts alone, without the engine: each input came to one thing, nothing has an id twice, each subject's records were
/// judged in order.
fn count(log: &Log) -> Counts {
    let mut ids = BTreeSet::new();
    let mut unique = |id: String| assert!(ids.insert(id.clone()), "{id} was published twice");
    let inputs = log
        .iter()
        .filter(|(topic, _)| is_read_by_intake(topic))
        .flat_map(|(_, partitions)| partitions.iter().flatten());
    let mut counts = Counts { inputs: inputs.count(), histories: 0, ..Counts::default() };
    let mut refused = 0;
    let mut faulted = BTreeSet::new();
    for quarantined in all::<Quarantined>(log, QUARANTINE) {
        match is_read_by_intake(&quarantined.topic) {
            true => refused += 1,
            false => drop(faulted.insert((quarantined.partition, quarantined.offset))),
        }
        unique(quarantined.quarantine_id);
    }
    for topic in log.keys().filter(|topic| topic.starts_with("tasks.")) {
        for task in all::<Task>(log, topic) {
            counts.tasks += 1;
            unique(task.task_id);
        }
    }
    let repeated = repeated(log);
    let mut judged: BTreeMap<SubjectKey, Vec<Option<String>>> = BTreeMap::new();
    for decision in all::<Decision>(log, DECISIONS) {
        counts.decisions += 1;
        if !repeated.contains(&(decision.event_id.clone(), decision.receipt)) {
            unique(decision.decision_id);
        }
        if decision.trigger == Trigger::Event {
            judged.entry(decision.subject).or_default().push(decision.event_id);
        }
    }
    let (mut accepted, mut own) = (0, BTreeSet::new());
    let mut received: BTreeMap<SubjectKey, Vec<Option<String>>> = BTreeMap::new();
    for (partition, records) in (0..).zip(&log[INBOX]) {
        for record in records.iter().filter(|record| !faulted.contains(&(partition, record.offset))) {
            counts.inbox += 1;
            let inbox: InboxRecord = decoded(record);
            match inbox.body {
                InboxBody::Referral(referral) => {
                    accepted += usize::from(referral.hops == 0 && referral.named_with.is_none());
                    // What the router itself makes of one has a decision of another kind.
                    if referral.named_with.is_none() {
                        received.entry(inbox.subject).or_default().push(Some(referral.event.event_id));
                    } else {
                        own.insert(Some(referral.event.event_id));
                    }
                }
                InboxBody::Outcome(outcome) => accepted += usize::from(outcome.hops == 0),
                InboxBody::Alias(_) | InboxBody::Forward(_) | InboxBody::Signal(_) | InboxBody::Tick(_) => {}
            }
        }
    }
    assert_eq!(accepted + refused, counts.inputs, "each input was accepted once, or is in quarantine once");
    judged.values_mut().for_each(|events| events.retain(|event| !own.contains(event)));
    judged.retain(|_, events| !events.is_empty());
    for subject in judged.keys().chain(received.keys()) {
        let (judged, received) = (judged.get(subject), received.get(subject));
        assert_eq!(
            judged, received,
            "each subject's referrals have one decision each, in the order in which they came"
        );
    }
    let subjects: BTreeSet<&[u8]> = log[HISTORY].iter().flatten().map(|record| record.key.as_slice()).collect();
    counts.histories = subjects.len();
    counts
}

/// Events that came more than once in one millisecond: their decisions are told apart by nothing.
fn repeated(log: &Log) -> BTreeSet<(Option<String>, Timestamp)> {
    let (mut once, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for inbox in all::<InboxRecord>(log, INBOX) {
        let event = match inbox.body {
            InboxBody::Referral(referral) => referral.event.event_id,
            InboxBody::Alias(alias) => alias.event_id,
            InboxBody::Outcome(_) | InboxBody::Forward(_) | InboxBody::Signal(_) | InboxBody::Tick(_) => continue,
        };
        if !once.insert((inbox.id, inbox.receipt)) {
            repeated.insert((Some(event), inbox.receipt));
        }
    }
    repeated
}
