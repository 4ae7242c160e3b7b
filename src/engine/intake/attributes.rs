//! CloudEvents attributes that travel as Kafka headers (`ce_id`, `ce_type`): where a sender gives them they must agree with
//! the record, or one of the two is wrong and nobody can say which.

use super::IncomingRecord;
use super::refuse::Refusal;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::QuarantineReason;

/// The header of an attribute.
const VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const TYPE: &str = "ce_type";

pub fn of_event(incoming: &IncomingRecord<'_>, event: &ReferralEvent) -> Result<(), Refusal> {
    agrees(incoming, VERSION, "1.0", "must be 1.0")?;
    agrees(incoming, ID, &event.event_id, "must be the event's own id, event_id")?;
    agrees(incoming, TYPE, event.detail.kind(), "must be the event's own kind, that of its detail")
}

pub fn of_outcome(incoming: &IncomingRecord<'_>, outcome: &Outcome) -> Result<(), Refusal> {
    agrees(incoming, VERSION, "1.0", "must be 1.0")?;
    agrees(incoming, ID, &outcome.outcome_id, "must be the outcome's own id, outcome_id")
}

fn agrees(incoming: &IncomingRecord<'_>, name: &str, wanted: &str, problem: &str) -> Result<(), Refusal> {
    let mut sent = incoming.headers.iter().filter(|(known, _)| known == name);
    if sent.all(|(_, sent)| sent.eq_ignore_ascii_case(wanted.as_bytes())) {
        return Ok(());
    }
    Err(Refusal::of(QuarantineReason::InvalidField, name, problem))
}
