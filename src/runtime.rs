//! The running service: topics made, lanes started and supervised, until it is told to stop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::decide_lane::DecideLane;
use self::intake_lane::IntakeLane;
use self::lane::{LaneControl, LaneWork};
use self::progress::IntakeProgress;
use self::supervise::LaneSeat;
use self::topics::{DECIDE_GROUP, HISTORY, INBOX, INTAKE_GROUP, OutputTopics, TopicPlan, intake_pattern};
use crate::broker::{Broker, BrokerError, Clock, LanePlan, LaneShare, Publisher, Reader, TopicPattern};
use crate::config::Config;
use crate::engine::context::{Context, RuleBooks};
use crate::engine::identity::Keys;
use crate::engine::intake::{Partner, Partners};
use crate::engine::seal::Sealer;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

pub mod access;
pub mod decide_lane;
mod decide_notes;
mod housekeeping;
pub mod intake_lane;
mod journal;
pub mod lane;
pub mod outputs;
pub mod progress;
mod supervise;
mod ticks;
pub mod topics;

/// All that a service is started from.
pub struct ServiceOptions {
    pub broker: Arc<dyn Broker>,
    /// Rule books, keys and sealer.
    pub context: Context,
    pub partners: Partners,
    /// Besides the agencies of the rule books and of the partners.
    pub agencies: BTreeSet<String>,
    pub partitions: u32,
    pub intake_lanes: usize,
    pub decide_lanes: usize,
    pub retention: crate::config::Retention,
    /// Histories and the inbox are written as the previous release reads them.
    pub written_for_previous: bool,
    pub metrics: Arc<Metrics>,
    /// `Readiness::starting()`: the service lets go of `start` once its lanes are running.
    pub readiness: Arc<Readiness>,
    pub clock: Clock,
}

