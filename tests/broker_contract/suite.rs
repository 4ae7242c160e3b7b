//! The suite: what lanes, gateways and readers may count on, whatever the broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pathway_router::broker::{
    Broker, BrokerError, Commit, LanePlan, LaneShare, Placement, TopicPattern, TopicSpec, Write, system_clock,
};

use super::kit::{
    Harness, Owner, compacted, consumed, contents, limit, names, poll_all, poll_some, publish, shows, topic, values,
    write, write_to,
};

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };

/// Makes one test of each function for a harness.
macro_rules! suite {
    ($harness:expr) => {
        crate::suite::tests! { $harness, suite,
            records_keep_their_order_and_content
            a_publication_is_whole_or_not_at_all
            outputs_and_positions_commit_together
            a_reopened_log_holds_what_was_committed
            what_was_not_committed_is_read_again
            a_position_beyond_the_end_is_refused_and_named
            a_lane_taken_over_is_fenced
            topics_of_a_prefix_appear_by_themselves
            a_compacted_topic_restores_the_newest
            a_poll_wakes_for_new_records
            large_backlogs_come_in_batches
            readers_and_changes
            a_full_queue_is_busy
            topics_keep_their_shape
        }
    };
}
/// Makes one test of each function named for a harness.
macro_rules! tests {
    ($harness:expr, $family:ident, $($name:ident)+) => {
        $(#[test]
        fn $name() {
            crate::suite::on($harness, crate::$family::$name);
        })+
    };
}
pub(crate) use {suite, tests};

/// None: what it needs is not on this machine, and the test is left out.
pub fn on<H: Harness>(harness: Option<H>, test: impl Fn(&dyn Harness)) {
    if let Some(harness) = harness {
        test(&harness);
    }
}

pub fn opened(harness: &dyn Harness, topics: &[TopicSpec]) -> Arc<dyn Broker> {
    let broker = harness.open(system_clock());
    broker.ensure_topics(topics).unwrap();
    broker
}

pub fn records_keep_their_order_and_content(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 3)]);
    let sent: Vec<Write> = (0..300).map(|n| write("in", &format!("child {}", n % 7), &format!("{n}"))).collect();
    for chunk in sent.chunks(11) {
        publish(&*broker, chunk.to_vec()).unwrap();
    }
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_all(&mut *lane, &mut Owner::default());
    assert_eq!(records.len(), 300);
    for child in 0..7 {
        let key = format!("child {child}").into_bytes();
        let of_child: Vec<_> = records.iter().filter(|record| record.key == key).cloned().collect();
        let expected: Vec<String> = (0..300).filter(|n| n % 7 == child).map(|n| n.to_string()).collect();
        assert_eq!(values(&of_child), expected, "one key, one partition, in order");
        assert!(of_child.iter().all(|record| record.headers == [("unit".to_owned(), key.clone())]));
    }
    for partition in 0..3 {
        let offsets: Vec<i64> =
            records.iter().filter(|record| record.partition == partition).map(|record| record.offset).collect();
        assert_eq!(offsets, (0..i64::try_from(offsets.len()).unwrap()).collect::<Vec<_>>());
    }
}

pub fn a_publication_is_whole_or_not_at_all(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1)]);
    let refused = publish(&*broker, vec![write("in", "a", "1"), write("nowhere", "a", "2")]);
    assert_eq!(refused, Err(BrokerError::UnknownTopic("nowhere".to_owned())));
    let refused = publish(&*broker, vec![write("in", "a", "1"), write_to("in", 7, "2")]);
    assert!(matches!(refused, Err(BrokerError::Mismatch(_))), "{refused:?}");
    let published = publish(&*broker, vec![write("in", "a", "3"), write("in", "b", "4")]).unwrap();
    assert_eq!(published.iter().map(|at| at.offset).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(contents(&*broker, "in", 0), ["3", "4"]);
}

pub fn outputs_and_positions_commit_together(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1), topic("out", 1)]);
    publish(&*broker, vec![write("in", "a", "1"), write("in", "a", "2")]).unwrap();
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_all(&mut *lane, &mut owner);
    assert_eq!(owner.assigned, [0]);
    lane.stage(vec![write("out", "a", "from 1")], vec![consumed(&records[0])]).unwrap();
    assert!(contents(&*broker, "out", 0).is_empty(), "nothing shows before the commit");
    assert_eq!(broker.position("g", "in", 0).unwrap(), None);
    assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    assert_eq!((owner.committed, owner.aborted), (1, 0));
    shows(&*broker, "out", 0, &["from 1"]);
    assert_eq!(broker.position("g", "in", 0).unwrap(), Some(1));
    // A transaction that cannot be is refused whole, and reading starts again after the last one.
    lane.stage(vec![write("out", "a", "from 2"), write("nowhere", "a", "")], vec![consumed(&records[1])]).unwrap();
    assert!(lane.commit(&mut owner).is_err());
    assert_eq!((owner.committed, owner.aborted), (1, 1));
    shows(&*broker, "out", 0, &["from 1"]);
    assert_eq!(values(&poll_all(&mut *lane, &mut owner)), ["2"]);
}

