//! How far INTAKE has come, for those who must not act before it has caught up.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::engine::model::scalar::Timestamp;

/// For each INTAKE lane, the instant up to which everything was read. A lane that stands still falls behind.
pub struct IntakeProgress {
    lanes: Vec<AtomicI64>,
}

impl IntakeProgress {
    /// Nothing is known to be read yet.
    pub fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes).map(|_| AtomicI64::new(i64::MIN)).collect() }
    }

    pub fn read_up_to(&self, lane: usize, instant: Timestamp) {
        if let Some(known) = self.lanes.get(lane) {
            known.store(instant.0, Ordering::Release);
        }
    }

    /// Milliseconds that the slowest lane is behind.
    pub fn behind_ms(&self, now: Timestamp) -> i64 {
        let slowest = self.lanes.iter().map(|known| known.load(Ordering::Acquire)).min();
        slowest.map_or(0, |instant| now.0.saturating_sub(instant).max(0))
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
}
