//! Topics compared with what they should be: nothing to do twice, what operators set besides stays, shapes stay.

use std::time::Duration;

use pathway_router::broker::{Broker, BrokerError, Commit, LaneShare, TopicSpec};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::kit::{Owner, compacted, consumed, contents, names, poll_all, publish, topic, write};
use super::server::{OnKafka, bootstrap};

#[test]
fn a_plan_names_what_differs_and_nothing_else() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    let kept = |days: u64| TopicSpec { retention: Some(Duration::from_secs(days * 86_400)), ..topic("tasks", 2) };
    let specs = [kept(90), compacted("history", 3)];
    let plan = broker.plan_topics(&specs).unwrap();
    assert_eq!((plan.create.as_slice(), plan.alter.len()), (specs.as_slice(), 0));
    broker.ensure_topics(&specs).unwrap();
    assert_eq!(broker.plan_topics(&specs).unwrap(), Default::default());
    let wanted = [kept(30), compacted("history", 3)];
    let plan = broker.plan_topics(&wanted).unwrap();
    let differing = plan.alter["tasks"].iter().collect::<Vec<_>>();
    assert_eq!(differing, [(&"retention.ms".to_owned(), &(Some("7776000000".to_owned()), "2592000000".to_owned()))]);
    assert_eq!((plan.create.len(), plan.alter.len()), (0, 1));
}

#[test]
fn what_an_operator_has_set_besides_stays() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("tasks", 1)]).unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let theirs = AlterConfig::new(ResourceSpecifier::Topic("tasks")).set("segment.bytes", "2097152");
    runtime.block_on(admin.alter_configs([&theirs], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    // Their change took ours away, as the broker replaces settings as a whole: that is found and mended.
    broker.ensure_topics(&[topic("tasks", 1)]).unwrap();
    assert_eq!(broker.plan_topics(&[topic("tasks", 1)]).unwrap(), Default::default());
    let resource = [ResourceSpecifier::Topic("tasks")];
    let described = runtime.block_on(admin.describe_configs(&resource, &AdminOptions::new())).unwrap();
    let described = described[0].as_ref().unwrap();
    assert_eq!(described.get("segment.bytes").unwrap().value.as_deref(), Some("2097152"));
}

#[test]
fn a_shape_that_differs_is_refused() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("inbox", 2)]).unwrap();
    for differing in [topic("inbox", 3), compacted("inbox", 2)] {
        let refused = broker.ensure_topics(&[topic("new", 1), differing]);
        let Err(BrokerError::Mismatch(message)) = refused else { panic!("{refused:?}") };
        assert!(message.contains("cannot be changed"), "{message}");
        assert_eq!(broker.reader().topics().unwrap(), ["inbox"]);
    }
}

/// A partner's largest record goes to quarantine whole, with what is known of it: the router must be able to write that.
#[test]
fn a_record_beyond_a_mebibyte_is_written() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("quarantine", 1)]).unwrap();
    let large = "x".repeat((1 << 20) + (64 << 10));
    publish(&broker, vec![write("quarantine", "a", &large)]).unwrap();
    let plan = names("g", &["quarantine"]);
    let mut owner = Owner::default();
    let mut lane = broker.lane(plan, LaneShare { index: 0, count: 1 }).unwrap();
    let read = poll_all(&mut *lane, &mut owner);
    lane.stage(vec![write("quarantine", "b", &large)], read.iter().map(consumed).collect()).unwrap();
    assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    assert_eq!(contents(&broker, "quarantine", 0).iter().map(String::len).collect::<Vec<_>>(), [large.len(); 2]);
}
