//! A named person closes a case: whoever holds something of it hears that, once. A duty that is not the case's goes on.

use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use super::taken_back::{Word, tell_each};
use super::unapplied::UNAPPLIED_RULE;
use super::{by_the_hour, search};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::{TOLD, death, is_open};
use crate::engine::model::history::{HeldTask, History, RecordedDecision};
use crate::engine::model::scalar::{DAY_MS, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Rule, TaskRule};
use crate::engine::tasks::READDRESSED_RULE;

/// The id under which a holder is told.
pub const CLOSED_RULE: &str = "case-closed";
const CLOSED: Word = Word {
    rule: CLOSED_RULE,
    title: "A named person has closed the case",
    why: "A named person has closed the case: nobody waits any longer for an answer to what you were asked in it.",
    action: "Know that the case is closed: go on with what your own service owes the child, and ring the front door if more is needed",
    wants_answer: false,
};

/// What was asked longer ago was done, or given up, whatever was answered.
const STILL_HELD_DAYS: i64 = 28;

/// Whether what was asked then is still held by then, unless it was answered.
pub fn is_held_still(asked: Timestamp, at: Timestamp) -> bool {
    asked.plus_millis(STILL_HELD_DAYS * DAY_MS) > at
}

/// Whether a closed case ended what a task asks. Not what is asked about that very decision, nor a duty that is not the case's.
pub fn is_ended(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let Some(decision) = history.decided_on(task).filter(|decision| decision.closed) else { return false };
    let asks_about_it = || task.rules.iter().any(|rule| rule == UNAPPLIED_RULE) && is_by(decision, task);
    decision.at >= task.raised_at && !asks_about_it() && !outlives(rules, task)
}

/// Whether a task is about the very event that a decision was recorded by, as far as it was kept who sent them.
fn is_by(decision: &RecordedDecision, task: &HeldTask) -> bool {
    let mut partners = decision.partner.iter().zip(&task.partner);
    decision.event_id.as_ref() == Some(&task.event_id) && partners.all(|(one, other)| one == other)
}

/// Whether a rule asks it whatever becomes of the case.
pub fn outlives(rules: &RuleBook, task: &HeldTask) -> bool {
    let asks = |asked: &TaskRule| asked.outlives_closing && asked.is_asked_of(task);
    asking(rules, task).flat_map(|rule| &rule.tasks).any(asks)
}

/// The rules that ask it; of what was passed on to the right unit, any.
fn asking<'r>(rules: &'r RuleBook, task: &'r HeldTask) -> impl Iterator<Item = &'r Rule> {
    let passed_on = task.rules.iter().any(|id| id == READDRESSED_RULE);
    let others = rules.rules.iter().filter(move |_| passed_on);
    task.rules.iter().filter_map(|id| rules.rule(id)).chain(others)
}

/// Tells each agency that holds something which the closing has ended. Not whoever decides, nor on a route that is held back.
pub fn tell_holders(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let Some(at) = draft.history.last_decision.as_ref().filter(|decision| decision.closed).map(|decision| decision.at)
    else {
        return Ok(());
    };
    let (rules, history) = (&draft.book.rules, &draft.history);
    let is_held = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && task.state != TOLD
            && task.chases.is_none()
            && task.agency != rules.front_door
            && is_held_still(task.raised_at, at)
            && asking(rules, task).any(|rule| rule.tasks.iter().any(|asked| asked.is_asked_of(task)))
            && !search::is_over(history, rules, task)
            && !death::overtook(history, task)
            && is_ended(history, rules, task)
            && !is_ended(before, rules, task)
    };
    let held: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_held).cloned().collect();
    let by_the_hour = held.iter().any(|task| by_the_hour::clock_of(task).is_some());
    let clock = if by_the_hour { Clock::SameDay } else { OWN_DUTY };
    tell_each(draft, cause, &held, &CLOSED, &clock)
}
