//! The one catalogue of metrics. Every name starts `pathway_`, every unit is in the name, every label is bounded:
//! partners and agencies come from the configuration, rules from the rule book, the rest from enums.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

mod forgotten;

use self::forgotten::{Known, REMOVED};
pub use super::labels::{Answer, Disposition, RecordKind, Stage};
use super::troubles::Troubles;
use super::waiting::Waiting;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Level;
use crate::engine::model::scalar::Timestamp;

/// Seconds: 1 µs to 0.1 s, for one record.
const STEP_BUCKETS: &[f64] = &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1];
/// Seconds: 1 ms to 10 s, for one transaction.
const COMMIT_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Records a transaction.
const BATCH_BUCKETS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0];
/// Seconds: 1 ms to 60 s, for one request (long polls wait).
const REQUEST_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Every reason that the router of this version gives.
const REASONS: [QuarantineReason; 8] = [
    QuarantineReason::Undecodable,
    QuarantineReason::UnknownSchema,
    QuarantineReason::WrongSource,
    QuarantineReason::InvalidField,
    QuarantineReason::FutureTime,
    QuarantineReason::TooLarge,
    QuarantineReason::BadReplyTo,
    QuarantineReason::RouterFault,
];

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    pub received: u64,
    pub judged: u64,
    pub tasks: u64,
    pub quarantined: u64,
}

/// The catalogue. Share it in an `Arc`; every method is cheap and lock-free once a label was seen.
pub struct Metrics {
    registry: Registry,
    known: Known,
    intake_consumed: IntCounterVec,
    seldom: IntGaugeVec,
    intake_disposed: IntCounterVec,
    decide_consumed: IntCounterVec,
    decide_disposed: IntCounterVec,
    quarantined: IntCounterVec,
    referrals: IntCounterVec,
    missing_voice: IntCounter,
    tasks: IntCounterVec,
    rules_fired: IntCounterVec,
    rules_unknown: IntCounterVec,
    find_out_tasks: IntCounter,
    windows_cut: IntCounter,
    suppressed_routes: IntCounterVec,
    feedback: IntCounterVec,
    step_panics: IntCounter,
    step_seconds: HistogramVec,
    commit_seconds: HistogramVec,
    batch_records: HistogramVec,
    aborts: IntCounterVec,
    waiting: Waiting,
    subjects: IntGaugeVec,
    timers_pending: IntGaugeVec,
    queue_requests: IntGauge,
    queue_limit: IntGauge,
    disk_full: IntGauge,
    storage_failed: IntGauge,
    log_unreachable: IntGauge,
    ready: IntGauge,
    rules_folder: IntGauge,
    calendar_ends: IntGauge,
    http: Http,
    pub troubles: Troubles,
}

/// What the gateway counts.
struct Http {
    requests: IntCounterVec,
    seconds: HistogramVec,
    events: IntCounterVec,
    connections: IntGauge,
    made_room: IntCounter,
}

