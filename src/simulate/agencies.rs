//! What the made-up agencies answer to their tasks: most acknowledge, some act, a few object, some are silent.

use rand::RngExt;
use rand::seq::IndexedRandom;
use uuid::Builder;

use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::Timestamp;

const NAMES: &[&str] = &["A. Example", "B. Sample", "C. Specimen", "D. Placeholder"];

/// The answer to the task with this `reply_to`, if there is one: one task in three stays unanswered.
pub fn answer(rng: &mut impl RngExt, reply_to: &str, now: Timestamp) -> Option<Outcome> {
    let (outcome, reason) = match rng.random_range(0..100) {
        0..40 => (OutcomeKind::Acknowledged, None),
        40..55 => (OutcomeKind::Accepted, None),
        55..63 => (OutcomeKind::Completed, None),
        63..65 => (OutcomeKind::Declined, Some("Not ours: the family lives in another area.")),
        65..67 => (OutcomeKind::Challenged, Some("We think the level should be higher.")),
        _ => return None,
    };
    Some(Outcome {
        outcome_id: Builder::from_random_bytes(rng.random()).into_uuid().to_string(),
        reply_to: reply_to.to_owned(),
        outcome,
        by_name: (*NAMES.choose(rng).unwrap_or(&"A. Example")).to_owned(),
        by_role: "Duty worker".to_owned(),
        at: now,
        reason: reason.map(str::to_owned),
        result: None,
    })
}
