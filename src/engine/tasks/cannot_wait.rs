//! What cannot wait for a person to lift a route: a suspect's own agency, where no other can act in its place.

use super::route::Address;
use super::{Asked, Raising};
use crate::engine::history::entry::SUSPECT;
use crate::engine::model::history::HeldBack;
use crate::engine::model::scalar::Level;

impl<'b> Raising<'b> {
    /// It says nothing of why: whoever is accused may be among those who read it.
    pub(super) fn for_you_alone(&self) -> String {
        format!("For you alone, on purpose: choose who acts, and ring {} before you do.", self.whom_to_ring())
    }

    /// Whether it goes out all the same, to a senior of the agency or by whoever is on duty. Else it is held back.
    pub(super) fn goes_to_senior(&self, task: &mut Asked<'b>, routes: &[&HeldBack]) -> bool {
        if let Some(senior) = self.senior_for(task, routes) {
            task.address.role = Some(senior);
            task.notes.push(self.for_you_alone());
            return true;
        }
        let how = self.passed_on_to_senior(task, routes);
        let is_passed_on = how.is_some();
        task.notes.extend(how);
        is_passed_on
    }

    /// Whom the book names for it of an agency that has no other unit, for what a life may hang on: significant harm, by a
    /// clock that waits for no office, and an event that is not itself about the suspect. None: it is held back.
    pub(super) fn senior_for(&self, task: &Asked<'b>, routes: &[&HeldBack]) -> Option<String> {
        let is_about = |route: &HeldBack| {
            let lifted = || task.entry.lifted.iter().any(|lifted| lifted.route() == *route);
            task.entry.held_back.contains(route) || lifted()
        };
        let of_suspect_alone =
            |route: &&HeldBack| route.cause == SUSPECT && route.agency == task.address.agency && !is_about(route);
        let cannot_wait = task.due.urgent && task.level == Some(Level::L4b);
        if !cannot_wait || !routes.iter().all(of_suspect_alone) {
            return None;
        }
        self.book.rules.agencies.get(&task.address.agency)?.senior.clone()
    }

    /// Where that agency was not told of the child, so that whoever is on duty passes it on: to whom. None: it is held back.
    fn passed_on_to_senior(&self, task: &Asked<'b>, routes: &[&HeldBack]) -> Option<String> {
        let meant_for = task.address.in_place_of.as_ref()?;
        let own = Address { agency: meant_for.clone(), unit: None, role: None, in_place_of: None };
        let senior = self.senior_for(&Asked { address: own, ..task.clone() }, routes)?.replace('-', " ");
        Some(format!("Tell its {senior} alone, who chooses who acts, and say nothing of why."))
    }
}
