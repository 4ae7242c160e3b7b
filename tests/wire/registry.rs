//! Framing for a schema registry: what is written and read, what waits, and what is refused, against a registry made up
//! of a socket.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{
    BatchLimit, Broker, BrokerError, Consumed, Health, LanePlan, LaneShare, PartitionOwner, Placement, Record,
    TopicPattern, TopicSpec, Write,
};
use pathway_router::config::registry::{Credentials, Registry};
use pathway_router::engine::codec;
use pathway_router::engine::schema::SchemaName;
use pathway_router::runtime::topics::schema_of;
use pathway_router::wire::framed::Framed;
use pathway_router::wire::{SchemaOf, Wire};
use serde_json::{Value, json};

use crate::samples;

/// How the registry answers.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Overloaded,
    /// Some other web server.
    Mistaken,
    RefusesUs,
}

struct Registered {
    mood: Mood,
    schemas: Vec<(String, String)>,
    asked: usize,
}

struct FakeRegistry {
    url: String,
    state: Arc<Mutex<Registered>>,
}

impl FakeRegistry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Registered { mood: Mood::Well, schemas: Vec::new(), asked: 0 }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                answer(connection.unwrap(), &shared);
            }
        });
        Self { url, state }
    }

    fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// As a partner would register one; its id.
    fn add(&self, subject: &str, schema: &str) -> u32 {
        let mut state = self.state.lock().unwrap();
        state.schemas.push((subject.to_owned(), schema.to_owned()));
        u32::try_from(state.schemas.len()).unwrap()
    }

    fn wire(&self) -> Arc<Wire> {
        self.wire_by(schema_of)
    }

    fn wire_by(&self, schema_of: SchemaOf) -> Arc<Wire> {
        let credentials = Some(Credentials::new("router:secret-word".to_owned()));
        Arc::new(Wire::new(&Registry { url: self.url.clone(), credentials, authority: None }, schema_of).unwrap())
    }
}

fn answer(mut connection: TcpStream, state: &Mutex<Registered>) {
    let mut text = Vec::new();
    let mut chunk = [0; 65_536];
    let (head, body) = loop {
        let read = connection.read(&mut chunk).unwrap_or(0);
        text.extend(&chunk[..read]);
        let sent = String::from_utf8_lossy(&text).into_owned();
        if read == 0 {
            return;
        }
        let Some((head, body)) = sent.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (status, answer) = judge(&head, &body, &mut state.lock().unwrap());
    let length = answer.len();
    let _ = write!(connection, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
}

fn judge(head: &str, body: &str, state: &mut Registered) -> (u16, String) {
    state.asked += 1;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let sent =
        serde_json::from_str::<Value>(body).unwrap_or_default()["schema"].as_str().unwrap_or_default().to_owned();
    let found = |subject: &str| state.schemas.iter().position(|(of, text)| of == subject && *text == sent);
    let not_found = |code: u32| (404, json!({"error_code": code, "message": "no"}).to_string());
    match (state.mood, parts.as_slice()) {
        (Mood::Overloaded, _) => (503, String::new()),
        (Mood::Mistaken, _) => (404, "<html>no such page</html>".to_owned()),
        (Mood::RefusesUs, _) => (401, json!({"error_code": 401}).to_string()),
        (Mood::Well, _) if !head.to_lowercase().contains("authorization: basic ") => (401, String::new()),
        (Mood::Well, ["schemas", "ids", id]) => match state.schemas.get(id.parse::<usize>().unwrap().wrapping_sub(1)) {
            Some((_, text)) => (200, json!({ "schema": text }).to_string()),
            None => not_found(40_403),
        },
        (Mood::Well, ["subjects", subject]) => match found(subject) {
            Some(index) => (200, json!({ "id": index + 1 }).to_string()),
            None => not_found(40_401),
        },
        (Mood::Well, ["subjects", subject, "versions"]) => {
            let index = found(subject).unwrap_or_else(|| {
                state.schemas.push(((*subject).to_owned(), sent.clone()));
                state.schemas.len() - 1
            });
            (200, json!({ "id": index + 1 }).to_string())
        }
        (Mood::Well, _) => not_found(40_401),
    }
}

#[derive(Default)]
struct Owner;

impl PartitionOwner for Owner {
    fn restored(&mut self, _: u32, _: Record) -> Result<(), BrokerError> {
        Ok(())
    }

    fn assigned(&mut self, _: u32) -> Result<(), BrokerError> {
        Ok(())
    }

    fn revoked(&mut self, _: u32) {}
    fn committed(&mut self) {}
    fn aborted(&mut self) {}
}

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };
const LIMIT: BatchLimit = BatchLimit { records_max: 100, bytes_max: 1 << 20, wait: Duration::from_millis(10) };

fn spec(name: &str) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions: 1, compacted: false, retention: None }
}

