//! How far INTAKE has come, for those who must not act before it has caught up.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::engine::model::scalar::Timestamp;

/// For each INTAKE lane of this process, the instant up to which everything was read (a lane that stands still falls
/// behind), and what the lanes of others have left unread.
pub struct IntakeProgress {
    lanes: Vec<AtomicI64>,
    /// `i64::MAX`: nothing.
    elsewhere: AtomicI64,
}

impl IntakeProgress {
    /// Nothing is known to be read yet.
    pub fn new(lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| AtomicI64::new(i64::MIN)).collect();
        Self { lanes, elsewhere: AtomicI64::new(i64::MAX) }
    }

    pub fn read_up_to(&self, lane: usize, instant: Timestamp) {
        if let Some(known) = self.lanes.get(lane) {
            known.store(instant.0, Ordering::Release);
        }
    }

    /// When the oldest record was appended that the group has left unread, wherever its lanes run.
    pub fn left_elsewhere(&self, oldest: Option<Timestamp>) {
        self.elsewhere.store(oldest.map_or(i64::MAX, |oldest| oldest.0), Ordering::Release);
    }

    /// Milliseconds that the slowest lane is behind.
    pub fn behind_ms(&self, now: Timestamp) -> i64 {
        let known = self.lanes.iter().chain([&self.elsewhere]).map(|known| known.load(Ordering::Acquire));
        known.min().map_or(0, |instant| now.0.saturating_sub(instant).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_lane_counts_and_an_unheard_one_is_far_behind() {
        let progress = IntakeProgress::new(2);
        let now = Timestamp(10_000);
        progress.read_up_to(0, Timestamp(9_500));
        assert_eq!(progress.behind_ms(now), i64::MAX);
        progress.read_up_to(1, Timestamp(7_000));
        assert_eq!(progress.behind_ms(now), 3_000);
        assert_eq!(IntakeProgress::new(0).behind_ms(now), 0);
    }

    #[test]
    fn what_lies_unread_elsewhere_counts_with_lanes_of_our_own_and_without() {
        let now = Timestamp(10_000);
        for lanes in [0, 1] {
            let progress = IntakeProgress::new(lanes);
            (0..lanes).for_each(|lane| progress.read_up_to(lane, now));
            progress.left_elsewhere(Some(Timestamp(4_000)));
            assert_eq!(progress.behind_ms(now), 6_000);
            progress.left_elsewhere(None);
            assert_eq!(progress.behind_ms(now), 0);
        }
    }
}
