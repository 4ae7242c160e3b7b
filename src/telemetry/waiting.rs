//! What each lane has yet to commit: the lag, and what a stop leaves.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::IntGaugeVec;

use super::labels::Stage;
use crate::engine::model::scalar::Timestamp;

/// Kept by the lanes, and read beside them: a lane that a full disk holds cannot say how long it has been held.
pub struct Waiting {
    lag_seconds: IntGaugeVec,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    lanes: BTreeMap<(&'static str, usize), LaneWaiting>,
    newest: Option<Timestamp>,
}

/// Of one lane.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LaneWaiting {
    /// The oldest record not yet committed.
    pub oldest: Option<Timestamp>,
    /// Records read and not yet committed.
    pub records: usize,
}

impl LaneWaiting {
    fn behind_ms(self, now: Timestamp) -> i64 {
        self.oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0)).max(0)
    }
}

impl Waiting {
    pub fn new(lag_seconds: IntGaugeVec) -> Self {
        Self { lag_seconds, seen: Mutex::default() }
    }

    /// Set after each poll and after each commit.
    pub fn lane(&self, stage: Stage, lane: usize, waiting: LaneWaiting) {
        self.locked().lanes.insert((stage.label(), lane), waiting);
    }

    /// The lane does not run: what comes from now on waits.
    pub fn stands_still(&self, stage: Stage, lane: usize, now: Timestamp) {
        let mut seen = self.locked();
        let waiting = seen.lanes.entry((stage.label(), lane)).or_default();
        waiting.oldest.get_or_insert(now);
    }

    /// A record with this time was read.
    pub fn read(&self, timestamp: Timestamp) {
        let mut seen = self.locked();
        seen.newest = seen.newest.max(Some(timestamp));
    }

    /// Sets each lane's lag.
    pub fn show(&self, now: Timestamp) {
        for ((stage, lane), waiting) in &self.locked().lanes {
            self.lag_seconds.with_label_values(&[*stage, &lane.to_string()]).set(waiting.behind_ms(now) / 1000);
        }
    }

    /// What the lanes of other processes have left unread.
    pub fn elsewhere(&self, stage: Stage, seconds: i64) {
        self.lag_seconds.with_label_values(&[stage.label(), "elsewhere"]).set(seconds);
    }

    /// Milliseconds that the slowest lane of a stage is behind.
    pub fn behind_ms(&self, stage: Stage, now: Timestamp) -> i64 {
        let seen = self.locked();
        let of_stage = seen.lanes.iter().filter(|((of, _), _)| *of == stage.label());
        of_stage.map(|(_, waiting)| waiting.behind_ms(now)).max().unwrap_or(0)
    }

    /// Whether the lanes of a stage have left nothing uncommitted.
    pub fn is_all_read(&self, stage: Stage) -> bool {
        let seen = self.locked();
        let mut of_stage = seen.lanes.iter().filter(|((of, _), _)| *of == stage.label());
        of_stage.all(|(_, waiting)| waiting.oldest.is_none())
    }

    /// Milliseconds that the newest record read lies in the future.
    pub fn ahead_ms(&self, now: Timestamp) -> i64 {
        self.locked().newest.map_or(0, |newest| newest.0.saturating_sub(now.0)).max(0)
    }

    /// By the lane's name: `decide-0`.
    pub fn of_lane(&self, name: &str) -> LaneWaiting {
        let seen = self.locked();
        let found = seen.lanes.iter().find(|((stage, lane), _)| format!("{stage}-{lane}") == name);
        found.map(|(_, waiting)| *waiting).unwrap_or_default()
    }

    fn locked(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_held_falls_behind_and_a_clock_set_back_shows() {
        let gauge = IntGaugeVec::new(prometheus::Opts::new("lag", "lag"), &["stage", "lane"]).unwrap();
        let waiting = Waiting::new(gauge.clone());
        let lag = || gauge.with_label_values(&["decide", "1"]).get();
        waiting.lane(Stage::Decide, 1, LaneWaiting { oldest: Some(Timestamp(1_000)), records: 3 });
        waiting.read(Timestamp(4_000));
        waiting.show(Timestamp(61_000));
        assert_eq!((lag(), waiting.ahead_ms(Timestamp(61_000))), (60, 0));
        assert_eq!(waiting.ahead_ms(Timestamp(1_500)), 2_500);
        assert_eq!(waiting.of_lane("decide-1").records, 3);
        assert!(!waiting.is_all_read(Stage::Decide) && waiting.is_all_read(Stage::Intake));
        waiting.lane(Stage::Decide, 0, LaneWaiting { oldest: Some(Timestamp(2_000)), records: 1 });
        waiting.lane(Stage::Intake, 0, LaneWaiting { oldest: Some(Timestamp(500)), records: 1 });
        assert_eq!(waiting.behind_ms(Stage::Decide, Timestamp(5_000)), 4_000, "the slowest lane of the stage");
        assert_eq!(waiting.behind_ms(Stage::Decide, Timestamp(0)), 0, "a clock set back proves nothing");
        waiting.lane(Stage::Decide, 1, LaneWaiting::default());
        waiting.show(Timestamp(61_000));
        assert_eq!(lag(), 0);
    }

    #[test]
    fn a_lane_that_does_not_run_falls_behind_until_it_has_read_again() {
        let gauge = IntGaugeVec::new(prometheus::Opts::new("lag", "lag"), &["stage", "lane"]).unwrap();
        let waiting = Waiting::new(gauge.clone());
        let lag = |now| {
            waiting.show(Timestamp(now));
            gauge.with_label_values(&["intake", "0"]).get()
        };
        waiting.stands_still(Stage::Intake, 0, Timestamp(5_000));
        waiting.stands_still(Stage::Intake, 0, Timestamp(9_000));
        assert_eq!(lag(65_000), 60);
        waiting.lane(Stage::Intake, 0, LaneWaiting::default());
        assert_eq!(lag(65_000), 0);
    }
}
