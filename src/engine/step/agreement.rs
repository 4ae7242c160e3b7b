//! Agreement to a service: where it is refused after all, the service stops, and nothing else.

use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use super::escalation::closed_as;
use crate::engine::context::StepError;
use crate::engine::history::is_open;
use crate::engine::model::history::{AgreementStanding, Entry, HeldTask, History};
use crate::engine::rules::RuleBook;
use crate::engine::tasks::Wanted;
use crate::engine::tasks::route::Address;

pub const AGREEMENT_RULE: &str = "agreement";
const STOP_ACTION: &str = "Stop: the family does not agree to this service; nothing else that you were asked changes";

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
    let why = match standing.state.as_str() {
        "refused" => "The family has refused agreement to this service.",
        "unsafe_to_ask" => "It was found unsafe to ask the family for agreement to this service.",
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
        let due = raising.deadline_from_now(&OWN_DUTY)?;
        let own = raising.own_duty(AGREEMENT_RULE, "No agreement", why.to_owned(), STOP_ACTION, due, &entry);
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

/// Whether a task is a service; of one raised by an earlier release the rules that asked it tell.
fn needs_agreement(rules: &RuleBook, task: &HeldTask) -> bool {
    task.needs_agreement.unwrap_or_else(|| {
        let asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
        let mut asked = asked.filter(|asked| asked.action == task.action).peekable();
        asked.peek().is_some() && asked.all(|asked| asked.needs_agreement)
    })
}
