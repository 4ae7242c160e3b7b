//! What had raised a case is withdrawn: whoever had heard by it that they go on hears that the case is closed, or that less is needed, as before.

use std::sync::Arc;

use super::closed::{self, is_to_be_told};
use super::lowered::{self};
use super::services;
use crate::engine::context::StepError;
use crate::engine::history::decisions::{self, order};
use crate::engine::history::{death, is_held_still, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::step::absences::search;
use crate::engine::step::draft::Draft;
use crate::engine::step::word::{CLOSED, LOWERED, TAKEN_BACK_RULE, Word, is_told_now};

const TITLE: &str = "A decision about the case no longer stands";
const CLOSED_AGAIN: Word = Word {
    rule: TAKEN_BACK_RULE,
    title: TITLE,
    why: "You were told that the case is open again: those who had recorded what led to that have taken it back, and the case is closed. Do not \
        use what you were told of it, and share it with nobody.",
    ..CLOSED
};
const LOWERED_AGAIN: Word = Word {
    rule: TAKEN_BACK_RULE,
    title: TITLE,
    why: "You were told that social care acts for the child again: those who had recorded what led to that have taken it back. Do not use what \
        you were told of it, and share it with nobody.",
    ..LOWERED
};

/// What they who were told hold, or have done since. `before`: as the case stood with what is withdrawn.
pub fn told_by(draft: &Draft<'_>, withdrawn: &Entry, before: &History) -> Vec<Arc<HeldTask>> {
    let history = &draft.history;
    let (was, is) = (before.case_level, history.case_level);
    let was_told = |stands: &&RecordedDecision| is_held_still(stands.at, withdrawn.received_at);
    let Some(stands) = history.last_decision.as_ref().filter(was_told) else { return Vec::new() };
    let asked_since = |task: &HeldTask| match stands.closed {
        true => was >= Some(Level::L4a) && is < Some(Level::L4a) && is_of_closing(draft, task, stands.at),
        false => was == Some(Level::L4b) && lowered::is_lowered(draft, history, task) && !services::waits(draft, task),
    };
    let was_held = |task: &HeldTask| is_open(&task.state) || task.state_at > withdrawn.received_at;
    let is_theirs = |task: &&Arc<HeldTask>| {
        let held = task.agency != draft.book.rules.front_door && task.raised_at < withdrawn.received_at;
        held && was_held(task) && asked_since(task)
    };
    history.tasks.iter().filter(is_theirs).cloned().collect()
}

/// What a closing had ended, and they hold who heard by what is withdrawn that the case is open again, whatever was decided since.
pub fn had_heard(draft: &Draft<'_>, withdrawn: &Entry) -> Vec<Arc<HeldTask>> {
    let raises = |entry: &Entry| decisions::raises(entry, Level::L4a);
    let is_before = |entry: &Entry| order(entry) < order(withdrawn) && entry.received_at < withdrawn.received_at;
    let closings = decisions::closings(&draft.history);
    let closed_at =
        closings.iter().filter(|closing| is_before(closing)).map(|closing| decisions::known_until(closing)).max();
    let closed_at = closed_at.filter(|closed_at| raises(withdrawn) && is_held_still(*closed_at, withdrawn.received_at));
    let Some(closed_at) = closed_at else { return Vec::new() };
    // Where another had opened it before, they knew.
    let knew = |entry: &Arc<Entry>| {
        !entry.withdrawn && raises(entry) && decisions::known_until(entry) > closed_at && is_before(entry)
    };
    if draft.history.entries.iter().any(knew) {
        return Vec::new();
    }
    let was_held = |task: &HeldTask| is_open(&task.state) || task.state_at > withdrawn.received_at;
    let is_theirs = |task: &&Arc<HeldTask>| {
        task.agency != draft.book.rules.front_door && was_held(task) && is_of_closing(draft, task, closed_at)
    };
    draft.history.tasks.iter().filter(is_theirs).cloned().collect()
}

/// Whether its holder heard of a closing that stands, and that it did no longer.
fn is_of_closing(draft: &Draft<'_>, task: &HeldTask, closed_at: Timestamp) -> bool {
    let (history, rules) = (&draft.history, &draft.book.rules);
    task.raised_at <= closed_at
        && is_to_be_told(history, rules, task, closed_at)
        && closed::was_ended_by(history, rules, task, closed_at)
        && !search::is_over(history, rules, task)
        && !death::overtook(history, task)
}

/// Whether they were told that social care acts again: it was recorded after the decision that stands. Else they hear of that decision alone.
pub fn is_told_of(history: &History, withdrawn: &Entry) -> bool {
    let by = |stands: &RecordedDecision, entry: &Entry| {
        said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry)
    };
    let stands = history.last_decision.as_ref();
    let recorded = history.entries.iter().find(|entry| stands.is_some_and(|stands| by(stands, entry)));
    recorded.is_none_or(|recorded| recorded.received_at < withdrawn.received_at)
}

/// Tells them, once.
pub fn tell(draft: &mut Draft<'_>, cause: &str, withdrawn: &Entry, told: &[Arc<HeldTask>]) -> Result<(), StepError> {
    let is_closed = draft.history.last_decision.as_ref().is_some_and(|stands| stands.closed);
    let mut held = told.to_vec();
    held.retain(|task| !is_told_now(draft, task));
    let word = match (is_closed, is_told_of(&draft.history, withdrawn)) {
        (true, true) => &CLOSED_AGAIN,
        (true, false) => &CLOSED,
        (false, true) => &LOWERED_AGAIN,
        (false, false) => &LOWERED,
    };
    lowered::tell(draft, cause, &held, word)
}
