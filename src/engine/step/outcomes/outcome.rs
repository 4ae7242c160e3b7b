//! An agency answers a task: acknowledged, accepted, declined, completed or challenged.

use std::sync::Arc;

use uuid::Uuid;

use super::answers::{self, Heard};
use super::{asked_sooner, challenge};
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::{Context, StepError};
use crate::engine::history::{RECALLED, TOLD, held_back_of};
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::{InboxRecord, OutcomeReceived};
use crate::engine::model::outcome::Outcome;
use crate::engine::state::State;
use crate::engine::step::deadlines::overdue;
use crate::engine::step::draft::Draft;
use crate::engine::step::one_child::alias::pass_on;
use crate::engine::step::one_child::link;
use crate::engine::step::one_child::sighting::Sighted;
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::{Effect, Step, by_the_hour};
use crate::engine::tasks::asking;
use crate::engine::tasks::route::{Address, sender_held_back};
use crate::engine::tasks::{Relation, Wanted, Why};

/// The id under which whoever answered is told that it changed nothing.
pub const REFUSED_RULE: &str = "answer-refused";
const REFUSED_ACTION: &str = "Look again at your answer to this task; this word of it needs no answer";
pub const UNANSWERED_RULE: &str = "not-taken-on";
const USED_ID: &str =
    "its outcome_id was used for an earlier answer; if this is another one, send it again under a new outcome_id";
const UNANSWERED_ACTION: &str = "Decide what happens now: a task was declined or challenged";

/// The state of a rung whose task was answered meanwhile.
pub const SUPERSEDED: &str = "superseded";

pub fn received(
    context: &Context,
    state: &State,
    record: &InboxRecord,
    received: &OutcomeReceived,
) -> Result<Step, StepError> {
    let known = state.history(record.subject);
    let held_here = known.is_some_and(|history| history.tasks.iter().any(|task| task.task_id == received.task_id));
    if let Some(stronger) = known.and_then(|history| history.alias_of).filter(|_| !held_here) {
        return pass_on(context, state, record, stronger);
    }
    let elsewhere = known.and_then(|history| link::parted_from(history)).filter(|_| !held_here && received.hops == 0);
    if let Some(other) = elsewhere {
        return pass_on(context, state, record, other);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Outcome, &record.id)?;
    if received.task_id == Uuid::nil().to_string() {
        return needed_none(draft);
    }
    let held = draft.history.tasks.iter().position(|task| task.task_id == received.task_id);
    let Some((place, task)) = held.and_then(|place| Some((place, Arc::clone(draft.history.tasks.get(place)?)))) else {
        if let Some(disputed) = challenge::of_sender(&draft, received) {
            return challenge::by_sender(draft, received, &record.id, &disputed);
        }
        let problem = if challenge::is_of_feedback(&draft, received) {
            challenge::TO_FEEDBACK.to_owned()
        } else {
            remembered_no_longer(&draft)
        };
        return refused(draft, received, &record.id, &problem);
    };
    draft.decision.event_id = Some(task.event_id.clone());
    if received.partner.is_some() {
        return refused(draft, received, &record.id, "a task is answered with the token of the agency's inbox");
    }
    if task.state == TOLD {
        return needed_none(draft);
    }
    match answers::heard(&task, received) {
        Heard::Never => {}
        Heard::Already => {
            draft.disposed(Disposition::Retransmission);
            return draft.finish();
        }
        Heard::IdForAnother => {
            draft
                .decision
                .notes
                .push("An answer of its own, though its id was used for another answer before.".to_owned());
        }
        Heard::IdForUnknown => return refused(draft, received, &record.id, USED_ID),
    }
    let by_unit = task.unit.is_some() && draft.book.rules.has_many_units(&task.agency);
    if task.agency != received.agency || (by_unit && task.unit != received.unit) {
        return refused(draft, received, &record.id, "the task was addressed to another agency or unit");
    }
    if challenge::is_too_late(&task, received.outcome.outcome, draft.at) {
        return refused(draft, received, &record.id, challenge::TOO_LATE);
    }
    apply(draft, received, &record.id, (place, &task))
}

