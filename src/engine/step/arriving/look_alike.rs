//! Two names or birthdays under one identifier: a clerical error, twins, or one child spelled in two ways. A person is asked,
//! once for each pair; meanwhile what happened to one is not taken for what happened to the other.

use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::episodes::still_missing;
use crate::engine::history::is_open;
use crate::engine::history::known_as::{ASKED, DIFFERENT, ONE, another, are_two, standing};
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::detail::DecisionRecorded;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::history::{Entry, History, LookAlikes};
use crate::engine::step::changed::correction::review;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::step::one_child::sighting::{SAME_CHILD_ACTION, SAME_CHILD_RULE, Sighted, ask_senders};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::tasks::{Relation, Wanted, other_address_id};

/// Pairs of names remembered under one key: the oldest that nobody settled go first.
const LOOK_ALIKES_MAX: usize = 16;

/// Whether an event's identifiers may be another child's: then they tie nothing together.
pub fn is_in_doubt(history: &History, arriving: &Entry) -> bool {
    history.entries.iter().any(|entry| !entry.withdrawn && are_two(history, entry, arriving))
}

/// Asks a person whether an arriving event, called otherwise than all that is known here, is about the same child.
pub fn ask(draft: &mut Draft<'_>, arrived: &Arc<Entry>) -> Result<(), StepError> {
    let Some(known) = another(&draft.history, arrived).cloned() else { return Ok(()) };
    let (Some(one), Some(two)) = (known.known_as.clone(), arrived.known_as.clone()) else { return Ok(()) };
    if standing(&draft.history, &one, &two).is_some() {
        return Ok(());
    }
    let raising = draft.raising(None, &arrived.event_id);
    let by_name = one.birth == two.birth && one.whole == two.whole;
    // As long as nobody knows, the return of the one does not end the search for the other.
    let is_missing = || [&known, arrived].into_iter().any(|entry| still_missing(&draft.history, entry, draft.at));
    let due = raising.deadline_from_now(if by_name && is_missing() { &AT_HIGHEST_LEVEL } else { &OWN_DUTY })?;
    let (before, after) = if by_name {
        (
            "One name and date of birth came without a number of the child, and with another sex, school, practice or locality; what \
             comes under it is counted together, but neither's return ends the other's absence.",
            "Then record decision subjects_linked if they are one child, subjects_unlinked if they are two, with both addresses of \
             this task. If two, ask the senders to give a number of the child (NHS number, UPN, or their own).",
        )
    } else {
        (
            "One identifier bears two names or dates of birth, and what comes under it is counted together.",
            "Then record decision subjects_linked if they are one child, subjects_unlinked if they are two, with both addresses \
             of this task. If two, the sender of the wrong identifier withdraws their event and sends it again without it.",
        )
    };
    let why = ask_senders(
        before,
        &Sighted::of(&draft.context.keys, &known),
        &Sighted::of(&draft.context.keys, arrived),
        after,
    );
    let title = "Possibly two children";
    let own = raising.own_duty(SAME_CHILD_RULE, title, why, SAME_CHILD_ACTION, due, arrived);
    let wanted = Wanted { relation: Relation::Besides(draft.subject), level: None, ..own };
    draft.raise(None, &arrived.event_id, &[], vec![wanted])?;
    let note = if by_name {
        "Of the same name and birthday as was known, and otherwise another: counts may be of two children."
    } else {
        "Another name or date of birth than was known under this identifier: counts may be of two children."
    };
    draft.decision.notes.push(note.to_owned());
    let task_id = draft.decision.tasks.last().map(|task| task.task_id.clone());
    let asked = draft.history.look_alikes.get_or_insert_default();
    asked.push(LookAlikes { one, two, standing: ASKED.to_owned(), task_id });
    while asked.len() > LOOK_ALIKES_MAX {
        let open = asked.iter().position(|known| known.standing == ASKED);
        asked.remove(open.unwrap_or_default());
    }
    Ok(())
}

/// A person's answer to that question. False: none was asked that has this address.
pub fn answered(draft: &mut Draft<'_>, event: &ReferralEvent, decision: &DecisionRecorded) -> Result<bool, StepError> {
    let sealed = decision.other_reply_to.as_deref().unwrap_or_default();
    let Ok(address) = draft.context.sealer.open(sealed) else { return Ok(false) };
    let before = draft.history.clone();
    let asks = |known: &&mut LookAlikes| {
        let task_id = known.task_id.as_deref();
        task_id.is_some_and(|task_id| other_address_id(task_id) == address.task_id.to_string())
    };
    let Some(known) = draft.history.look_alikes.iter_mut().flatten().find(asks) else { return Ok(false) };
    let are_one = decision.decision == Some(HumanDecision::SubjectsLinked);
    known.standing = if are_one { ONE } else { DIFFERENT }.to_owned();
    let task_id = known.task_id.clone();
    let waits = |task: &&mut Arc<_>| is_open_task(task, task_id.as_deref());
    if let Some(task) = draft.history.tasks.iter_mut().find(waits) {
        *task = Arc::new(task.closed_as("completed", draft.at));
    }
    if are_one {
        draft.decision.notes.push("A person says that two names under this identifier are one child.".to_owned());
        return Ok(true);
    }
    let note = "A person says that two children bear this identifier: neither counts for the other from now on.";
    draft.decision.notes.push(note.to_owned());
    let entry = Arc::new(stand_in_entry(&event.event_id, &event.source.partner, draft.at));
    let extra: Vec<Wanted<'_>> = review(draft, &before, &entry)?.into_iter().collect();
    draft.raise(None, &event.event_id, &[], extra)?;
    Ok(true)
}

fn is_open_task(task: &crate::engine::model::history::HeldTask, task_id: Option<&str>) -> bool {
    Some(task.task_id.as_str()) == task_id && is_open(&task.state)
}
