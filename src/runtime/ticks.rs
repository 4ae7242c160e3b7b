//! When a partition's owner lets its time pass.

use crate::engine::model::scalar::Timestamp;

/// Ticks of one partition come no closer together than this.
const TICK_EVERY_MS: i64 = 1000;
/// INTAKE further behind than this holds ticks back, so that acknowledgements that wait are read first.
const INTAKE_BEHIND_MS: i64 = 60_000;
/// But time is not held back longer than this.
const HELD_BACK_MAX_MS: i64 = 15 * 60_000;

/// The ticks of one partition.
#[derive(Default, Debug)]
pub struct Ticker {
    last: Option<Timestamp>,
    /// Appended, or about to be, and not yet read again.
    outstanding: bool,
    /// Since when INTAKE has been far behind, whether anything is due or not: what never catches up (a partition that is refused)
    /// holds back no deadline after the first.
    behind_since: Option<Timestamp>,
}

impl Ticker {
    /// Whether to append a tick now. Saying yes counts as appended: `forget` if that fails.
    pub fn is_due(&mut self, now: Timestamp, next_timer: Option<Timestamp>, intake_behind_ms: i64) -> bool {
        let is_held_back = self.is_held_back(now, intake_behind_ms);
        let recent = self.last.is_some_and(|last| is_within(TICK_EVERY_MS, last, now));
        if next_timer.is_none_or(|due_at| due_at > now) || self.outstanding || recent || is_held_back {
            return false;
        }
        self.last = Some(now);
        self.outstanding = true;
        true
    }

    fn is_held_back(&mut self, now: Timestamp, intake_behind_ms: i64) -> bool {
        if intake_behind_ms <= INTAKE_BEHIND_MS {
            self.behind_since = None;
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        is_within(HELD_BACK_MAX_MS, since, now)
    }

    /// A tick was read.
    pub fn arrived(&mut self) {
        self.outstanding = false;
    }

    /// What was about to be appended was not.
    pub fn forget(&mut self) {
        self.outstanding = false;
    }
}

/// Less than that long ago. A clock that was set back proves nothing: what then lies ahead is taken as long ago, or
/// no tick would come until the clock had caught up.
fn is_within(millis: i64, earlier: Timestamp, now: Timestamp) -> bool {
    (0..millis).contains(&now.0.saturating_sub(earlier.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Option<Timestamp> = Some(Timestamp(1000));

    #[test]
    fn a_tick_a_second_while_a_timer_is_due() {
        let mut ticker = Ticker::default();
        assert!(!ticker.is_due(Timestamp(999), DUE, 0), "not due yet");
        assert!(!ticker.is_due(Timestamp(5000), None, 0), "no timer");
        assert!(ticker.is_due(Timestamp(1000), DUE, 0));
        assert!(!ticker.is_due(Timestamp(9000), DUE, 0), "one at a time");
        ticker.arrived();
        assert!(ticker.is_due(Timestamp(9000), DUE, 0));
        ticker.arrived();
        assert!(!ticker.is_due(Timestamp(9999), DUE, 0), "once a second");
        assert!(ticker.is_due(Timestamp(10_000), DUE, 0));
        ticker.forget();
        assert!(ticker.is_due(Timestamp(11_000), DUE, 0));
    }

    #[test]
    fn a_clock_that_is_set_back_stops_no_ticks() {
        let (mut ticker, behind) = (Ticker::default(), INTAKE_BEHIND_MS + 1);
        assert!(ticker.is_due(Timestamp(9_000_000), DUE, 0));
        ticker.arrived();
        assert!(ticker.is_due(Timestamp(1000), DUE, 0), "two and a half hours back");
        ticker.arrived();
        assert!(!ticker.is_due(Timestamp(9_000_000), DUE, behind));
        assert!(ticker.is_due(Timestamp(5000), DUE, behind), "nor is it held back for longer");
    }

    #[test]
    fn intake_that_never_catches_up_holds_back_no_later_deadline() {
        let (mut ticker, behind) = (Ticker::default(), i64::MAX);
        assert!(!ticker.is_due(Timestamp(500), DUE, behind), "nothing is due yet");
        assert!(!ticker.is_due(Timestamp(500 + HELD_BACK_MAX_MS - 1), DUE, behind));
        assert!(ticker.is_due(Timestamp(500 + HELD_BACK_MAX_MS), DUE, behind));
        ticker.arrived();
        let (hour, next) = (Timestamp(3_600_000), Some(Timestamp(7_200_000)));
        assert!(!ticker.is_due(hour, next, behind), "nothing is due");
        assert!(ticker.is_due(Timestamp(7_200_000), next, behind), "in time");
    }

    #[test]
    fn intake_far_behind_holds_ticks_back_but_not_for_ever() {
        let mut ticker = Ticker::default();
        let behind = INTAKE_BEHIND_MS + 1;
        assert!(!ticker.is_due(Timestamp(1000), DUE, behind));
        assert!(!ticker.is_due(Timestamp(1000 + HELD_BACK_MAX_MS - 1), DUE, behind));
        assert!(ticker.is_due(Timestamp(1000 + HELD_BACK_MAX_MS), DUE, behind));
        ticker.arrived();
        assert!(ticker.is_due(Timestamp(3000 + HELD_BACK_MAX_MS), DUE, behind), "and goes on until intake caught up");
        ticker.arrived();
        assert!(ticker.is_due(Timestamp(9000 + HELD_BACK_MAX_MS), DUE, 0));
        ticker.arrived();
        assert!(!ticker.is_due(Timestamp(20_000 + HELD_BACK_MAX_MS), DUE, behind), "held back anew");
    }
}
