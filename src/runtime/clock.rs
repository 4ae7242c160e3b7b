//! The machine's clock: that it was set, and that the log is ahead of it.

use std::time::{Duration, Instant};

use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// Clocks of well-kept machines are corrected by less.
const OFF_MS_MAX: i64 = 60_000;
/// The log says so often that it is ahead.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// What `/readyz` calls it.
const CLOCK: &str = "clock";

#[derive(Default)]
pub struct ClockWatch {
    /// The clock's time, and that of a clock which nobody sets.
    last: Option<(Timestamp, Instant)>,
    said_at: Option<Instant>,
}

impl ClockWatch {
    pub fn look(&mut self, metrics: &Metrics, readiness: &Readiness, now: Timestamp, instant: Instant) {
        match self.jumped_ms(now, instant) {
            ms if ms > OFF_MS_MAX => tracing::warn!(
                seconds = ms / 1000,
                "this machine's clock went forward at once: every deadline up to the time it shows now is past. Was that right?"
            ),
            ms if ms < -OFF_MS_MAX => tracing::warn!(seconds = -ms / 1000, "this machine's clock was set back"),
            _ => {}
        }
        let ahead_ms = metrics.waiting().ahead_ms(now);
        metrics.troubles.log_ahead(ahead_ms / 1000);
        if ahead_ms <= OFF_MS_MAX {
            self.said_at = None;
            return readiness.no_warning(CLOCK);
        }
        let seconds = ahead_ms / 1000;
        let warning = format!(
            "the log is {seconds} s ahead of this machine's clock, which is wrong now, or was when records were taken in: no deadline \
             is chased until it has caught up"
        );
        readiness.warn(CLOCK, &warning);
        if self.said_at.is_none_or(|at| instant.saturating_duration_since(at) >= SAY_EVERY) {
            self.said_at = Some(instant);
            tracing::warn!(seconds, "the log is ahead of this machine's clock: was it set back? Deadlines wait for it");
        }
    }

    /// By how much the clock was set since the last look, less than none: back.
    fn jumped_ms(&mut self, now: Timestamp, instant: Instant) -> i64 {
        let Some((before, at)) = self.last.replace((now, instant)) else { return 0 };
        let passed = i64::try_from(instant.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX);
        now.0.saturating_sub(before.0).saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_slow_looks_are_not() {
        let (mut watch, start) = (ClockWatch::default(), Instant::now());
        let mut jumped = |seconds, now| watch.jumped_ms(Timestamp(now), start + Duration::from_secs(seconds));
        assert_eq!(jumped(0, 5_000), 0, "nothing to compare with");
        assert_eq!(jumped(300, 305_000), 0);
        assert_eq!(jumped(301, 7_506_000), 7_200_000);
        assert_eq!(jumped(302, 307_000), -7_200_000);
    }

    #[test]
    fn a_log_that_is_ahead_is_told_until_the_clock_has_caught_up() {
        let (metrics, readiness) = (Metrics::new().unwrap(), Readiness::default());
        let mut watch = ClockWatch::default();
        let mut at = |now| {
            watch.look(&metrics, &readiness, Timestamp(now), Instant::now());
            let shown = metrics.render();
            let gauge = shown.lines().find(|line| line.starts_with("pathway_log_ahead_seconds ")).unwrap().to_owned();
            (gauge, readiness.warnings().len())
        };
        assert_eq!(at(0), ("pathway_log_ahead_seconds 0".to_owned(), 0));
        metrics.waiting().read(Timestamp(7_200_000));
        assert_eq!(at(1_000), ("pathway_log_ahead_seconds 7199".to_owned(), 1));
        assert_eq!(at(7_190_000), ("pathway_log_ahead_seconds 10".to_owned(), 0));
    }
}
