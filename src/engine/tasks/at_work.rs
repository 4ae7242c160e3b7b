//! Somebody is accused whose own agency is at work with the child: whoever decides reads that on what they are to do first.

use std::collections::BTreeSet;

use super::{Asked, READDRESSED_RULE, Raising};
use crate::engine::history::entry::SUSPECT;
use crate::engine::history::{TOLD, is_arranged, is_open};
use crate::engine::model::history::{Entry, HeldBack, HeldTask};

impl<'b> Raising<'b> {
    /// On the first that a rule asks of them of the event that says so.
    pub(super) fn say_who_is_at_work(&self, open: &mut [Asked<'b>]) {
        let theirs = |task: &&mut Asked<'b>| {
            self.decides(&task.address.agency) && !task.own_duty && task.relation.wants_answer()
        };
        let Some(first) = open.iter_mut().filter(theirs).min_by_key(|task| task.due.at) else { return };
        let at_work = self.accused_at_work(&first.entry);
        if !at_work.is_empty() {
            first.notes.push(format!(
                "The accused one's own agency is at work with the child: {}. They are told nothing by this: decide at once whether they \
                 stop, and who tells them.",
                at_work.into_iter().collect::<Vec<_>>().join("; ")
            ));
        }
    }

    /// Whose, by what they hold.
    fn accused_at_work(&self, accuses: &Entry) -> BTreeSet<String> {
        let rules = &self.book.rules;
        let is_own = |route: &&HeldBack, task: &HeldTask| {
            let is_unit = || route.unit.is_none() || route.unit == task.unit || !rules.has_many_units(&task.agency);
            route.cause == SUSPECT && route.agency == task.agency && is_unit()
        };
        let held = self.history.tasks.iter().filter(|task| self.is_at_work(task));
        let theirs = held.filter(|task| accuses.held_back.iter().any(|route| is_own(&route, task)));
        let in_words = |task: &HeldTask| {
            let unit = task.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}"));
            format!("{}{unit} (\"{}\")", rules.title_of(&task.agency), task.action)
        };
        theirs.map(|task| in_words(task)).collect()
    }

    /// Whether a rule asked it and it goes on: it is open, or a service that was arranged.
    fn is_at_work(&self, task: &HeldTask) -> bool {
        let is_of_rule = |id: &String| id == READDRESSED_RULE || self.book.rules.rule(id).is_some();
        let goes_on = (is_open(&task.state) && task.state != TOLD) || is_arranged(self.history, task, self.at);
        goes_on && task.chases.is_none() && task.rules.iter().any(is_of_rule)
    }
}
