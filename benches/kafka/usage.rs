//! What a run cost: processor time of the broker and of this process by kind of thread, and how lanes committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pathway_router::telemetry::metrics::Metrics;

/// Linux counts processor time in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;
/// Beginnings of threads' names; the rest is the sender's, the reader's and the service's own.
const KINDS: [(&str, &str); 5] = [
    ("intake-", "INTAKE lanes"),
    ("decide-", "DECIDE lanes"),
    ("rdk:", "librdkafka"),
    ("kafka-watch", "watching for commits"),
    ("kafka-publish", "publishing"),
];

pub struct Usage {
    broker: f64,
    threads: BTreeMap<&'static str, f64>,
    metrics: String,
}

impl Usage {
    pub fn now(server: &Path, metrics: &Metrics) -> Self {
        let pid = fs::read_to_string(server.join("kafka.pid")).unwrap_or_default();
        let mut threads = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let kind =
                KINDS.iter().find(|(beginning, _)| name.starts_with(beginning)).map_or("the rest", |kind| kind.1);
            *threads.entry(kind).or_default() += seconds(&task.path());
        }
        Self { broker: seconds(&Path::new("/proc").join(pid.trim())), threads, metrics: metrics.render() }
    }

    pub fn print(&self, before: &Self, during: Duration) {
        let share = |now: f64, then: f64| format!("{:.2}", (now - then) / during.as_secs_f64());
        let of = |(kind, now): (&&'static str, &f64)| {
            format!("{kind} {}", share(*now, before.threads.get(*kind).copied().unwrap_or_default()))
        };
        let threads: Vec<String> = self.threads.iter().map(of).collect();
        println!("cores          broker {}; here: {}", share(self.broker, before.broker), threads.join(", "));
        for stage in ["intake", "decide"] {
            let grown = |name: &str| {
                let sample = format!("pathway_{name}{{stage=\"{stage}\"}} ");
                value(&self.metrics, &sample) - value(&before.metrics, &sample)
            };
            let (commits, took) = (grown("commit_seconds_count"), grown("commit_seconds_sum"));
            println!(
                "{stage}         {:.1} commits/s, {:.1} records each, {:.1} ms each",
                commits / during.as_secs_f64(),
                grown("batch_records_sum") / commits,
                took * 1000.0 / commits
            );
        }
    }
}

fn value(metrics: &str, sample: &str) -> f64 {
    metrics.lines().find_map(|line| line.strip_prefix(sample)?.parse().ok()).unwrap_or_default()
}

/// Processor time of a process or thread, in user and system code.
fn seconds(of: &Path) -> f64 {
    let text = fs::read_to_string(of.join("stat")).unwrap_or_default();
    // The name before it may hold spaces.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / TICKS_A_SECOND
}
