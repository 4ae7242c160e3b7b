//! Word from elsewhere in the router, by its kind; records of a partner's unit that could not be read reach a person, by
//! one task an hour until that is closed, and each that says immediate danger by its own: each unit has a history of its own
//! for it.

use std::sync::Arc;

use super::Step;
use super::arriving::{danger, first_receipt, named_elsewhere};
use super::draft::Draft;
use super::one_child::{link, parted, sighting};
use super::stand_in::stand_in_entry;
use crate::engine::calendar::Clock;
use crate::engine::context::{Context, StepError};
use crate::engine::history::is_open;
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::history::HeldTask;
use crate::engine::model::inbox::{InboxRecord, Signal, UNREAD_RECORD};
use crate::engine::state::State;

const UNREAD_ACTION: &str = "Ask the partner what their unread records were about: a referral may be among them";
const HOUR_MS: i64 = 60 * 60 * 1000;
/// Hours remembered for one unit, so that a late signal is still recognised.
const HOURS_MAX: usize = 48;

pub fn received(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    match signal.kind.as_str() {
        sighting::SIGHTING | sighting::EXPECTED | sighting::BORN => Ok(sighting::seen(context, state, record, signal)),
        sighting::SAME_CHILD => sighting::check(context, state, record, signal),
        sighting::SAME_CHILD_CHECKED => sighting::ask(context, state, record, signal),
        link::LINK => link::join(context, state, record, signal),
        link::UNLINK => link::part(context, state, record, signal),
        first_receipt::RIGHT_CHILD => first_receipt::received(context, state, record, signal),
        named_elsewhere::NAMED_ELSEWHERE => named_elsewhere::received(context, state, record, signal),
        parted::PARTED => parted::received(context, state, record, signal),
        link::GIVE_BACK => link::give_back(context, state, record, signal),
        _ => unread_record(context, state, record, signal),
    }
}

fn unread_record(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    // Its decision is by where the record lies: the same sent again has the same id, and a decision of its own.
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &signal.cause)?;
    if signal.kind != UNREAD_RECORD {
        draft.disposed(Disposition::Refused);
        draft.decision.notes.push("A signal of a kind this release does not know.".to_owned());
        return draft.finish();
    }
    if signal.danger == Some(true) {
        danger::in_unread(&mut draft, record, signal)?;
        return draft.finish();
    }
    let hour = record.receipt.0.div_euclid(HOUR_MS);
    // Whoever has closed the hour's task has looked at what was there by then, not at what comes now.
    let is_asked = |task: &HeldTask| {
        task.action == UNREAD_ACTION && task.raised_at.0.div_euclid(HOUR_MS) == hour && is_open(&task.state)
    };
    if draft.history.triaged_hours.contains(&hour) && draft.history.tasks.iter().any(|task| is_asked(task)) {
        draft.disposed(Disposition::Duplicate);
        return draft.finish();
    }
    draft.history.triaged_hours.retain(|triaged| *triaged != hour);
    draft.history.triaged_hours.push(hour);
    let over = draft.history.triaged_hours.len().saturating_sub(HOURS_MAX);
    draft.history.triaged_hours.drain(..over);
    let partner = signal.partner.as_deref().unwrap_or("unknown");
    let entry = Arc::new(stand_in_entry(&signal.cause, partner, record.receipt));
    let raising = draft.raising(None, &record.id);
    // Elapsed hours: the one clock that needs no calendar, so that this task is raised whatever else fails.
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let unit = signal.unit.as_deref().map_or(String::new(), |unit| format!(", unit {unit}"));
    let reason = signal.reason.as_deref().unwrap_or("unknown");
    let why = format!(
        "A record of {partner}{unit} could not be read ({reason}) and lies in quarantine as {}. There may be more of \
         this hour; nobody has acted on them.",
        signal.cause
    );
    let wanted = raising.own_duty(UNREAD_RECORD, "Records that could not be read", why, UNREAD_ACTION, due, &entry);
    draft.raise(None, &record.id, &[], vec![wanted])?;
    draft.finish()
}
