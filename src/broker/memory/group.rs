//! Who holds which partition of a group, and how it comes to another lane.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::broker::partition::is_ours;
use crate::broker::{LanePlan, LaneShare};

/// A group, a topic, and a partition of it.
pub type Seat = (String, Arc<str>, u32);

/// A lane of a group, and which of those that had the name.
pub type Holder = (LaneShare, u64);

#[derive(Default)]
pub struct Groups {
    lanes: HashMap<(String, LaneShare), u64>,
    holders: BTreeMap<Seat, Holder>,
    moved: BTreeMap<Seat, LaneShare>,
}

impl Groups {
    /// A lane begins; an earlier one of the same name is fenced.
    pub fn register(&mut self, group: &str, share: LaneShare) -> Holder {
        let epoch = self.lanes.entry((group.to_owned(), share)).or_default();
        *epoch += 1;
        (share, *epoch)
    }

    pub fn is_current(&self, group: &str, (share, epoch): Holder) -> bool {
        self.lanes.get(&(group.to_owned(), share)) == Some(&epoch)
    }

    /// Whether a lane is to have a partition: by its share, unless the partition was moved.
    pub fn is_due(&self, plan: &LanePlan, share: LaneShare, topic_number: u32, seat: &Seat) -> bool {
        match self.moved.get(seat) {
            Some(to) => *to == share,
            None => is_ours(plan, share, topic_number, seat.2),
        }
    }

    /// False while another lane that lives has yet to give it up.
    pub fn take(&mut self, seat: Seat, holder: Holder) -> bool {
        let held = self.holders.get(&seat).is_some_and(|other| *other != holder && self.is_current(&seat.0, *other));
        if !held {
            self.holders.insert(seat, holder);
        }
        !held
    }

    pub fn holds(&self, seat: &Seat, holder: Holder) -> bool {
        self.holders.get(seat) == Some(&holder)
    }

    pub fn release(&mut self, seat: &Seat, holder: Holder) {
        if self.holds(seat, holder) {
            self.holders.remove(seat);
        }
    }

    /// `at_once`: the lane that holds it is taken for dead and is not asked.
    pub fn give(&mut self, seat: Seat, to: LaneShare, at_once: bool) {
        if at_once {
            self.holders.remove(&seat);
        }
        self.moved.insert(seat, to);
    }

    /// Lanes are taken for dead: what they hold is another's.
    pub fn expire(&mut self, of: LaneShare, to: LaneShare) {
        let held: Vec<Seat> =
            self.holders.iter().filter(|(_, holder)| holder.0 == of).map(|(seat, _)| seat.clone()).collect();
        held.into_iter().for_each(|seat| self.give(seat, to, true));
        self.moved.values_mut().filter(|moved| **moved == of).for_each(|moved| *moved = to);
    }
}
