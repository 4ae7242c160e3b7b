//! A decision is withdrawn that was recorded twice: what it had asked stands, by the one that is left.

use std::sync::Arc;

use crate::engine::calendar::instant_in_words;
use crate::engine::context::StepError;
use crate::engine::history::decisions::{
    closes, decided, ended_between, level_named, note_discussion, settles, starts,
};
use crate::engine::history::known_as::are_two;
use crate::engine::history::{RECALLED, is_open, put};
use crate::engine::model::history::{Entry, HeldTask, History, said_by};
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::deadlines::recount::{self, Moved};
use crate::engine::step::draft::Draft;
use crate::engine::step::word::TAKEN_BACK_RULE;

const TITLE: &str = "A decision that was recorded twice was withdrawn once";

/// Gives what a withdrawn decision had asked to one that was recorded later and says the same: nobody is to stop, for it is asked by that
/// one, and its clocks run from there. False: none says the same.
pub fn hand_over(draft: &mut Draft<'_>, withdrawn: &Arc<Entry>) -> Result<bool, StepError> {
    let Some(stands) = says_the_same(&draft.history, withdrawn) else { return Ok(false) };
    let mut stands = stands.as_ref().clone();
    // The discussion before the one that was withdrawn started this one.
    note_discussion(&draft.history, &mut stands);
    let stands = put(&mut draft.history, stands);
    let is_its_own = |task: &HeldTask| {
        let is_same = |own: &Arc<HeldTask>| {
            let to_same = own.agency == task.agency && own.unit == task.unit && own.role == task.role;
            own.is_of(&stands) && to_same && own.action == task.action && own.state != RECALLED
        };
        draft.history.tasks.iter().any(is_same)
    };
    let passed = draft.history.tasks.iter().filter(|task| task.is_of(withdrawn) && !is_its_own(task));
    let passed: Vec<String> = passed.map(|task| task.task_id.clone()).collect();
    for task in draft.history.tasks.iter_mut().filter(|task| passed.contains(&task.task_id)) {
        let task = Arc::make_mut(task);
        (task.event_id, task.partner) = (stands.event_id.clone(), Some(stands.source.partner.clone()));
    }
    if !passed.is_empty() {
        draft
            .decision
            .notes
            .push("Another decision says the same, and stands: what was asked goes on by that.".to_owned());
    }
    count_anew(draft, &stands, &passed)?;
    Ok(true)
}

/// The decision that says the same and was recorded since: of those about the level or the case, the one that stands.
fn says_the_same<'h>(history: &'h History, withdrawn: &Entry) -> Option<&'h Arc<Entry>> {
    let code = decided(withdrawn)?;
    let stands = history.last_decision.as_ref();
    let is_same = |entry: &Arc<Entry>| match settles(code) {
        true => stands.is_some_and(|stands| {
            said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry)
                && stands.closed == closes(code)
                && (stands.closed || stands.level == level_named(withdrawn))
        }),
        false => {
            // One that was not applied asks nothing, and one that was begun after the first had ended is another.
            let asks = withdrawn.fired.is_empty() || !entry.fired.is_empty();
            starts(code) && decided(entry) == Some(code) && asks && !ended_between(history, withdrawn, entry)
        }
    };
    let is_since = |entry: &Arc<Entry>| !entry.is_same_event(withdrawn) && entry.received_at >= withdrawn.received_at;
    let stands = |entry: &Arc<Entry>| !entry.withdrawn && !entry.backfilled && !are_two(history, entry, withdrawn);
    history.entries.iter().find(|entry| is_same(entry) && is_since(entry) && stands(entry))
}

/// What runs from the decision is due as it would have been by the one that stands; whoever holds it is told.
fn count_anew(draft: &mut Draft<'_>, stands: &Arc<Entry>, passed: &[String]) -> Result<(), StepError> {
    let elsewhere = |task: &Arc<HeldTask>| due_by(draft, stands, task).filter(|(due_at, _)| *due_at != task.due_at);
    let open = draft.history.tasks.iter().filter(|task| is_open(&task.state) && passed.contains(&task.task_id));
    let moved: Vec<_> = open.filter_map(|task| Some((Arc::clone(task), elsewhere(task)?))).collect();
    for (task, (due_at, from)) in moved {
        let (was, is) = (instant_in_words(task.due_at), instant_in_words(due_at));
        let why = format!("\"{}\" was due {was}; by the decision that stands it is due {is}.", task.action);
        let words = "by the decision that stands";
        recount::tell(draft, &task, Moved { rule: TAKEN_BACK_RULE, title: TITLE, words, why, due_at })?;
        recount::count_from(&mut draft.history, &draft.book.rules, &task, (due_at, from));
    }
    Ok(())
}

/// When what a rule asks is due by a decision, and from when that is counted.
fn due_by(draft: &Draft<'_>, stands: &Entry, task: &HeldTask) -> Option<(Timestamp, Timestamp)> {
    let rules = &draft.book.rules;
    let mut asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
    let asked = asked.find(|asked| asked.is_asked_of(task))?;
    let from = stands.anchors.get(asked.from).copied().unwrap_or(stands.received_at);
    let due_at = rules.calendar.due(&asked.by, from, task.clock_school.as_deref()).ok()?.at;
    Some((due_at.max(task.raised_at), from))
}
