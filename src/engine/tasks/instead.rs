//! What is not sent where it was meant for: its agency is in the book no more, or the child has died. Whoever triages is asked.

use std::sync::Arc;

use super::build::Question;
use super::{Asked, DEATH_ACTION, DEATH_RULE, DEATH_TITLE, Raising, Wanted};
use crate::engine::context::StepError;
use crate::engine::history::{death, episodes};
use crate::engine::model::decision::Suppressed;
use crate::engine::model::detail::Detail;
use crate::engine::model::inbox::Referral;

impl<'b> Raising<'b> {
    /// A later book dropped the agency that is to be told (to stop, that nobody answered): whoever triages sees to it.
    pub(super) fn instead_of_dropped(&self, task: &mut Asked<'_>) {
        let rules = &self.book.rules;
        if rules.agencies.contains_key(&task.address.agency) {
            return;
        }
        let (agency, action) = (&task.address.agency, &task.action);
        let unit = task.address.unit.as_ref().map_or(String::new(), |unit| format!(", unit {unit}"));
        task.notes.push(format!(
            "Meant for {agency}{unit}, an agency that the rule book no longer names: decide who does it now, and pass on \"{action}\"."
        ));
        task.address = self.front_door(task.due.urgent_by());
    }

    /// Of a child who has died nobody but those who look into it is asked anything before a person decides.
    pub(super) fn is_after_death(&self, task: &Asked<'_>) -> bool {
        // By what names no child, or reports nothing of them, nobody is rung who would not be told: who is asked in their place sees to what
        // a report names.
        let is_status = |referral: &Referral| matches!(referral.event.detail, Detail::StatusChanged(_));
        let is_rung = self.referral.is_none_or(is_status);
        let agency = if is_rung { task.address.meant_for() } else { &task.address.agency }.as_str();
        let rules = &self.book.rules;
        let looks_into_it = agency == rules.front_door || rules.look_into_deaths.contains(agency);
        // Nobody holds an interview with a child who has died.
        let of_return = task.entry.kind == episodes::ENDED && agency != rules.front_door;
        !task.own_duty
            && (!looks_into_it || of_return)
            && task.entry.kind != death::SERIOUS_INCIDENT
            && death::is_known(self.history, &task.entry, self.at)
    }

    /// Whether a notice of death keeps it from going out.
    pub fn is_kept_by_death(&self, one: &Wanted<'b>) -> bool {
        self.is_after_death(&one.clone().into())
    }

    pub(super) fn overtaken(&self, suppressed: &Suppressed) -> String {
        let title = self.book.rules.agencies.get(&suppressed.agency).map_or("", |agency| agency.title.as_str());
        format!(
            "Not asked, for the child has died: {title} (\"{}\"). Decide what of it is still to be done.",
            suppressed.action
        )
    }

    /// Puts what was not asked to whoever decides: on a task that the front door is given anyway, else on one of its own.
    pub(super) fn ask_after_death(&self, overtaken: Vec<Question>, open: &mut Vec<Asked<'b>>) -> Result<(), StepError> {
        let Some(soonest) = overtaken.iter().min_by_key(|question| question.due.at) else { return Ok(()) };
        let (due, entry) = (self.no_later_than(&soonest.due)?, Arc::clone(&soonest.entry));
        let words = overtaken.into_iter().map(|question| question.words);
        let own = |task: &&mut Asked<'b>| {
            self.decides(&task.address.agency) && task.relation.wants_answer() && task.due.at <= due.at
        };
        if let Some(task) = open.iter_mut().filter(own).max_by_key(|task| task.due.at) {
            task.notes.extend(words);
            return Ok(());
        }
        let why = "Something was reported of a child whose death was notified.".to_owned();
        let mut asked: Asked<'b> = self.own_duty(DEATH_RULE, DEATH_TITLE, why, DEATH_ACTION, due, &entry).into();
        asked.notes.extend(words);
        open.push(asked);
        Ok(())
    }
}
