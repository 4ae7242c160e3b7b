//! What the made-up agencies answer to their tasks: most acknowledge, some act, a few object, some are late or silent.

use rand::RngExt;
use rand::seq::IndexedRandom;
use uuid::Builder;

use super::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::Timestamp;

const NOT_OURS: &str = "Not ours: the family lives in another area.";
const TOO_LOW: &str = "We think the level should be higher.";

const NAMES: &[&str] = &["A. Example", "B. Sample", "C. Specimen", "D. Placeholder"];

/// The answer to the task with this `reply_to`, if there is one: one task in three stays unanswered.
pub fn answer(rng: &mut impl RngExt, reply_to: &str, now: Timestamp) -> Option<Outcome> {
    let (kind, reason) = match rng.random_range(0..100) {
        0..40 => (OutcomeKind::Acknowledged, None),
        40..55 => (OutcomeKind::Accepted, None),
        55..63 => (OutcomeKind::Completed, None),
        63..65 => (OutcomeKind::Declined, Some(NOT_OURS)),
        65..67 => (OutcomeKind::Challenged, Some(TOO_LOW)),
        _ => return None,
    };
    Some(outcome(rng, reply_to, kind, reason, now))
}

/// Every answer that the task with this `reply_to` will get, with when: in time, late, in disagreement, or none at all.
pub fn answers(rng: &mut impl RngExt, reply_to: &str, raised_at: Timestamp, answer_by: Timestamp) -> Vec<Outcome> {
    let time = answer_by.0.saturating_sub(raised_at.0).max(2 * MINUTE_MS);
    let in_time = raised_at.plus_millis(rng.random_range(MINUTE_MS..time));
    let late = answer_by.plus_millis(rng.random_range(HOUR_MS..5 * DAY_MS));
    let later = |rng: &mut _, from: Timestamp| from.plus_millis(RngExt::random_range(rng, HOUR_MS..10 * DAY_MS));
    let steps: Vec<(OutcomeKind, Option<&str>, Timestamp)> = match rng.random_range(0..100) {
        0..55 => {
            let done = later(rng, in_time);
            vec![(OutcomeKind::Acknowledged, None, in_time), (OutcomeKind::Completed, None, done)]
        }
        55..65 => vec![(OutcomeKind::Accepted, None, in_time)],
        65..80 => {
            let done = later(rng, late);
            vec![(OutcomeKind::Acknowledged, None, late), (OutcomeKind::Completed, None, done)]
        }
        80..85 => vec![(OutcomeKind::Declined, Some(NOT_OURS), in_time)],
        85..88 => {
            let settled = later(rng, in_time);
            vec![(OutcomeKind::Challenged, Some(TOO_LOW), in_time), (OutcomeKind::Accepted, None, settled)]
        }
        _ => Vec::new(),
    };
    steps.into_iter().map(|(kind, reason, at)| outcome(rng, reply_to, kind, reason, at)).collect()
}

fn outcome(
    rng: &mut impl RngExt,
    reply_to: &str,
    outcome: OutcomeKind,
    reason: Option<&str>,
    at: Timestamp,
) -> Outcome {
    Outcome {
        outcome_id: Builder::from_random_bytes(rng.random()).into_uuid().to_string(),
        reply_to: reply_to.to_owned(),
        outcome,
        by_name: (*NAMES.choose(rng).unwrap_or(&"A. Example")).to_owned(),
        by_role: "Duty worker".to_owned(),
        at,
        reason: reason.map(str::to_owned),
        result: None,
    }
}
