//! The whole router on a real Kafka, under load and under faults: afterwards every topic must hold what the reference
//! router makes of the same inputs, and the counts alone must show each input decided once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::{Broker, system_clock};
use pathway_router::config::default_rules;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::rules::{self, fault::SourceFile};
use pathway_router::runtime::ServiceOptions;
use pathway_router::runtime::topics::{DECIDE_GROUP, INBOX, INTAKE_GROUP, is_read_by_intake};
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;

use super::load::{Abandon, Load};
use super::oracle::{self, Counts};
use super::reference::{Reference, log_of};
use super::router::{Home, Instance};
use super::server::{self, OnKafka};

/// Events a second, all senders together: half over HTTP, half produced.
const LOAD: usize = 60;
/// A stopped process is past its session, and others have its partitions.
const PAST_SESSION: Duration = Duration::from_secs(9);
/// It takes a second, five at most (printed, for a person to read); a machine that others load takes what it takes.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// Beside other work it took a minute; a lane that hangs takes for ever.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(180);
const DRAINED_WITHIN: Duration = Duration::from_secs(180);

/// What is done to the router, in this order.
#[derive(Clone, Copy, Default, Debug)]
struct Faults {
    instances: usize,
    /// SIGKILL, and started again.
    kills: usize,
    /// The broker is killed, or stopped, and started again on the same files.
    broker_restarts: usize,
    /// SIGSTOP past the session, then SIGCONT.
    zombies: usize,
    /// Every instance in turn is told to stop and started again.
    rolls: usize,
    /// Another instance joins and is killed a moment later, over and over.
    storms: usize,
    /// The broker's disk is full for a while.
    full_disks: usize,
}

