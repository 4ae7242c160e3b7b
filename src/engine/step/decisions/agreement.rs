//! A word on agreement, said by any event or recorded by itself: what stands by it, who holds what hears of it, and who decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reconcile::{By, settle};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::agreement::{UNSAFE_TO_ASK, is_unsafe, recorded, settles, unsafe_by};
use crate::engine::history::is_open;
use crate::engine::model::codes::AgreementState;
use crate::engine::model::detail::{AgreementRecorded, Detail};
use crate::engine::model::history::{AgreementStanding, Entry, HeldTask, History, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::step::draft::Draft;
use crate::engine::tasks::asking::{AGREEMENT_RULE, UNSAFE_ACTION, UNSAFE_TITLE, reason_given};
use crate::engine::tasks::who_says;

/// Where agreement stands now. What happened later stands, in whatever order it came; that asking is unsafe ends only by what
/// settles it.
pub fn remember(history: &mut History, state: String, arriving: &Entry) {
    let ends_it = |later: &str| settles(later) || !settles(&state);
    let is_later = |entry: &Arc<Entry>| {
        !entry.withdrawn && recorded(entry).is_some_and(ends_it) && entry.holds_from() > arriving.holds_from()
    };
    let warns = history.agreement.as_ref().is_some_and(|standing| standing.state == UNSAFE_TO_ASK);
    if (warns && !settles(&state)) || history.entries.iter().any(is_later) {
        return;
    }
    let (event_id, partner) = (Some(arriving.event_id.clone()), Some(arriving.source.partner.clone()));
    history.agreement = Some(AgreementStanding { state, at: arriving.received_at, event_id, partner });
}

/// What an event, a report of it or a correction says of agreement, or records: whoever holds what hangs on it hears of that, and so does whoever
/// decides where asking is unsafe, unless what they were given by this very event says so.
pub fn heed(draft: &mut Draft<'_>, referral: &Referral, about: &Arc<Entry>) -> Result<(), StepError> {
    let event = &referral.event;
    if event.backfill {
        return Ok(());
    }
    if let Detail::AgreementRecorded(recorded) = &event.detail {
        settle(draft, &event.event_id, By::Said(referral))?;
        ask_how(draft, referral, recorded)?;
    }
    let Some(said) = &event.agreement else { return Ok(()) };
    let is_unsafe_now = said.state == Some(AgreementState::UnsafeToAsk);
    if is_unsafe_now && !is_unsafe(&draft.history, None) {
        // A report that is kept beside the first has no place of its own.
        let (event_id, partner) = (Some(event.event_id.clone()), Some(event.source.partner.clone()));
        draft.history.agreement =
            Some(AgreementStanding { state: UNSAFE_TO_ASK.to_owned(), at: draft.at, event_id, partner });
    }
    if said.state.is_some_and(|state| settles(state.symbol())) {
        settle(draft, &event.event_id, By::Said(referral))?;
    }
    let raising = draft.raising(None, "");
    let at_front_door = |task: &HeldTask| raising.decides(&task.agency) && is_open(&task.state);
    let is_asked = draft.history.tasks.iter().any(|task| at_front_door(task) && draft.is_raised_now(task));
    if !is_unsafe_now || is_asked || is_unsafe(&draft.before, None) {
        return Ok(());
    }
    ask_who_speaks(draft, referral, about, not_asked(said.reason.as_deref()))
}

/// Recorded as unsafe to ask, or that the family was asked all the same: whoever decides hears of it, and why, though nobody is
/// asked anything else.
fn ask_how(draft: &mut Draft<'_>, referral: &Referral, recorded: &AgreementRecorded) -> Result<(), StepError> {
    let event = &referral.event;
    let is_this =
        |entry: &&Arc<Entry>| entry.event_id == event.event_id && entry.source.partner == event.source.partner;
    let Some(entry) = draft.history.entries.iter().find(is_this).cloned() else { return Ok(()) };
    let of_this =
        |standing: &AgreementStanding| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), &entry);
    let why = match recorded.state {
        Some(AgreementState::UnsafeToAsk) if draft.history.agreement.as_ref().is_some_and(of_this) => {
            not_asked(recorded.reason.as_deref())
        }
        Some(AgreementState::Asked) if is_unsafe(&draft.history, None) => {
            let said: BTreeSet<String> =
                unsafe_by(&draft.history).map(|entry| who_says(&draft.context.keys, entry)).collect();
            let said = said.into_iter().collect::<Vec<_>>().join("; ");
            format!(
                "The family was asked for their agreement, which had been said to be unsafe, by {said}: see that nobody came to harm."
            )
        }
        Some(_) | None => return Ok(()),
    };
    ask_who_speaks(draft, referral, &entry, why)
}

fn not_asked(reason: Option<&str>) -> String {
    format!("The family was not asked, and has not refused.{}", reason_given(reason))
}

fn ask_who_speaks(
    draft: &mut Draft<'_>,
    referral: &Referral,
    entry: &Arc<Entry>,
    why: String,
) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let wanted = raising.own_duty(AGREEMENT_RULE, UNSAFE_TITLE, why, UNSAFE_ACTION, due, entry);
    draft.raise(Some(referral), cause, &[], vec![wanted]).map(drop)
}
