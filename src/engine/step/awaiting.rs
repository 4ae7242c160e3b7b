//! Corrections and withdrawals that came before the event they speak of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use super::first_receipt::tell_right_child;
use super::timer::AWAITING_ORIGINAL;
use super::{another_child, correction, reading, timer, withdrawal};
use crate::engine::context::StepError;
use crate::engine::history::entry::{DANGER, EMERGENCY_CALL};
use crate::engine::history::{self, Spoken};
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Entry, RightChild, Timer};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Level};
use crate::engine::tasks::{Wanted, due_at};

const DANGER_ACTION: &str =
    "See that the child is safe: they are said to be in immediate danger, and the event this is about is not known";

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
    let danger = changes.and_then(|changes| changes.get(DANGER)) == Some(&FactValue::Bool(true));
    let arriving = Arc::new(arriving);
    if danger || referral.event.immediate_danger == Some(true) {
        see_to_danger(draft, referral, &arriving, changes)?;
    }
    let mut words = vec!["Received. The event it speaks of is not known yet; it is kept until that comes."];
    words.extend(&draft.sender_words);
    draft.tell_sender(&referral.event, FeedbackStatus::Received, &words);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    Ok(())
}

/// Danger waits for no original: whoever decides is told within the hour, and the sender what the book tells of danger.
fn see_to_danger(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: &Arc<Entry>,
    changes: Option<&BTreeMap<String, FactValue>>,
) -> Result<(), StepError> {
    let told = changes.and_then(|changes| changes.get(EMERGENCY_CALL));
    let rung = match told.or_else(|| arriving.facts.get(EMERGENCY_CALL)) {
        Some(FactValue::Bool(true)) => "999 was rung, they say",
        Some(FactValue::Bool(false)) => "999 was not rung, they say",
        Some(FactValue::Int(_) | FactValue::Code(_)) | None => "whether 999 was rung is not said",
    };
    let raising = draft.raising(Some(referral), &arriving.event_id);
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let why = format!(
        "A sender corrects or withdraws an event that is not known here, and says that the child is in immediate danger; {rung}. \
         It may be known of under another identifier of the child, or still to come."
    );
    let title = "Danger, in a correction without its original";
    let own = raising.own_duty(AWAITING_ORIGINAL, title, why, DANGER_ACTION, due, arriving);
    let wanted = Wanted { level: Some(Level::L4b), ..own };
    draft.raise(Some(referral), &arriving.event_id, &[], vec![wanted])?;
    draft.sender_words.extend(words_of_danger(draft, arriving));
    Ok(())
}

/// What the book's rules would tell the sender of a concern because of danger alone.
fn words_of_danger<'a>(draft: &Draft<'a>, arriving: &Entry) -> Vec<&'a str> {
    let concern = |danger: bool| Entry {
        kind: "concern.reported".to_owned(),
        facts: BTreeMap::from([(DANGER.to_owned(), FactValue::Bool(danger))]),
        ..arriving.clone()
    };
    let (Some(safe), Some(endangered)) = (draft.judge(&concern(false)), draft.judge(&concern(true))) else {
        return Vec::new();
    };
    let because_of_it =
        endangered.fired.into_iter().filter(|rule| rule.level == Some(Level::L4b) && !safe.fires(&rule.id));
    because_of_it.filter_map(|rule| rule.tell_referrer.as_deref()).collect()
}

/// Whatever waits for an arriving event that its sender has taken back already, in the order it came. None: nobody has.
pub fn taken_back_before_it_came(draft: &mut Draft<'_>, arriving: &Entry) -> Option<Vec<Awaiting>> {
    let speaks = |waiting: &&Awaiting| speaks_of(draft, waiting, arriving);
    let waited: Vec<Awaiting> = draft.history.awaiting.iter().filter(speaks).cloned().collect();
    if !waited.iter().any(Awaiting::takes_back) {
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
        let Some(Spoken::Own(index)) = found else { continue };
        let Some(original) = draft.history.entries.get(index).map(Arc::clone) else { continue };
        draft.history.awaiting.retain(|present| *present != waiting);
        draft.history.timers.retain(|timer| !waits_for(timer, &waiting));
        let Some(changes) = waiting.changes else {
            withdrawal::apply(draft, &waiting.event_id, &original)?;
            if let Some(right) = &waiting.right_child {
                tell_right_child(draft, &waiting.event_id, &waiting.source, &original, original.received_at, right);
                another_child::ask(draft, &waiting.event_id, &original)?;
            }
            continue;
        };
        let correction = EventCorrected { original_event_id: waiting.original_event_id, changes, reason: None };
        let tasks_before = draft.decision.tasks.len();
        if let Err(problem) = correction::apply(draft, referral, &waiting.event_id, &original, &correction)? {
            draft.decision.notes.push(format!("A correction that came before this event was not applied: {problem}."));
            let level = correction::level_if_it_stood(draft, &original, [&correction]);
            correction::ask_sender(draft, referral, &waiting.event_id, &original, &problem, level)?;
        } else if draft.decision.tasks.len() == tasks_before {
            reading::of_correction(draft, referral, &waiting.event_id, &original, &correction)?;
        }
    }
    Ok(())
}
