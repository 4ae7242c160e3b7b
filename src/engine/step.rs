//! The only conductor: step(state, record) gives a delta and effects. It reads no clock and does no IO.

use super::context::{Context, StepError};
use super::history::folding::{fold, folds_at, next_midnight, note_when};
use super::history::keeping::Keeping;
use super::history::{ESCALATION, FOLD, RECOUNT};
use super::model::decision::{Decision, Disposition};
use super::model::feedback::Feedback;
use super::model::history::{History, Timer};
use super::model::inbox::{InboxBody, InboxRecord, Referral};
use super::model::scalar::Timestamp;
use super::model::subject::SubjectKey;
use super::model::task::Task;
use super::state::{Delta, State};
use arriving::arrival;
use deadlines::{escalation, ladder, overdue, recount, timer};
use draft::Draft;
use one_child::alias;
use outcomes::outcome;

mod about;
pub mod absences;
pub mod arriving;
mod by_the_hour;
mod changed;
pub mod deadlines;
mod death;
pub mod decisions;
mod draft;
mod findings;
mod finish;
mod held_back;
mod one_child;
pub mod outcomes;
mod recall;
mod signal;
mod stand_in;
mod unusable;
mod whom_to_ring;
mod word;

/// What a step wants published.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// To `tasks.<agency>`, about this subject.
    Task(Box<Task>, SubjectKey),
    Decision(Box<Decision>),
    Feedback(Feedback),
    /// Back to the inbox, for the subject it names.
    Inbox(Box<InboxRecord>),
}

/// The result of one step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    pub delta: Delta,
    pub effects: Vec<Effect>,
}

impl Step {
    /// What became of the record. Every judged record has exactly one decision of its own subject, the last; a link that is undone has one of
    /// the other before it, for what that is asked.
    pub fn disposition(&self) -> Option<Disposition> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Decision(decision) => Some(decision.disposition),
            Effect::Task(..) | Effect::Feedback(_) | Effect::Inbox(_) => None,
        })
    }

    /// What the clocks of an event raise later goes on with the trace that the event came with.
    pub fn keep_trace(&mut self, record: &InboxRecord, trace: &str) {
        if let InboxBody::Referral(Referral { event, .. }) = &record.body {
            self.delta.keep_trace(record.subject, &event.event_id, &event.source.partner, trace);
        }
    }

    /// The trace that goes on with an effect that no record asked for but a clock: a task's alone.
    pub fn trace_of(&self, effect: &Effect) -> Option<&str> {
        match effect {
            Effect::Task(task, subject) => self.delta.trace_of(*subject, &task.task_id),
            Effect::Decision(_) | Effect::Feedback(_) | Effect::Inbox(_) => None,
        }
    }
}

/// Judges one inbox record. Ticks change nothing here: their owner asks the state which timers are due and steps
/// each through [`step_timer`].
pub fn step(context: &Context, state: &State, record: &InboxRecord) -> Result<Step, StepError> {
    match &record.body {
        InboxBody::Referral(referral) => {
            inject_fault(context, &referral.event.event_id);
            arrival::referral(context, state, record, referral)
        }
        InboxBody::Outcome(outcome) => outcome::received(context, state, record, outcome),
        InboxBody::Alias(alias) => alias::learned(context, state, record, alias),
        InboxBody::Forward(forward) => alias::history_arrived(context, state, record, forward),
        InboxBody::Signal(signal) => signal::received(context, state, record, signal),
        InboxBody::Tick(_) => Ok(Step::default()),
    }
}

/// Fires one timer that a tick at `at` found due. A timer no longer in the history changes nothing.
pub fn step_timer(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    inject_clock_fault(context, &timer.rule, subject);
    match timer.rule.as_str() {
        ESCALATION => escalation::fired(context, state, subject, timer, at),
        FOLD => folded(context, state, subject, timer, at),
        RECOUNT => recount::fired(context, state, subject, timer, at),
        _ => timer::fired(context, state, subject, timer, at),
    }
}

/// What is too old goes, though nothing came. It decides nothing, so it leaves no decision; save where somebody still owed an
/// answer.
fn folded(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    let Some(history) = state.history(subject) else { return Ok(Step::default()) };
    let book = context.books.in_force(at).ok_or(StepError::NoBookInForce)?;
    let mut history = history.as_ref().clone();
    if !fold(&mut history, at, &Keeping::by(&book.rules)).owes_nothing() {
        return Draft::of_own_timer(context, state, subject, timer, at)?.finish();
    }
    let mut delta = Delta::default();
    delta.histories.insert(subject, history);
    Ok(Step { delta, effects: Vec::new() })
}

