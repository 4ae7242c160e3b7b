//! A return is told right that could not be as it was told first: what runs from it is due by the right time, and told as overdue by that.

use std::sync::Arc;

use crate::engine::calendar::instant_in_words;
use crate::engine::context::StepError;
use crate::engine::history::{death, episodes, is_open};
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::deadlines::recount::{Moved, count_from, tell};
use crate::engine::step::decisions::closed;
use crate::engine::step::draft::Draft;
use crate::engine::tasks::due_at;

const RETURN_RULE: &str = "return";
const TITLE: &str = "The time of a return was told right";
const RETURNED_AT: &str = "ended_at";

/// Of a return: those of the same absence that could not be as they were told asked for it what runs from it.
pub fn by_another(draft: &mut Draft<'_>, right: &Arc<Entry>) -> Result<(), StepError> {
    if right.kind != episodes::ENDED {
        return Ok(());
    }
    let told = episodes::one_episode(&draft.history, right).into_iter();
    let told: Vec<Entry> = told.filter(|told| !told.is_same_event(right)).cloned().collect();
    told.iter().try_for_each(|told| count_anew(draft, told, right))
}

/// Of a correction: the same of the return itself.
pub fn by_correction(draft: &mut Draft<'_>, original: &Entry) -> Result<(), StepError> {
    let right = draft.history.entries.iter().find(|entry| entry.is_same_event(original)).cloned();
    let is_told_right = |right: &Arc<Entry>| {
        right.occurred_at != original.occurred_at
            && episodes::is_impossible(&draft.before, original, draft.at)
            && !episodes::is_impossible(&draft.history, right, draft.at)
    };
    match right.filter(is_told_right) {
        Some(right) => count_anew(draft, original, &right),
        None => Ok(()),
    }
}

/// Also of what was declined, for it is to be done by another. Whoever has longer than they were told, and had time, need not be told.
fn count_anew(draft: &mut Draft<'_>, told: &Entry, right: &Entry) -> Result<(), StepError> {
    let is_to_be_done = |task: &&Arc<HeldTask>| {
        (is_open(&task.state) || task.state == "declined") && task.is_of(told) && task.chases.is_none()
    };
    let elsewhere = |task: &Arc<HeldTask>| {
        let moved = due_by(draft, right, task).filter(|(due_at, _)| *due_at != task.due_at)?;
        Some((Arc::clone(task), moved))
    };
    let moved: Vec<_> = draft.history.tasks.iter().filter(is_to_be_done).filter_map(elsewhere).collect();
    for (task, (due_at, from)) in moved {
        let had_none = task.due_at <= task.raised_at;
        let is_waited_for = is_open(&task.state)
            && !death::overtook(&draft.history, &task)
            && !closed::is_waited_for_no_more(&draft.history, &draft.book.rules, &task);
        if is_waited_for && (due_at < task.due_at || had_none) {
            let (was, is) = (instant_in_words(task.due_at), instant_in_words(due_at));
            let why = format!(
                "\"{}\" was due {was}: the time of the return could not be as it was told. The child was back {}: it is due {is}.",
                task.action,
                instant_in_words(from)
            );
            let words = "by the right time of the return";
            tell(draft, &task, Moved { rule: RETURN_RULE, title: TITLE, words, why, due_at })?;
        }
        count_from(&mut draft.history, &draft.book.rules, &task, (due_at, from));
    }
    Ok(())
}

/// When what a rule asks from the child's return on is due by the right one, and from when that is counted.
fn due_by(draft: &Draft<'_>, right: &Entry, task: &HeldTask) -> Option<(Timestamp, Timestamp)> {
    let rules = &draft.book.rules;
    let mut asked = closed::asking(rules, task).flat_map(|rule| &rule.tasks);
    let asked = asked.find(|asked| asked.from == RETURNED_AT && asked.is_asked_of(task))?;
    let from = right.anchors.get(RETURNED_AT).copied().unwrap_or(right.occurred_at);
    let due = due_at(&rules.calendar, &asked.by, from, task.clock_school.as_deref()).ok()?;
    Some((due.at.max(draft.at), from))
}
