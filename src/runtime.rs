//! The running service: topics made, lanes started and supervised, until it is told to stop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::decide_lane::DecideLane;
use self::directory::{Current, Directory};
use self::intake_lane::IntakeLane;
use self::lane::{LaneControl, LaneWork};
use self::progress::IntakeProgress;
use self::rule_books::OwnBook;
use self::starting::BookWatch;
use self::supervise::LaneSeat;
use self::topics::{DECIDE_GROUP, HISTORY, INBOX, INTAKE_GROUP, TopicPlan, intake_pattern};
use crate::broker::{Broker, BrokerError, Clock, Health, LanePlan, LaneShare, Publisher, Reader, TopicPattern, vital};
use crate::config::Config;
use crate::engine::context::{Context, RuleBooks};
use crate::engine::identity::Keys;
use crate::engine::intake::{Partner, Partners};
use crate::engine::seal::Sealer;
use crate::telemetry::metrics::{Metrics, Stage};
use crate::telemetry::readiness::Readiness;
use crate::telemetry::waiting::LaneWaiting;

pub mod access;
mod clock;
pub mod decide_lane;
mod decide_notes;
pub mod directory;
mod elsewhere;
mod housekeeping;
mod identity;
pub mod intake_lane;
mod journal;
pub mod lane;
pub mod outputs;
pub mod progress;
pub mod rule_books;
mod starting;
mod supervise;
mod ticks;
pub mod topics;

pub use starting::DISK_FULL;

/// So long a stop waits for another program to let go of the data file: what lanes hold is done again at the next start.
const HELD_STOP: Duration = Duration::from_secs(1);

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
            panic_on: None,
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
        let agencies = self.agencies.clone();
        TopicPlan { partners: BTreeSet::new(), agencies, partitions: self.partitions, retention: self.retention }
    }
}

/// Hears of the rule books in use.
pub type OnBooks = Box<dyn Fn(&RuleBooks) + Send + Sync>;

/// What is wrong with the configuration where these books are published; none: nothing is published yet.
pub type CheckBooks = Box<dyn Fn(&RuleBooks) -> Result<(), BrokerError> + Send + Sync>;

