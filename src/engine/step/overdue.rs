//! What must be completed by its deadline, not answered alone, and is not: who is above its recipient is told, once.

use std::sync::Arc;

use super::Step;
use super::alias::stand_in_entry;
use super::draft::{Draft, OWN_DUTY};
use super::escalation::address;
use crate::engine::calendar::instant_in_words;
use crate::engine::context::{Context, StepError};
use crate::engine::history::is_open;
use crate::engine::model::decision::RuleFired;
use crate::engine::model::history::{Entry, HeldTask, History, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::State;
use crate::engine::tasks::{Relation, Wanted};

/// The id under which it is told.
pub const OVERDUE_RULE: &str = "R40-overdue";
const TITLE: &str = "A task that has not been completed in time";

/// Whether a task tells that another is overdue.
pub fn is_word(task: &HeldTask) -> bool {
    task.chases.is_some() && task.rules.iter().any(|rule| rule == OVERDUE_RULE)
}

/// Whether it is still to be done: taken on or not, and no person closed the case since.
pub fn is_owed(history: &History, task: &HeldTask) -> bool {
    let decided = history.last_decision.as_ref();
    is_open(&task.state) && !decided.is_some_and(|decision| decision.closed && decision.at >= task.raised_at)
}

/// What is done, declined or closed is waited for no more.
pub fn settle(history: &mut History) {
    let waits = |task: &HeldTask| task.complete_by.is_some() && !is_owed(history, task);
    let over: Vec<usize> =
        history.tasks.iter().enumerate().filter(|(_, task)| waits(task)).map(|(place, _)| place).collect();
    for place in over {
        if let Some(task) = history.tasks.get_mut(place) {
            Arc::make_mut(task).complete_by = None;
        }
    }
}

/// The clock of a subject's ladders ran out, and no rung is due: something is to be completed by now.
pub fn fired(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    let is_due = |task: &Arc<HeldTask>| is_due(task, at);
    if !state.history(subject).is_some_and(|history| history.tasks.iter().any(is_due)) {
        return Ok(Step::default());
    }
    let overdue = Timer { rule: OVERDUE_RULE.to_owned(), ..timer.clone() };
    let mut draft = Draft::of_own_timer(context, state, subject, &overdue, at)?;
    tell(&mut draft)?;
    draft.finish()
}

fn is_due(task: &HeldTask, at: Timestamp) -> bool {
    task.complete_by.is_some_and(|by| by <= at)
}

/// Tells whom the ladder names of all that should have been completed by now and is not.
pub fn tell(draft: &mut Draft<'_>) -> Result<(), StepError> {
    settle(&mut draft.history);
    let at = draft.at;
    let due: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(|task| is_due(task, at)).cloned().collect();
    for task in due {
        if !is_said_otherwise(draft, &task) {
            tell_of(draft, &task)?;
        }
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            Arc::make_mut(present).complete_by = None;
        }
    }
    Ok(())
}

/// Whether an event that came since the task was raised says that it is done.
fn is_said_otherwise(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let rules = task.rules.iter().filter_map(|id| draft.book.rules.rule(id));
    let asked = rules.flat_map(|rule| &rule.tasks).filter(|asked| asked.action == task.action);
    asked.flat_map(|asked| &asked.settled_by).any(|kind| {
        let says_so =
            |entry: &Arc<Entry>| entry.kind == *kind && !entry.withdrawn && entry.received_at >= task.raised_at;
        draft.history.entries.iter().any(says_so)
    })
}

fn tell_of(draft: &mut Draft<'_>, task: &HeldTask) -> Result<(), StepError> {
    let book = draft.book;
    let Some(ladder) = book.rules.ladder(task.level) else { return Ok(()) };
    let partner = task.partner.as_deref().unwrap_or_default();
    let entry = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned();
    let entry = entry.unwrap_or_else(|| Arc::new(stand_in_entry(&task.event_id, partner, draft.at)));
    let title = book.rules.agencies.get(&task.agency).map_or(task.agency.as_str(), |agency| &agency.title);
    let (action, raised, due) = (&task.action, instant_in_words(task.raised_at), instant_in_words(task.due_at));
    let why =
        format!("\"{action}\", given to {title} on {raised}, was to be completed by {due}: it is {}.", task.state);
    draft.decision.event_id.get_or_insert_with(|| task.event_id.clone());
    let event_id = Some(task.event_id.clone());
    draft.decision.fired.push(RuleFired { rule: OVERDUE_RULE.to_owned(), level: None, why: why.clone(), event_id });
    let cause = format!("{OVERDUE_RULE}\0{}\0{}", task.task_id, task.due_at.0);
    let raising = draft.raising(None, "");
    let mut wanted = Vec::new();
    for step in &ladder.overdue {
        let due = raising.deadline_from_now(&OWN_DUTY)?;
        let own = raising.own_duty(OVERDUE_RULE, TITLE, why.clone(), &step.action, due, &entry);
        wanted.push(Wanted {
            address: address(&raising, task, step, false),
            bases: ladder.bases.clone(),
            level: task.level,
            relation: Relation::Chases(vec![task.task_id.clone()]),
            ..own
        });
    }
    draft.raise(None, &cause, &[], wanted).map(drop)
}
