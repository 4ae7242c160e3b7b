//! What of a refused record goes on: danger, what makes it known again, and what its sender hears.

use pathway_router::engine::codec::encode;
use pathway_router::engine::intake::{self, Accepted, IncomingRecord};
use pathway_router::engine::model::codes::HumanDecision;
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::feedback::FeedbackStatus;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord};
use pathway_router::engine::model::quarantine::QuarantineReason;

use super::{World, incoming, referral_of, refused};
use crate::samples;

#[test]
fn danger_in_a_refused_record_travels_with_the_signal() {
    let world = World::new();
    let danger_of = |accepted: &Accepted| {
        let [InboxRecord { body: InboxBody::Signal(signal), .. }] = accepted.inbox.as_slice() else {
            panic!("one signal: {:?}", accepted.inbox)
        };
        signal.danger
    };
    let mut event = samples::event("missing.started");
    event.practitioner.call_back = String::new();
    event.immediate_danger = Some(false);
    assert_eq!(danger_of(&world.referral(&event)), None);
    event.immediate_danger = Some(true);
    assert_eq!(danger_of(&world.referral(&event)), Some(true));
    let bytes =
        |value: &[u8]| danger_of(&intake::referral(&world.context(), &incoming("referrals.police", "police", value)));
    assert_eq!(bytes(br#"{"data":{"immediateDanger":true,"#), Some(true));
    assert_eq!(bytes(br#"{"data":{"immediate_danger":false,"#), None);
    let imported = IncomingRecord {
        allow_backfill: true,
        ..incoming("referrals.police", "police", br#"{"immediate_danger":true"#)
    };
    assert_eq!(danger_of(&intake::referral(&world.context(), &imported)), None);
}

#[test]
fn what_is_refused_is_known_again_by_what_it_says() {
    let world = World::new();
    let id_of = |incoming: IncomingRecord<'_>| {
        let accepted = intake::referral(&world.context(), &incoming);
        assert!(accepted.quarantined.is_some());
        accepted.inbox.first().expect("a signal").id.clone()
    };
    let headers = |named: &[(&str, &str)]| -> Vec<(String, Vec<u8>)> {
        named.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    };
    let at = |offset: i64, value: &[u8], named: &[(&str, &str)]| {
        let headers = headers(named);
        let incoming = incoming("referrals.police", "police", value);
        id_of(IncomingRecord { offset, by_gateway: true, headers: &headers, ..incoming })
    };
    let mut event = samples::event("missing.started");
    event.practitioner.call_back = String::new();
    let first = encode(&event).expect("an event");
    event.event_id = "00000000-0000-4000-8000-0000000000aa".to_owned();
    let second = encode(&event).expect("an event");
    for value in [&first[..], b"{\"a\": 1"] {
        let id = at(1, value, &[("ce_id", "a"), ("ce_traceparent", "b"), ("traceparent", "b")]);
        assert_eq!(
            at(2, value, &[("ce_id", "a"), ("ce_traceparent", "c"), ("traceparent", "c")]),
            id,
            "the same again"
        );
        assert_ne!(at(3, &[value, b" "].concat(), &[("ce_id", "a")]), id);
    }
    assert_ne!(at(4, &first, &[]), at(5, &second, &[]));
    assert_ne!(
        at(6, b"{", &[("ce_id", "a")]),
        at(7, b"{", &[("ce_id", "b")]),
        "in binary mode the attributes say which"
    );
    let too_large = [("refused", "too_large")];
    assert_ne!(at(8, b"{", &too_large), at(9, b"{", &too_large), "of these only the beginning is kept");
}

#[test]
fn a_decision_that_does_not_say_what_was_decided_is_refused_with_what_there_is() {
    let world = World::new();
    let decided = |code: Option<HumanDecision>| {
        let mut event = samples::event("decision.recorded");
        let Detail::DecisionRecorded(detail) = &mut event.detail else { panic!("a decision") };
        (detail.decision, detail.other_reply_to) = (code, None);
        world.referral(&event)
    };
    for (code, problem) in [(None, "is required"), (Some(HumanDecision::Unknown), "is not known here")] {
        let accepted = decided(code);
        let fault = format!("detail.decision {problem}: give what was decided, one of level_confirmed, level_set,");
        refused(&world, &accepted, QuarantineReason::InvalidField, &fault);
        let told = accepted.feedback.expect("feedback");
        assert!(told.status == FeedbackStatus::NotAccepted && told.message.contains(&fault), "{}", told.message);
    }
    referral_of(&decided(Some(HumanDecision::Closed)));
}