pub fn a_reopened_log_holds_what_was_committed(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 2), topic("out", 1)]);
    for n in 0..20 {
        publish(&*broker, vec![write("in", &n.to_string(), &n.to_string())]).unwrap();
    }
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_some(&mut *lane, &mut owner, &limit(10));
    lane.stage(vec![write("out", "a", "ten")], records.iter().map(consumed).collect()).unwrap();
    lane.commit(&mut owner).unwrap();
    let before: Vec<_> = (0..2).map(|partition| contents(&*broker, "in", partition)).collect();
    drop(lane);
    let broker = harness.reopen(broker, system_clock());
    assert_eq!(broker.reader().topics().unwrap(), ["in", "out"]);
    assert_eq!((0..2).map(|partition| contents(&*broker, "in", partition)).collect::<Vec<_>>(), before);
    shows(&*broker, "out", 0, &["ten"]);
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let rest = poll_all(&mut *lane, &mut Owner::default());
    let mut seen: Vec<i64> = values(&records).iter().chain(&values(&rest)).map(|v| v.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>(), "each once");
}

pub fn what_was_not_committed_is_read_again(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1), topic("out", 1)]);
    publish(&*broker, (0..5).map(|n| write("in", "a", &n.to_string())).collect()).unwrap();
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    assert_eq!(poll_all(&mut *lane, &mut owner).len(), 5);
    lane.stage(vec![write("out", "a", "never")], Vec::new()).unwrap();
    drop(lane);
    let broker = harness.reopen(broker, system_clock());
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    assert_eq!(values(&poll_all(&mut *lane, &mut owner)), ["0", "1", "2", "3", "4"]);
    assert!(contents(&*broker, "out", 0).is_empty());
    let mut other = broker.lane(names("another group", &["in"]), ALONE).unwrap();
    assert_eq!(poll_all(&mut *other, &mut owner).len(), 5, "each group reads all");
}

/// As after a restore that brought the positions back and not the log: what comes would be taken for read.
pub fn a_position_beyond_the_end_is_refused_and_named(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1), topic("other", 1)]);
    publish(&*broker, vec![write("in", "a", "read")]).unwrap();
    harness.store_position(&*broker, "g", ("in", 0), 90);
    let broker = harness.reopen(broker, system_clock());
    publish(&*broker, vec![write("in", "a", "new")]).unwrap();
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        match lane.poll(&mut owner, &limit(10)) {
            Ok(records) => assert!(records.is_empty(), "{:?}", values(&records)),
            Err(error) => break error.to_string(),
        }
        assert!(lane.oldest_unread().unwrap().is_some() || owner.assigned.is_empty(), "something is left to read");
        if let Some(warning) = broker.warnings().pop() {
            break warning;
        }
        assert!(Instant::now() < deadline, "nobody is told");
    };
    assert!(told.contains("has read further") && told.contains("in, partition 0"), "{told}");
    // Nor does it come to be taken for read.
    let stands_still = match lane.poll(&mut owner, &limit(10)) {
        Ok(records) => records.is_empty() && lane.oldest_unread().unwrap().is_some(),
        Err(_) => true,
    };
    assert!(stands_still);
    assert_eq!(broker.position("g", "in", 0).unwrap(), Some(90));
}

pub fn a_lane_taken_over_is_fenced(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1), topic("out", 1)]);
    publish(&*broker, vec![write("in", "a", "1")]).unwrap();
    let mut owner = Owner::default();
    let mut first = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_all(&mut *first, &mut owner);
    let mut second = broker.lane(names("g", &["in"]), ALONE).unwrap();
    first.stage(vec![write("out", "a", "first")], vec![consumed(&records[0])]).unwrap();
    assert_eq!(first.commit(&mut owner), Err(BrokerError::Fenced));
    let records = poll_all(&mut *second, &mut owner);
    second.stage(vec![write("out", "a", "second")], vec![consumed(&records[0])]).unwrap();
    assert_eq!(second.commit(&mut owner).unwrap(), Commit::Committed);
    shows(&*broker, "out", 0, &["second"]);
}

pub fn topics_of_a_prefix_appear_by_themselves(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("referrals.police", 1), topic("other", 1)]);
    let topics = TopicPattern::Prefixes(vec!["referrals.".to_owned(), "outcomes.".to_owned()]);
    let plan = LanePlan { group: "g".to_owned(), topics, restore_from: None };
    let mut owner = Owner::default();
    let mut lane = broker.lane(plan, ALONE).unwrap();
    assert!(poll_all(&mut *lane, &mut owner).is_empty());
    broker.ensure_topics(&[topic("referrals.school", 1), topic("outcomes.gp", 1)]).unwrap();
    publish(&*broker, vec![write("outcomes.gp", "a", "2"), write("other", "a", "3")]).unwrap();
    publish(&*broker, vec![write("referrals.school", "a", "1")]).unwrap();
    let mut seen = Vec::new();
    for _ in 0..30 {
        seen.extend(values(&poll_all(&mut *lane, &mut owner)));
        if seen.len() == 2 {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["1", "2"]);
    assert_eq!(owner.assigned, [0], "told once of a partition number");
}

