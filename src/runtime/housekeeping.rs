//! What is looked after besides the lanes: the broker's health, and deleting what is past its retention.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::ClockWatch;
use super::journal::Journal;
use super::starting::DISK_FULL;
use super::supervise::rest;
use crate::broker::{Broker, BrokerError, Clock, Health};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

const LOOK_EVERY: Duration = Duration::from_millis(500);
const DELETE_EVERY: Duration = Duration::from_secs(3600);
/// The first deletion waits until a start is over.
const FIRST_DELETE_AFTER: Duration = Duration::from_secs(60);
const HOLD: &str = "broker";
const WAITING: &str = "log";

pub fn run(broker: &Arc<dyn Broker>, metrics: &Metrics, readiness: &Readiness, clock: &Clock, stop: &AtomicBool) {
    let mut journal = Journal::new(Instant::now());
    let mut watch = ClockWatch::default();
    let mut unreachable = None;
    let mut delete_at = Instant::now() + FIRST_DELETE_AFTER;
    while !stop.load(Ordering::Acquire) {
        look(&**broker, metrics, readiness, &mut unreachable);
        let now = clock();
        metrics.waiting().show(now);
        watch.look(metrics, readiness, now, Instant::now());
        journal.look(metrics, Instant::now());
        if Instant::now() >= delete_at {
            delete_at = Instant::now() + DELETE_EVERY;
            report(broker.delete_expired());
        }
        rest(LOOK_EVERY, stop);
    }
    metrics.ready(false);
}

fn look(broker: &dyn Broker, metrics: &Metrics, readiness: &Readiness, unreachable: &mut Option<String>) {
    let health = broker.health();
    metrics.disk_full(health == Health::DiskFull);
    metrics.troubles.data_file_held(health == Health::HeldByAnother);
    metrics.storage_failed(matches!(health, Health::Failed(_)));
    metrics.log_unreachable(matches!(health, Health::Unreachable(_)));
    if let Health::Unreachable(problem) = &health {
        if unreachable.as_ref() != Some(problem) {
            tracing::warn!(problem, "nothing is accepted until it answers; it is tried again");
            *unreachable = Some(problem.clone());
        }
    } else if unreachable.take().is_some() {
        tracing::info!("what could not be reached answers again");
    }
    match health {
        Health::Ready => readiness.release(HOLD),
        Health::CatchingUp => readiness.hold(HOLD, "reading in what the inboxes show"),
        Health::DiskFull => readiness.hold(HOLD, DISK_FULL),
        Health::HeldByAnother => {
            readiness.hold(HOLD, "another program holds the data file: end it, it goes on by itself");
        }
        Health::Unreachable(problem) => readiness.hold(HOLD, &format!("{problem}: it goes on by itself")),
        Health::Failed(problem) => readiness.hold(HOLD, &format!("{problem}: mend it and restart")),
        Health::Stopped => readiness.hold(HOLD, "it is stopped"),
    }
    match broker.warnings() {
        warnings if warnings.is_empty() => readiness.no_warning(WAITING),
        // The log has told each already.
        warnings => drop(readiness.warn(WAITING, &warnings.join("; "))),
    }
    metrics.troubles.instance_shared(broker.is_doubled());
    metrics.troubles.passed_over(broker.passed_over());
    let (queued, limit) = broker.queued();
    metrics.queue(queued, limit);
    metrics.ready(readiness.is_ready());
}

fn report(deleted: Result<u64, BrokerError>) {
    match deleted {
        Ok(0) => {}
        Ok(records) => tracing::info!(records, "deleted what is past its retention"),
        Err(error) => tracing::warn!(%error, "what is past its retention could not be deleted"),
    }
}