/// How long until every partition is decided again.
#[derive(Default)]
struct Takeovers(Vec<(&'static str, Duration)>);

impl Takeovers {
    fn report(&self) {
        for kind in ["killed", "told to stop", "stopped", "broker back", "broker restarted", "disk full"] {
            let mut took: Vec<f64> =
                self.0.iter().filter(|(of, _)| *of == kind).map(|(_, took)| took.as_secs_f64()).collect();
            took.sort_by(f64::total_cmp);
            if let (Some(least), Some(most)) = (took.first(), took.last()) {
                let median = took[took.len() / 2];
                println!(
                    "takeover, {kind}: {least:.1} / {median:.1} / {most:.1} s (least, median, most of {})",
                    took.len()
                );
            }
        }
    }
}

struct Proof<'a> {
    home: &'a Home,
    broker: &'a Kafka,
    instances: Vec<Option<Instance>>,
    takeovers: Takeovers,
}

impl Proof<'_> {
    fn start(&mut self, number: usize) {
        self.instances[number] = Some(self.home.start(number));
    }

    fn take(&mut self, number: usize) -> Instance {
        self.instances[number].take().unwrap()
    }

    fn ready(&mut self) {
        self.instances.iter_mut().flatten().for_each(Instance::wait_until_ready);
    }

    /// Where DECIDE is in each partition, once the broker says so.
    fn positions(&self) -> Vec<i64> {
        let partitions = self.broker.reader().partitions(INBOX).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        let position = |partition| loop {
            match self.broker.position(DECIDE_GROUP, INBOX, partition) {
                Ok(position) => return position.unwrap_or(0),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        (0..partitions).map(position).collect()
    }

    /// Waits until every partition has been decided in again.
    fn taken_over(&mut self, kind: &'static str, since: Instant) {
        let before = self.positions();
        let deadline = Instant::now() + TAKEN_OVER_WITHIN;
        while self.positions().iter().zip(&before).any(|(now, before)| now <= before) {
            assert!(Instant::now() < deadline, "nobody took over: {}", self.who_waits(&before));
            self.instances.iter_mut().flatten().for_each(Instance::lives);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.takeovers.0.push((kind, since.elapsed()));
    }

    /// The partitions that nobody has decided in since, and what each router says of that.
    fn who_waits(&self, before: &[i64]) -> String {
        let now = self.positions();
        let still = now.iter().zip(before).enumerate().filter(|(_, (now, before))| now <= before);
        let partitions: Vec<usize> = still.map(|(partition, _)| partition).collect();
        let states: Vec<String> = self.instances.iter().flatten().map(Instance::state).collect();
        format!("partitions {partitions:?} of {}; {}", before.len(), states.join("; "))
    }

    fn kill(&mut self, number: usize) {
        self.take(number).kill();
        self.taken_over("killed", Instant::now());
        self.start(number);
    }

    fn restart_broker(&mut self, signal: &str) {
        let since = Instant::now();
        server::restart(signal);
        self.takeovers.0.push(("broker back", since.elapsed()));
        self.taken_over("broker restarted", since);
    }

    fn zombie(&mut self, number: usize) {
        let mut stopped = self.take(number);
        stopped.signal("-STOP");
        std::thread::sleep(PAST_SESSION);
        stopped.signal("-CONT");
        std::thread::sleep(Duration::from_secs(2));
        stopped.lives();
        self.instances[number] = Some(stopped);
    }

    fn roll(&mut self) {
        for number in 0..self.instances.len() {
            let since = Instant::now();
            let took = self.take(number).stop();
            assert!(took < STOPS_WITHIN, "a stop took {took:?}");
            self.takeovers.0.push(("stopped", took));
            self.taken_over("told to stop", since);
            self.start(number);
            self.ready();
        }
    }

    fn storm(&mut self, joining: usize) {
        for pause in [300, 900, 1500, 700] {
            let joined = self.home.start(joining);
            std::thread::sleep(Duration::from_millis(pause));
            joined.kill();
        }
    }

    fn run(&mut self, faults: &Faults) {
        self.ready();
        std::thread::sleep(Duration::from_secs(2));
        let Faults { kills, broker_restarts, zombies, rolls, storms, full_disks, .. } = *faults;
        let most = kills.max(broker_restarts).max(zombies).max(rolls).max(storms).max(full_disks);
        for round in 0..most {
            if round < faults.kills {
                self.kill(round % faults.instances);
                // Every third is killed again at any moment of its start.
                if round % 3 != 2 {
                    self.ready();
                }
            }
            if round < faults.zombies {
                self.zombie(round % faults.instances);
            }
            if round < faults.broker_restarts {
                self.restart_broker(if round % 2 == 0 { "kill" } else { "stop" });
            }
            if round < faults.storms {
                self.storm(faults.instances);
            }
            if round < faults.full_disks {
                let since = Instant::now();
                server::fill_disk(Duration::from_secs(6));
                self.taken_over("disk full", since);
            }
            if round < faults.rolls {
                self.ready();
                self.roll();
            }
        }
        self.ready();
    }

    fn is_drained(&self) -> bool {
        let reader = self.broker.reader();
        let is_read = |group: &str, topic: &str| {
            (0..reader.partitions(topic).unwrap()).all(|partition| {
                let read = self.broker.position(group, topic, partition).unwrap().unwrap_or(0);
                reader.read(topic, partition, read, 1).unwrap().is_empty()
            })
        };
        let topics = reader.topics().unwrap();
        topics.iter().filter(|topic| is_read_by_intake(topic)).all(|topic| is_read(INTAKE_GROUP, topic))
            && is_read(DECIDE_GROUP, INBOX)
    }

    /// Waits for the end of the inbox, looks at it from every instance, and stops them.
    fn finish(&mut self, load: &Load) {
        let deadline = Instant::now() + DRAINED_WITHIN;
        while !self.is_drained() {
            assert!(Instant::now() < deadline, "not everything is read");
            std::thread::sleep(Duration::from_millis(200));
        }
        let tasks: Vec<Vec<String>> =
            (0..self.instances.len()).map(|instance| Load::all_tasks(self.home, instance)).collect();
        let read = load.read.lock().unwrap();
        assert!(read.len() > 20, "the agency was shown {} tasks", read.len());
        for tasks in tasks {
            assert!(tasks.starts_with(&read), "each task once and in order, whichever instance was asked");
        }
        for instance in self.instances.iter_mut().filter_map(Option::take) {
            let took = instance.stop();
            assert!(took < STOPS_WITHIN, "a stop took {took:?}");
        }
    }
}

/// Runs the faults under load; panics with what was lost, repeated or differs.
fn prove(faults: &Faults) {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    let home = Home::new(faults.instances + 1);
    let load = Load::default();
    let mut first = home.start(0);
    first.wait_until_ready();
    let mut instances: Vec<Option<Instance>> = (0..faults.instances).map(|_| None).collect();
    instances[0] = Some(first);
    let mut proof = Proof { home: &home, broker: &broker, instances, takeovers: Takeovers::default() };
    (1..faults.instances).for_each(|number| proof.start(number));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let _guard = Abandon(&load);
        load.start(scope, &home, &broker, faults.instances, LOAD / 2);
        proof.run(faults);
        load.finish.store(true, Ordering::Release);
    });
    let under_load = started.elapsed();
    // What is due after the routers have stopped fires nowhere, and the check takes minutes.
    let fired_until = system_clock()().plus_millis(-60_000);
    proof.finish(&load);
    let counts = check(&home, &broker, &load, fired_until);
    println!("{faults:?} within {} s of load: {counts:?}, lost 0, repeated 0", under_load.as_secs());
    proof.takeovers.report();
}

fn check(home: &Home, broker: &Kafka, load: &Load, fired_until: Timestamp) -> Counts {
    let log = log_of(&*broker.reader());
    let config = home.config();
    let source = |(name, text): &(&str, &str)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let files: Vec<SourceFile> = default_rules::FILES.iter().map(source).collect();
    let books = RuleBooks::new(vec![PreparedBook::new(rules::load(&files).unwrap())]);
    let unused = Arc::new(pathway_router::broker::memory::Memory::new(Default::default()));
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = ServiceOptions::from_config(&config, unused, books, metrics, Arc::new(Readiness::starting()));
    let sent = log.iter().filter(|(topic, _)| is_read_by_intake(topic));
    let sent = sent.flat_map(|(_, partitions)| partitions.iter().flatten());
    let sent: std::collections::BTreeSet<String> =
        sent.map(|record| String::from_utf8(record.key.clone()).unwrap()).collect();
    let acknowledged = load.acknowledged.lock().unwrap();
    assert!(acknowledged.len() > 100, "there was load: {}", acknowledged.len());
    assert_eq!(acknowledged.difference(&sent).count(), 0, "every acknowledged event is there");
    let reference = Reference::run(&log, &options.context, &options.partners);
    let counts = oracle::check(&log, &reference);
    assert_eq!(reference.overdue(fired_until), 0, "timers that never fired");
    counts
}

#[test]
fn faults_on_a_real_broker_change_nothing_but_time() {
    prove(&Faults { instances: 2, kills: 5, broker_restarts: 2, zombies: 1, rolls: 1, ..Faults::default() });
}

#[test]
#[ignore = "long: make soak"]
fn soak_of_the_broker() {
    prove(&Faults { instances: 2, broker_restarts: 12, ..Faults::default() });
}

#[test]
#[ignore = "long: make soak"]
fn soak_of_two() {
    prove(&Faults { instances: 2, kills: 25, broker_restarts: 5, zombies: 2, rolls: 1, ..Faults::default() });
}

#[test]
#[ignore = "long: make soak"]
fn soak_of_three() {
    prove(&Faults { instances: 3, kills: 25, broker_restarts: 5, zombies: 1, rolls: 1, storms: 5, full_disks: 0 });
}

#[test]
#[ignore = "wants a small file system to fill: make soak"]
fn soak_of_a_full_disk() {
    prove(&Faults { instances: 2, full_disks: 3, ..Faults::default() });
}
