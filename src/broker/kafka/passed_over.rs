//! What was deleted before it was read: how many offsets, and of which partitions, since this process began.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::position::Gap;
use super::seat::Place;

#[derive(Default)]
pub struct PassedOver(Mutex<BTreeMap<Place, Told>>);

/// Of one partition: how many, and up to where.
#[derive(Default)]
struct Told {
    offsets: u64,
    to: i64,
}

impl PassedOver {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Place, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told before, as by a lane that ended before a position behind it was stored, is not told again.
    pub fn add(&self, place: &Place, gap: Gap) {
        let mut held = self.held();
        let told = held.entry(place.clone()).or_default();
        let ((topic, partition), offsets) = (place, gap.to - gap.from.max(told.to));
        if offsets <= 0 {
            return;
        }
        tracing::warn!(
            %topic,
            partition,
            offsets,
            "records were deleted before they were read, as when the topic keeps them for less long than nobody read; marks of \
             transactions count among the offsets (docs/kafka.md, `What was deleted unread`)"
        );
        told.offsets += offsets.unsigned_abs();
        told.to = gap.to;
    }

    pub fn count(&self) -> u64 {
        self.held().values().map(|told| told.offsets).sum()
    }

    /// A sentence for each partition.
    pub fn sentences(&self) -> Vec<String> {
        let sentence = |((topic, partition), told): (&Place, &Told)| {
            format!("{topic}, partition {partition}: {} offsets were deleted before they were read", told.offsets)
        };
        self.held().iter().filter(|(_, told)| told.offsets > 0).map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_each_start_of_a_lane_finds_anew_counts_once() {
        let (told, place) = (PassedOver::default(), ("in".into(), 0));
        for (from, to) in [(3, 3), (3, 8), (3, 8), (3, 10), (12, 13)] {
            told.add(&place, Gap { from, to });
        }
        assert_eq!(told.count(), 5 + 2 + 1);
        assert_eq!(told.sentences().len(), 1);
    }
}
