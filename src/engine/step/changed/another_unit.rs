//! A unit corrects or withdraws what another unit of its own partner sent: that is for the other to say, or for the front
//! door. Or the front door speaks of an id that several partners chose. A person is asked at once.

use std::sync::Arc;

use super::correction::{changes_in_words, level_if_it_stood};
use super::refused::ask_sender;
use crate::engine::context::StepError;
use crate::engine::history;
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Entry};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::step::draft::Draft;
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::tasks::asking::before_stop;

/// Why it is not applied: for the decision, for whoever is asked, and for its sender.
pub struct Whose {
    note: &'static str,
    problem: &'static str,
    told: &'static str,
}

pub const ANOTHER_UNITS: Whose = Whose {
    note: "Not applied: the event is another unit's.",
    problem: "the event is another unit's of the same organisation",
    told: "This was not applied: another unit sent that event, and only that unit or the front door may correct or withdraw it. \
    Ask that unit to, or send what you know as an event of your own, under a new id. A person is asked about it meanwhile.",
};

pub const ONE_OF_SEVERAL: Whose = Whose {
    note: "Not applied: several organisations sent an event of this id, and none of them is the sender's own.",
    problem: "several organisations sent an event of that id, and which of them is meant is not known",
    told: "This was not applied: several organisations sent an event of that id, and which you mean is not known. Ask whoever sent \
    it to correct or withdraw it, or record a decision. A person is asked about it meanwhile.",
};

pub fn corrects(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original: &Arc<Entry>,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let level = level_if_it_stood(draft, original, [correction]);
    let said = format!("they correct it: {}", changes_in_words(original, &correction.changes));
    put_to_person(draft, referral, arriving, &ANOTHER_UNITS, (&said, correction.reason.as_deref()), level)
}

pub fn withdraws(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    whose: &Whose,
    reason: Option<&str>,
) -> Result<(), StepError> {
    let level = level_of_danger(referral);
    put_to_person(draft, referral, arriving, whose, (NOBODY_RECALLED, reason), level)
}

const NOBODY_RECALLED: &str = "they withdraw it, and nobody was recalled";

fn level_of_danger(referral: &Referral) -> Option<Level> {
    (referral.event.immediate_danger == Some(true)).then_some(Level::L4b)
}

/// The front door corrects what several partners sent under one id: by whichever it would be highest.
pub fn corrects_one_of_several(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let level = highest_of_several(draft, correction).max(level_of_danger(referral));
    let said = changed_in_words(correction);
    put_to_person(draft, referral, arriving, &ONE_OF_SEVERAL, (&said, correction.reason.as_deref()), level)
}

/// What waited for an id that several partners turn out to have chosen.
pub fn waited_for_one_of_several(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    waiting: &Awaiting,
) -> Result<(), StepError> {
    draft.decision.notes.push(ONE_OF_SEVERAL.note.to_owned());
    let is_kept = |entry: &&Arc<Entry>| entry.event_id == waiting.event_id && entry.source == waiting.source;
    let entry = draft.history.entries.iter().find(is_kept).cloned();
    let entry = entry
        .unwrap_or_else(|| Arc::new(stand_in_entry(&waiting.event_id, &waiting.source.partner, waiting.received_at)));
    let (said, level) = match &waiting.changes {
        None => (NOBODY_RECALLED.to_owned(), None),
        Some(changes) => {
            let (original_event_id, changes) = (waiting.original_event_id.clone(), changes.clone());
            let correction = EventCorrected { original_event_id, changes, reason: None };
            (changed_in_words(&correction), highest_of_several(draft, &correction))
        }
    };
    let problem = format!("{}; {said}", ONE_OF_SEVERAL.problem);
    ask_sender(draft, referral, &waiting.event_id, &entry, &problem, level)
}

fn highest_of_several(draft: &Draft<'_>, correction: &EventCorrected) -> Option<Level> {
    let of_id = history::all_of_id(&draft.history, &correction.original_event_id);
    of_id.iter().filter_map(|original| level_if_it_stood(draft, original, [correction])).max()
}

fn changed_in_words(correction: &EventCorrected) -> String {
    let changes: Vec<String> = correction.changes.iter().map(|(name, now)| format!("{name} is now {now}")).collect();
    format!("they correct it: {}", changes.join("; "))
}

/// `level`: of the event, had it been applied.
fn put_to_person(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    whose: &Whose,
    (said, reason): (&str, Option<&str>),
    level: Option<Level>,
) -> Result<(), StepError> {
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push(whose.note.to_owned());
    let arriving = Arc::new(arriving);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    let given = reason.map_or(String::new(), |reason| format!(". Reason given: {}", before_stop(reason)));
    let problem = format!("{}; {said}{given}", whose.problem);
    ask_sender(draft, Some(referral), &referral.event.event_id, &arriving, &problem, level)?;
    draft.tell_sender(&referral.event, FeedbackStatus::NotApplied, &[whose.told]);
    Ok(())
}
