//! What the durability tests share: the default rule book, fixed keys, the made-up partners.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pathway_router::broker::{Broker, BrokerError, Clock, Placement, Published, Reader, Write};
use pathway_router::config::{Retention, default_rules};
use pathway_router::engine::codec;
use pathway_router::engine::context::{Context, RuleBooks};
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::{Partner, Partners};
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::rules::{self, fault::SourceFile};
use pathway_router::engine::seal::Sealer;
use pathway_router::runtime::ServiceOptions;
use pathway_router::runtime::topics::{TopicPlan, is_read_by_intake};
use pathway_router::simulate::partners::PARTNERS;
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;

use super::oracle::{self, Counts};
use super::reference::{Reference, log_of};

pub const PARTITIONS: u32 = 4;

pub fn books() -> RuleBooks {
    let source = |(name, text): &(&str, &str)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let files: Vec<SourceFile> = default_rules::FILES.iter().map(source).collect();
    RuleBooks::new(vec![PreparedBook::new(rules::load(&files).unwrap())])
}

pub fn context(panic_on: Option<&str>) -> Context {
    Context {
        books: books(),
        keys: Keys::from_secret(&[1; 32]),
        sealer: Sealer::from_secret(&[2; 32]),
        covered_since: None,
        front_door_phone: None,
        panic_on: panic_on.map(str::to_owned),
    }
}

pub fn partners() -> Partners {
    let known = |agency: Option<&str>| Partner { agency: agency.map(str::to_owned), units: None };
    PARTNERS.iter().map(|partner| (partner.name.to_owned(), known(partner.agency))).collect()
}

fn retention() -> Retention {
    let kept = Duration::from_secs(3650 * 86_400);
    Retention {
        referrals: kept,
        outcomes: kept,
        inbox: kept,
        tasks: kept,
        feedback: kept,
        decisions: kept,
        quarantine: kept,
    }
}

pub fn topic_plan(context: &Context) -> TopicPlan {
    let agencies: BTreeSet<String> = context.books.all().flat_map(|book| book.rules.agencies.keys().cloned()).collect();
    TopicPlan { partners: partners().into_keys().collect(), agencies, partitions: PARTITIONS, retention: retention() }
}

pub fn options(broker: Arc<dyn Broker>, context: Context, metrics: Arc<Metrics>, clock: Clock) -> ServiceOptions {
    ServiceOptions {
        broker,
        context,
        partners: partners(),
        agencies: BTreeSet::new(),
        partitions: PARTITIONS,
        intake_lanes: 1,
        decide_lanes: 2,
        retention: retention(),
        written_for_previous: false,
        metrics,
        readiness: Arc::new(Readiness::starting()),
        clock,
    }
}

/// An event as the gateway writes it.
pub fn write_of(event: &ReferralEvent) -> Write {
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let partner = &event.source.partner;
    Write {
        topic: format!("referrals.{partner}").into(),
        placement: Placement::ByKey,
        key: event.event_id.as_bytes().to_vec(),
        value: Some(codec::encode(event).unwrap()),
        headers: vec![header("partner", partner), header("unit", &event.source.unit)].into(),
    }
}

/// Everything a router left against the reference router. What was due five minutes before `now` must have fired.
pub fn check(reader: &dyn Reader, context: &Context, partners: &Partners, now: Timestamp) -> Counts {
    let log = log_of(reader);
    let reference = Reference::run(&log, context, partners);
    let counts = oracle::check(&log, &reference);
    assert_eq!(reference.overdue(now.plus_millis(-5 * 60_000)), 0, "timers that never fired");
    counts
}

/// Publishes and waits for the answer.
pub fn publish(broker: &dyn Broker, writes: Vec<Write>) -> Result<Vec<Published>, BrokerError> {
    let (answer, answered) = std::sync::mpsc::channel();
    broker.publisher().publish(writes, Box::new(move |result| answer.send(result).unwrap()));
    answered.recv().unwrap()
}

/// Whether both stages have read all there is.
pub fn is_drained(broker: &dyn Broker) -> bool {
    let reader = broker.reader();
    let is_read = |group: &str, topic: &str| {
        (0..reader.partitions(topic).unwrap()).all(|partition| {
            let read = broker.position(group, topic, partition).unwrap().unwrap_or(0);
            read == reader.end_offset(topic, partition).unwrap()
        })
    };
    let inputs = reader.topics().unwrap();
    inputs.iter().filter(|name| is_read_by_intake(name)).all(|name| is_read("intake", name))
        && is_read("decide", "inbox")
}
