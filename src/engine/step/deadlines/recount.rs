//! A corrected calendar: the deadlines of open tasks are counted again, and whoever holds one that moves is told.

use std::sync::Arc;

use super::clocks::runs_from;
use super::ladder::{count_again, next_elsewhere};
use super::timer::AWAITING_ORIGINAL;
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::{Context, StepError};
use crate::engine::history::entry::WEEKS_28;
use crate::engine::history::is_open;
use crate::engine::model::history::{Awaiting, Entry, HeldTask, History, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::RuleBook;
use crate::engine::state::State;
use crate::engine::step::Step;
use crate::engine::step::absences::told_right;
use crate::engine::step::changed::correction::CORRECTION_RULE;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Deadline, Relation, Wanted, is_by_calendar};

/// The id under which a moved deadline gives its reason.
pub const RECOUNT_RULE: &str = "calendar";

/// Whether the book's calendar gives any open task another deadline or next rung than it has, or any clock another end.
pub fn is_called_for(history: &History, rules: &RuleBook) -> bool {
    history.tasks.iter().any(|task| moved(task, rules).is_some() || next_elsewhere(task, rules).is_some())
        || history.timers.iter().any(|timer| ends_elsewhere(history, timer, rules).is_some())
}

/// When a clock that is counted by the calendar runs out by the book's, where that is another time than it has.
fn ends_elsewhere(history: &History, timer: &Timer, rules: &RuleBook) -> Option<Timestamp> {
    let (clock, from) = if timer.rule == AWAITING_ORIGINAL {
        let waits = |waiting: &&Awaiting| {
            let sent_by = |partner: &String| *partner == waiting.source.partner;
            waiting.event_id == timer.event_id && timer.partner.as_ref().is_none_or(sent_by)
        };
        (OWN_DUTY, history.awaiting.iter().find(waits)?.received_at)
    } else {
        let rule = rules.rule(&timer.rule)?.timer.as_ref()?;
        let entry = history.entries.iter().find(|entry| timer.is_of(entry))?;
        (rule.after, runs_from(entry, rule))
    };
    let due = rules.calendar.due(&clock, from, None).ok().filter(|_| is_by_calendar(&clock))?;
    (due.at != timer.due_at).then_some(due.at)
}

/// Sets the clocks that run anew; returns how many. One that has run out by now fires at the next tick.
fn set_clocks(history: &mut History, rules: &RuleBook) -> usize {
    let ends: Vec<Option<Timestamp>> =
        history.timers.iter().map(|timer| ends_elsewhere(history, timer, rules)).collect();
    for (timer, due_at) in history.timers.iter_mut().zip(&ends) {
        timer.due_at = due_at.unwrap_or(timer.due_at);
    }
    history.timers.sort();
    ends.into_iter().flatten().count()
}

/// The deadline of an open task by the book's calendar, where it is another than the task has.
fn moved(task: &HeldTask, rules: &RuleBook) -> Option<Timestamp> {
    if !is_open(&task.state) {
        return None;
    }
    let clock: Clock = task.clock.as_ref()?.parse().ok().filter(is_by_calendar)?;
    let due = rules.calendar.due(&clock, task.clock_from?, task.clock_school.as_deref()).ok()?;
    // What had run out on arrival was due then.
    let at = due.at.max(task.raised_at);
    (at != task.due_at).then_some(at)
}

pub fn fired(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    if state.history(subject).is_none_or(|history| history.recount_at.is_none()) {
        return Ok(Step::default());
    }
    let mut draft = Draft::of_own_timer(context, state, subject, timer, at)?;
    draft.history.recount_at = None;
    let book = draft.book;
    let rules = &book.rules;
    let found: Vec<(Arc<HeldTask>, Timestamp)> =
        draft.history.tasks.iter().filter_map(|task| Some((Arc::clone(task), moved(task, rules)?))).collect();
    for (task, due_at) in &found {
        let (before, now) = (instant_in_words(task.due_at), instant_in_words(*due_at));
        let why = format!("\"{}\" was due {before}; by the corrected calendar it is due {now}.", task.action);
        let (title, words) = ("The calendar was corrected", "counted again by the corrected calendar");
        tell(&mut draft, task, Moved { rule: RECOUNT_RULE, title, words, why, due_at: *due_at })?;
    }
    for (task, due_at) in &found {
        move_to(&mut draft.history, task, *due_at);
    }
    // The rungs of a ladder count by the same calendar, also where the task itself is due by the hour.
    draft.history.tasks.iter_mut().for_each(|task| count_again(task, rules));
    let clocks = set_clocks(&mut draft.history, &draft.book.rules);
    let note = format!("The calendar was corrected: deadlines that moved: {}, clocks: {clocks}.", found.len());
    draft.decision.notes.push(note);
    draft.finish()
}

