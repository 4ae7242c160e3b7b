//! Of several who notified one death, one says now that the child lives, or that they have died after all: each speaks for their own report.
//! The notice stands by the reports whose senders say so last, and falls with the last of them.

use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::death::{INCIDENT, SERIOUS_INCIDENT, is_notice};
use crate::engine::history::{insert, put, raise_case_level};
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Corroboration, Entry};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::FactValue;
use crate::engine::step::death;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::findings_of;

/// To whoever says that the child lives, while another says that they have died.
const ANOTHER_STANDS: &str =
    "Another notified the death, too: their notice stands until it is withdrawn or corrected as well.";

fn says(correction: &EventCorrected) -> Option<&str> {
    match correction.changes.get(INCIDENT) {
        Some(FactValue::Code(incident)) => Some(incident),
        Some(FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// Whether whoever corrects it says that the child lives, and another than whose report that is says that they have died.
pub fn stands_by_another(notice: &Entry, correction: &EventCorrected, by: &Source) -> bool {
    let is_alive = says(correction).is_some_and(|incident| incident != "death");
    let sender = notice.sender_of(&correction.original_event_id, by);
    is_alive && is_notice(notice) && sender.is_some_and(|sender| notice.stands_by_another_than(sender))
}

/// What they are told of that.
pub fn tell(draft: &mut Draft<'_>) {
    draft.sender_words.push(ANOTHER_STANDS);
    draft.decision.notes.push("The notice of death stands by another's report.".to_owned());
}

/// Whether the report that it corrects is the only one that stands, beside the first, which was withdrawn, or whose sender says that the
/// child lives: it speaks for all of it then.
pub fn stands_alone(first: &Entry, correction: &EventCorrected, by: &Source) -> bool {
    let (id, first_id, partner) = (&correction.original_event_id, &first.event_id, &first.source.partner);
    let Some(sender) = first.sender_of(id, by) else { return false };
    !first.withdrawn
        && first_id != id
        && (first.is_taken_back(first_id, partner) || first.is_denied(first_id, partner))
        && !first.is_taken_back(id, &sender.partner)
        && !first.stands_by_another_than(sender)
}

/// What the sender of a report said last is kept with it, where several reported it.
pub fn settle(draft: &mut Draft<'_>, first: &Entry, correction: &EventCorrected, by: &Source) {
    let Some(incident) = says(correction).filter(|_| first.kind == SERIOUS_INCIDENT) else { return };
    let Some(present) = draft.history.entries.iter().find(|entry| entry.is_same_event(first)).cloned() else { return };
    let is_of_several =
        !present.corroborated_by.is_empty() || !present.taken_back.is_empty() || !present.denied.is_empty();
    let Some(sender) = present.sender_of(&correction.original_event_id, by).filter(|_| is_of_several) else { return };
    let mut kept = present.as_ref().clone();
    if incident == "death" {
        kept.affirm(sender);
    } else {
        kept.deny(sender);
    }
    put(&mut draft.history, kept);
}

/// The report of whoever says that the child has died after all, where it had fallen with the others' meanwhile. None: it says no such thing.
pub fn after_all(first: &Entry, correction: &EventCorrected, by: &Source) -> Option<Corroboration> {
    let sender = first.sender_of(&correction.original_event_id, by)?;
    let is_theirs = |report: &&Corroboration| {
        report.event_id == correction.original_event_id && report.source.partner == sender.partner
    };
    let fallen = first.withdrawn && first.kind == SERIOUS_INCIDENT && says(correction) == Some("death");
    first.denied.iter().find(is_theirs).filter(|_| fallen).cloned()
}

/// It stands alone from now on, and is judged as it is told last.
pub fn notify_again(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    (first, said, report): (&Entry, Entry, Corroboration),
) -> Result<(), StepError> {
    let mut fallen = first.clone();
    fallen.denied.retain(|denied| *denied != report);
    put(&mut draft.history, fallen);
    let alone = Entry {
        event_id: report.event_id,
        source: report.source,
        content_digest: report.content_digest,
        call_back: report.call_back,
        received_at: arriving.received_at,
        partner_reference: None,
        withdrawn: false,
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        taken_back: Vec::new(),
        denied: Vec::new(),
        named: Vec::new(),
        ..said
    };
    insert(&mut draft.history, arriving);
    let alone = put(&mut draft.history, alone);
    let event = &referral.event;
    let Some(verdict) = draft.judge(&alone).map(Arc::new) else { return Ok(()) };
    draft.record_facts(&alone.kind, &verdict);
    let asked = death::ask(draft, &alone)?;
    // What names no child is raised as by a clock.
    let named = Some(referral).filter(|_| event.child.is_named());
    draft.raise(named, &event.event_id, &findings_of(&alone, &verdict, &[]), asked.into_iter().collect())?;
    raise_case_level(&mut draft.history, verdict.level);
    draft.tell_sender(event, FeedbackStatus::Received, &["Received. Your correction is being looked at."]);
    Ok(())
}
