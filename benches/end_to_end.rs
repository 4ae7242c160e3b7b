//! Events a second from a partner's topic to the last decision, on the embedded broker. Prints two tables; asserts nothing.
//!
//! The same events twice: received when they are sent, on a clock that the bench moves along with them; and all received
//! today, so that each is late, falls before what came of later ones, and has most of the child's history judged again.
//! Timers run in neither: no tick is due while the lanes' own clock stands.
//!
//! `cargo bench --bench end_to_end -- [events] [intake lanes] [decide lanes] [partitions] [producers]`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pathway_router::broker::embedded::{Embedded, EmbeddedOptions};
use pathway_router::broker::{Broker, BrokerError, Clock, Placement, Publisher, Write, system_clock};
use pathway_router::config::{Retention, default_rules};
use pathway_router::engine::codec;
use pathway_router::engine::context::{Context, RuleBooks};
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::{Partner, Partners};
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::seal::Sealer;
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::simulate;
use pathway_router::simulate::partners::PARTNERS;
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Publications one producer may have open; a publication is one request's worth of events.
const OPEN_MAX: usize = 64;
const EVENTS_A_PUBLICATION: usize = 20;
const SEED: u64 = 7;

struct Settings {
    events: usize,
    intake_lanes: usize,
    decide_lanes: usize,
    partitions: u32,
    producers: usize,
}

impl Settings {
    fn from_arguments() -> Self {
        let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
        let number = |place: usize, usual: usize| numbers.get(place).copied().unwrap_or(usual);
        Self {
            events: number(0, 100_000),
            intake_lanes: number(1, 1),
            decide_lanes: number(2, 2),
            partitions: u32::try_from(number(3, 8)).unwrap(),
            producers: number(4, 4),
        }
    }
}

fn main() {
    let settings = Settings::from_arguments();
    pathway_router::telemetry::logging::start(
        pathway_router::telemetry::logging::LogFormat::Text,
        pathway_router::telemetry::logging::LogLevel::WARN,
    );
    // Follow-ups of the last incidents come days later, and nothing may lie in the future.
    let end = system_clock()().plus_millis(-14 * 86_400_000);
    for received in [Received::WhenSent, Received::Today] {
        run(&settings, end, received);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Received {
    WhenSent,
    Today,
}

/// The instant it is for the broker: moved along with what is sent, never back.
#[derive(Clone)]
struct Moving(Arc<AtomicI64>);

impl Moving {
    fn at(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }

    fn to(&self, at: Timestamp) {
        self.0.fetch_max(at.0, Ordering::AcqRel);
    }

    fn clock(&self) -> Clock {
        let told = self.0.clone();
        Arc::new(move || Timestamp(told.load(Ordering::Acquire)))
    }
}

fn run(settings: &Settings, end: Timestamp, received: Received) {
    let publications = publications(settings.events, end);
    let start = publications.first().map_or(end, |first| first.at);
    let moving = Moving::at(match received {
        Received::WhenSent => start,
        Received::Today => system_clock()(),
    });
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("router.db");
    let broker =
        Arc::new(Embedded::open(EmbeddedOptions { clock: moving.clock(), ..EmbeddedOptions::new(path) }).unwrap());
    let metrics = Arc::new(Metrics::new().unwrap());
    let standing = moving.0.load(Ordering::Acquire);
    let service = Service::start(ServiceOptions {
        clock: Moving::at(Timestamp(standing)).clock(),
        ..options(settings, broker.clone(), metrics.clone())
    })
    .unwrap();
    while !service.ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (started, cpu) = (Instant::now(), cpu_seconds());
    produce(&service, publications, settings.producers, &moving);
    let published = started.elapsed();
    wait_until_decided(&*broker, settings.partitions);
    let decided = started.elapsed();
    let cpu = cpu_seconds() - cpu;
    println!("\nreceived {received:?}");
    thread_times();
    report(settings, &*broker, folder.path(), published, decided, cpu);
    if std::env::var_os("SHOW_METRICS").is_some() {
        println!("{}", metrics.render());
    }
    service.stop(Duration::from_secs(10));
    broker.close();
}

/// One request's worth of events, and when the last of them is sent.
struct Publication {
    at: Timestamp,
    writes: Vec<Write>,
}

/// Events in the order of sending, encoded, in requests of one partner each.
fn publications(events: usize, end: Timestamp) -> Vec<Publication> {
    let mut open: BTreeMap<String, Vec<Write>> = BTreeMap::new();
    let (mut closed, mut at) = (Vec::new(), Timestamp(0));
    for event in simulate::referral_events(SEED, events, end) {
        let partner = event.source.partner.clone();
        at = at.max(event.occurred_at).max(event.reported_at.unwrap_or(event.occurred_at));
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let write = Write {
            topic: format!("referrals.{partner}").into(),
            placement: Placement::ByKey,
            key: event.event_id.as_bytes().to_vec(),
            value: Some(codec::encode(&event).unwrap()),
            headers: vec![header("partner", &partner), header("unit", &event.source.unit)].into(),
        };
        let gathered = open.entry(partner).or_default();
        gathered.push(write);
        if gathered.len() == EVENTS_A_PUBLICATION {
            closed.push(Publication { at, writes: std::mem::take(gathered) });
        }
    }
    let left = open.into_values().filter(|writes| !writes.is_empty());
    closed.extend(left.map(|writes| Publication { at, writes }));
    closed
}

fn options(settings: &Settings, broker: Arc<Embedded>, metrics: Arc<Metrics>) -> ServiceOptions {
    let files: Vec<SourceFile> = default_rules::FILES
        .iter()
        .map(|(name, text)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    let book = pathway_router::engine::rules::load(&files).unwrap();
    let partner = |partner: &simulate::partners::Partner| {
        (partner.name.to_owned(), Partner { agency: partner.agency.map(str::to_owned), units: None })
    };
    let days = |days: u64| Duration::from_secs(days * 86_400);
    ServiceOptions {
        written_for_previous: false,
        broker,
        context: Context {
            books: RuleBooks::new(vec![PreparedBook::new(book)]),
            keys: Keys::from_secret(&[1; 32]),
            sealer: Sealer::from_secret(&[2; 32]),
            covered_since: None,
            front_door_phone: None,
            panic_on: None,
        },
        partners: PARTNERS.iter().map(partner).collect::<Partners>(),
        agencies: std::collections::BTreeSet::new(),
        partitions: settings.partitions,
        intake_lanes: settings.intake_lanes,
        decide_lanes: settings.decide_lanes,
        retention: Retention {
            referrals: days(30),
            outcomes: days(30),
            inbox: days(30),
            tasks: days(90),
            feedback: days(30),
            decisions: days(3650),
            quarantine: days(30),
        },
        metrics,
        readiness: Arc::new(Readiness::starting()),
        clock: system_clock(),
    }
}

/// Producers share the publications; each keeps some open at once, as a gateway of many connections does.
fn produce(service: &Service, publications: Vec<Publication>, producers: usize, moving: &Moving) {
    let waiting = Mutex::new(publications.into_iter());
    let publisher = service.publisher();
    std::thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| producer(&*publisher, &waiting, moving));
        }
    });
}

