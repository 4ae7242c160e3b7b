//! The real process under load, killed again and again: at rest, at work, and while it recovers from the last kill.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pathway_router::broker::embedded::{Embedded, EmbeddedOptions};
use pathway_router::broker::{Broker, system_clock};
use pathway_router::config::Config;
use pathway_router::config::first_start::{config_file, first_start};
use pathway_router::engine::cloud_event;
use pathway_router::engine::model::event::{ReferralEvent, Source};
use pathway_router::engine::rules::catalogue::is_concern;
use pathway_router::runtime::topics::GATEWAY;
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::simulate;
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::kit;

const KILLS: usize = 24;
const SEED: u64 = 11;
/// Partner, unit and the file that holds its sample token; each sends from two threads.
const SENDERS: [(&str, &str, &str); 3] = [
    ("police", "missing-from-home", "police"),
    ("leighton-hospital", "emergency-department", "leighton-hospital"),
    ("council", "case-system", "council"),
];

/// A folder with a configuration, and the address it names.
struct Home {
    folder: TempDir,
    address: String,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        first_start(folder.path()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let file = config_file(folder.path());
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("127.0.0.1:8080", &address).replace("level = \"info\"", "level = \"error\"");
        std::fs::write(&file, text).unwrap();
        // A router is killed too soon, now and then, to have made it.
        drop(Embedded::open(EmbeddedOptions::new(folder.path().join("pathway.db"))).unwrap());
        Self { folder, address }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn token(&self, name: &str) -> String {
        let file: PathBuf = self.path().join("tokens").join(format!("{name}.token"));
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    fn start(&self) -> Process {
        let child = Command::new(env!("CARGO_BIN_EXE_pathway-router"))
            .args(["run", "--config"])
            .arg(config_file(self.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process { child }
    }

    fn is_ready(&self) -> bool {
        agent().get(format!("http://{}/readyz", self.address)).call().is_ok_and(|response| response.status() == 200)
    }
}

/// Killed, if the test ends before it was.
struct Process {
    child: Child,
}

impl Process {
    fn wait_until_ready(&mut self, home: &Home) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !home.is_ready() {
            assert!(self.child.try_wait().unwrap().is_none(), "the router ended by itself");
            assert!(Instant::now() < deadline, "the router does not get ready");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    /// SIGKILL: nothing of the process's own runs any more.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(10))).build().new_agent()
}

/// What the senders are told.
#[derive(Default)]
struct Orders {
    /// End after the present event is acknowledged.
    finish: AtomicBool,
    /// End now: the test failed.
    abandon: AtomicBool,
}

struct Abandon<'a>(&'a Orders);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon.store(true, Ordering::Release);
    }
}

/// Posts each event until it is acknowledged, as a partner must; ends after the present one when told to.
fn send(home: &Home, token: &str, events: &[ReferralEvent], orders: &Orders, acknowledged: &Mutex<BTreeSet<String>>) {
    let agent = agent();
    let url = format!("http://{}/v1/events", home.address);
    for event in events {
        if orders.finish.load(Ordering::Acquire) {
            return;
        }
        let body = cloud_event::write(event).unwrap().to_string();
        loop {
            if orders.abandon.load(Ordering::Acquire) {
                return;
            }
            let answer = agent
                .post(&url)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/cloudevents+json")
                .send(body.as_bytes());
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(202) => break,
                Ok(429 | 503) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
                Ok(status) => panic!("a sound event was answered {status}"),
            }
        }
        acknowledged.lock().unwrap().insert(event.event_id.clone());
    }
    panic!("the events ran out before the kills did");
}

/// Concerns, which any partner may send; what moves a case is the front door's alone.
fn events_of(partner: &str, unit: &str, events: Vec<ReferralEvent>) -> Vec<ReferralEvent> {
    let events = events.into_iter().filter(|event| is_concern(event.detail.kind()));
    let source = Source { partner: partner.to_owned(), agency: None, unit: unit.to_owned() };
    events.map(|event| ReferralEvent { source: source.clone(), ..event }).collect()
}

#[test]
fn kills_lose_nothing_and_repeat_nothing() {
    let home = Home::new();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let (orders, acknowledged) = (Orders::default(), Mutex::new(BTreeSet::new()));
    let mut simulated = simulate::referral_events(SEED, 60_000, system_clock()().plus_millis(-30 * 86_400_000));
    std::thread::scope(|scope| {
        let _guard = Abandon(&orders);
        let mut senders = Vec::new();
        for (partner, unit, token) in SENDERS.into_iter().chain(SENDERS) {
            let events = events_of(partner, unit, simulated.split_off(simulated.len() - 10_000));
            let (home, orders, acknowledged, token) = (&home, &orders, &acknowledged, home.token(token));
            senders.push(scope.spawn(move || send(home, &token, &events, orders, acknowledged)));
        }
        for kill in 0..KILLS {
            let mut process = home.start();
            // Every third kill comes at any moment of the start, the others under load.
            if kill % 3 != 0 {
                process.wait_until_ready(&home);
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..400)));
        }
        let mut last = home.start();
        last.wait_until_ready(&home);
        orders.finish.store(true, Ordering::Release);
        for sender in senders {
            sender.join().unwrap();
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{KILLS} kills, {} events acknowledged", acknowledged.len());
    check(&home, &acknowledged);
}

/// Lets a fresh process finish what the killed ones left, then compares every topic with the undisturbed run.
fn check(home: &Home, acknowledged: &BTreeSet<String>) {
    let config = Config::load(&config_file(home.path())).unwrap();
    let pathway_router::config::broker::Broker::Embedded { file } = &config.broker else { panic!("not embedded") };
    let broker = Arc::new(Embedded::open(EmbeddedOptions::new(file)).unwrap());
    let options = || {
        let metrics = Arc::new(Metrics::new().unwrap());
        ServiceOptions::from_config(&config, broker.clone(), kit::books(), metrics, Arc::new(Readiness::starting()))
    };
    let service = Service::start(options()).unwrap();
    while !kit::is_drained(&*broker) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(service.stop(Duration::from_secs(60)));
    let reader = broker.reader();
    let published: BTreeSet<String> = reader
        .read(GATEWAY, 0, 0, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|record| String::from_utf8(record.key).unwrap())
        .collect();
    assert!(acknowledged.len() > 100, "there was load: {}", acknowledged.len());
    assert_eq!(acknowledged.difference(&published).count(), 0, "every acknowledged event is there");
    kit::check(&*reader, &options().context, &options().partners, system_clock()());
}
