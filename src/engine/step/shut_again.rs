//! A lift of a held-back route is taken back: from now on the route is shut, and whoever was told while it was open is recalled.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, within_the_hour_at};
use super::withdrawal::{Recall, breach, end, recalls};
use crate::engine::context::StepError;
use crate::engine::history::entry::{A_PERSON, AN_ADDRESS};
use crate::engine::history::routes::{lifted_by, lifted_of, shut_again};
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::detail::DecisionRecorded;
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History, Lifted};
use crate::engine::rules::RuleBook;
use crate::engine::tasks::route::{Address, suppression};
use crate::engine::tasks::{HELD_BACK_RULE, Wanted};

const TITLE: &str = "A lifted route is held back again";
const ACTION: &str = "See what a held-back agency learned while its route was open, and that the child is safe";
const SHUT_ACTION: &str = "Know that a route is held back again: nothing had gone out by it";
const BREACH_ACTION: &str = "Information breach: an agency was told that should not have been; look into it";

const RECALL: Recall = Recall {
    rule: HELD_BACK_RULE,
    title: TITLE,
    why: "You were told of this by mistake.",
    action: "Recall: you were told by mistake; stop, do not use it or share it, and ask before you keep or delete it",
};

/// What taking back a decision to lift shuts again. False: it lifted nothing that is still open.
pub fn lift_withdrawn(draft: &mut Draft<'_>, cause: &str, decision: &Arc<Entry>) -> Result<bool, StepError> {
    let shut = lifted_by(&draft.history, decision);
    shut_and_tell(draft, cause, decision, &shut)
}

/// A person confirms that a route stays held back which was lifted before.
pub fn confirmed(
    draft: &mut Draft<'_>,
    cause: &str,
    entry: &Arc<Entry>,
    recorded: &DecisionRecorded,
) -> Result<bool, StepError> {
    let shut = confirms(&draft.book.rules, &draft.history, recorded);
    shut_and_tell(draft, cause, entry, &shut)
}

/// The lifted routes that a decision to confirm one shuts again.
pub fn confirms(rules: &RuleBook, history: &History, recorded: &DecisionRecorded) -> BTreeSet<Lifted> {
    if recorded.decision != Some(HumanDecision::RouteConfirmed) {
        return BTreeSet::new();
    }
    if let Some(marker @ (A_PERSON | AN_ADDRESS)) = recorded.agency.as_deref() {
        return lifted_of(history, marker, None);
    }
    let Some(agency) = recorded.agency.as_ref().and_then(|agency| rules.agency_meant(agency)) else {
        return BTreeSet::new();
    };
    let units = recorded.unit.as_ref().map(|unit| rules.directory.units_meant(agency, unit));
    lifted_of(history, &agency.name, units.as_deref())
}

fn shut_and_tell(
    draft: &mut Draft<'_>,
    cause: &str,
    entry: &Arc<Entry>,
    shut: &BTreeSet<Lifted>,
) -> Result<bool, StepError> {
    let Some(opened_at) = shut.iter().map(|lifted| lifted.at).min() else { return Ok(false) };
    let routes: BTreeSet<HeldBack> = shut.iter().map(Lifted::route).collect();
    let front_door = &draft.book.rules.front_door;
    let went_by_it = |task: &&Arc<HeldTask>| {
        let (agency, unit) = (task.agency.clone(), task.unit.clone());
        let address = Address { agency, unit, role: None, in_place_of: None };
        let is_word = task.rules.iter().any(|rule| rule == HELD_BACK_RULE) && task.agency != *front_door;
        task.raised_at >= opened_at
            && task.state != "recalled"
            && !is_word
            && suppression(&address, front_door, &routes).is_some()
    };
    let told: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(went_by_it).cloned().collect();
    // While the route is open still: who is recalled is told by it.
    let due = draft.raising(None, cause).deadline_from_now(&within_the_hour_at(draft.history.case_level))?;
    let mut recalled = recalls(draft, &RECALL, entry, &told)?;
    recalled.iter_mut().for_each(|recall| recall.due = due.clone());
    let breach = breach(draft, HELD_BACK_RULE, entry, &told)?;
    recalled.extend(breach.map(|breach| Wanted { action: BREACH_ACTION.to_owned(), ..breach }));
    draft.raise(None, cause, &[], recalled)?;
    end(draft, &told);
    shut_again(&mut draft.history, shut);
    let words = in_words(&draft.book.rules, &routes);
    draft.decision.notes.push(format!("Held back again from now on: {words}."));
    let raising = draft.raising(None, cause);
    let asked: BTreeSet<String> = told.iter().map(|task| format!("\"{}\"", task.action)).collect();
    let (why, action, clock) = if told.is_empty() {
        (format!("Held back again: {words}. Nothing had gone out by it."), SHUT_ACTION, &super::draft::OWN_DUTY)
    } else {
        let asked = asked.into_iter().collect::<Vec<_>>().join("; ");
        let why = format!(
            "Held back again: {words}. While it was open this was asked of them: {asked}. They are asked to stop; they \
             may know of the child by now."
        );
        (why, ACTION, &within_the_hour_at(draft.history.case_level))
    };
    let due = raising.deadline_from_now(clock)?;
    let own = raising.own_duty(HELD_BACK_RULE, TITLE, why, action, due, entry);
    let wanted = Wanted { level: draft.history.case_level.filter(|_| !told.is_empty()), ..own };
    draft.raise(None, cause, &[], vec![wanted])?;
    Ok(true)
}

fn in_words(rules: &RuleBook, routes: &BTreeSet<HeldBack>) -> String {
    let of_route = |route: &HeldBack| {
        let title = rules.agencies.get(&route.agency).map_or(route.agency.as_str(), |agency| &agency.title);
        let unit = route.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}"));
        format!("{title}{unit}")
    };
    routes.iter().map(of_route).collect::<Vec<_>>().join("; ")
}