impl Metrics {
    /// A fresh catalogue with its own registry, so that tests and benches do not share counts.
    pub fn new() -> Result<Self, prometheus::Error> {
        let r = Registry::new();
        let metrics = Self {
            known: Known::default(),
            intake_consumed: counters(&r, "intake_consumed_total", "Records INTAKE read, by sender", &["partner"])?,
            seldom: gauges(&r, "partner_seldom", "1 for a sender that may be silent for a week", &["partner"])?,
            intake_disposed: counters(
                &r,
                "intake_disposed_total",
                "What became of the records INTAKE read: their sum equals pathway_intake_consumed_total",
                &["partner", "disposition"],
            )?,
            decide_consumed: counters(&r, "decide_consumed_total", "Inbox records DECIDE read", &["kind"])?,
            decide_disposed: counters(
                &r,
                "decide_disposed_total",
                "What became of the inbox records: their sum equals pathway_decide_consumed_total",
                &["kind", "disposition"],
            )?,
            quarantined: counters(&r, "quarantined_total", "Records kept in quarantine", &["partner", "reason"])?,
            referrals: counters(&r, "referrals_total", "Referral events judged", &["kind"])?,
            missing_voice: counter(&r, "missing_voice_total", "Referrals that came without the child's voice")?,
            tasks: counters(&r, "tasks_total", "Tasks published", &["agency", "level"])?,
            rules_fired: counters(&r, "rules_fired_total", "Rules that fired", &["rule"])?,
            rules_unknown: counters(&r, "rules_unknown_total", "Rules a missing fact left undecided", &["rule"])?,
            windows_cut: counter(
                &r,
                "history_windows_cut_total",
                "Times a history held too much, and what rules may still count within a window was folded",
            )?,
            find_out_tasks: counter(&r, "find_out_tasks_total", "Tasks asking social care to find out missing facts")?,
            suppressed_routes: counters(&r, "suppressed_routes_total", "Tasks held back from an agency", &["agency"])?,
            feedback: counters(&r, "feedback_total", "Feedback given to senders", &["partner", "status"])?,
            step_panics: counter(
                &r,
                "step_faults_total",
                "Records that made a step panic, or whose outputs could not be written",
            )?,
            step_seconds: histograms(&r, "step_seconds", "Time to judge one record", &["stage"], STEP_BUCKETS)?,
            commit_seconds: histograms(&r, "commit_seconds", "Time to commit one batch", &["stage"], COMMIT_BUCKETS)?,
            batch_records: histograms(
                &r,
                "batch_records",
                "Records in one committed batch",
                &["stage"],
                BATCH_BUCKETS,
            )?,
            aborts: counters(&r, "aborts_total", "Batches aborted and read again", &["stage"])?,
            waiting: waiting(&r)?,
            subjects: gauges(&r, "subjects", "Subjects in a lane's memory", &["lane"])?,
            timers_pending: gauges(&r, "timers_pending", "Timers a lane waits for", &["lane"])?,
            queue_requests: gauge(&r, "publish_queue_requests", "Requests waiting to be made durable")?,
            queue_limit: gauge(&r, "publish_queue_limit_requests", "Above this the gateway answers 429")?,
            disk_full: gauge(&r, "disk_full", "1 while the disk is full and nothing is accepted")?,
            storage_failed: gauge(&r, "storage_failed", "1 once the data file is damaged or cannot be used")?,
            log_unreachable: gauge(&r, "log_unreachable", "1 while Kafka or its schema registry does not answer")?,
            ready: gauge(&r, "ready", "1 once every lane is restored and the gateway is open")?,
            calendar_ends: gauge(
                &r,
                "calendar_ends_seconds",
                "When the last day with known bank holidays starts, Unix time",
            )?,
            rules_folder: gauge(&r, "rules_folder_unreadable", "1 where published rule books alone are gone by")?,
            http: Http::new(&r)?,
            troubles: Troubles::new(&r)?,
            registry: r,
        };
        metrics.build_info()?;
        Ok(metrics)
    }