/// Takes an answer that its recipient may give, if it follows from where the task stands.
fn apply(
    mut draft: Draft<'_>,
    received: &OutcomeReceived,
    cause: &str,
    (place, task): (usize, &Arc<HeldTask>),
) -> Result<Step, StepError> {
    let outcome = &received.outcome;
    let rules = &draft.book.rules;
    let stands = asked_sooner::state_to_answer(rules, &draft.history.tasks, task);
    let Some(next) = next_state(stands, outcome.outcome) else {
        if asked_sooner::is_counted(&draft.history, rules, task, outcome.outcome) {
            draft
                .decision
                .notes
                .push("It counted already, with the answer to the same by another time: nothing to do.".to_owned());
            return draft.finish();
        }
        if task.state == SUPERSEDED && outcome.outcome == OutcomeKind::Acknowledged {
            // Whoever read it knows enough: the work is with somebody, and nothing was promised.
            return needed_none(draft);
        }
        let problem = match task.state.as_str() {
            SUPERSEDED => "what it was about has been answered meanwhile, so nothing is left to do here".to_owned(),
            RECALLED => "the task was recalled".to_owned(),
            "readdressed" => "the task was passed to another unit".to_owned(),
            state => format!("the task is {state} already, and cannot be {} now", outcome.outcome.symbol()),
        };
        return refused(draft, received, cause, &problem);
    };
    let mut changed = HeldTask::clone(task);
    if outcome.outcome == OutcomeKind::Challenged {
        challenge::begin(&draft.history, &draft.book.rules, &mut changed, draft.at);
    } else if next != task.state {
        next.clone_into(&mut changed.state);
        changed.state_at = draft.at;
    }
    // Whoever reported it heard that a person has decided, if one has: that is the later word.
    let is_decided = draft.history.decided_on(task).is_some_and(|decision| decision.at >= task.raised_at);
    let first_word = !is_decided && !is_looked_at(&draft.history, task);
    answers::remember(&mut changed, received);
    if let Some(present) = draft.history.tasks.get_mut(place) {
        *present = Arc::new(changed);
    }
    draft.decision.notes.push(format!("{} by {}: {}.", task.action, task.agency, outcome.outcome.symbol()));
    asked_sooner::count_for_other(&mut draft, task, outcome);
    if first_word {
        tell_referrer(&mut draft, task, outcome.outcome);
    }
    if matches!(outcome.outcome, OutcomeKind::Declined | OutcomeKind::Challenged) {
        ask_front_door(&mut draft, task, received, cause)?;
    }
    draft.finish()
}

/// Only the router writes an address to answer to, so the task was given once, or the address was a sender's.
fn remembered_no_longer(draft: &Draft<'_>) -> String {
    let ring = draft.context.on_front_door_phone();
    format!(
        "the task it answers is remembered no longer, for it is too old, or too many were open since: to say what became of it, \
ring the front door{ring}"
    )
}

fn needed_none(mut draft: Draft<'_>) -> Result<Step, StepError> {
    draft.decision.notes.push("An answer to what needed none: nothing to do.".to_owned());
    draft.finish()
}

/// Changes nothing, and tells whoever answered: in their inbox, for there every agency reads.
pub fn refused(
    mut draft: Draft<'_>,
    received: &OutcomeReceived,
    cause: &str,
    problem: &str,
) -> Result<Step, StepError> {
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push(format!("The outcome changed nothing: {problem}."));
    let not_applied = format!("Your answer {} was not applied: {problem}.", received.outcome.outcome_id);
    if let Some(partner) = &received.partner {
        // Without their reason: other units of the partner may read its feedback.
        challenge::tell_partner(&mut draft, received, partner, &not_applied);
        return draft.finish();
    }
    let reason = received.outcome.reason.as_deref();
    let reason = reason.map_or(String::new(), |reason| format!(" The reason you gave: {reason}"));
    let why = format!("{not_applied}{reason}");
    let agency = draft.book.rules.agencies.get(&received.agency);
    let unit = agency.and_then(|agency| agency.unit.clone().or_else(|| received.unit.clone()));
    let entry = Arc::new(stand_in_entry(&received.outcome.outcome_id, "", draft.at));
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let own = raising.own_duty(REFUSED_RULE, "An answer that was not applied", why, REFUSED_ACTION, due, &entry);
    let address = Address { agency: received.agency.clone(), unit, role: None, in_place_of: None };
    let wanted = Wanted { address, relation: Relation::Word(received.task_id.clone()), ..own };
    draft.raise(None, cause, &[], vec![wanted])?;
    draft.finish()
}

/// Whether the front door has taken up this event before: its sender is told once.
fn is_looked_at(history: &History, task: &HeldTask) -> bool {
    let taken_up = |other: &HeldTask| matches!(other.state.as_str(), "acknowledged" | "accepted" | "completed");
    let same_event = |other: &HeldTask| other.event_id == task.event_id && other.partner == task.partner;
    history.tasks.iter().any(|other| other.agency == task.agency && same_event(other) && taken_up(other))
}

