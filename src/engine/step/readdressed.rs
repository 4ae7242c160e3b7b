//! A task for a wrong unit is passed to the right one, by a person who knows both.

use std::sync::Arc;

use super::draft::Draft;
use super::escalation::closed_as;
use super::withdrawal::{Recall, breach, recalls};
use crate::engine::context::StepError;
use crate::engine::history::is_open;
use crate::engine::model::detail::DecisionRecorded;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::inbox::Referral;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Deadline, Relation, Wanted, Why};

pub const READDRESSED_RULE: &str = "readdressed";
const RECALL: Recall = Recall {
    rule: READDRESSED_RULE,
    title: "A task for another unit",
    why: "The task was meant for another unit.",
    action: "Recall: your task was meant for another unit; stop, do not use it, and ask before you keep or delete it",
};

/// Passes on what an agency's wrong unit was asked. The decision says which child, and so what the right unit is shown.
pub fn pass_to_right_unit(
    draft: &mut Draft<'_>,
    referral: &Referral,
    decision: &DecisionRecorded,
) -> Result<(), StepError> {
    let named = decision.agency.as_ref().and_then(|name| draft.book.rules.agencies.get(name));
    let directory = &draft.book.rules.directory;
    let right =
        named.and_then(|agency| decision.unit.clone().or_else(|| directory.unit(agency, &referral.event.child, None)));
    let (Some(agency), Some(right)) = (named, right) else {
        draft.decision.notes.push("No task was passed on: name the agency, and the unit it goes to.".to_owned());
        return Ok(());
    };
    let is_wrong = |task: &&Arc<HeldTask>| {
        let waits = is_open(&task.state) || task.state == "declined";
        waits && task.agency == agency.name && task.unit.as_ref() != Some(&right) && task.chases.is_none()
    };
    let wrong: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(is_wrong).cloned().collect();
    if wrong.is_empty() {
        draft.decision.notes.push("No task was passed on: none waits with another unit of that agency.".to_owned());
    }
    for task in wrong {
        let Some(entry) = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned() else { continue };
        let cause = format!("{}\0{}", referral.event.event_id, task.task_id);
        let wanted = passed_on(
            draft,
            &task,
            &entry,
            Address {
                agency: agency.name.clone(),
                unit: Some(right.clone()),
                role: task.role.clone(),
                in_place_of: None,
            },
        );
        draft.raise(Some(referral), &cause, &[], vec![wanted])?;
        let mut recalled = recalls(draft, &RECALL, &entry, std::slice::from_ref(&task))?;
        recalled.extend(breach(draft, RECALL.rule, &entry, std::slice::from_ref(&task))?);
        draft.raise(None, &cause, &[], recalled)?;
        let closed = closed_as("readdressed", &task, draft.at);
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            *present = Arc::new(closed);
        }
    }
    Ok(())
}

/// The same action by the same deadline, for the right unit.
fn passed_on<'w>(draft: &Draft<'_>, task: &HeldTask, entry: &Arc<Entry>, address: Address) -> Wanted<'w> {
    let asked = task.rules.iter().filter_map(|id| draft.book.rules.rule(id)).flat_map(|rule| &rule.tasks);
    let asked = asked.filter(|asked| asked.action == task.action);
    let (mut bases, mut minimum) = (Vec::new(), None);
    for rule in asked {
        bases.extend(rule.bases.iter().cloned());
        minimum = Some(minimum.unwrap_or(true) && rule.minimum);
    }
    if bases.is_empty() {
        bases.push("P".to_owned());
    }
    let due = Deadline {
        at: task.due_at.max(draft.at),
        words: "as first asked of another unit".to_owned(),
        late: task.due_at < draft.at,
        assumed: false,
        urgent: false,
        at_session: false,
        counted: None,
    };
    Wanted {
        address,
        action: task.action.clone(),
        due,
        acknowledge_by: None,
        rule: READDRESSED_RULE.to_owned(),
        title: "A task passed on to the right unit".to_owned(),
        why: Some(Why::Plain("It was first sent to another unit.".to_owned())),
        bases,
        needs_agreement: task.needs_agreement.unwrap_or(false),
        minimum: minimum.unwrap_or(true),
        entry: Arc::clone(entry),
        level: task.level,
        notes: Vec::new(),
        own_duty: false,
        relation: Relation::Usual,
    }
}
