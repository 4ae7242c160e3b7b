//! Partners that join while routers run: known from the next batch on, answered by every instance.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{
    BatchLimit, BrokerError, Commit, Consumed, LaneBroker, PartitionOwner, Reader, Record, Write, system_clock,
};
use pathway_router::engine::intake::{Partner, Partners};
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::runtime::directory::{Current, Directory};
use pathway_router::runtime::intake_lane::IntakeLane;
use pathway_router::runtime::lane::{LaneControl, first_limit, turn};
use pathway_router::runtime::progress::IntakeProgress;
use pathway_router::runtime::topics::OutputTopics;
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::simulate;
use pathway_router::telemetry::metrics::Metrics;

use super::kit;

const NEWCOMER: &str = "newcomer";

fn with_newcomer() -> Partners {
    let mut partners = kit::partners();
    partners.insert(NEWCOMER.to_owned(), Partner { agency: None, units: None });
    partners
}

/// One that any partner may send.
fn event() -> ReferralEvent {
    let events = simulate::referral_events(3, 2000, system_clock()());
    let mut event = events.into_iter().find(|event| matches!(event.detail, Detail::MissingStarted(_))).unwrap();
    NEWCOMER.clone_into(&mut event.source.partner);
    event.do_not_inform.clear();
    event
}

/// A log on which somebody joins while the lane waits for a record.
struct Meanwhile {
    directory: Arc<Directory>,
    written: Vec<Write>,
}

impl LaneBroker for Meanwhile {
    fn poll(&mut self, _owner: &mut dyn PartitionOwner, _limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        self.directory.update(|current| current.partners = Arc::new(with_newcomer()));
        let Write { topic, key, value, headers, .. } = kit::write_of(&event());
        let (partition, offset, timestamp, headers, fault) = (0, 0, system_clock()(), headers.to_vec(), None);
        Ok(vec![Record { topic, partition, offset, timestamp, key, value, headers, fault }])
    }

    fn stage(&mut self, writes: Vec<Write>, _consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        self.written.extend(writes);
        Ok(())
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        owner.committed();
        Ok(Commit::Committed)
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        Ok(None)
    }

    fn owned(&self) -> Vec<u32> {
        vec![0]
    }
}

#[test]
fn who_joins_while_a_record_is_waited_for_is_known_when_it_comes() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let current = || Current {
        context: Arc::new(kit::context(None)),
        partners: Arc::new(kit::partners()),
        topics: OutputTopics::of(["feedback.newcomer"].into_iter()),
    };
    let directory = Arc::new(Directory::new(current(), Box::new(move || Ok(current().topics))));
    let Current { context, partners, topics } = directory.current();
    let progress = Arc::new(IntakeProgress::new(1));
    let mut work =
        IntakeLane::new(context, partners, topics, metrics.clone(), progress, 0).following(directory.clone());
    let mut lane = Meanwhile { directory, written: Vec::new() };
    let control = LaneControl { stop: Arc::new(AtomicBool::new(false)), metrics, clock: system_clock(), number: 0 };
    turn(&mut lane, &mut work, &control, &mut first_limit()).unwrap();
    let topics: Vec<&str> = lane.written.iter().map(|write| write.topic.as_ref()).collect();
    assert!(topics.contains(&"inbox") && !topics.contains(&"quarantine"), "{topics:?}");
}

#[test]
fn who_joins_at_one_instance_is_answered_by_another_that_was_told_nothing() {
    let memory = Memory::new(MemoryOptions::default());
    let started = |intake_lanes, decide_lanes| {
        let metrics = Arc::new(Metrics::new().unwrap());
        let options = kit::options(Arc::new(memory.join()), kit::context(None), metrics.clone(), system_clock());
        (Service::start(ServiceOptions { intake_lanes, decide_lanes, ..options }).unwrap(), metrics)
    };
    let ((intake, metrics), (decide, _)) = (started(1, 0), started(0, 1));
    intake.replace_partners(with_newcomer()).unwrap();
    kit::publish(&memory, vec![kit::write_of(&event())]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while memory.end_offset("feedback.newcomer", 0).unwrap() == 0 {
        assert!(Instant::now() < deadline, "no feedback came");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(metrics.render().contains("pathway_intake_consumed_total{partner=\"newcomer\"} 1"), "{}", metrics.render());
    intake.replace_partners(kit::partners()).unwrap();
    assert!(!metrics.render().contains("newcomer"), "who was taken out is shown no more: {}", metrics.render());
    assert!(intake.stop(Duration::from_secs(60)) && decide.stop(Duration::from_secs(60)));
}