/// The state an answer leads to; None where it does not follow from the present one.
pub(super) fn next_state(state: &str, outcome: OutcomeKind) -> Option<&'static str> {
    match (state, outcome) {
        ("raised", OutcomeKind::Acknowledged) => Some("acknowledged"),
        ("raised" | "acknowledged" | "challenged", OutcomeKind::Accepted) => Some("accepted"),
        ("raised" | "acknowledged", OutcomeKind::Declined) => Some("declined"),
        ("raised" | "acknowledged" | "accepted" | "challenged", OutcomeKind::Completed) => Some("completed"),
        ("raised" | "acknowledged" | "accepted" | "declined" | "completed" | "challenged", OutcomeKind::Challenged) => {
            Some("challenged")
        }
        (
            _,
            OutcomeKind::Acknowledged
            | OutcomeKind::Accepted
            | OutcomeKind::Declined
            | OutcomeKind::Completed
            | OutcomeKind::Challenged
            | OutcomeKind::Unknown,
        ) => None,
    }
}

/// The sender learns that it is being looked at when whoever decides says so: never by whom, or what.
fn tell_referrer(draft: &mut Draft<'_>, task: &HeldTask, outcome: OutcomeKind) {
    let started = matches!(outcome, OutcomeKind::Acknowledged | OutcomeKind::Accepted);
    if !started || !draft.raising(None, "").decides(&task.agency) {
        return;
    }
    let entry = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned();
    let Some(entry) = entry else { return };
    // They were told that it is decided.
    if draft.history.last_decision.as_ref().is_some_and(|decision| decision.at > entry.received_at) {
        return;
    }
    let (source, event_id) = (&entry.source, &entry.event_id);
    let held_back = held_back_of(&draft.history);
    if sender_held_back(&draft.context.keys, source, &held_back) {
        return;
    }
    let words = ["A person is looking at your referral."];
    let status = FeedbackStatus::BeingLookedAt;
    let feedback = draft.feedback(source, event_id, entry.partner_reference.clone(), status, &words);
    draft.publish(Effect::Feedback(feedback));
}

/// What one agency will not do, or disputes, does not end there.
fn ask_front_door(
    draft: &mut Draft<'_>,
    task: &Arc<HeldTask>,
    received: &OutcomeReceived,
    cause: &str,
) -> Result<(), StepError> {
    let entry = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned();
    let entry = entry.unwrap_or_else(|| {
        Arc::new(stand_in_entry(&task.event_id, task.partner.as_deref().unwrap_or_default(), draft.at))
    });
    let who = challenge::who(draft, received);
    let Outcome { outcome, by_name, by_role, .. } = &received.outcome;
    let verb = outcome.symbol();
    let still_owed = *outcome == OutcomeKind::Declined && overdue::must_be_done(&draft.book.rules, task);
    let by = instant_in_words(task.due_at);
    let owed =
        if still_owed { format!(" It is still to be done by {by}: find who else does it.") } else { String::new() };
    let why = format!("{who} ({by_name}, {by_role}) {verb} \"{}\".{}{owed}", task.action, reason_given(received));
    let asked = Some(task.as_ref()).filter(|task| by_the_hour::still_matters(task, draft.at));
    let clock = by_the_hour::decided_by(draft, task.level, asked.into_iter())?;
    put_to_front_door(draft, &entry, clock, why, cause)
}

/// In the words of whoever answered.
pub fn reason_given(received: &OutcomeReceived) -> String {
    asking::reason_given(received.outcome.reason.as_deref())
}

/// The front door decides. No name of a child is kept: what it is about is said by the referral, its sender's reference and
/// number, and the task of the front door's own that it follows, where there is one.
pub fn put_to_front_door(
    draft: &mut Draft<'_>,
    entry: &Arc<Entry>,
    clock: Clock,
    why: String,
    cause: &str,
) -> Result<(), StepError> {
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&clock)?;
    let about = Sighted::of(&draft.context.keys, entry);
    let words = |with_number| format!("{why} It is about {}.", about.in_words(with_number));
    let why = Why::Numbers { told: words(true), without: words(false) };
    let wanted = raising.own_duty(UNANSWERED_RULE, "A task was not taken on", why, UNANSWERED_ACTION, due, entry);
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}