/// What a router on the way up needs besides; nothing of it in a test of lanes.
#[derive(Default)]
pub struct Beginning {
    /// Set: waiting for the broker ends.
    pub stop: Arc<AtomicBool>,
    /// The configuration's book, published if there is none. None: the context's books, for ever.
    pub book: Option<OwnBook>,
    /// Asked once the published books can be read, before anything is made.
    pub check: Option<CheckBooks>,
    /// Told of the books in use, at once and whenever one is added.
    pub on_books: Option<OnBooks>,
    /// Fingerprints of the keys that the topics belong to; the embedded broker keeps its own.
    pub belongs_to: Vec<(&'static str, String)>,
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
    directory: Arc<Directory>,
    /// Without partners: they are the directory's.
    plan: TopicPlan,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Service {
    /// Makes the topics and starts the lanes. They are ready when `readiness` says so.
    pub fn start(options: ServiceOptions) -> Result<Self, BrokerError> {
        Self::begin(options, Beginning::default())
    }

    /// As `start`, for a router: waits for a broker that cannot be reached, and goes by the books on its topic.
    pub fn begin(mut options: ServiceOptions, beginning: Beginning) -> Result<Self, BrokerError> {
        let plan = options.topic_plan();
        let broker = options.broker.clone();
        let shelf = starting::prepare(&mut options, &plan, &beginning)?;
        let (surveyed, for_previous) = (broker.clone(), options.written_for_previous);
        let survey = move || starting::topics(&*surveyed, for_previous);
        let (context, partners) = (Arc::new(options.context), Arc::new(options.partners));
        let current = Current { context, partners, topics: survey()? };
        let directory = Arc::new(Directory::new(current, Box::new(survey)));
        let service = Self {
            broker: broker.clone(),
            directory: directory.clone(),
            plan,
            readiness: options.readiness.clone(),
            metrics: options.metrics.clone(),
            clock: options.clock.clone(),
            stop: beginning.stop.clone(),
            threads: Mutex::default(),
        };
        starting::expect(&options.metrics, &directory.current(), (options.clock)());
        service.start_housekeeping(options.clock.clone())?;
        if let Some(on_books) = &beginning.on_books {
            on_books(&directory.current().context.books);
        }
        if let Some(shelf) = shelf {
            let (broker, plan) = (broker.clone(), service.plan.clone());
            let on_books = beginning.on_books.unwrap_or_else(|| Box::new(|_| {}));
            let (metrics, readiness) = (options.metrics.clone(), options.readiness.clone());
            let (directory, clock) = (directory.clone(), options.clock.clone());
            let watch = BookWatch { broker, directory, plan, on_books, metrics, readiness, clock };
            watch.confirm(&shelf)?;
            service.threads().push(watch.start(shelf, service.stop.clone())?);
        }
        let progress = Arc::new(IntakeProgress::new(options.intake_lanes));
        if options.decide_lanes > 0 && broker.is_shared() {
            service.threads().push(elsewhere::watch_intake(&broker, &progress, &service.stop)?);
        }
        if options.decide_lanes == 0 && broker.is_shared() {
            let (metrics, readiness) = (options.metrics.clone(), options.readiness.clone());
            let told = elsewhere::Unjudged { metrics, readiness, clock: options.clock.clone() };
            service.threads().push(elsewhere::watch_decide(&broker, told, &service.stop)?);
        }
        let lanes = Lanes {
            progress,
            broker,
            directory,
            metrics: options.metrics,
            readiness: options.readiness,
            clock: options.clock,
            stop: service.stop.clone(),
        };
        for seat in lanes.seats(options.intake_lanes, options.decide_lanes) {
            let thread = supervise::start(seat)?;
            service.threads().push(thread);
        }
        service.readiness.release("start");
        Ok(service)
    }

    /// Partners who are new are known from the next batch on, with topics made for them. Who is gone is unknown.
    pub fn replace_partners(&self, partners: Partners) -> Result<(), BrokerError> {
        let current = self.directory.current();
        let specs = starting::topic_plan(&self.plan, &partners, &current.context.books).specs();
        self.broker.ensure_topics(&specs)?;
        let topics = starting::topics(&*self.broker, current.topics.written_for_previous)?;
        self.directory.update(|current| (current.partners, current.topics) = (Arc::new(partners), topics));
        starting::expect(&self.metrics, &self.directory.current(), (self.clock)());
        Ok(())
    }

    fn start_housekeeping(&self, clock: Clock) -> Result<(), BrokerError> {
        let (broker, readiness, stop) = (self.broker.clone(), self.readiness.clone(), self.stop.clone());
        let metrics = self.metrics.clone();
        let run = move || housekeeping::run(&broker, &metrics, &readiness, &clock, &stop);
        self.threads().push(vital::spawn("housekeeping", run)?);
        Ok(())
    }

    /// The books in use.
    pub fn books(&self) -> RuleBooks {
        self.directory.current().context.books.clone()
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
    /// it: nothing committed is lost. True: all lanes ended by themselves, or wait for nothing but another program that holds the data
    /// file, which is waited for less long. The broker is the caller's to close.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.readiness.hold("stop", "the router is stopping");
        self.stop.store(true, Ordering::Release);
        let mut threads = std::mem::take(&mut *self.threads());
        let until = Instant::now() + deadline;
        while !supervise::join(&mut threads, until.min(Instant::now() + HELD_STOP)) {
            if self.broker.health() == Health::HeldByAnother {
                self.stop_over_a_held_file(&mut threads, deadline);
                return true;
            }
            if Instant::now() >= until {
                break;
            }
        }
        if threads.is_empty() {
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

    /// What the lanes had read is all that is not written, and they read it again at the next start.
    fn stop_over_a_held_file(&self, threads: &mut Vec<JoinHandle<()>>, deadline: Duration) {
        let names = threads.iter().filter_map(|thread| thread.thread().name());
        let left: Vec<LaneWaiting> = names.map(|name| self.metrics.waiting().of_lane(name)).collect();
        tracing::warn!(
            records = left.iter().map(|lane| lane.records).sum::<usize>(),
            oldest = left.iter().filter_map(|lane| lane.oldest).min().map(|oldest| oldest.to_jiff().to_string()),
            "another program holds the data file: what comes of these records is not written, and they are read again at the next \
             start; nothing accepted is lost"
        );
        self.broker.close();
        supervise::join(threads, Instant::now() + deadline);
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

/// What every lane of both stages shares.
struct Lanes {
    broker: Arc<dyn Broker>,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    clock: Clock,
    stop: Arc<AtomicBool>,
    progress: Arc<IntakeProgress>,
}

impl Lanes {
    fn seats(&self, intake_lanes: usize, decide_lanes: usize) -> Vec<LaneSeat> {
        let mut seats = Vec::new();
        for number in 0..intake_lanes {
            let (directory, metrics, progress) = (self.directory.clone(), self.metrics.clone(), self.progress.clone());
            let work = move || -> Box<dyn LaneWork> {
                let Current { context, partners, topics } = directory.current();
                let lane = IntakeLane::new(context, partners, topics, metrics.clone(), progress.clone(), number);
                Box::new(lane.following(directory.clone()))
            };
            let plan = LanePlan { group: INTAKE_GROUP.to_owned(), topics: intake_pattern(), restore_from: None };
            seats.push(self.seat(Stage::Intake, number, intake_lanes, plan, Box::new(work)));
        }
        for number in 0..decide_lanes {
            let (directory, metrics, progress) = (self.directory.clone(), self.metrics.clone(), self.progress.clone());
            let work = move || -> Box<dyn LaneWork> {
                let Current { context, topics, .. } = directory.current();
                let lane = DecideLane::new(context, topics, metrics.clone(), progress.clone(), number);
                Box::new(lane.following(directory.clone()))
            };
            let plan = LanePlan {
                group: DECIDE_GROUP.to_owned(),
                topics: TopicPattern::Names(vec![INBOX.into()]),
                restore_from: Some(HISTORY.into()),
            };
            seats.push(self.seat(Stage::Decide, number, decide_lanes, plan, Box::new(work)));
        }
        seats
    }

    fn seat(
        &self,
        stage: Stage,
        number: usize,
        count: usize,
        plan: LanePlan,
        work: Box<dyn Fn() -> Box<dyn LaneWork> + Send>,
    ) -> LaneSeat {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        LaneSeat {
            name: format!("{}-{number}", stage.label()),
            broker: self.broker.clone(),
            stage,
            plan,
            share: LaneShare { index: small(number), count: small(count) },
            control: LaneControl {
                stop: self.stop.clone(),
                metrics: self.metrics.clone(),
                clock: self.clock.clone(),
                number,
            },
            readiness: self.readiness.clone(),
            work,
        }
    }
}