fn record(topic: &str, value: Vec<u8>) -> Write {
    let (topic, value) = (topic.into(), Some(value));
    Write { topic, placement: Placement::Partition(0), key: Vec::new(), value, headers: Default::default() }
}

fn framed(id: u32, encoded: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], &encoded[10..]].concat()
}

fn publish(broker: &dyn Broker, write: Write) {
    broker.publisher().publish(vec![write], Box::new(|result| drop(result.unwrap())));
}

/// A log in memory that is framed for the registry, and the same without.
fn opened(registry: &FakeRegistry) -> (Memory, Framed) {
    let log = Memory::new(MemoryOptions::default());
    let framed = Framed::new(Arc::new(log.clone()), registry.wire());
    framed.ensure_topics(&[spec("referrals.police"), spec("tasks.camhs"), spec("inbox")]).unwrap();
    (log, framed)
}

fn intake() -> LanePlan {
    let topics = TopicPattern::Prefixes(vec!["referrals.".to_owned()]);
    LanePlan { group: "intake".to_owned(), topics, restore_from: None }
}

#[test]
fn what_others_read_is_framed_and_what_they_write_is_unframed() {
    let registry = FakeRegistry::start();
    let (log, broker) = opened(&registry);
    assert_eq!(registry.state.lock().unwrap().schemas.len(), 2, "nobody else reads the inbox");
    let event = codec::encode(&samples::event("missing.started")).unwrap();
    let task = samples::full(SchemaName::Task).remove(0);
    let task: pathway_router::engine::model::task::Task = pathway_router::engine::schema::from_json(&task).unwrap();
    let task = codec::encode(&task).unwrap();
    let undocumented = {
        let mut schema: Value = serde_json::from_str(SchemaName::ReferralEvent.text()).unwrap();
        schema["doc"] = json!("ours, in other words");
        schema.to_string()
    };
    let id = registry.add("referrals.police-value", &undocumented);
    publish(&log, record("referrals.police", framed(id, &event)));
    publish(&log, record("referrals.police", event.clone()));
    let mut lane = broker.lane(intake(), ALONE).unwrap();
    let read = lane.poll(&mut Owner, &LIMIT).unwrap();
    assert_eq!(
        read.iter().map(|record| record.value.clone().unwrap()).collect::<Vec<_>>(),
        [event.clone(), event.clone()]
    );
    lane.stage(vec![record("tasks.camhs", task.clone()), record("inbox", event.clone())], Vec::new()).unwrap();
    lane.commit(&mut Owner).unwrap();
    let stored = |topic: &str| log.reader().read(topic, 0, 0, 10).unwrap().remove(0).value.unwrap();
    assert_eq!(stored("tasks.camhs"), framed(2, &task));
    assert_eq!(stored("inbox"), event);
    assert_eq!(broker.reader().read("tasks.camhs", 0, 0, 10).unwrap()[0].value, Some(task));
    let asked = registry.state.lock().unwrap().asked;
    publish(&log, record("referrals.police", framed(id, &event)));
    assert_eq!(lane.poll(&mut Owner, &LIMIT).unwrap().len(), 1);
    assert_eq!(registry.state.lock().unwrap().asked, asked, "an id is asked for once");
}

/// This record is handed on as it is, with a reason that says this.
fn check_refused(registry: &FakeRegistry, value: Vec<u8>, reason: &str) {
    let (log, broker) = opened(registry);
    publish(&log, record("referrals.police", value.clone()));
    let read = broker.lane(intake(), ALONE).unwrap().poll(&mut Owner, &LIMIT).unwrap().remove(0);
    assert_eq!(read.value, Some(value));
    assert!(read.fault.as_ref().is_some_and(|fault| fault.contains(reason)), "{:?}", read.fault);
    assert_eq!(broker.health(), Health::Ready);
}

#[test]
fn what_can_never_be_read_is_refused_with_the_reason() {
    let registry = FakeRegistry::start();
    let event = codec::encode(&samples::event("missing.started")).unwrap();
    check_refused(&registry, framed(999, &event), "has no schema with id 999: register it");
    check_refused(&registry, vec![0, 0, 0], "ends within its frame");
    let outcome = registry.add("x", SchemaName::Outcome.text());
    let reason = "cannot be read as schemas/referral-event.avsc: must be written as record pathway.ReferralEvent";
    check_refused(&registry, framed(outcome, &event), reason);
    let nonsense = registry.add("x", "{");
    check_refused(&registry, framed(nonsense, &event), "the schema is not JSON");
    let mut longer: Value = serde_json::from_str(SchemaName::ReferralEvent.text()).unwrap();
    longer["fields"].as_array_mut().unwrap().push(json!({"name": "later", "type": "long"}));
    let longer = registry.add("x", &longer.to_string());
    check_refused(&registry, framed(longer, &event), "does not follow its schema");
}

