//! What intake makes of an agency's answer: whose task it is, and who may give it.

use super::*;

fn outcome(reply_to: String) -> Outcome {
    from_json(&json!({
        "outcome_id": "00000000-0000-4000-8000-0000000000f1",
        "reply_to": reply_to,
        "outcome": "accepted",
        "by_name": "Test Worker",
        "by_role": "duty worker",
        "at": "2026-04-01T11:00:00Z"
    }))
    .expect("an outcome")
}

#[test]
fn an_outcome_goes_to_the_subject_of_its_task() {
    let world = World::new();
    let outcome = outcome(world.seal("gp", Some("N81001")));
    let accepted = world.outcome("gp", Some("N81001"), &outcome);
    assert_eq!((accepted.quarantined, accepted.feedback), (None, None));
    let [record] = accepted.inbox.as_slice() else { panic!("one record") };
    assert_eq!((record.subject, record.receipt), (SubjectKey([9; 32]), RECEIPT));
    let InboxBody::Outcome(received) = &record.body else { panic!("an outcome") };
    assert_eq!(received.task_id, Uuid::from_u128(7).to_string());
    assert_eq!((received.agency.as_str(), received.unit.as_deref()), ("gp", Some("N81001")));
    assert_eq!(received.outcome, outcome);
}

#[test]
fn to_the_address_of_feedback_nothing_but_a_disagreement_is_sent() {
    let world = World::new();
    let acknowledged = outcome(world.seal("council", None));
    let accepted = world.outcome("social-care", None, &acknowledged);
    let plainly = "outcome must be challenged, with a reason: to the address of feedback nothing else may be sent";
    refused(&world, &accepted, QuarantineReason::InvalidField, plainly);
    let disagreement =
        Outcome { outcome: OutcomeKind::Challenged, reason: Some("We do not agree.".to_owned()), ..acknowledged };
    assert_eq!(world.outcome("social-care", None, &disagreement).quarantined, None);
}

#[test]
fn an_outcome_of_no_known_kind_is_told_which_there_are() {
    let world = World::new();
    let unknown = Outcome { outcome: OutcomeKind::Unknown, ..outcome(world.seal("social-care", None)) };
    let accepted = world.outcome("social-care", None, &unknown);
    let kinds = "outcome is not known here: give one of acknowledged, accepted, declined, completed, challenged";
    refused(&world, &accepted, QuarantineReason::InvalidField, kinds);
    assert!(accepted.feedback.expect("the one partner that is this agency is told").message.contains(kinds));
}

#[test]
fn an_outcome_of_anyone_else_is_refused() {
    let world = World::new();
    let wrong = QuarantineReason::WrongSource;
    let unit = outcome(world.seal("gp", Some("N81001")));
    refused(&world, &world.outcome("gp", Some("N81002"), &unit), wrong, "another agency or unit");
    refused(&world, &world.outcome("gp", None, &unit), wrong, "another agency or unit");
    refused(&world, &world.outcome("camhs", Some("N81001"), &unit), wrong, "another agency or unit");
    let forged = outcome("AAAA".to_owned());
    let accepted = world.outcome("social-care", None, &forged);
    refused(&world, &accepted, QuarantineReason::BadReplyTo, "reply_to is not usable");
    let feedback = accepted.feedback.expect("the one partner that is this agency is told");
    assert_eq!((feedback.partner.as_str(), feedback.event_id.as_str()), ("council", forged.outcome_id.as_str()));
    let accepted = world.outcome("camhs", None, &forged);
    refused(&world, &accepted, QuarantineReason::BadReplyTo, "reply_to is not usable");
    assert_eq!(accepted.feedback, None, "no partner is this agency");
    let mut unnamed = outcome(world.seal("gp", None));
    unnamed.by_name = String::new();
    refused(&world, &world.outcome("gp", None, &unnamed), QuarantineReason::InvalidField, "by_name is required");
    unnamed = outcome(world.seal("gp", None));
    unnamed.at = RECEIPT.plus_millis(25 * HOUR_MS);
    refused(&world, &world.outcome("gp", None, &unnamed), QuarantineReason::FutureTime, "at lies more than");
}