fn producer(publisher: &dyn Publisher, waiting: &Mutex<std::vec::IntoIter<Publication>>, moving: &Moving) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let next = waiting.lock().unwrap().next();
        let Some(Publication { at, writes }) = next else { break };
        moving.to(at);
        while open.load(Ordering::Acquire) >= OPEN_MAX {
            std::thread::sleep(Duration::from_micros(200));
        }
        open.fetch_add(1, Ordering::AcqRel);
        let done = open.clone();
        publisher.publish(
            writes,
            Box::new(move |result: Result<_, BrokerError>| {
                result.expect("the queue is long enough for every producer");
                done.fetch_sub(1, Ordering::AcqRel);
            }),
        );
    }
    while open.load(Ordering::Acquire) > 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn wait_until_decided(broker: &dyn Broker, partitions: u32) {
    let reader = broker.reader();
    let is_read = |group: &str, topic: &str, partition: u32| {
        let read = broker.position(group, topic, partition).unwrap().unwrap_or(0);
        read == reader.end_offset(topic, partition).unwrap()
    };
    let referrals: Vec<String> =
        reader.topics().unwrap().into_iter().filter(|topic| topic.starts_with("referrals.")).collect();
    loop {
        let taken_in = referrals.iter().all(|topic| is_read("intake", topic, 0));
        if taken_in && (0..partitions).all(|partition| is_read("decide", "inbox", partition)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn report(settings: &Settings, broker: &dyn Broker, folder: &Path, published: Duration, decided: Duration, cpu: f64) {
    let reader = broker.reader();
    let topics = reader.topics().unwrap();
    // How many were written, and the mean size of the last few.
    let written = |prefix: &str| {
        let (mut count, mut sampled, mut bytes) = (0, 0, 0);
        for topic in topics.iter().filter(|topic| topic.starts_with(prefix)) {
            for partition in 0..reader.partitions(topic).unwrap() {
                let end = reader.end_offset(topic, partition).unwrap();
                count += end;
                for record in reader.read(topic, partition, end - 200, 200).unwrap() {
                    sampled += 1;
                    bytes += record.value.map_or(0, |value| value.len());
                }
            }
        }
        format!("{count:>10} of about {} bytes", bytes.checked_div(sampled).unwrap_or(0))
    };
    let bytes: u64 = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    let Settings { events, intake_lanes, decide_lanes, partitions, producers } = settings;
    println!(
        "intake lanes {intake_lanes}, decide lanes {decide_lanes}, partitions {partitions}, producers {producers}"
    );
    println!("published      {:>10.0} events/s", rate(*events, published));
    println!("end to end     {:>10.0} events/s   ({:.2} s)", rate(*events, decided), decided.as_secs_f64());
    println!(
        "processor      {:>10.1} µs an event, all threads",
        cpu * 1e6 / f64::from(u32::try_from(*events).unwrap())
    );
    for topic in ["referrals.", "inbox", "decisions", "tasks.", "feedback.", "history", "quarantine"] {
        println!("{topic:<14} {}", written(topic));
    }
    println!("on disk        {:>10} MiB", bytes >> 20);
}

/// Processor seconds of each thread that is left, from /proc.
fn thread_times() {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return };
    for thread in threads.filter_map(Result::ok) {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let seconds = cpu_seconds_of(&thread.path().join("stat"));
        println!("thread {:<16} {seconds:>6.2} s", name.trim());
    }
}

/// User and system time of this process, from /proc; 0 where there is none.
fn cpu_seconds() -> f64 {
    cpu_seconds_of(Path::new("/proc/self/stat"))
}

fn cpu_seconds_of(file: &Path) -> f64 {
    let stat = std::fs::read_to_string(file).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}