#[test]
fn a_panic_on_unframing_costs_that_record_alone() {
    let unlucky = |topic: &str| {
        assert!(topic != "referrals.unlucky", "injected fault");
        schema_of(topic)
    };
    let registry = FakeRegistry::start();
    let log = Memory::new(MemoryOptions::default());
    log.ensure_topics(&[spec("referrals.unlucky"), spec("referrals.police")]).unwrap();
    let event = codec::encode(&samples::event("missing.started")).unwrap();
    for topic in ["referrals.unlucky", "referrals.police"] {
        publish(&log, record(topic, event.clone()));
    }
    let broker = Framed::new(Arc::new(log), registry.wire_by(unlucky));
    let mut lane = broker.lane(intake(), ALONE).unwrap();
    let mut read = Vec::new();
    while read.len() < 2 {
        read.extend(lane.poll(&mut Owner, &LIMIT).unwrap());
    }
    for Record { topic, value, fault, .. } in read {
        assert_eq!(value.as_ref(), Some(&event));
        assert_eq!(fault.is_some_and(|fault| fault.contains("the router failed")), &*topic == "referrals.unlucky");
    }
}

/// The lane waits for such a registry, says so, and reads on where it was once it answers.
fn check_waits(mood: Mood, says: &str) {
    let registry = FakeRegistry::start();
    let (log, broker) = opened(&registry);
    let event = codec::encode(&samples::event("missing.started")).unwrap();
    let id = registry.add("referrals.police-value", &format!("{} ", SchemaName::ReferralEvent.text()));
    for value in [event.clone(), framed(id, &event), event.clone()] {
        publish(&log, record("referrals.police", value));
    }
    registry.set(mood);
    let mut lane = broker.lane(intake(), ALONE).unwrap();
    let first = lane.poll(&mut Owner, &LIMIT).unwrap();
    assert_eq!(first.iter().map(|record| record.offset).collect::<Vec<_>>(), [0], "what needs no registry goes on");
    lane.stage(Vec::new(), vec![Consumed { topic: "referrals.police".into(), partition: 0, next_offset: 1 }]).unwrap();
    lane.commit(&mut Owner).unwrap();
    assert!(lane.poll(&mut Owner, &LIMIT).unwrap().is_empty());
    assert!(lane.oldest_unread().unwrap().is_some());
    let Health::Unreachable(problem) = broker.health() else { panic!("{:?}", broker.health()) };
    assert!(problem.contains(says) && !problem.contains("secret-word"), "{problem}");
    registry.set(Mood::Well);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut offsets = Vec::new();
    while offsets.len() < 2 && Instant::now() < deadline {
        offsets.extend(lane.poll(&mut Owner, &LIMIT).unwrap().iter().map(|record| record.offset));
    }
    assert_eq!(offsets, [1, 2]);
    assert_eq!(broker.health(), Health::Ready);
}

#[test]
fn a_registry_that_does_not_answer_well_is_waited_for() {
    check_waits(Mood::Overloaded, "answers with status 503");
    check_waits(Mood::Mistaken, "is the address right?");
    check_waits(Mood::RefusesUs, "refuses our credentials");
}

#[test]
fn a_missing_registry_is_unreachable_not_wrong() {
    let settings = Registry { url: "http://127.0.0.1:1".to_owned(), credentials: None, authority: None };
    let wire = Wire::new(&settings, schema_of).unwrap();
    let refused = wire.learn(["tasks.camhs"].into_iter());
    let Err(BrokerError::Unreachable(problem)) = refused else { panic!("{refused:?}") };
    assert!(problem.starts_with("the schema registry does not answer"), "{problem}");
}

#[test]
fn what_is_known_of_ids_is_bounded() {
    use pathway_router::wire::known::{KNOWN_MAX, Known, Way};
    let mut known = Known::default();
    for id in 0..u32::try_from(KNOWN_MAX).unwrap() * 2 {
        known.put(id, SchemaName::Task, Way::of(id, SchemaName::Task, None));
    }
    assert_eq!(known.len(), KNOWN_MAX);
    assert!(known.get(0, SchemaName::Task).is_none());
}

#[test]
fn subjects_are_registered_once_and_held_to_what_was_promised() {
    let registry = FakeRegistry::start();
    let wire = registry.wire();
    let topics = ["referrals.police", "inbox", "decisions"];
    let changes = wire.plan(topics.into_iter()).unwrap();
    let said: BTreeMap<String, usize> = changes.iter().fold(BTreeMap::new(), |mut said, change| {
        *said.entry(format!("{change:?}").split('"').nth(1).unwrap().to_owned()).or_default() += 1;
        said
    });
    assert_eq!(said, BTreeMap::from([("decisions-value".to_owned(), 2), ("referrals.police-value".to_owned(), 2)]));
}
