//! What was deleted before it was read: how many offsets, and of which partitions, since this process began.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::position::Gap;
use super::seat::Place;

#[derive(Default)]
pub struct PassedOver(Mutex<BTreeMap<Place, u64>>);

impl PassedOver {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Place, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, place: &Place, gap: Gap) {
        let ((topic, partition), offsets) = (place, gap.to - gap.from);
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
        *self.held().entry(place.clone()).or_default() += offsets.unsigned_abs();
    }

    pub fn count(&self) -> u64 {
        self.held().values().sum()
    }

    /// A sentence for each partition.
    pub fn sentences(&self) -> Vec<String> {
        let sentence = |((topic, partition), offsets): (&Place, &u64)| {
            format!("{topic}, partition {partition}: {offsets} offsets were deleted before they were read")
        };
        self.held().iter().map(sentence).collect()
    }
}