fn move_to(history: &mut History, task: &HeldTask, due_at: Timestamp) {
    let Some(present) = history.tasks.iter_mut().find(|present| present.task_id == task.task_id) else { return };
    let present = Arc::make_mut(present);
    // What is open again since a later time waits from then.
    present.answer_from = present.answer_from.map(|from| if from == task.due_at { due_at } else { from });
    present.complete_by = present.complete_by.map(|_| due_at);
    present.due_at = due_at;
}

/// What runs from what was corrected: the weeks of a pregnancy, or a return that could not be as it was told.
pub fn by_correction(draft: &mut Draft<'_>, corrected: &Entry) -> Result<(), StepError> {
    bring_forward(draft, corrected)?;
    told_right::by_correction(draft, corrected)
}

/// What is due by the weeks of a pregnancy is due sooner where a corrected due date says so. Later it is not: only a person puts off.
fn bring_forward(draft: &mut Draft<'_>, corrected: &Entry) -> Result<(), StepError> {
    let by_weeks = |entry: &&Arc<Entry>| entry.is_same_event(corrected) && !entry.backfilled;
    let entry = draft.history.entries.iter().find(by_weeks);
    let Some(from) = entry.and_then(|entry| entry.anchors.get(WEEKS_28).copied()) else { return Ok(()) };
    let (rules, at) = (&draft.book.rules, draft.at);
    let clock_of = |task: &HeldTask| {
        let mut asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
        asked.find(|asked| asked.from == WEEKS_28 && asked.is_asked_of(task)).map(|asked| asked.by)
    };
    let sooner = |task: &Arc<HeldTask>| {
        let clock = clock_of(task).filter(|_| is_open(&task.state) && task.is_of(corrected))?;
        let due_at = rules.calendar.due(&clock, from, None).ok()?.at.max(at);
        (due_at < task.due_at).then(|| (Arc::clone(task), due_at))
    };
    let found: Vec<(Arc<HeldTask>, Timestamp)> = draft.history.tasks.iter().filter_map(sooner).collect();
    for (task, due_at) in found {
        let (before, now) = (instant_in_words(task.due_at), instant_in_words(due_at));
        let why = format!("\"{}\" was due {before}; by the corrected due date it is due {now}.", task.action);
        let (title, words) = ("The due date was corrected", "by the corrected due date");
        tell(draft, &task, Moved { rule: CORRECTION_RULE, title, words, why, due_at })?;
        count_from(&mut draft.history, rules, &task, (due_at, from));
    }
    Ok(())
}

/// Moves a deadline whose clock runs from another instant now, and what is counted from it.
pub fn count_from(history: &mut History, rules: &RuleBook, task: &HeldTask, (due_at, from): (Timestamp, Timestamp)) {
    move_to(history, task, due_at);
    for present in history.tasks.iter_mut().filter(|present| present.task_id == task.task_id) {
        let counts_from = present.clock_from.map(|_| from);
        Arc::make_mut(present).clock_from = counts_from;
        count_again(present, rules);
    }
}

/// Why and whereto a deadline has moved.
pub struct Moved {
    pub rule: &'static str,
    pub title: &'static str,
    /// How the new one came about.
    pub words: &'static str,
    pub why: String,
    pub due_at: Timestamp,
}

/// Word to whoever holds the task; it asks for no answer, and names no child.
pub fn tell(draft: &mut Draft<'_>, task: &HeldTask, moved: Moved) -> Result<(), StepError> {
    let due_at = moved.due_at;
    let entry = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned();
    let partner = task.partner.as_deref().unwrap_or_default();
    let entry = entry.unwrap_or_else(|| Arc::new(stand_in_entry(&task.event_id, partner, draft.at)));
    let raising = draft.raising(None, "");
    let due = Deadline {
        at: due_at.max(draft.at),
        words: moved.words.to_owned(),
        late: due_at < draft.at,
        assumed: false,
        urgent: false,
        at_session: false,
        counted: None,
    };
    let action = format!("Note the new deadline of the task you hold: {}", task.action);
    let own = raising.own_duty(moved.rule, moved.title, moved.why, &action, due, &entry);
    let address = Address::of_holder(task);
    let wanted = Wanted { address, level: task.level, relation: Relation::Word(task.task_id.clone()), ..own };
    draft.decision.event_id.get_or_insert_with(|| task.event_id.clone());
    let cause = format!("{}\0{}\0{}", moved.rule, task.task_id, due_at.0);
    draft.raise(None, &cause, &[], vec![wanted]).map(drop)
}
