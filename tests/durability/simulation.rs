//! Seeded simulations: both stages on a broker in memory that aborts, crashes, loses answers and repeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use pathway_router::broker::memory::faults::FaultPlan;
use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{BatchLimit, Broker, Clock, LaneBroker, LanePlan, LaneShare, Reader, TopicPattern};
use pathway_router::engine::context::Context;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::runtime::decide_lane::DecideLane;
use pathway_router::runtime::intake_lane::IntakeLane;
use pathway_router::runtime::lane::{LaneControl, LaneError, LaneWork, first_limit, turn};
use pathway_router::runtime::progress::IntakeProgress;
use pathway_router::runtime::topics::{DECIDE_GROUP, HISTORY, INBOX, INTAKE_GROUP, OutputTopics, intake_pattern};
use pathway_router::simulate;
use pathway_router::telemetry::metrics::Metrics;

use super::{kit, oracle};

/// 10 June 2026, 10:00 UTC.
const START: Timestamp = Timestamp(1_781_085_600_000);

/// Both stages of one process, driven by hand.
struct Router {
    intake: Stage,
    decide: Stage,
    control: LaneControl,
}

struct Stage {
    lane: Box<dyn LaneBroker>,
    work: Box<dyn LaneWork>,
}

impl Router {
    fn start(memory: &Memory, context: &Arc<Context>, clock: &Clock) -> Option<Self> {
        let share = LaneShare { index: 0, count: 1 };
        let intake = LanePlan { group: INTAKE_GROUP.to_owned(), topics: intake_pattern(), restore_from: None };
        let decide = LanePlan {
            group: DECIDE_GROUP.to_owned(),
            topics: TopicPattern::Names(vec![INBOX.into()]),
            restore_from: Some(HISTORY.into()),
        };
        let names = Reader::topics(memory).ok()?;
        let topics = OutputTopics::of(names.iter().map(String::as_str));
        let metrics = Arc::new(Metrics::new().unwrap());
        let progress = Arc::new(IntakeProgress::new(1));
        let partners = Arc::new(kit::partners());
        let intake = Stage {
            lane: memory.lane(intake, share).ok()?,
            work: Box::new(IntakeLane::new(
                context.clone(),
                partners,
                topics.clone(),
                metrics.clone(),
                progress.clone(),
                0,
            )),
        };
        let decide = Stage {
            lane: memory.lane(decide, share).ok()?,
            work: Box::new(DecideLane::new(context.clone(), topics, metrics.clone(), progress, 0)),
        };
        let stop = Arc::new(AtomicBool::new(false));
        Some(Self { intake, decide, control: LaneControl { stop, metrics, clock: clock.clone(), number: 0 } })
    }

    /// One batch of each stage.
    fn turn(&mut self, records_max: usize) -> Result<usize, LaneError> {
        let mut limit = BatchLimit { records_max, ..first_limit() };
        let mut count = 0;
        for stage in [&mut self.intake, &mut self.decide] {
            count += turn(&mut *stage.lane, &mut *stage.work, &self.control, &mut limit)?;
        }
        Ok(count)
    }
}

fn clock_of(now: &Arc<AtomicI64>) -> Clock {
    let now = now.clone();
    Arc::new(move || Timestamp(now.load(Ordering::SeqCst)))
}

fn simulate_faults(seed: u64) {
    let now = Arc::new(AtomicI64::new(START.0));
    let clock = clock_of(&now);
    let faults = FaultPlan {
        seed,
        abort: 0.15,
        crash_before: 0.05,
        crash_after: 0.05,
        duplicate: 0.05,
        lost_answer: 0.05,
        busy: 0.05,
    };
    let mut memory = Memory::new(MemoryOptions { clock: clock.clone(), faults, ..MemoryOptions::default() });
    let context = Arc::new(kit::context(None));
    memory.ensure_topics(&kit::topic_plan(&context).specs()).unwrap();
    let mut router = Router::start(&memory, &context, &clock);
    let mut events = simulate::referral_events(seed, 120, START).into_iter();
    let mut unsent: Option<_> = events.next();
    let mut quiet = 0;
    while quiet < 20 {
        // Twenty minutes a turn, so that clocks run out among the events.
        now.fetch_add(20 * 60_000, Ordering::SeqCst);
        if let Some(event) = &unsent {
            // Sent again until acknowledged, as a partner does.
            if kit::publish(&memory, vec![kit::write_of(event)]).is_ok() {
                unsent = events.next();
            }
        } else {
            memory.end_faults();
        }
        let turned = router.as_mut().map(|router| router.turn(5));
        match turned {
            Some(Ok(0)) if unsent.is_none() => quiet += 1,
            Some(Ok(_)) => quiet = 0,
            Some(Err(_)) | None => {
                memory = memory.restart();
                router = Router::start(&memory, &context, &clock);
            }
        }
    }
    assert!(kit::is_drained(&memory), "seed {seed}");
    oracle::check(&memory, context, Arc::new(kit::partners()));
}

#[test]
fn faults_change_nothing_but_time() {
    for seed in 0..8 {
        simulate_faults(seed);
    }
}
