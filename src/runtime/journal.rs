//! What the log says from time to time: counts, and quarantines. Codes and counts alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::telemetry::metrics::{Metrics, Totals};

/// One line a partner and reason in so long.
const QUARANTINE_EVERY: Duration = Duration::from_secs(60);
const COUNTS_EVERY: Duration = Duration::from_secs(300);

pub struct Journal {
    /// By partner and reason: what was said, and when.
    quarantined: BTreeMap<(String, String), (u64, Instant)>,
    counts_at: Instant,
}

impl Journal {
    pub fn new(now: Instant) -> Self {
        Self { quarantined: BTreeMap::new(), counts_at: now + COUNTS_EVERY }
    }

    pub fn look(&mut self, metrics: &Metrics, instant: Instant) {
        for ((partner, reason), records) in self.quarantines(metrics.quarantine_counts(), instant) {
            tracing::warn!(partner, reason, records, "could not be used and lies in quarantine");
        }
        if instant >= self.counts_at {
            self.counts_at = instant + COUNTS_EVERY;
            let Totals { received, judged, tasks, quarantined } = metrics.totals();
            tracing::info!(received, judged, tasks, quarantined, "counts since the start");
        }
    }

    /// What is to be said now, with how many came since it was last said.
    fn quarantines(
        &mut self,
        counts: BTreeMap<(String, String), u64>,
        instant: Instant,
    ) -> Vec<((String, String), u64)> {
        // Who was taken out, and is back, is counted anew.
        self.quarantined.retain(|of, _| counts.get(of).is_some_and(|count| *count > 0));
        let mut lines = Vec::new();
        for (of, count) in counts {
            let said = self.quarantined.get(&of);
            let before = said.map_or(0, |(before, _)| *before);
            let new = count.checked_sub(before).unwrap_or(count);
            let rested = said.is_none_or(|(_, at)| instant.saturating_duration_since(*at) >= QUARANTINE_EVERY);
            if new > 0 && rested {
                self.quarantined.insert(of.clone(), (count, instant));
                lines.push((of, new));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantine_is_said_at_once_and_then_once_a_minute() {
        let start = Instant::now();
        let mut journal = Journal::new(start);
        let of = |partner: &str, reason: &str| (partner.to_owned(), reason.to_owned());
        let mut look = |seconds, count| {
            let counts = [(of("police", "too_large"), count), (of("council", "too_large"), 0)];
            let lines = journal.quarantines(counts.into(), start + Duration::from_secs(seconds));
            lines.into_iter().map(|(_, records)| records).collect::<Vec<_>>()
        };
        assert!(look(0, 0).is_empty());
        assert_eq!(look(1, 2), [2]);
        assert!(look(30, 5).is_empty());
        assert_eq!(look(61, 9), [7]);
        assert!(look(200, 9).is_empty());
        assert_eq!(look(261, 4), [4], "it was taken out, and is back");
        assert!(look(262, 0).is_empty());
        assert_eq!(look(263, 4), [4], "as many as before it was taken out");
    }
}
