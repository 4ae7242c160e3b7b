//! Stored positions that the log no longer bears out: cut short, deleted unread, made again. Nothing is lost without a word.

use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::{Broker, BrokerError, Commit, LaneBroker, LaneShare, Record};
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use super::kit::{Owner, consumed, limit, names, poll_all, publish, topic, values, write, write_to};
use super::server::{OnKafka, admin, set_position};

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// As retention would, in time.
fn delete_before(topic: &str, partition: i32, first: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(first)).unwrap();
    let deleted = runtime().block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
}

fn read_and_commit(lane: &mut dyn LaneBroker) -> Vec<String> {
    let mut owner = Owner::default();
    let records = poll_all(lane, &mut owner);
    lane.stage(Vec::new(), records.iter().map(consumed).collect()).unwrap();
    assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    values(&records)
}

/// Polls until something is told of, or found.
fn until<T>(lane: &mut dyn LaneBroker, what: &str, mut found: impl FnMut(Vec<Record>) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut owner = Owner::default();
    loop {
        let records = lane.poll(&mut owner, &limit(100)).unwrap();
        if let Some(found) = found(records) {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} never came");
    }
}

fn refused(broker: &Kafka, lane: &mut dyn LaneBroker) -> Vec<String> {
    let mut read = Vec::new();
    let told = until(lane, "a word of it", |records| {
        read.extend(values(&records));
        broker.warnings().pop()
    });
    assert!(told.starts_with("in, partition 0, waits: g has read further than it goes (to 5)"), "{told}");
    read
}

#[test]
fn what_was_refused_stays_so_however_far_the_log_grows_until_its_position_is_set_anew() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two, three) = (kafka.instance("one"), kafka.instance("two"), kafka.instance("three"));
    one.ensure_topics(&[topic("in", 2)]).unwrap();
    publish(&one, vec![write_to("in", 0, "read"), write_to("in", 1, "read too")]).unwrap();
    read_and_commit(&mut *one.lane(names("g", &["in"]), ALONE).unwrap());
    set_position("g", "in", 0, 5);
    let mut lane = one.lane(names("g", &["in"]), ALONE).unwrap();
    assert!(refused(&one, &mut *lane).is_empty());
    // The others go on, and what is left there is known here and elsewhere.
    publish(&one, vec![write_to("in", 1, "goes on")]).unwrap();
    let goes_on = until(&mut *lane, "the other partition", |records| records.into_iter().next());
    assert_eq!(values(std::slice::from_ref(&goes_on)), ["goes on"]);
    lane.stage(Vec::new(), vec![consumed(&goes_on)]).unwrap();
    assert_eq!(lane.commit(&mut Owner::default()).unwrap(), Commit::Committed);
    assert!(lane.is_restored() && lane.oldest_unread().unwrap().is_some());
    let left = || two.left_unread("g", &["in".to_owned()]).unwrap();
    let found = left();
    assert!(found.is_some() && left() == found, "since it was found, and not since each look");
    // By now it could be taken for read.
    publish(&one, vec![write_to("in", 1, "goes on elsewhere")]).unwrap();
    publish(&one, (0..9).map(|n| write_to("in", 0, &n.to_string())).collect()).unwrap();
    drop(lane);
    let mut lane = two.lane(names("g", &["in"]), ALONE).unwrap();
    let mut read = refused(&two, &mut *lane);
    until(&mut *lane, "the other partition", |records| {
        read.extend(values(&records));
        (!read.is_empty()).then_some(())
    });
    assert_eq!(read, ["goes on elsewhere"]);
    assert!(left().is_some() && lane.oldest_unread().unwrap().is_some());
    drop(lane);
    set_position("g", "in", 0, 1);
    let mut lane = three.lane(names("g", &["in"]), ALONE).unwrap();
    let mut read = read_and_commit(&mut *lane);
    read.sort();
    let all: Vec<String> = (0..9).map(|n| n.to_string()).chain(["goes on elsewhere".to_owned()]).collect();
    assert_eq!((read, three.warnings(), three.passed_over()), (all, vec![], 0));
}

#[test]
fn what_was_deleted_before_it_was_read_is_counted_and_told_once() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two, three) = (kafka.instance("one"), kafka.instance("two"), kafka.instance("three"));
    one.ensure_topics(&[topic("in", 1), topic("never", 1)]).unwrap();
    publish(&one, vec![write("in", "a", "0")]).unwrap();
    assert_eq!(read_and_commit(&mut *one.lane(names("g", &["in"]), ALONE).unwrap()), ["0"]);
    publish(&one, (1..5).map(|n| write("in", "a", &n.to_string())).collect()).unwrap();
    publish(&one, (0..3).map(|n| write("never", "a", &format!("never read {n}"))).collect()).unwrap();
    delete_before("in", 0, 4);
    delete_before("never", 0, 2);
    let mut lane = two.lane(names("g", &["in", "never"]), ALONE).unwrap();
    let mut read = values(&poll_all(&mut *lane, &mut Owner::default()));
    read.sort();
    assert_eq!(read, ["4", "never read 2"]);
    // Of what the group never read nobody knows whether anything was missed.
    assert_eq!(two.passed_over(), 3);
    assert_eq!(two.warnings(), ["in, partition 0: 3 offsets were deleted before they were read"]);
    let deadline = Instant::now() + PATIENCE;
    while two.position("g", "in", 0).unwrap() != Some(4) {
        assert!(Instant::now() < deadline, "that it was told is not kept");
    }
    drop(lane);
    let mut lane = three.lane(names("g", &["in", "never"]), ALONE).unwrap();
    assert_eq!(values(&poll_all(&mut *lane, &mut Owner::default())).len(), 2, "nothing of it was committed");
    assert_eq!((three.passed_over(), three.warnings()), (0, vec![]));
}

