//! One process of the simulations: both stages as lanes, driven by hand, with transactions that stay open across polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use pathway_router::broker::memory::Memory;
use pathway_router::broker::{
    BatchLimit, Broker, Clock, Consumed, Health, LaneBroker, LanePlan, LaneShare, Reader, Record, TopicPattern,
};
use pathway_router::engine::context::Context;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::runtime::decide_lane::DecideLane;
use pathway_router::runtime::intake_lane::IntakeLane;
use pathway_router::runtime::lane::{LaneControl, LaneError, LaneWork, first_limit, turn};
use pathway_router::runtime::progress::IntakeProgress;
use pathway_router::runtime::topics::{DECIDE_GROUP, HISTORY, INBOX, INTAKE_GROUP, OutputTopics, intake_pattern};
use pathway_router::telemetry::metrics::Metrics;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::kit;

pub const INSTANCES: u32 = 2;
const BATCH_MAX: usize = 8;

pub fn share(index: u32) -> LaneShare {
    LaneShare { index, count: INSTANCES }
}

pub struct Process {
    pub memory: Memory,
    pub failed_lanes: usize,
    share: LaneShare,
    context: Arc<Context>,
    control: LaneControl,
    /// INTAKE and DECIDE; none while the process is down, or after the lane failed.
    stages: [Option<Stage>; 2],
    /// Turns until a process that is down is started, or one that stands still goes on.
    rest: u32,
    down: bool,
    /// Turns until the group takes it for dead.
    session: Option<u32>,
}

struct Stage {
    lane: Box<dyn LaneBroker>,
    work: Box<dyn LaneWork>,
    /// Something may be staged and not committed.
    open: bool,
}

impl Process {
    pub fn start(memory: Memory, share: LaneShare, now: Arc<AtomicI64>, skew_ms: i64, context: Arc<Context>) -> Self {
        let clock: Clock = Arc::new(move || Timestamp(now.load(Ordering::SeqCst) + skew_ms));
        let metrics = Arc::new(Metrics::new().unwrap());
        let control = LaneControl { stop: Arc::new(AtomicBool::new(false)), metrics, clock, number: 0 };
        let stages = [None, None];
        Self { memory, failed_lanes: 0, share, context, control, stages, rest: 0, down: false, session: None }
    }

    pub fn is_dead(&self) -> bool {
        self.memory.health() == Health::Stopped
    }

    pub fn is_down(&self) -> bool {
        self.down
    }

    /// Ended by a fault; started again later, perhaps after its session.
    pub fn crash(&mut self, down: u32, expires: u32) {
        self.stages = [None, None];
        (self.down, self.rest, self.session) = (true, down, Some(expires));
    }

    pub fn stand_still(&mut self, wakes: u32, expires: u32) {
        (self.rest, self.session) = (wakes, Some(expires));
    }

    /// True once, when its session ends before it is back.
    pub fn session_ends(&mut self) -> bool {
        self.session = self.session.filter(|_| self.rest > 0);
        match self.session {
            Some(0) => self.session.take().is_some(),
            Some(left) => {
                self.session = Some(left - 1);
                false
            }
            None => false,
        }
    }

    /// Whether it is down or stands still in this turn.
    pub fn rests(&mut self) -> bool {
        if self.rest > 0 {
            self.rest -= 1;
            return true;
        }
        if std::mem::take(&mut self.down) {
            self.memory = self.memory.restart();
        }
        false
    }

    /// Something of each stage: a whole turn of a lane, or a part of one.
    pub fn turn(&mut self, random: &mut ChaCha8Rng, whole: bool) -> usize {
        let mut read = 0;
        for number in 0..2 {
            if self.stages[number].is_none() {
                self.stages[number] = self.make(number);
            }
            let Some(stage) = &mut self.stages[number] else { return read };
            let limit = BatchLimit { records_max: random.random_range(1..=BATCH_MAX), ..first_limit() };
            let result = if stage.open || (!whole && random.random_bool(0.5)) {
                let commit = whole || random.random_bool(0.5);
                stage.part(&self.control, &limit, commit)
            } else {
                turn(&mut *stage.lane, &mut *stage.work, &self.control, &mut limit.clone())
            };
            match result {
                Ok(count) => read += count,
                // As the supervisor does: a new lane, and work without state.
                Err(_) => {
                    self.failed_lanes += 1;
                    self.stages[number] = None;
                    if self.is_dead() {
                        return read;
                    }
                }
            }
        }
        read
    }

    fn make(&self, number: usize) -> Option<Stage> {
        let topics = Reader::topics(&self.memory).ok()?;
        let topics = OutputTopics::of(topics.iter().map(String::as_str));
        let (context, metrics) = (self.context.clone(), self.control.metrics.clone());
        let progress = Arc::new(IntakeProgress::new(0));
        let (plan, work): (LanePlan, Box<dyn LaneWork>) = if number == 0 {
            let plan = LanePlan { group: INTAKE_GROUP.to_owned(), topics: intake_pattern(), restore_from: None };
            let partners = Arc::new(kit::partners());
            (plan, Box::new(IntakeLane::new(context, partners, topics, metrics, progress, 0)))
        } else {
            let plan = LanePlan {
                group: DECIDE_GROUP.to_owned(),
                topics: TopicPattern::Names(vec![INBOX.into()]),
                restore_from: Some(HISTORY.into()),
            };
            (plan, Box::new(DecideLane::new(context, topics, metrics, progress, 0)))
        };
        Some(Stage { lane: self.memory.lane(plan, self.share).ok()?, work, open: false })
    }
}

impl Stage {
    /// Polls, processes and stages; the commit may come in a later turn, with partitions moved meanwhile.
    fn part(&mut self, control: &LaneControl, limit: &BatchLimit, commit: bool) -> Result<usize, LaneError> {
        let records = self.lane.poll(&mut *self.work, limit)?;
        let (count, consumed, mut writes) = (records.len(), consumed(&records), Vec::new());
        for record in records {
            self.work.process(record, &mut writes)?;
        }
        self.work.conclude((control.clock)(), &mut writes)?;
        self.open |= !(consumed.is_empty() && writes.is_empty());
        self.lane.stage(writes, consumed)?;
        if self.open && commit {
            self.lane.commit(&mut *self.work)?;
            self.open = false;
        }
        Ok(count)
    }
}

fn consumed(records: &[Record]) -> Vec<Consumed> {
    let mut next = BTreeMap::new();
    for record in records {
        next.insert((record.topic.clone(), record.partition), record.offset + 1);
    }
    let consumed = next.into_iter();
    consumed.map(|((topic, partition), next_offset)| Consumed { topic, partition, next_offset }).collect()
}
