//! The router on a real Apache Kafka on this machine: how long from a partner's record to its visible decision at a
//! steady rate, how many events a second when all wait, how long a restart restores. Prints a table; asserts nothing.
//!
//! `cargo bench --bench kafka -- [events a second] [seconds] [events of the plain run] [decide lanes] [commit interval, ms]`

#[path = "kafka/usage.rs"]
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::kafka::settings::KafkaOptions;
use pathway_router::broker::{Broker, Placement, Publisher, Write, system_clock};
use pathway_router::config::{Retention, default_rules};
use pathway_router::engine::codec;
use pathway_router::engine::context::{Context, RuleBooks};
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::{Partner, Partners};
use pathway_router::engine::model::decision::{Decision, Trigger};
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::seal::Sealer;
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::simulate;
use pathway_router::simulate::partners::PARTNERS;
use pathway_router::telemetry::logging::{self, LogFormat, LogLevel};
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use usage::Usage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 8;
const SEED: u64 = 7;
/// Not counted: histories and caches are cold, and the broker's virtual machine still compiles it, which takes a third of
/// what the broker takes in its first minute.
const WARM_UP: Duration = Duration::from_secs(90);
const WARM_UP_RATE: usize = 800;
/// One publication of the steady run, and of the plain one.
const STEP: Duration = Duration::from_millis(5);
const PLAIN: usize = 100;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let number = |place: usize, usual: usize| numbers.get(place).copied().unwrap_or(usual);
    let (rate, seconds, plain) = (number(0, 2000), number(1, 30), number(2, 100_000));
    logging::start(LogFormat::Text, LogLevel::WARN);
    let server = Server::start();
    let mut events = writes(WARM_UP_RATE * WARM_UP.as_secs() as usize + rate * seconds + plain);
    let later = events.split_off(events.len() - plain);
    let lanes = number(3, 1);
    let mut options = KafkaOptions::new(&server.bootstrap, "bench");
    options.commit_interval = Duration::from_millis(number(4, options.commit_interval.as_millis() as usize) as u64);
    let interval = options.commit_interval.as_millis();
    println!("1 intake lane, {lanes} decide lanes, {PARTITIONS} partitions, commits every {interval} ms");
    steady(&server, &options, events, (rate, seconds), lanes);
    backlog(&options, later, lanes);
}

/// One broker on this machine, ended with the bench.
struct Server {
    folder: PathBuf,
    bootstrap: String,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/kafka.sh")
}

impl Server {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-bench-{}", std::process::id()));
        let pid = std::process::id().to_string();
        let started = Command::new(script()).args(["start", "--while", &pid]).arg(&folder).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Self { folder, bootstrap: String::from_utf8(started.stdout).unwrap().trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("stop").arg(&self.folder).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Events as partners put them on their topics.
fn writes(count: usize) -> Vec<Write> {
    // Follow-ups of the last incidents come days later, and nothing may lie in the future.
    let end = system_clock()().plus_millis(-14 * 86_400_000);
    let write = |event: pathway_router::engine::model::event::ReferralEvent| Write {
        topic: format!("referrals.{}", event.source.partner).into(),
        placement: Placement::ByKey,
        key: event.event_id.as_bytes().to_vec(),
        value: Some(codec::encode(&event).unwrap()),
        headers: Default::default(),
    };
    simulate::referral_events(SEED, count, end).into_iter().map(write).collect()
}

fn service(broker: &Arc<Kafka>, decide_lanes: usize, metrics: &Arc<Metrics>) -> Service {
    let source = |(name, text): &(&str, &str)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let files: Vec<SourceFile> = default_rules::FILES.iter().map(source).collect();
    let book = pathway_router::engine::rules::load(&files).unwrap();
    let known = |agency: Option<&str>| Partner { agency: agency.map(str::to_owned), units: None };
    let kept = Duration::from_secs(365 * 86_400);
    let options = ServiceOptions {
        broker: broker.clone(),
        context: Context {
            books: RuleBooks::new(vec![PreparedBook::new(book)]),
            keys: Keys::from_secret(&[1; 32]),
            sealer: Sealer::from_secret(&[2; 32]),
            covered_since: None,
            front_door_phone: None,
            panic_on: None,
        },
        partners: PARTNERS.iter().map(|partner| (partner.name.to_owned(), known(partner.agency))).collect::<Partners>(),
        agencies: BTreeSet::new(),
        partitions: PARTITIONS,
        written_for_previous: false,
        intake_lanes: 1,
        decide_lanes,
        retention: Retention {
            referrals: kept,
            outcomes: kept,
            inbox: kept,
            tasks: kept,
            feedback: kept,
            decisions: kept,
            quarantine: kept,
        },
        metrics: metrics.clone(),
        readiness: Arc::new(Readiness::starting()),
        clock: system_clock(),
    };
    Service::start(options).unwrap()
}

fn started(broker: &Arc<Kafka>, lanes: usize, metrics: &Arc<Metrics>) -> (Service, Duration) {
    let since = Instant::now();
    let service = service(broker, lanes, metrics);
    while !service.ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    (service, since.elapsed())
}

/// Reads decisions as they become visible to a reader of committed records; notes when each event's was first seen.
fn watch(bootstrap: &str, seen: &Mutex<HashMap<Vec<u8>, Instant>>, stop: &AtomicBool) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "5")
        .create()
        .unwrap();
    consumer.subscribe(&["decisions"]).unwrap();
    while !stop.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(10)) else { continue };
        let now = Instant::now();
        let decision: Decision = codec::decode(message.payload().unwrap()).unwrap();
        if let (Trigger::Event, Some(event)) = (decision.trigger, decision.event_id) {
            seen.lock().unwrap().entry(event.into_bytes()).or_insert(now);
        }
    }
}

