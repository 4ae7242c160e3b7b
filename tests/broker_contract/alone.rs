//! What a broker of one process promises besides: it keeps the clock, the retention and the shares itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pathway_router::broker::{Clock, LanePlan, LaneShare, TopicPattern, TopicSpec};
use pathway_router::engine::model::scalar::Timestamp;

use super::kit::{
    Harness, Owner, compacted, consumed, contents, names, poll_all, publish, topic, values, write, write_to,
};
use super::suite::opened;

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };

/// Makes one test of each function for a harness.
macro_rules! alone {
    ($harness:expr) => {
        crate::suite::tests! { $harness, alone,
            times_never_go_back
            lanes_share_the_partitions
            retention_spares_what_is_unread
        }
    };
}
pub(crate) use alone;

pub fn times_never_go_back(harness: &dyn Harness) {
    let now = Arc::new(AtomicI64::new(5000));
    let clock: Clock = {
        let now = now.clone();
        Arc::new(move || Timestamp(now.load(Ordering::SeqCst)))
    };
    let broker = harness.open(clock.clone());
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    for instant in [5000, 4000, 6000] {
        now.store(instant, Ordering::SeqCst);
        publish(&*broker, vec![write("in", "a", "x")]).unwrap();
    }
    now.store(1000, Ordering::SeqCst);
    let broker = harness.reopen(broker, clock);
    publish(&*broker, vec![write("in", "a", "x")]).unwrap();
    let times: Vec<i64> =
        broker.reader().read("in", 0, 0, 9).unwrap().iter().map(|record| record.timestamp.0).collect();
    assert_eq!(times, [5000, 5000, 6000, 6000]);
}

pub fn lanes_share_the_partitions(harness: &dyn Harness) {
    let broker = opened(harness, &[topic("inbox", 4), compacted("history", 4), topic("p.a", 1), topic("p.b", 1)]);
    for partition in 0..4 {
        publish(&*broker, vec![write_to("inbox", partition, &partition.to_string())]).unwrap();
    }
    publish(&*broker, vec![write("p.a", "x", "a"), write("p.b", "x", "b")]).unwrap();
    let mut seen = Vec::new();
    let mut of_prefix = 0;
    for index in 0..2 {
        let share = LaneShare { index, count: 2 };
        let plan = LanePlan { restore_from: Some("history".into()), ..names("decide", &["inbox"]) };
        let mut lane = broker.lane(plan, share).unwrap();
        let records = poll_all(&mut *lane, &mut Owner::default());
        assert_eq!(lane.owned(), [index, index + 2], "lanes with state share by partition number");
        seen.extend(values(&records));
        let topics = TopicPattern::Prefixes(vec!["p.".to_owned()]);
        let plan = LanePlan { group: "intake".to_owned(), topics, restore_from: None };
        let mut lane = broker.lane(plan, share).unwrap();
        let records = poll_all(&mut *lane, &mut Owner::default());
        assert_eq!(records.len(), 1, "lanes without share the topics");
        of_prefix += 1;
    }
    seen.sort();
    assert_eq!((seen, of_prefix), (["0", "1", "2", "3"].map(str::to_owned).to_vec(), 2));
}

pub fn retention_spares_what_is_unread(harness: &dyn Harness) {
    let now = Arc::new(AtomicI64::new(1000));
    let clock: Clock = {
        let now = now.clone();
        Arc::new(move || Timestamp(now.load(Ordering::SeqCst)))
    };
    let broker = harness.open(clock.clone());
    let short = |name: &str| TopicSpec { retention: Some(Duration::from_secs(1)), ..topic(name, 1) };
    broker.ensure_topics(&[short("read"), short("unread"), short("output"), topic("kept", 1)]).unwrap();
    for instant in [1000, 1500, 3000] {
        now.store(instant, Ordering::SeqCst);
        for name in ["read", "unread", "output", "kept"] {
            publish(&*broker, vec![write(name, "a", &instant.to_string())]).unwrap();
        }
    }
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["read", "unread"]), ALONE).unwrap();
    let records = poll_all(&mut *lane, &mut owner);
    let first = records.iter().find(|record| &*record.topic == "read").unwrap();
    lane.stage(Vec::new(), vec![consumed(first)]).unwrap();
    lane.commit(&mut owner).unwrap();
    assert_eq!(broker.delete_expired().unwrap(), 3);
    assert_eq!(contents(&*broker, "read", 0), ["1500", "3000"], "past retention, but the second is unread");
    assert_eq!(contents(&*broker, "unread", 0), ["1000", "1500", "3000"]);
    assert_eq!(contents(&*broker, "output", 0), ["3000"]);
    assert_eq!(contents(&*broker, "kept", 0).len(), 3);
    now.store(9000, Ordering::SeqCst);
    broker.delete_expired().unwrap();
    assert!(contents(&*broker, "output", 0).is_empty());
    drop(lane);
    now.store(2000, Ordering::SeqCst);
    let broker = harness.reopen(broker, clock);
    let published = publish(&*broker, vec![write("output", "a", "next")]).unwrap();
    assert_eq!((published[0].offset, published[0].timestamp), (3, Timestamp(3000)), "offsets and times go on");
    let mut lane = broker.lane(names("g", &["read"]), ALONE).unwrap();
    assert_eq!(values(&poll_all(&mut *lane, &mut owner)), ["1500", "3000"]);
}