/// Works out again, for all that was restored, what an earlier release did not keep: when something is too old, and
/// which rung of its ladder a task waits for. Rungs that would have been told by the last receipt are not told now.
/// Returns how many histories were left as they were, because that failed.
pub fn catch_up(context: &Context, state: &mut State) -> usize {
    let at = state.last_receipt();
    let Some(book) = context.books.in_force(at) else { return 0 };
    let keeping = Keeping::by(&book.rules);
    state.amend(|history| {
        history.entries.iter().for_each(|entry| inject_fault(context, &entry.event_id));
        if history.fold_at == folds_at(history, &keeping) && !ladder::is_unarmed(history, &book.rules) {
            return None;
        }
        let mut history = history.clone();
        ladder::arm(&mut history, &book.rules, at);
        // What is too old goes at the next tick, where it can be told.
        note_when(&mut history, &keeping);
        Some(history)
    })
}

/// Where the book in force at `at`, or else the next to take effect, puts the deadlines of open tasks elsewhere than they
/// are, the next tick counts them again; what it keeps less long is folded when that is over, and what it wants completed by a
/// deadline still ahead is waited for. For what was committed: a partition that arrives, a book that takes effect.
/// Returns how many histories were left as they were, because that failed.
pub fn notice_book(context: &Context, state: &mut State, at: Timestamp) -> usize {
    let books = &context.books;
    let from = if books.in_force(at).is_some() { Some(at) } else { books.next_change(at) };
    let Some((book, from)) = from.and_then(|from| Some((books.in_force(from)?, from))) else { return 0 };
    state.amend(|history| {
        history.entries.iter().for_each(|entry| inject_fault(context, &entry.event_id));
        let fold_at = folds_at(history, &Keeping::by(&book.rules));
        let called_for = recount::is_called_for(history, &book.rules);
        let recount_at = if called_for { Some(from) } else { history.recount_at };
        let unarmed = overdue::is_unarmed(history, &book.rules, at);
        (called_for || unarmed || fold_at != history.fold_at).then(|| {
            let mut noticed = History { recount_at, fold_at, ..history.clone() };
            overdue::arm(&mut noticed, &book.rules, at);
            noticed
        })
    })
}

/// Takes a timer out without firing it: for one whose step failed, so that it does not come back every tick. The rungs that
/// are still ahead are waited for.
pub fn drop_timer(context: &Context, state: &State, subject: SubjectKey, timer: &Timer, at: Timestamp) -> Step {
    let mut dropped = drop_timer_alone(state, subject, timer, at);
    inject_clock_fault(context, &timer.rule, subject);
    let history = dropped.delta.histories.get_mut(&subject).filter(|_| timer.rule == ESCALATION);
    if let (Some(history), Some(book)) = (history, context.books.in_force(at)) {
        ladder::arm(history, &book.rules, at);
    }
    dropped
}

/// Takes a timer out and works out nothing: for one of which that fails, too. What its tasks wait for comes back with the next
/// record of the child, or a restart; what is too old is tried again a day later.
pub fn drop_timer_alone(state: &State, subject: SubjectKey, timer: &Timer, at: Timestamp) -> Step {
    let Some(history) = state.history(subject) else { return Step::default() };
    let mut history = history.as_ref().clone();
    history.timers.retain(|present| present != timer);
    match timer.rule.as_str() {
        ESCALATION => ladder::give_up(&mut history, timer.due_at),
        FOLD => history.fold_at = Some(next_midnight(at)),
        RECOUNT => history.recount_at = None,
        _ => {}
    }
    let mut delta = Delta::default();
    delta.histories.insert(subject, history);
    Step { delta, effects: Vec::new() }
}

/// The same of a clock: of one subject's, `escalation of` their key.
fn inject_clock_fault(context: &Context, rule: &str, subject: SubjectKey) {
    if let Some(named) = context.panic_on.as_deref().and_then(|on| on.strip_prefix(rule)?.strip_prefix(" of "))
        && named == subject.to_hex()
    {
        inject_fault(context, context.panic_on.as_deref().unwrap_or_default());
    }
}

/// Proves that a panic in a step, or over a tick, costs one record only; set by tests, never by configuration.
#[expect(clippy::panic, reason = "the injected fault is a panic")]
pub fn inject_fault(context: &Context, of: &str) {
    if context.panic_on.as_deref() == Some(of) {
        panic!("injected fault");
    }
}