impl ServiceOptions {
    /// As the configuration says.
    pub fn from_config(
        config: &Config,
        broker: Arc<dyn Broker>,
        books: RuleBooks,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Self {
        let context = Context {
            books,
            keys: Keys::from_secret(config.keys.subject.bytes()),
            sealer: Sealer::from_secret(config.keys.sealing.bytes()),
            covered_since: config.history_complete_since,
            front_door_phone: Some(telephone(&config.front_door)),
            panic_on_event: None,
        };
        Self {
            broker,
            context,
            partners: partners(config),
            agencies: BTreeSet::new(),
            partitions: config.lanes.partitions,
            intake_lanes: config.lanes.intake,
            decide_lanes: config.lanes.decide,
            retention: config.retention,
            written_for_previous: config.written_for_previous,
            metrics,
            readiness,
            clock: crate::broker::system_clock(),
        }
    }

    fn topic_plan(&self) -> TopicPlan {
        let mut agencies = self.agencies.clone();
        agencies.extend(self.context.books.all().flat_map(|book| book.rules.agencies.keys().cloned()));
        agencies.extend(self.partners.values().filter_map(|partner| partner.agency.clone()));
        let partners = self.partners.keys().cloned().collect();
        TopicPlan { partners, agencies, partitions: self.partitions, retention: self.retention }
    }
}

/// The topics a configuration needs, with the agencies of its rule book.
pub fn topic_plan(config: &Config, agencies: impl Iterator<Item = String>) -> TopicPlan {
    let own = config.partners.values().filter_map(|partner| partner.agency.clone());
    TopicPlan {
        partners: config.partners.keys().cloned().collect(),
        agencies: agencies.chain(own).collect(),
        partitions: config.lanes.partitions,
        retention: config.retention,
    }
}

/// The configuration's partners as INTAKE knows them.
pub fn partners(config: &Config) -> Partners {
    let partner = |partner: &crate::config::Partner| {
        let units = partner.units.as_ref().map(|units| units.iter().cloned().collect());
        Partner { agency: partner.agency.clone(), units }
    };
    config.partners.iter().map(|(name, configured)| (name.clone(), partner(configured))).collect()
}

/// The front door's numbers as a sender reads them.
fn telephone(front_door: &crate::config::FrontDoor) -> String {
    if front_door.out_of_hours == front_door.telephone {
        front_door.telephone.clone()
    } else {
        format!("{}, out of hours {}", front_door.telephone, front_door.out_of_hours)
    }
}

/// A service that runs: its lanes are on threads of their own.
pub struct Service {
    broker: Arc<dyn Broker>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Service {
    /// Makes the topics and starts the lanes. They are ready when `readiness` says so.
    pub fn start(options: ServiceOptions) -> Result<Self, BrokerError> {
        options.broker.ensure_topics(&options.topic_plan().specs())?;
        let stop = Arc::new(AtomicBool::new(false));
        let ServiceOptions { broker, readiness, .. } = &options;
        let service = Self {
            broker: broker.clone(),
            readiness: readiness.clone(),
            metrics: options.metrics.clone(),
            stop: stop.clone(),
            threads: Mutex::default(),
        };
        let names = broker.reader().topics()?;
        let topics = OutputTopics::of(names.iter().map(String::as_str));
        let topics = OutputTopics { written_for_previous: options.written_for_previous, ..topics };
        options.metrics.expect(options.partners.keys().map(String::as_str));
        service.start_housekeeping(options.clock.clone())?;
        for seat in seats(options, &topics, &stop) {
            let thread = supervise::start(seat)?;
            service.threads().push(thread);
        }
        service.readiness.release("start");
        Ok(service)
    }

    fn start_housekeeping(&self, clock: Clock) -> Result<(), BrokerError> {
        let (broker, readiness, stop) = (self.broker.clone(), self.readiness.clone(), self.stop.clone());
        let metrics = self.metrics.clone();
        let thread = std::thread::Builder::new().name("housekeeping".to_owned());
        let spawned = thread.spawn(move || housekeeping::run(&broker, &metrics, &readiness, &clock, &stop));
        let failed = |error| BrokerError::Storage(format!("a thread could not be started: {error}"));
        self.threads().push(spawned.map_err(failed)?);
        Ok(())
    }

    pub fn publisher(&self) -> Arc<dyn Publisher> {
        self.broker.publisher()
    }

    pub fn reader(&self) -> Arc<dyn Reader> {
        self.broker.reader()
    }

    /// Every lane reads, and the broker accepts.
    pub fn ready(&self) -> bool {
        self.readiness.is_ready()
    }

    /// Lets each lane finish its batch. When one does not in time (a full disk holds it), the broker is closed over
    /// it: nothing committed is lost. True: all lanes ended by themselves. The broker is the caller's to close.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.readiness.hold("stop", "the router is stopping");
        self.stop.store(true, Ordering::Release);
        let mut threads = std::mem::take(&mut *self.threads());
        if supervise::join(&mut threads, Instant::now() + deadline) {
            return true;
        }
        for thread in threads.iter().filter_map(|thread| thread.thread().name()) {
            let left = self.metrics.waiting().of_lane(thread);
            let oldest = left.oldest.map(|oldest| oldest.to_jiff().to_string()).unwrap_or_default();
            tracing::error!(
                lane = thread,
                records = left.records,
                oldest,
                "could not finish: read again at the next start"
            );
        }
        self.broker.close();
        supervise::join(&mut threads, Instant::now() + deadline);
        false
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Every lane of both stages, and housekeeping beside them.
fn seats(options: ServiceOptions, topics: &OutputTopics, stop: &Arc<AtomicBool>) -> Vec<LaneSeat> {
    let ServiceOptions { broker, context, partners, metrics, readiness, clock, .. } = options;
    let (context, partners) = (Arc::new(context), Arc::new(partners));
    let progress = Arc::new(IntakeProgress::new(options.intake_lanes));
    let seat = |stage: &str, number: usize, count: usize, plan: LanePlan, work| LaneSeat {
        name: format!("{stage}-{number}"),
        broker: broker.clone(),
        plan,
        share: LaneShare {
            index: u32::try_from(number).unwrap_or(u32::MAX),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        },
        control: LaneControl { stop: stop.clone(), metrics: metrics.clone(), clock: clock.clone(), number },
        readiness: readiness.clone(),
        work,
    };
    let mut seats = Vec::new();
    for number in 0..options.intake_lanes {
        let (context, partners, topics) = (context.clone(), partners.clone(), topics.clone());
        let (metrics, progress) = (metrics.clone(), progress.clone());
        let work = move || -> Box<dyn LaneWork> {
            let (context, partners, topics) = (context.clone(), partners.clone(), topics.clone());
            Box::new(IntakeLane::new(context, partners, topics, metrics.clone(), progress.clone(), number))
        };
        let plan = LanePlan { group: INTAKE_GROUP.to_owned(), topics: intake_pattern(), restore_from: None };
        seats.push(seat("intake", number, options.intake_lanes, plan, Box::new(work)));
    }
    for number in 0..options.decide_lanes {
        let (context, topics) = (context.clone(), topics.clone());
        let (metrics, progress) = (metrics.clone(), progress.clone());
        let work = move || -> Box<dyn LaneWork> {
            Box::new(DecideLane::new(context.clone(), topics.clone(), metrics.clone(), progress.clone(), number))
        };
        let plan = LanePlan {
            group: DECIDE_GROUP.to_owned(),
            topics: TopicPattern::Names(vec![INBOX.into()]),
            restore_from: Some(HISTORY.into()),
        };
        seats.push(seat("decide", number, options.decide_lanes, plan, Box::new(work)));
    }
    seats
}