fn publish(publisher: &dyn Publisher, writes: Vec<Write>) {
    publisher.publish(writes, Box::new(|result| drop(result.expect("the queue is long enough"))));
}

/// Sends at an even pace and waits for every decision.
fn steady(server: &Server, options: &KafkaOptions, events: Vec<Write>, (rate, seconds): (usize, usize), lanes: usize) {
    let (bootstrap, metrics) = (server.bootstrap.as_str(), Arc::new(Metrics::new().unwrap()));
    let broker = Arc::new(Kafka::open(options.clone()).unwrap());
    let (service, _) = started(&broker, lanes, &metrics);
    let (seen, stop) = (Mutex::new(HashMap::new()), AtomicBool::new(false));
    let mut sent: BTreeMap<Vec<u8>, Instant> = BTreeMap::new();
    let mut events = events;
    let measured = events.split_off(WARM_UP_RATE * WARM_UP.as_secs() as usize);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(bootstrap, &seen, &stop));
        std::thread::sleep(Duration::from_secs(3));
        let publisher = broker.publisher();
        let all_seen = |sent: &BTreeMap<Vec<u8>, Instant>| {
            let deadline = Instant::now() + PATIENCE;
            while sent.keys().any(|event| !seen.lock().unwrap().contains_key(event)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        all_seen(&paced(&*publisher, events, WARM_UP_RATE));
        let (since, before) = (Instant::now(), Usage::now(&server.folder, &metrics));
        sent = paced(&*publisher, measured, rate);
        Usage::now(&server.folder, &metrics).print(&before, since.elapsed());
        all_seen(&sent);
        stop.store(true, Ordering::Release);
    });
    let seen = seen.into_inner().unwrap();
    let mut latencies: Vec<Duration> =
        sent.iter().filter_map(|(event, at)| Some(seen.get(event)?.saturating_duration_since(*at))).collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)].as_millis();
    println!("steady         {rate} events/s for {seconds} s, {} seen of {}", latencies.len(), sent.len());
    println!("latency        p50 {} ms, p90 {} ms, p99 {} ms, max {} ms", at(50), at(90), at(99), at(100));
    service.stop(Duration::from_secs(20));
    broker.close();
}

/// Publishes so many a second, and answers when each was due to be sent: a late sender hides nothing.
fn paced(publisher: &dyn Publisher, events: Vec<Write>, rate: usize) -> BTreeMap<Vec<u8>, Instant> {
    let begun = Instant::now();
    let in_step = rate * STEP.as_millis() as usize / 1000;
    let mut sent = BTreeMap::new();
    let mut events = events.into_iter();
    for step in 0.. {
        let writes: Vec<Write> = events.by_ref().take(in_step).collect();
        if writes.is_empty() {
            break;
        }
        let due = begun + STEP * step;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.extend(writes.iter().map(|write| (write.key.clone(), due)));
        publish(publisher, writes);
    }
    sent
}

/// All lie there before the router starts.
fn backlog(options: &KafkaOptions, events: Vec<Write>, lanes: usize) {
    let count = events.len();
    let sender = Kafka::open(KafkaOptions::new(&options.bootstrap, "sender")).unwrap();
    let publisher = sender.publisher();
    for writes in events.chunks(PLAIN) {
        while sender.queued().0 > 100 {
            std::thread::sleep(Duration::from_millis(1));
        }
        publish(&*publisher, writes.to_vec());
    }
    while sender.queued().0 > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = decided(&sender);
    let broker = Arc::new(Kafka::open(options.clone()).unwrap());
    let metrics = Arc::new(Metrics::new().unwrap());
    let (service, restored) = started(&broker, lanes, &metrics);
    let since = Instant::now();
    while !is_read(&sender) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = since.elapsed().as_secs_f64();
    println!("plain run      {count} events in {took:.1} s: {:.0} events/s", count as f64 / took);
    println!("               {} records in decisions, {} before", decided(&sender), before);
    println!("ready          {:.2} s after a start with the histories of the steady run", restored.as_secs_f64());
    service.stop(Duration::from_secs(20));
    broker.close();
    let broker = Arc::new(Kafka::open(options.clone()).unwrap());
    let (service, restored) = started(&broker, lanes, &metrics);
    let histories = histories(&sender);
    println!("ready          {:.2} s after a start with {histories} histories", restored.as_secs_f64());
    service.stop(Duration::from_secs(20));
    broker.close();
}

fn decided(broker: &Kafka) -> i64 {
    broker.reader().end_offset("decisions", 0).unwrap()
}

fn histories(broker: &Kafka) -> usize {
    let reader = broker.reader();
    let all = |partition| reader.read("history", partition, 0, usize::MAX).unwrap();
    let keys = (0..PARTITIONS).flat_map(all).map(|record| record.key);
    keys.collect::<BTreeSet<_>>().len()
}

/// Whether INTAKE and DECIDE have read all there is.
fn is_read(broker: &Kafka) -> bool {
    let reader = broker.reader();
    let read = |group: &str, topic: &str, partition: u32| {
        let next = broker.position(group, topic, partition).unwrap().unwrap_or(0);
        reader.read(topic, partition, next, 1).unwrap().is_empty()
    };
    PARTNERS.iter().all(|partner| read("intake", &format!("referrals.{}", partner.name), 0))
        && (0..PARTITIONS).all(|partition| read("decide", "inbox", partition))
}
