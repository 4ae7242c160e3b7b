//! A unit corrects or withdraws what another unit of its own partner sent: that is for the other to say, or for the front
//! door, and a person is asked at once.

use std::sync::Arc;

use super::correction::{ask_sender, changes_in_words, level_if_it_stood};
use super::draft::Draft;
use crate::engine::context::StepError;
use crate::engine::history;
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;

const TOLD: &str = "This was not applied: another unit sent that event, and only that unit or the front door may correct or withdraw it. \
    Ask that unit to, or send what you know as an event of your own, under a new id. A person is asked about it meanwhile.";

pub fn corrects(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original: &Arc<Entry>,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let level = level_if_it_stood(draft, original, [correction]);
    let said = format!("they correct it: {}", changes_in_words(original, &correction.changes));
    put_to_person(draft, referral, arriving, (&said, correction.reason.as_deref()), level)
}

pub fn withdraws(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    reason: Option<&str>,
) -> Result<(), StepError> {
    let level = (referral.event.immediate_danger == Some(true)).then_some(Level::L4b);
    put_to_person(draft, referral, arriving, ("they withdraw it, and nobody was recalled", reason), level)
}

/// `level`: of the event, had it been applied.
fn put_to_person(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    (said, reason): (&str, Option<&str>),
    level: Option<Level>,
) -> Result<(), StepError> {
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push("Not applied: the event is another unit's.".to_owned());
    let arriving = Arc::new(arriving);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    let given = reason.map_or(String::new(), |reason| format!(". Reason given: {}", reason.trim_end_matches('.')));
    let problem = format!("the event is another unit's of the same organisation; {said}{given}");
    ask_sender(draft, Some(referral), &referral.event.event_id, &arriving, &problem, level)?;
    draft.tell_sender(&referral.event, FeedbackStatus::NotApplied, &[TOLD]);
    Ok(())
}
