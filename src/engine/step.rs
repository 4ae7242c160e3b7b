//! The only conductor: step(state, record) gives a delta and effects. It reads no clock and does no IO.

use std::sync::Arc;

use super::calendar::CalendarError;
use super::facts::PreparedBook;
use super::identity::Keys;
use super::model::decision::{Decision, Disposition};
use super::model::feedback::Feedback;
use super::model::history::Timer;
use super::model::inbox::{InboxBody, InboxRecord};
use super::model::scalar::Timestamp;
use super::model::subject::SubjectKey;
use super::model::task::Task;
use super::seal::Sealer;
use super::state::{Delta, State};

mod alias;
mod arrival;
mod draft;
mod outcome;
mod revision;
mod signal;
mod timer;

/// Forwards along aliases end, for strength only rises; more hops than this are a fault.
pub const HOPS_MAX: i32 = 8;

/// What a step needs beside state and record. All of it is the same for every instance of the router.
#[derive(Debug)]
pub struct Context {
    pub books: RuleBooks,
    pub keys: Keys,
    pub sealer: Sealer,
    /// From when on histories are complete (go-live, or the start of what was backfilled); None: not said.
    pub covered_since: Option<Timestamp>,
    /// The front door's telephone number, for feedback.
    pub front_door_phone: Option<String>,
    /// For tests of isolation: an event with this id makes the step panic.
    pub panic_on_event: Option<String>,
}

/// The rule books an instance holds, by when they take effect.
#[derive(Clone, Debug, Default)]
pub struct RuleBooks {
    books: Vec<Arc<PreparedBook>>,
    stand_in: bool,
}

impl RuleBooks {
    pub fn new(mut books: Vec<PreparedBook>) -> Self {
        books.sort_by_key(|book| book.rules.effective_from);
        Self { books: books.into_iter().map(Arc::new).collect(), stand_in: false }
    }

    /// For commands that ask what a book would have done: the earliest book stands in for the time before it.
    pub fn standing_in(books: Vec<PreparedBook>) -> Self {
        Self { stand_in: true, ..Self::new(books) }
    }

    /// The book in force at an instant. None: this instance lacks it and must not decide by another.
    pub fn in_force(&self, at: Timestamp) -> Option<&Arc<PreparedBook>> {
        let earlier = self.books.iter().rev().find(|book| book.rules.effective_from <= at);
        earlier.or_else(|| if self.stand_in { self.books.first() } else { None })
    }
}

/// What a step wants published.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "effects are few and short-lived")]
pub enum Effect {
    /// To `tasks.<agency>`, about this subject.
    Task(Task, SubjectKey),
    Decision(Decision),
    Feedback(Feedback),
    /// Back to the inbox, for the subject it names.
    Inbox(InboxRecord),
}

/// The result of one step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    pub delta: Delta,
    pub effects: Vec<Effect>,
}

impl Step {
    /// What became of the record. Every judged record has exactly one decision.
    pub fn disposition(&self) -> Option<Disposition> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Decision(decision) => Some(decision.disposition),
            Effect::Task(..) | Effect::Feedback(_) | Effect::Inbox(_) => None,
        })
    }
}

/// Why a record could not be judged at all. Nothing of it was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    /// The lane must stop: deciding by another book would be wrong.
    #[error("no rule book is in force at the record's receipt")]
    NoBookInForce,
    /// The record goes to quarantine.
    #[error("a record was forwarded along more than {HOPS_MAX} aliases")]
    TooManyHops,
    /// The record goes to quarantine.
    #[error("a deadline could not be worked out: {0}")]
    Calendar(CalendarError),
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
    timer::fired(context, state, subject, timer, at)
}

/// Takes a timer out without firing it: for one whose step panicked, so that it does not come back every tick.
pub fn drop_timer(state: &State, subject: SubjectKey, timer: &Timer) -> Step {
    let Some(history) = state.history(subject) else { return Step::default() };
    let mut history = history.as_ref().clone();
    history.timers.retain(|present| present != timer);
    let mut delta = Delta::default();
    delta.histories.insert(subject, history);
    Step { delta, effects: Vec::new() }
}

/// Proves that a panic in a step costs one record only; set by tests, never by configuration.
#[expect(clippy::panic, reason = "the injected fault is a panic")]
fn inject_fault(context: &Context, event_id: &str) {
    if context.panic_on_event.as_deref() == Some(event_id) {
        panic!("injected fault");
    }
}