    fn build_info(&self) -> Result<(), prometheus::Error> {
        gauges(&self.registry, "build_info", "Always 1; the version is in the label", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(())
    }

    /// INTAKE read a record of `referrals.<partner>` or `outcomes.<agency>`, and this became of it.
    pub fn intake(&self, partner: &str, disposition: Disposition) {
        self.known.count(partner, |partner| {
            self.intake_consumed.with_label_values(&[partner]).inc();
            self.intake_disposed.with_label_values(&[partner, disposition.label()]).inc();
        });
    }

    /// DECIDE read an inbox record. Counted before `step`, so that a lost record shows as a difference.
    pub fn decide_consumed(&self, kind: RecordKind) {
        self.decide_consumed.with_label_values(&[kind.label()]).inc();
    }

    /// What became of an inbox record, once its batch is committed.
    pub fn decide_disposed(&self, kind: RecordKind, disposition: Disposition) {
        self.decide_disposed.with_label_values(&[kind.label(), disposition.label()]).inc();
    }

    /// `partner` is empty for a record of the router's own.
    pub fn quarantined(&self, partner: &str, reason: QuarantineReason) {
        self.quarantined.with_label_values(&[partner, reason.symbol()]).inc();
    }

    /// A referral of this kind (`missing.started`) was judged.
    pub fn referral(&self, kind: &str, voice_is_missing: bool) {
        self.referrals.with_label_values(&[kind]).inc();
        if voice_is_missing {
            self.missing_voice.inc();
        }
    }

    pub fn tasks(&self, agency: &str, level: Option<Level>, count: u64) {
        self.tasks.with_label_values(&[agency, level.map_or("none", Level::symbol)]).inc_by(count);
    }

    pub fn rules_fired(&self, rule: &str, count: u64) {
        self.rules_fired.with_label_values(&[rule]).inc_by(count);
    }

    pub fn rules_unknown(&self, rule: &str, count: u64) {
        self.rules_unknown.with_label_values(&[rule]).inc_by(count);
    }

    pub fn windows_cut(&self, count: u64) {
        self.windows_cut.inc_by(count);
    }

    pub fn find_out_tasks(&self, count: u64) {
        self.find_out_tasks.inc_by(count);
    }

    pub fn suppressed_routes(&self, agency: &str, count: u64) {
        self.suppressed_routes.with_label_values(&[agency]).inc_by(count);
    }

    pub fn step_fault(&self) {
        self.step_panics.inc();
    }

    pub fn step_took(&self, stage: Stage, time: Duration) {
        self.step_seconds.with_label_values(&[stage.label()]).observe(time.as_secs_f64());
    }

    /// The histogram of one stage's step times, for a hot loop that keeps its own handle.
    pub fn step_histogram(&self, stage: Stage) -> Histogram {
        self.step_seconds.with_label_values(&[stage.label()])
    }

    pub fn committed(&self, stage: Stage, time: Duration, records: usize) {
        self.commit_seconds.with_label_values(&[stage.label()]).observe(time.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^52 records")]
        self.batch_records.with_label_values(&[stage.label()]).observe(records as f64);
    }

    pub fn aborted(&self, stage: Stage) {
        self.aborts.with_label_values(&[stage.label()]).inc();
    }

    /// What a lane has not committed yet, for the lag and for people.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Begins at zero what an alert watches: what appears with its first occurrence never rises.
    pub fn expect<'a>(&self, partners: impl Iterator<Item = &'a str>) {
        for stage in [Stage::Intake, Stage::Decide] {
            self.aborts.with_label_values(&[stage.label()]);
        }
        self.decide_disposed.with_label_values(&[RecordKind::Referral.label(), Disposition::Decided.label()]);
        self.expect_quarantine("");
        for partner in partners {
            self.expect_quarantine(partner);
            self.intake_consumed.with_label_values(&[partner]);
            for disposition in [Disposition::Accepted, Disposition::Quarantined] {
                self.intake_disposed.with_label_values(&[partner, disposition.label()]);
            }
            for answer in [Answer::Accepted, Answer::Refused, Answer::TryAgain] {
                self.http.events.with_label_values(&[partner, answer.label()]);
            }
        }
    }

    /// The same of one who sends, be it answers alone, or of whom nobody knows who it was.
    pub fn expect_quarantine(&self, partner: &str) {
        for reason in REASONS {
            self.quarantined.with_label_values(&[partner, reason.symbol()]);
        }
    }

    /// Counts since the start, for the log.
    pub fn totals(&self) -> Totals {
        Totals {
            received: sum(&self.intake_consumed),
            judged: sum(&self.referrals),
            tasks: sum(&self.tasks),
            quarantined: sum(&self.quarantined),
        }
    }

    /// Quarantined records since the start, by partner and reason.
    pub fn quarantine_counts(&self) -> BTreeMap<(String, String), u64> {
        let families = self.quarantined.collect();
        let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
        let counted = metrics.map(|metric| {
            let label = |name: &str| {
                let found = metric.get_label().iter().find(|label| label.name() == name);
                found.map(|label| label.value().to_owned()).unwrap_or_default()
            };
            ((label("partner"), label("reason")), whole(metric))
        });
        counted.filter(|((partner, _), _)| partner != REMOVED).collect()
    }

    /// What a DECIDE lane holds in memory.
    pub fn held(&self, lane: usize, subjects: usize, timers: usize) {
        let lane = lane.to_string();
        self.subjects.with_label_values(&[&lane]).set(count(subjects));
        self.timers_pending.with_label_values(&[&lane]).set(count(timers));
    }

    pub fn queue(&self, requests: usize, limit: usize) {
        self.queue_requests.set(count(requests));
        self.queue_limit.set(count(limit));
    }

    pub fn disk_full(&self, full: bool) {
        self.disk_full.set(i64::from(full));
    }

    pub fn storage_failed(&self, failed: bool) {
        self.storage_failed.set(i64::from(failed));
    }

    pub fn log_unreachable(&self, unreachable: bool) {
        self.log_unreachable.set(i64::from(unreachable));
    }

    pub fn calendar_ends(&self, at: Timestamp) {
        self.calendar_ends.set(at.0.div_euclid(1_000));
    }

    /// The folder of the configuration could not be read at the start.
    pub fn rules_folder_unreadable(&self, unreadable: bool) {
        self.rules_folder.set(i64::from(unreadable));
    }

    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Refusals of a route that an alert watches: see `expect`.
    pub fn expect_refusals(&self, route: &str) {
        for status in ["401", "429"] {
            self.http.requests.with_label_values(&[route, status]);
        }
    }

    /// Whether a partner's silence for a week is nothing to ask about.
    pub fn seldom(&self, partner: &str, seldom: bool) {
        self.seldom.with_label_values(&[partner]).set(i64::from(seldom));
    }

    /// `route` is the route's pattern, never the path as sent.
    pub fn http_request(&self, route: &str, status: u16, time: Duration) {
        self.http.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.http.seconds.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    pub fn http_event(&self, partner: &str, answer: Answer) {
        self.http.events.with_label_values(&[partner, answer.label()]).inc();
    }

    pub fn http_connection_opened(&self) {
        self.http.connections.inc();
    }

    /// An idle one is closed, as all places were taken.
    pub fn http_connection_made_room(&self) {
        self.http.made_room.inc();
    }

    pub fn http_connection_closed(&self) {
        self.http.connections.dec();
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory fails only on a malformed family, which registration has already refused.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

fn status_label(status: FeedbackStatus) -> &'static str {
    match status {
        FeedbackStatus::Received => "received",
        FeedbackStatus::AlreadyKnown => "already_known",
        FeedbackStatus::BeingLookedAt => "being_looked_at",
        FeedbackStatus::Decided => "decided",
        FeedbackStatus::NotAccepted => "not_accepted",
        FeedbackStatus::NotApplied => "not_applied",
        FeedbackStatus::Unknown => "unknown",
    }
}

impl Http {
    fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        let time = "Time to answer, waits included";
        let events = "Events partners posted, by answer";
        Ok(Self {
            requests: counters(r, "http_requests_total", "Requests answered", &["route", "status"])?,
            seconds: histograms(r, "http_request_seconds", time, &["route"], REQUEST_BUCKETS)?,
            events: counters(r, "http_events_total", events, &["partner", "answer"])?,
            connections: gauge(r, "http_connections", "Open connections")?,
            made_room: counter(r, "http_connections_made_room_total", "Idle connections closed for new ones")?,
        })
    }
}

fn waiting(registry: &Registry) -> Result<Waiting, prometheus::Error> {
    let help = "Age of a lane's oldest record that is not yet committed, read or not";
    Ok(Waiting::new(gauges(registry, "lag_seconds", help, &["stage", "lane"])?))
}

fn sum(counters: &IntCounterVec) -> u64 {
    counters.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric).map(whole).sum()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2^53")]
fn whole(metric: &prometheus::proto::Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("pathway")
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let metric = IntCounter::with_opts(options(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(options(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::with_opts(options(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(options(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_renders_with_consistent_totals() {
        let metrics = Metrics::new().unwrap();
        metrics.intake("police", Disposition::Accepted);
        metrics.intake("police", Disposition::Quarantined);
        metrics.quarantined("police", QuarantineReason::TooLarge);
        metrics.tasks("social-care", Some(Level::L4a), 1);
        let text = metrics.render();
        assert!(text.contains("pathway_intake_consumed_total{partner=\"police\"} 2"), "{text}");
        assert!(text.contains("pathway_tasks_total{agency=\"social-care\",level=\"L4a\"} 1"), "{text}");
        assert!(text.contains("# HELP pathway_ready "), "{text}");
    }
}