/// As when a partner that writes in transactions falls silent for longer than its topic keeps anything.
#[test]
fn marks_of_transactions_that_were_read_past_are_no_records_that_nobody_read() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two) = (kafka.instance("one"), kafka.instance("two"));
    one.ensure_topics(&[topic("in", 1), topic("other", 1)]).unwrap();
    let mut writer = one.lane(names("another group", &["other"]), ALONE).unwrap();
    writer.stage(vec![write("in", "a", "0"), write("in", "a", "1")], Vec::new()).unwrap();
    assert_eq!(writer.commit(&mut Owner::default()).unwrap(), Commit::Committed);
    assert_eq!(read_and_commit(&mut *one.lane(names("g", &["in"]), ALONE).unwrap()), ["0", "1"]);
    assert_eq!(one.position("g", "in", 0).unwrap(), Some(2));
    delete_before("in", 0, 3);
    let mut lane = two.lane(names("g", &["in"]), ALONE).unwrap();
    assert!(poll_all(&mut *lane, &mut Owner::default()).is_empty() && lane.is_restored());
    assert_eq!((two.passed_over(), two.warnings()), (0, vec![]));
    // What is behind the mark was not read.
    drop(lane);
    writer.stage(vec![write("in", "a", "2")], Vec::new()).unwrap();
    assert_eq!(writer.commit(&mut Owner::default()).unwrap(), Commit::Committed);
    delete_before("in", 0, 5);
    let mut lane = two.lane(names("g", &["in"]), ALONE).unwrap();
    assert!(poll_all(&mut *lane, &mut Owner::default()).is_empty());
    assert_eq!(two.passed_over(), 2, "a record, and its mark");
}

#[test]
fn two_routers_of_one_instance_are_both_told_until_one_has_gone() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, other) = (kafka.instance("same"), kafka.instance("same"));
    one.ensure_topics(&[topic("in", 2)]).unwrap();
    let mut lane = one.lane(names("g", &["in"]), ALONE).unwrap();
    let mut namesake = other.lane(names("g", &["in"]), ALONE).unwrap();
    let is_told = |broker: &Kafka| broker.warnings().iter().any(|told| told.contains("the same instance (same)"));
    until(&mut *lane, "a word of the other", |_| {
        namesake.poll(&mut Owner::default(), &limit(100)).unwrap();
        (is_told(&one) && is_told(&other) && one.is_doubled()).then_some(())
    });
    namesake.stage(vec![write("in", "a", "mine")], Vec::new()).unwrap();
    assert_eq!(namesake.commit(&mut Owner::default()).unwrap(), Commit::Committed, "it began last");
    lane.stage(vec![write("in", "a", "not mine any more")], Vec::new()).unwrap();
    assert_eq!(lane.commit(&mut Owner::default()), Err(BrokerError::Fenced));
    drop(lane);
    until(&mut *namesake, "that the other has gone", |_| (!is_told(&other)).then_some(()));
}

/// librdkafka would go to the beginning, and what lies there be taken for what was read before.
#[test]
fn a_lane_that_reads_on_where_nothing_is_any_more_says_so_and_begins_again() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    publish(&broker, (0..5).map(|n| write("in", "a", &n.to_string())).collect()).unwrap();
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_all(&mut *lane, &mut owner);
    lane.stage(Vec::new(), vec![consumed(&records[0])]).unwrap();
    assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    delete_before("in", 0, 4);
    // Refused, so that it reads on from the second.
    lane.stage(vec![write("nowhere", "a", "")], vec![consumed(&records[4])]).unwrap();
    lane.commit(&mut owner).unwrap_err();
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        match lane.poll(&mut owner, &limit(10)) {
            Ok(records) => assert!(records.is_empty(), "{:?}", values(&records)),
            Err(error) => break error.to_string(),
        }
        assert!(Instant::now() < deadline, "nothing is said");
    };
    assert!(told.contains("in, partition 0, could not be read"), "{told}");
    drop(lane);
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    assert_eq!((read_and_commit(&mut *lane), broker.passed_over()), (vec!["4".to_owned()], 3));
}

/// The group's positions go with the topic: all that comes is read, more of it than was read before or less.
#[test]
fn a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    publish(&broker, (0..3).map(|n| write("in", "a", &n.to_string())).collect()).unwrap();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    assert_eq!(read_and_commit(&mut *lane).len(), 3);
    for count in [2, 6] {
        kafka.clear();
        broker.ensure_topics(&[topic("in", 1)]).unwrap();
        let sent: Vec<String> = (0..count).map(|n| format!("{n} of {count}")).collect();
        publish(&broker, sent.iter().map(|value| write("in", "a", value)).collect()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut read = Vec::new();
        while read.len() < sent.len() {
            let mut owner = Owner::default();
            match lane.poll(&mut owner, &limit(10)) {
                Ok(records) => {
                    lane.stage(Vec::new(), records.iter().map(consumed).collect()).unwrap();
                    if lane.commit(&mut owner) == Ok(Commit::Committed) {
                        read.extend(values(&records));
                    }
                }
                // As whoever looks after lanes does.
                Err(_) => lane = broker.lane(names("g", &["in"]), ALONE).unwrap(),
            }
            assert!(Instant::now() < deadline, "{read:?} of {count}; {:?}", broker.warnings());
        }
        assert_eq!(read, sent);
    }
}