pub fn a_compacted_topic_restores_the_newest(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("inbox", 2), compacted("history", 2)]);
    let to = |partition: u32, key: &str, value: &str| Write {
        placement: Placement::Partition(partition),
        ..write("history", key, value)
    };
    for n in 0..50 {
        publish(&*broker, vec![to(0, "a", &n.to_string()), to(0, "b", "b"), to(1, "c", "elsewhere")]).unwrap();
    }
    publish(&*broker, vec![Write { value: None, ..to(0, "b", "") }, to(0, "a", "last")]).unwrap();
    let broker = harness.reopen(broker, system_clock());
    let plan = LanePlan { restore_from: Some("history".into()), ..names("g", &["inbox"]) };
    let mut owner = Owner::default();
    let mut lane = broker.lane(plan, LaneShare { index: 0, count: 2 }).unwrap();
    assert!(poll_all(&mut *lane, &mut owner).is_empty());
    assert!(owner.assigned.contains(&0));
    // A group of one lane gives it the other partition too.
    owner.restored.retain(|record| record.partition == 0);
    assert!(owner.restored.is_sorted_by_key(|record| record.offset));
    // How soon older records go is the broker's affair: the last of each key is what counts.
    let last = |key: &str| owner.restored.iter().rfind(|record| record.key == key.as_bytes());
    assert_eq!(last("a").map(|record| record.value.clone()), Some(Some(b"last".to_vec())));
    assert_eq!(last("b").and_then(|record| record.value.clone()), None);
}

pub fn a_poll_wakes_for_new_records(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1)]);
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let mut owner = Owner::default();
    assert!(poll_all(&mut *lane, &mut owner).is_empty());
    let sender = broker.clone();
    let sending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        publish(&*sender, vec![write("in", "a", "1")]).unwrap();
    });
    let patient = pathway_router::broker::BatchLimit { wait: Duration::from_secs(60), ..limit(10) };
    assert_eq!(values(&lane.poll(&mut owner, &patient).unwrap()), ["1"]);
    sending.join().unwrap();
}

pub fn large_backlogs_come_in_batches(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 1)]);
    let large = "x".repeat(10_000);
    for _ in 0..60 {
        publish(&*broker, (0..50).map(|_| write("in", "a", &large)).collect()).unwrap();
    }
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let mut owner = Owner::default();
    let mut offsets = Vec::new();
    loop {
        let records = poll_some(&mut *lane, &mut owner, &limit(70));
        assert!(records.len() <= 70);
        let bytes: usize = records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
        assert!(bytes <= limit(70).bytes_max);
        if records.is_empty() {
            break;
        }
        offsets.extend(records.iter().map(|record| record.offset));
    }
    assert_eq!(offsets, (0..3000).collect::<Vec<_>>());
}

pub fn readers_and_changes(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("tasks", 2)]);
    let reader = broker.reader();
    let mut changes = reader.changes();
    changes.mark_unchanged();
    publish(&*broker, (0..9).map(|n| write_to("tasks", 1, &n.to_string())).collect()).unwrap();
    // Soon after the answer, not always before it: waits, or never ends.
    while !changes.has_changed().unwrap() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(values(&reader.read("tasks", 1, 3, 4).unwrap()), ["3", "4", "5", "6"]);
    assert!(reader.read("tasks", 1, 9, 4).unwrap().is_empty());
    assert_eq!((reader.end_offset("tasks", 0).unwrap(), reader.end_offset("tasks", 1).unwrap()), (0, 9));
    assert_eq!(reader.partitions("tasks").unwrap(), 2);
    assert!(reader.read("tasks", 2, 0, 1).is_err());
    assert_eq!(reader.partitions("nowhere"), Err(BrokerError::UnknownTopic("nowhere".to_owned())));
    let mut lane = broker.lane(names("g", &["tasks"]), ALONE).unwrap();
    let mut owner = Owner::default();
    let first = poll_some(&mut *lane, &mut owner, &limit(1));
    assert_eq!(lane.oldest_unread().unwrap(), Some(first[0].timestamp));
    poll_all(&mut *lane, &mut owner);
    assert_eq!(lane.oldest_unread().unwrap(), None);
}

pub fn a_full_queue_is_busy(harness: &dyn Harness) {
    let broker = harness.open_without_queue();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    assert_eq!(publish(&*broker, vec![write("in", "a", "1")]), Err(BrokerError::Busy));
    assert!(contents(&*broker, "in", 0).is_empty());
}

pub fn topics_keep_their_shape(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("in", 3)]);
    for (spec, refused) in [(topic("in", 3), false), (topic("in", 4), true), (compacted("in", 3), true)] {
        let result = broker.ensure_topics(&[topic("new", 1), spec]);
        assert_eq!(matches!(result, Err(BrokerError::Mismatch(_))), refused, "{result:?}");
    }
    let longer = TopicSpec { retention: Some(Duration::from_secs(9)), ..topic("in", 3) };
    broker.ensure_topics(&[longer]).unwrap();
}
