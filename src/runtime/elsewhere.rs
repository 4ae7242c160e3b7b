//! How far behind the other stage is in other processes: what its group has left unread, asked of the broker now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::progress::IntakeProgress;
use super::supervise::rest;
use super::topics::{DECIDE_GROUP, INBOX, INTAKE_GROUP, INTAKE_PREFIXES};
use crate::broker::{Broker, BrokerError, Clock, vital};
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::{Metrics, Stage};
use crate::telemetry::readiness::Readiness;

/// Ticks wait for INTAKE that is a minute behind: so often is often enough.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What was accepted and is judged by nobody for so long is said.
const UNJUDGED_MAX_MS: i64 = 60_000;
const UNJUDGED: &str = "decide elsewhere";

/// For a process that judges: what INTAKE has left unread, so that nobody is chased for an answer that lies there.
pub fn watch_intake(
    broker: &Arc<dyn Broker>,
    progress: &Arc<IntakeProgress>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, BrokerError> {
    let (broker, progress, stop) = (broker.clone(), progress.clone(), stop.clone());
    vital::spawn("intake-elsewhere", move || {
        let prefixes = INTAKE_PREFIXES.map(str::to_owned);
        look_until_stopped(&*broker, INTAKE_GROUP, &prefixes, &stop, |oldest| progress.left_elsewhere(oldest));
    })
}

/// Who is told what a process that only takes in has seen of DECIDE elsewhere.
pub struct Unjudged {
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub clock: Clock,
}

/// For a process that only takes in: whether anybody judges what it accepts.
pub fn watch_decide(
    broker: &Arc<dyn Broker>,
    told: Unjudged,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, BrokerError> {
    let (broker, stop) = (broker.clone(), stop.clone());
    vital::spawn("decide-elsewhere", move || {
        look_until_stopped(&*broker, DECIDE_GROUP, &[INBOX.to_owned()], &stop, |oldest| told.tell(oldest));
    })
}

impl Unjudged {
    fn tell(&self, oldest: Option<Timestamp>) {
        let behind_ms = oldest.map_or(0, |oldest| (self.clock)().0.saturating_sub(oldest.0)).max(0);
        self.metrics.waiting().elsewhere(Stage::Decide, behind_ms / 1000);
        if behind_ms <= UNJUDGED_MAX_MS {
            self.readiness.no_warning(UNJUDGED);
        } else if self.readiness.warn(UNJUDGED, "nobody judges what is accepted: start `run --stages decide`") {
            let waits_s = behind_ms / 1000;
            tracing::error!(waits_s, "nobody judges what is accepted: start `run --stages decide` on this cluster");
        }
    }
}

fn look_until_stopped(
    broker: &dyn Broker,
    group: &str,
    prefixes: &[String],
    stop: &AtomicBool,
    left: impl Fn(Option<Timestamp>),
) {
    while !stop.load(Ordering::Acquire) {
        match broker.left_unread(group, prefixes) {
            Ok(oldest) => left(oldest),
            // What was last known stands: a broker that does not answer reads nothing either.
            Err(error) => tracing::debug!(%error, group, "what a group has left unread is not known"),
        }
        rest(LOOK_EVERY, stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_judges_is_said_until_somebody_does() {
        let (metrics, readiness) = (Arc::new(Metrics::new().unwrap()), Arc::new(Readiness::default()));
        let clock: Clock = Arc::new(|| Timestamp(100_000));
        let told = Unjudged { metrics: metrics.clone(), readiness: readiness.clone(), clock };
        let lag = || metrics.render().lines().find(|line| line.contains("lane=\"elsewhere\"")).map(str::to_owned);
        told.tell(Some(Timestamp(60_000)));
        assert_eq!((readiness.warnings().len(), lag().unwrap().ends_with(" 40")), (0, true));
        told.tell(Some(Timestamp(20_000)));
        assert!(readiness.warnings()[0].contains("--stages decide"));
        told.tell(None);
        assert_eq!((readiness.warnings().len(), lag().unwrap().ends_with(" 0")), (0, true));
    }
}
