//! What is remembered no longer though somebody still owes an answer to it: the front door is told, and the decision says so.

use std::sync::Arc;

use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::history::folding::{FORGOTTEN_RULE, Folded};
use crate::engine::history::{TOLD, is_open};
use crate::engine::ids::derived;
use crate::engine::model::decision::{TaskChanged, TaskRaised};
use crate::engine::model::history::{HeldTask, History, said_by};
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::tasks::Wanted;

/// How a decision says that an open task is remembered no longer.
pub const FORGOTTEN: &str = "forgotten";
const WITHOUT_CALENDAR: Clock = Clock::Hours(24);
/// What was given out, or disputed, so lately may wake whoever is on duty.
const RECENT_MS: i64 = 28 * 24 * 60 * 60 * 1000;
const ACTION: &str = "See to what is remembered here no longer: an answer to it cannot be taken; ask those who hold it";

/// One task for the front door about all that went together.
pub fn tell(draft: &mut Draft<'_>, folded: &Folded) -> Result<(), StepError> {
    if folded.owes_nothing() {
        return Ok(());
    }
    let of_task = folded.tasks.first().map(|task| (task.event_id.clone(), task.partner.clone()));
    let of_timer = folded.timers.first().map(|timer| (timer.event_id.clone(), timer.partner.clone()));
    let of_waiting = folded.awaiting.first().map(|one| (one.event_id.clone(), Some(one.source.partner.clone())));
    let Some((event_id, partner)) = of_task.or(of_timer).or(of_waiting) else { return Ok(()) };
    let is_of = |of: &HeldTask| of.event_id == event_id && of.partner == partner;
    let entry = draft.history.entries.iter().find(|entry| said_by(Some(&event_id), partner.as_deref(), entry)).cloned();
    let partner = partner.clone().unwrap_or_default();
    let entry = entry.unwrap_or_else(|| Arc::new(stand_in_entry(&event_id, &partner, draft.at)));
    // What lay for longer than that can wait for the office: its level stands with each task.
    let is_recent = |task: &&Arc<HeldTask>| task.raised_at.max(task.state_at).plus_millis(RECENT_MS) >= draft.at;
    let level = folded.tasks.iter().filter(is_recent).filter_map(|task| task.level).max();
    let follows = folded.tasks.iter().find(|task| is_of(task));
    let cause = derived(&[FORGOTTEN_RULE, &draft.decision.decision_id, follows.map_or("", |task| &task.task_id)]);
    let raising = draft.raising(None, &cause);
    // Forgetting is not to wait for a calendar that ends before it: then elapsed hours have to do.
    let due = raising.deadline_from_now(&OWN_DUTY).or_else(|_| raising.deadline_from_now(&WITHOUT_CALENDAR))?;
    let why = why(folded);
    let title = "What is too old or too much to be remembered";
    let own = raising.own_duty(FORGOTTEN_RULE, title, why, ACTION, due, &entry);
    draft.raise(None, &cause, &[], vec![Wanted { level, notes: notes(draft, folded), ..own }]).map(drop)
}

fn why(folded: &Folded) -> String {
    let of = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let what: Vec<String> = [
        of(folded.tasks.len(), "task that is still open", "tasks that are still open"),
        of(folded.timers.len(), "clock that still ran", "clocks that still ran"),
        of(folded.awaiting.len(), "correction without its original", "corrections without their originals"),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("Too old or too many to be remembered: {}.", what.join(", "))
}

/// Each thing by itself, so that it can be asked after; no child is named.
fn notes(draft: &Draft<'_>, folded: &Folded) -> Vec<String> {
    let rules = &draft.book.rules;
    let task = |task: &Arc<HeldTask>| {
        let title = rules.title_of(&task.agency);
        let unit = task.unit.as_ref().filter(|_| rules.has_many_units(&task.agency));
        let unit = unit.map_or(String::new(), |unit| format!(", unit {unit}"));
        let (action, raised, id) = (&task.action, instant_in_words(task.raised_at), &task.task_id);
        let level = task.level.map_or(String::new(), |level| format!(" at {}", level.symbol()));
        format!("\"{action}\", given to {title}{unit} on {raised}{level}: {} (task {id}).", task.state)
    };
    let tasks = folded.tasks.iter().map(task);
    let timers = folded.timers.iter().map(|timer| {
        let due = instant_in_words(timer.due_at);
        format!("A clock of rule {} that would have run out on {due} (event {}).", timer.rule, timer.event_id)
    });
    let awaiting = folded.awaiting.iter().map(|waiting| {
        let (id, original) = (&waiting.event_id, &waiting.original_event_id);
        format!("A correction or withdrawal (event {id}) whose original has not come (event {original}).")
    });
    tasks.chain(timers).chain(awaiting).collect()
}

/// Which tasks stand otherwise now than before: of those raised by this step only those that are settled already.
pub fn task_changes(
    before: &History,
    after: &History,
    raised: &[TaskRaised],
    folded: &Folded,
    at: Timestamp,
) -> Vec<TaskChanged> {
    let changed = |task_id: &str, state: &str| TaskChanged { task_id: task_id.to_owned(), state: state.to_owned() };
    let mut changes = Vec::new();
    // Tasks keep their order, and most are the very same: only what is new is looked for to the end.
    let mut next = 0;
    for task in &after.tasks {
        let rest = before.tasks.get(next..).unwrap_or_default();
        let known = rest.iter().position(|known| Arc::ptr_eq(known, task) || known.task_id == task.task_id);
        let is_news = match known.and_then(|place| rest.get(place)) {
            Some(known) => known.state != task.state,
            None if raised.iter().any(|raised| raised.task_id == task.task_id) => {
                !matches!(task.state.as_str(), "raised" | TOLD)
            }
            // It came from another key, and was settled as it came.
            None => task.state_at == at && !is_open(&task.state),
        };
        if is_news {
            changes.push(changed(&task.task_id, &task.state));
        }
        next = known.map_or(next, |place| next.saturating_add(place).saturating_add(1));
    }
    changes.extend(folded.tasks.iter().map(|task| changed(&task.task_id, FORGOTTEN)));
    changes
}
