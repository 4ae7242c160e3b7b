//! What could not be applied, of what a sender corrects, takes back or sends again: a person asks them what they meant.

use std::sync::Arc;

use super::correction::{CORRECTION_RULE, level_refused};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::danger::is_said;
use crate::engine::history::{self, Spoken};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::step::about;
use crate::engine::step::decisions::decided::OF_TWO_CHILDREN;
use crate::engine::step::draft::{Draft, within_the_hour_at};
use crate::engine::tasks::Wanted;

pub const REFUSED_ACTION: &str = "Ask the sender what they meant: their correction could not be applied";

const UNSAFE_OF_ONE: &str = " It says that asking the family for agreement is unsafe: find out of which child now, and tell whoever would ask \
    that family.";

/// What cannot be applied goes to a person, and the sender is told why. `level`: of what it says, had it been applied.
pub fn refuse(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: &Arc<Entry>,
    problem: &str,
    level: Option<Level>,
) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    let question = question(draft, Some(referral), cause, arriving, problem, level)?;
    refuse_and_ask(draft, (&referral.event, Some(referral)), cause, question, problem)
}

/// What came under an id that was used up: as its content is new. The very same again was put to a person before.
pub fn refuse_new_content(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: &Arc<Entry>,
    problem: &str,
    level: Option<Level>,
) -> Result<(), StepError> {
    let cause = format!("{}\0{}", referral.event.event_id, arriving.content_digest);
    let question = question(draft, Some(referral), &cause, arriving, problem, level)?;
    refuse_and_ask_once(draft, (&referral.event, Some(referral)), &cause, question, problem)
}

/// A correction, withdrawal or word on agreement whose `child` and `reply_to` are two children: it counts for neither. What the task
/// shows is of neither, but who sent it.
pub fn of_two_children(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry) -> Result<(), StepError> {
    let (event, arriving) = (&referral.event, Arc::new(arriving));
    let level = if is_said(event) { Some(Level::L4b) } else { level_at_stake(draft, event) };
    let cause = format!("{}\0{}", event.event_id, arriving.content_digest);
    let asked = question(draft, None, &cause, &arriving, OF_TWO_CHILDREN, level)?;
    // The services of whichever child it is of are stopped the same day once that is known.
    let (unsafe_to_ask, due) = match says_unsafe(event) && asked.level != Some(Level::L4b) {
        true => (UNSAFE_OF_ONE, draft.raising(None, "").deadline_from_now(&Clock::SameDay)?),
        false => ("", asked.due),
    };
    let why = format!("It was not applied: {OF_TWO_CHILDREN}.{unsafe_to_ask}");
    let why = about::in_words(&draft.context.keys, &why, std::slice::from_ref(&arriving));
    refuse_and_ask_once(draft, (event, None), &cause, Wanted { why: Some(why), due, ..asked }, OF_TWO_CHILDREN)
}

fn says_unsafe(event: &ReferralEvent) -> bool {
    let recorded = if let Detail::AgreementRecorded(recorded) = &event.detail { recorded.state } else { None };
    let said = event.agreement.as_ref().and_then(|said| said.state);
    recorded.or(said) == Some(AgreementState::UnsafeToAsk)
}

/// What a correction would have raised its original to, where that is known; of anything else, what goes on or does not meanwhile.
fn level_at_stake(draft: &Draft<'_>, event: &ReferralEvent) -> Option<Level> {
    let Detail::EventCorrected(correction) = &event.detail else { return draft.history.case_level };
    let front_door = &draft.book.rules.front_door;
    let spoken = history::find(&draft.history, &correction.original_event_id, &event.source, front_door)?;
    let (Spoken::Own(index) | Spoken::Corroborated(index)) = spoken else { return None };
    level_refused(draft, draft.history.entries.get(index)?, correction)
}

/// What was put to a person before has come once more.
fn refuse_and_ask_once<'b>(
    draft: &mut Draft<'b>,
    (event, shown): (&ReferralEvent, Option<&Referral>),
    cause: &str,
    question: Wanted<'b>,
    problem: &str,
) -> Result<(), StepError> {
    if draft.raising(shown, cause).was_given(&question) {
        draft.disposed(Disposition::Retransmission);
        return Ok(());
    }
    refuse_and_ask(draft, (event, shown), cause, question, problem)
}

fn refuse_and_ask<'b>(
    draft: &mut Draft<'b>,
    (event, shown): (&ReferralEvent, Option<&Referral>),
    cause: &str,
    question: Wanted<'b>,
    problem: &str,
) -> Result<(), StepError> {
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push(format!("Not applied: {problem}."));
    draft.raise(shown, cause, &[], vec![question])?;
    let words = format!("This was not applied: {problem}.");
    draft.tell_sender(event, FeedbackStatus::NotApplied, &[&words]);
    Ok(())
}

/// Puts what was not applied to whoever decides.
pub fn ask_sender(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    problem: &str,
    level: Option<Level>,
) -> Result<(), StepError> {
    let question = question(draft, referral, cause, entry, problem, level)?;
    draft.raise(referral, cause, &[], vec![question]).map(drop)
}

/// Within the hour where significant harm is suspected by it.
fn question<'b>(
    draft: &Draft<'b>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    problem: &str,
    level: Option<Level>,
) -> Result<Wanted<'b>, StepError> {
    let at_highest = level.filter(|level| *level == Level::L4b);
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&within_the_hour_at(level))?;
    let harm = at_highest.map_or("", |_| " By what it says significant harm is suspected: see that the child is safe.");
    let why = format!("What a sender corrected or withdrew was not applied: {problem}.{harm}");
    let title = "A correction that could not be applied";
    let own = raising.own_duty(CORRECTION_RULE, title, why, REFUSED_ACTION, due, entry);
    Ok(Wanted { level: at_highest.or(own.level), ..own })
}
