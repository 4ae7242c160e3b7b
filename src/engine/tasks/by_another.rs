//! What must be done by a time, and is held back from whoever would do it: whoever decides finds somebody else.

use std::sync::Arc;

use super::route::Address;
use super::{Asked, Raising};
use crate::engine::history::is_open;
use crate::engine::model::history::HeldTask;
use crate::engine::rules::book::TaskRule;

impl<'b> Raising<'b> {
    /// The same, asked of the front door in its place: of what an event settles, by whomever it was done. None: it can wait for
    /// the route to be lifted, or somebody holds it.
    pub(super) fn by_another(&self, held_back: &Asked<'b>) -> Option<Asked<'b>> {
        let rules = &self.book.rules;
        let address = self.front_door(None);
        // Where it is asked only to find out whom it was meant for, it is asked for the very thing instead.
        let is_its_own = held_back.address.agency == rules.front_door && held_back.address.in_place_of.is_none();
        if held_back.own_duty || is_its_own || address.agency != rules.front_door {
            return None;
        }
        let must_be_done = |asked: &TaskRule| {
            asked.completed_by_due && !asked.settled_by.is_empty() && asked.action == held_back.action
        };
        let mut asking = held_back.reasons.iter().filter_map(|(id, _, _)| rules.rule(id)).flat_map(|rule| &rule.tasks);
        let is_held = |held: &Arc<HeldTask>| {
            held.is_of(&held_back.entry)
                && held.agency == address.agency
                && held.action == held_back.action
                && is_open(&held.state)
        };
        if !asking.any(must_be_done) || self.history.tasks.iter().any(is_held) {
            return None;
        }
        let meant_for = held_back.address.meant_for().clone();
        let title = rules.title_of(&meant_for);
        let note = format!("Meant for {title}, whose route is held back: find somebody else who does it in time.");
        let address = Address { in_place_of: None, ..address };
        Some(Asked { address, meant_for: Some(meant_for), notes: vec![note], ..held_back.clone() })
    }
}
