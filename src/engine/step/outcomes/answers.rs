//! Which answers were applied to a task: the same again changes nothing, another answer under a used id is one of its own.

use uuid::{Builder, Uuid};

use crate::engine::ids::derived;
use crate::engine::model::history::HeldTask;
use crate::engine::model::inbox::OutcomeReceived;

/// Answers remembered of one task, the newest: far more than are given to any. One that was forgotten and comes again is
/// judged by the state of the task, as every answer is.
const REMEMBERED_MAX: usize = 32;

/// How much of a mark, as text, its id alone makes.
const OF_ID_CHARS: usize = 18;

/// How an answer stands to those that were applied before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    Never,
    /// The same answer under the same id.
    Already,
    /// Another answer had this id.
    IdForAnother,
    /// An earlier release applied an answer of this id, and did not keep which.
    IdForUnknown,
}

pub fn heard(task: &HeldTask, received: &OutcomeReceived) -> Heard {
    let mark = mark(received);
    if task.outcomes.contains(&mark) {
        return Heard::Already;
    }
    let of_id = mark.get(..OF_ID_CHARS).unwrap_or_default();
    if task.outcomes.iter().any(|known| known.starts_with(of_id)) {
        return Heard::IdForAnother;
    }
    if !task.outcomes.contains(&received.outcome.outcome_id) {
        return Heard::Never;
    }
    let led_here = task.state == received.outcome.outcome.symbol();
    if led_here { Heard::Already } else { Heard::IdForUnknown }
}

pub fn remember(task: &mut HeldTask, received: &OutcomeReceived) {
    let id = &received.outcome.outcome_id;
    if !task.outcomes.contains(id) {
        task.outcomes.push(id.clone());
    }
    task.outcomes.push(mark(received));
    let surplus = task.outcomes.len().saturating_sub(2 * REMEMBERED_MAX);
    task.outcomes.drain(..surplus);
}

/// What was answered, in the form of an id: its first half is made of the answer's own id, the second of what it says. By
/// whom and when is no part of it: whoever sends again may say the time anew.
fn mark(received: &OutcomeReceived) -> String {
    let outcome = &received.outcome;
    let bytes = |parts: &[&str]| Uuid::parse_str(&derived(parts)).unwrap_or_default().into_bytes();
    let of_id = bytes(&["answer id", &outcome.outcome_id]);
    let of_answer = bytes(&[
        "answer",
        &received.agency,
        received.partner.as_deref().unwrap_or_default(),
        received.unit.as_deref().unwrap_or_default(),
        outcome.outcome.symbol(),
        outcome.reason.as_deref().unwrap_or_default(),
        outcome.result.as_deref().unwrap_or_default(),
    ]);
    let mut both = of_id;
    both.iter_mut().zip(of_answer).skip(8).for_each(|(byte, said)| *byte = said);
    Builder::from_custom_bytes(both).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::codes::OutcomeKind;
    use crate::engine::model::outcome::Outcome;
    use crate::engine::model::scalar::Timestamp;

    fn answer(id: u128, outcome: OutcomeKind, reason: Option<&str>) -> OutcomeReceived {
        let outcome = Outcome {
            outcome_id: Uuid::from_u128(id).to_string(),
            reply_to: String::new(),
            outcome,
            by_name: "A. Worker".to_owned(),
            by_role: "duty worker".to_owned(),
            at: Timestamp(0),
            reason: reason.map(str::to_owned),
            result: None,
        };
        OutcomeReceived {
            task_id: Uuid::nil().to_string(),
            agency: "police".to_owned(),
            unit: None,
            outcome,
            hops: 0,
            partner: None,
        }
    }

    fn task(state: &str) -> HeldTask {
        HeldTask { state: state.to_owned(), ..HeldTask::default() }
    }

    #[test]
    fn an_answer_is_known_again_by_what_it_says() {
        let mut held = task("raised");
        let acknowledged = answer(1, OutcomeKind::Acknowledged, None);
        assert_eq!(heard(&held, &acknowledged), Heard::Never);
        remember(&mut held, &acknowledged);
        let declined = answer(1, OutcomeKind::Declined, Some("not ours"));
        let said_anew = OutcomeReceived {
            outcome: Outcome { at: Timestamp(9), by_name: "B. Worker".to_owned(), ..acknowledged.outcome.clone() },
            ..acknowledged.clone()
        };
        assert_eq!(heard(&held, &said_anew), Heard::Already);
        assert_eq!(heard(&held, &declined), Heard::IdForAnother);
        assert_eq!(heard(&held, &answer(2, OutcomeKind::Declined, Some("not ours"))), Heard::Never);
        remember(&mut held, &declined);
        assert_eq!(heard(&held, &acknowledged), Heard::Already);
        assert_eq!(heard(&held, &answer(1, OutcomeKind::Declined, Some("nobody free"))), Heard::IdForAnother);
    }

    #[test]
    fn of_an_id_that_an_earlier_release_kept_only_what_led_to_the_present_state_is_taken_for_a_repeat() {
        let answered = answer(1, OutcomeKind::Acknowledged, None);
        let held = HeldTask { outcomes: vec![answered.outcome.outcome_id.clone()], ..task("acknowledged") };
        assert_eq!(heard(&held, &answered), Heard::Already);
        assert_eq!(heard(&held, &answer(1, OutcomeKind::Declined, Some("not ours"))), Heard::IdForUnknown);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stays() {
        let mut held = task("raised");
        for id in 0..200 {
            remember(&mut held, &answer(id, OutcomeKind::Accepted, None));
            assert_eq!(heard(&held, &answer(id, OutcomeKind::Accepted, None)), Heard::Already);
        }
        assert_eq!(held.outcomes.len(), 2 * REMEMBERED_MAX);
        assert_eq!(heard(&held, &answer(0, OutcomeKind::Accepted, None)), Heard::Never);
    }
}
