//! Somebody was asked the same again, sooner: the two tasks are one piece of work, and what they answer to the one counts for the other.

use std::sync::Arc;

use super::outcome::next_state;
use crate::engine::calendar::instant_in_words;
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::history::{HeldTask, History};
use crate::engine::model::outcome::Outcome;
use crate::engine::rules::RuleBook;
use crate::engine::step::draft::Draft;
use crate::engine::tasks::is_asked_sooner;

const DECLINED: &str = "declined";
/// What takes a task on, each further than the one before.
const TAKEN_ON: [&str; 3] = ["acknowledged", "accepted", "completed"];

/// Whoever answers the sooner one knows of both. Who answers the other may not have read that it is needed sooner: that they have done it
/// since counts for both, and nothing else.
fn state_of_other(rules: &RuleBook, answered: &HeldTask, other: &HeldTask, outcome: &Outcome) -> Option<&'static str> {
    let is_done = outcome.outcome == OutcomeKind::Completed;
    let is_done_since = || is_done && outcome.at >= other.raised_at && is_asked_sooner(rules, answered, other);
    if outcome.outcome == OutcomeKind::Challenged || !(is_asked_sooner(rules, other, answered) || is_done_since()) {
        return None;
    }
    // What is done is not owed any more by whoever would not do it by the other time.
    let state = if is_done && other.state == DECLINED { "raised" } else { &other.state };
    next_state(state, outcome.outcome)
}

/// How a task stands to an answer: who declined to do it sooner may still take it on by the time they were asked first.
pub fn state_to_answer<'t>(rules: &RuleBook, tasks: &[Arc<HeldTask>], task: &'t HeldTask) -> &'t str {
    let is_declined_with_it = |sooner: &Arc<HeldTask>| {
        sooner.state == DECLINED && sooner.state_at == task.state_at && is_asked_sooner(rules, task, sooner)
    };
    if task.state == DECLINED && tasks.iter().any(is_declined_with_it) { "raised" } else { &task.state }
}

/// Counts an answer that was applied for what asks the same, too.
pub fn count_for_other(draft: &mut Draft<'_>, answered: &HeldTask, outcome: &Outcome) {
    for place in 0..draft.history.tasks.len() {
        let Some(other) = draft.history.tasks.get(place) else { continue };
        let Some(next) = state_of_other(&draft.book.rules, answered, other, outcome) else { continue };
        let changed = HeldTask { state: next.to_owned(), state_at: draft.at, ..HeldTask::clone(other) };
        let by = instant_in_words(changed.due_at);
        draft.decision.notes.push(format!("It counts for the same as it was asked by {by}, too."));
        if let Some(present) = draft.history.tasks.get_mut(place) {
            *present = Arc::new(changed);
        }
    }
}

/// Whether an answer says no more than was said already to what asks the same, and counted for this.
pub fn is_counted(history: &History, rules: &RuleBook, task: &HeldTask, outcome: OutcomeKind) -> bool {
    let how_far = |state: &str| TAKEN_ON.iter().position(|taken_on| *taken_on == state);
    let Some(said) = how_far(outcome.symbol()) else { return false };
    let is_said_of = |other: &HeldTask| how_far(&other.state).is_some_and(|far| far >= said);
    let is_same = |other: &HeldTask| is_asked_sooner(rules, task, other) || is_asked_sooner(rules, other, task);
    is_said_of(task) && history.tasks.iter().any(|other| is_said_of(other) && is_same(other))
}
