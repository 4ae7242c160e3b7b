//! Corrections and withdrawals that came before the event they speak of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::first_receipt::tell_right_child;
use crate::engine::context::StepError;
use crate::engine::history::decisions::DECISION;
use crate::engine::history::entry::DANGER;
use crate::engine::history::{self, Spoken};
use crate::engine::identity::IdentifierKind;
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Entry, RightChild, Timer};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::FactValue;
use crate::engine::step::changed::{another_unit, correction, reading, refused, withdrawal};
use crate::engine::step::deadlines::{recount, timer};
use crate::engine::step::decisions::{own_case, redecided};
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::held_back::persons;
use crate::engine::tasks::due_at;

const NOT_KNOWN_YET: &str = "Received. Of the child it names the event it speaks of is not known yet; it is kept until that comes. If you \
    sent that event already, send this again under a new id, with the reply_to of the feedback on it, or with the same child as it has.";
const NAMES_NOBODY: &str = "Received. It has no reply_to and names no child, so the event it speaks of was not found; it is kept in case that \
    comes. If you sent that event already, send this again under a new id, with the reply_to of the feedback on it, or with the same child.";

/// Kept until its original comes; after a working day a person is asked.
pub fn keep(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original_event_id: &str,
    changes: Option<&BTreeMap<String, FactValue>>,
    right_child: Option<RightChild>,
) -> Result<(), StepError> {
    draft.disposed(Disposition::AwaitingOriginal);
    draft.history.awaiting.push(Awaiting {
        event_id: arriving.event_id.clone(),
        original_event_id: original_event_id.to_owned(),
        source: arriving.source.clone(),
        received_at: draft.at,
        changes: changes.cloned(),
        asked: false,
        right_child,
    });
    let due = due_at(&draft.book.rules.calendar, &OWN_DUTY, draft.at, None)?;
    let (rule, event_id) = (timer::AWAITING_ORIGINAL.to_owned(), arriving.event_id.clone());
    let partner = Some(arriving.source.partner.clone());
    draft.history.timers.push(Timer { due_at: due.at, rule, event_id, partner });
    draft.history.timers.sort();
    let names_nobody = referral.keyed_by == IdentifierKind::None.symbol();
    let words = if names_nobody { [NAMES_NOBODY] } else { [NOT_KNOWN_YET] };
    draft.tell_sender(&referral.event, FeedbackStatus::Received, &words);
    let place = history::insert(&mut draft.history, arriving);
    let Some(kept) = draft.history.entries.get(place).cloned() else { return Ok(()) };
    persons::named_anew(draft, referral, &kept)
}

/// Whatever waits for an arriving event that its sender has taken back already, in the order it came. None: nobody has, or nobody but
/// the accused one's own house, which does not say alone that nothing comes of it: that waits until it is judged.
pub fn taken_back_before_it_came(draft: &mut Draft<'_>, arriving: &Entry) -> Option<Vec<Awaiting>> {
    let speaks = |waiting: &&Awaiting| speaks_of(draft, waiting, arriving);
    let waited: Vec<Awaiting> = draft.history.awaiting.iter().filter(speaks).cloned().collect();
    let takes_back =
        |waiting: &Awaiting| waiting.takes_back() && !own_case::accuses_own(draft, &waiting.source, arriving);
    if !waited.iter().any(takes_back) {
        return None;
    }
    draft.history.awaiting.retain(|waiting| !waited.contains(waiting));
    draft.history.timers.retain(|timer| !waited.iter().any(|waiting| waits_for(timer, waiting)));
    for waiting in &waited {
        if let Some(right) = &waiting.right_child {
            tell_right_child(draft, &waiting.event_id, &waiting.source, arriving, arriving.received_at, right);
        }
    }
    Some(waited)
}

/// The corrections that wait for an arriving event, in the order they came.
pub fn corrections_of(draft: &Draft<'_>, arriving: &Entry) -> Vec<Awaiting> {
    let corrects = |waiting: &&Awaiting| waiting.changes.is_some() && speaks_of(draft, waiting, arriving);
    draft.history.awaiting.iter().filter(corrects).cloned().collect()
}

/// What was waited for has come.
pub fn is_done(draft: &mut Draft<'_>, waited: &Awaiting) {
    draft.history.awaiting.retain(|waiting| waiting != waited);
    draft.history.timers.retain(|timer| !waits_for(timer, waited));
}

/// Whether a timer is the one that asks a person about this correction or withdrawal.
fn waits_for(timer: &Timer, waiting: &Awaiting) -> bool {
    let sent_by = |partner: &String| *partner == waiting.source.partner;
    timer.rule == timer::AWAITING_ORIGINAL
        && timer.event_id == waiting.event_id
        && timer.partner.as_ref().is_none_or(sent_by)
}

fn speaks_of(draft: &Draft<'_>, waiting: &Awaiting, entry: &Entry) -> bool {
    let by = &waiting.source;
    let front_door = by.agency.as_deref() == Some(draft.book.rules.front_door.as_str());
    let own = by.partner == entry.source.partner && by.unit == entry.source.unit;
    waiting.original_event_id == entry.event_id && (own || front_door)
}

/// Applies whatever waits for an event that is known now, in the order it came: after the event itself was judged, so
/// that a correction which would lower still asks a person.
pub fn apply_to_known(draft: &mut Draft<'_>, referral: Option<&Referral>) -> Result<(), StepError> {
    for waiting in draft.history.awaiting.clone() {
        let front_door = &draft.book.rules.front_door;
        let found = history::find(&draft.history, &waiting.original_event_id, &waiting.source, front_door);
        if found == Some(Spoken::OneOfSeveral) {
            is_done(draft, &waiting);
            another_unit::waited_for_one_of_several(draft, referral, &waiting)?;
            continue;
        }
        let Some(Spoken::Own(index)) = found else { continue };
        let Some(original) = draft.history.entries.get(index).map(Arc::clone) else { continue };
        is_done(draft, &waiting);
        let Some(changes) = waiting.changes.clone() else {
            withdrawal::waited(draft, &waiting, &original)?;
            continue;
        };
        if original.kind == DECISION && changes.get(DANGER) != Some(&FactValue::Bool(true)) {
            redecided::waited_in_vain(draft, &Awaiting { changes: Some(changes), ..waiting }, &original)?;
            continue;
        }
        let correction = EventCorrected { original_event_id: waiting.original_event_id, changes, reason: None };
        let tasks_before = draft.decision.tasks.len();
        if let Err(problem) = correction::apply(draft, referral, &waiting.event_id, &original, &correction)? {
            draft.decision.notes.push(format!("A correction that came before this event was not applied: {problem}."));
            let level = correction::level_refused(draft, &original, &correction);
            refused::ask_sender(draft, referral, &waiting.event_id, &original, &problem, level)?;
            continue;
        }
        let of_waiting = |entry: &&Arc<Entry>| entry.event_id == waiting.event_id && entry.source == waiting.source;
        if let Some(waited) = draft.history.entries.iter().find(of_waiting) {
            let mut kept = original.as_ref().clone();
            kept.held_back.extend(waited.held_back.iter().cloned());
            persons::named_too_late(draft, referral, &waiting.event_id, (&original, &Arc::new(kept)))?;
        }
        if draft.decision.tasks.len() == tasks_before {
            reading::of_correction(draft, referral, &waiting.event_id, &original, &correction)?;
        }
        recount::by_correction(draft, &original)?;
    }
    Ok(())
}
