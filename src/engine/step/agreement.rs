//! Agreement to a service: where it is refused after all, the service stops, and nothing else.

use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use super::escalation::closed_as;
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::agreement::UNSAFE_TO_ASK;
use crate::engine::history::is_open;
use crate::engine::model::codes::AgreementState;
use crate::engine::model::detail::AgreementRecorded;
use crate::engine::model::history::{AgreementStanding, Entry, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::rules::RuleBook;
use crate::engine::tasks::Wanted;
use crate::engine::tasks::asking::{AGREEMENT_RULE, UNSAFE_ACTION, UNSAFE_TITLE};
use crate::engine::tasks::route::Address;

const STOP_ACTION: &str = "Stop: the family does not agree to this service; nothing else that you were asked changes";
/// They were not asked: whoever rings them to hear why they refuse would do the harm.
const STOP_UNSAFE_ACTION: &str =
    "Stop, and do not contact the family: asking for their agreement was said to be unsafe; ask the front door first";

/// Where agreement stands now. What happened later stands, in whatever order it came.
pub fn remember(history: &mut History, state: String, arriving: &Entry) {
    let is_later = |entry: &Arc<Entry>| {
        !entry.withdrawn && entry.kind == arriving.kind && entry.occurred_at > arriving.occurred_at
    };
    if history.entries.iter().any(is_later) {
        return;
    }
    let (event_id, partner) = (Some(arriving.event_id.clone()), Some(arriving.source.partner.clone()));
    history.agreement = Some(AgreementStanding { state, at: arriving.received_at, event_id, partner });
}

/// Stops each open service that agreement was given to before it was refused, or before asking was found unsafe.
pub fn stop_services(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let Some(standing) = draft.history.agreement.clone() else { return Ok(()) };
    let (action, clock, why) = match standing.state.as_str() {
        "refused" => (STOP_ACTION, OWN_DUTY, "The family has refused agreement to this service."),
        UNSAFE_TO_ASK => (
            STOP_UNSAFE_ACTION,
            Clock::SameDay,
            "It was found unsafe to ask the family for agreement to this service. They have not refused.",
        ),
        _ => return Ok(()),
    };
    let rules = &draft.book.rules;
    let is_stopped = |task: &&Arc<HeldTask>| {
        is_open(&task.state) && task.raised_at <= standing.at && task.chases.is_none() && needs_agreement(rules, task)
    };
    let stopped: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(is_stopped).cloned().collect();
    for task in &stopped {
        let Some(entry) = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned() else { continue };
        let raising = draft.raising(None, "");
        let due = raising.deadline_from_now(&clock)?;
        let own = raising.own_duty(AGREEMENT_RULE, "No agreement", why.to_owned(), action, due, &entry);
        let (agency, unit, role) = (task.agency.clone(), task.unit.clone(), task.role.clone());
        let notes = vec![format!("What you were asked: {}.", task.action)];
        let wanted = Wanted { address: Address { agency, unit, role, in_place_of: None }, notes, ..own };
        draft.raise(None, &format!("{cause}\0{}", task.task_id), &[], vec![wanted])?;
        let closed = closed_as("recalled", task, draft.at);
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            *present = Arc::new(closed);
        }
    }
    Ok(())
}

/// Recorded as unsafe to ask: whoever decides hears of it, and why, though nobody is asked anything else.
pub fn ask_how(draft: &mut Draft<'_>, referral: &Referral, recorded: &AgreementRecorded) -> Result<(), StepError> {
    let stands = draft.history.agreement.as_ref().filter(|standing| standing.state == UNSAFE_TO_ASK);
    let event = &referral.event;
    let of_this = stands.is_some_and(|standing| standing.event_id.as_ref() == Some(&event.event_id));
    if !of_this || recorded.state != Some(AgreementState::UnsafeToAsk) {
        return Ok(());
    }
    let Some(entry) = draft.history.entries.iter().find(|entry| entry.event_id == event.event_id).cloned() else {
        return Ok(());
    };
    let raising = draft.raising(Some(referral), &event.event_id);
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let given = recorded.reason.as_ref().map_or(String::new(), |reason| format!(" Reason given: {reason}"));
    let why = format!("The family was not asked, and has not refused.{given}");
    let wanted = raising.own_duty(AGREEMENT_RULE, UNSAFE_TITLE, why, UNSAFE_ACTION, due, &entry);
    draft.raise(Some(referral), &event.event_id, &[], vec![wanted]).map(drop)
}

/// Whether a task is a service; of one raised by an earlier release the rules that asked it tell.
fn needs_agreement(rules: &RuleBook, task: &HeldTask) -> bool {
    task.needs_agreement.unwrap_or_else(|| {
        let asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
        let mut asked = asked.filter(|asked| asked.action == task.action).peekable();
        asked.peek().is_some() && asked.all(|asked| asked.needs_agreement)
    })
}
