//! What a sender is told of what they correct, send again or take back: the truth, and to ring 999 where there is danger.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::replay::{Replay, ReplayOptions};
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Tuesday 9 June 2026, 10:00 in London.
const AT: Timestamp = Timestamp(1_780_995_600_000);
const RING_999: &str = "ring 999";
const POLICE: &str = "police/force-control";
const SCHOOL: &str = "school/999001";

fn event(id: u8, source: &str, kind: &str, more: Value) -> ReferralEvent {
    let mut data = json!({
        "practitioner": { "role": "worker", "call_back": "101" },
        "child": { "nhs_number": "9990000018", "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-03-04" },
    });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let json = json!({
        "specversion": "1.0", "id": id_of(id), "source": source, "type": kind, "time": "2026-06-09T08:30:00Z", "data": data,
    });
    cloud_event::read(&json).unwrap().event
}

fn id_of(id: u8) -> String {
    format!("00000000-0000-4000-8000-{id:012}")
}

fn corrected(id: u8, source: &str, original: u8, changes: Value) -> ReferralEvent {
    event(
        id,
        source,
        "event.corrected",
        json!({ "detail": { "original_event_id": id_of(original), "changes": changes } }),
    )
}

fn missing(id: u8, source: &str, grade: &str, more: Value) -> ReferralEvent {
    let mut data = json!({ "detail": { "grade": grade, "episode_ref": "E1" } });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event(id, source, "missing.started", data)
}

/// Sends these a minute apart. What the sender of the last is told, and how many tasks it brings.
fn heard(events: &[ReferralEvent]) -> (String, usize) {
    let mut replay = Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default());
    let mut last = None;
    for (event, minute) in events.iter().zip(0_i64..) {
        last = Some(replay.submit(event, AT.plus_millis(minute * 60_000)).unwrap());
    }
    let results = last.unwrap();
    let [feedback] = results.feedback.as_slice() else { panic!("{:?}", results.feedback) };
    (feedback.message.clone(), results.tasks.len())
}

fn check(events: &[ReferralEvent], words: &[&str]) {
    let (message, _) = heard(events);
    for words in words {
        assert!(message.contains(words), "\"{words}\" in \"{message}\"");
    }
}

#[test]
fn what_is_said_to_be_looked_at_is_with_a_person() {
    let concern = |concern: &str, more: Value| {
        let mut data = json!({ "detail": { "concern": concern, "proposed_level": "L2" } });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event(1, SCHOOL, "concern.reported", data)
    };
    let first = concern("neglect", json!({}));
    let looked_at = |events: &[ReferralEvent], words: &str| {
        let (message, tasks) = heard(events);
        assert!(message.contains(words), "\"{words}\" in \"{message}\"");
        assert_eq!(tasks, usize::from(message.contains("being looked at")), "{message}");
    };
    let in_words = corrected(2, SCHOOL, 1, json!({}));
    looked_at(&[first.clone(), in_words.clone()], "Your correction is being looked at");
    let again = corrected(3, SCHOOL, 1, json!({}));
    looked_at(&[first.clone(), in_words, again], "Your correction is kept with what was told before");
    let account = concern("neglect", json!({ "narrative": "She told her form teacher." }));
    looked_at(&[first.clone(), account.clone()], "known already; what is new in it is being looked at");
    let status =
        event(4, "social-care/checs", "status.changed", json!({ "detail": { "status": "cin", "open": true } }));
    let closed = corrected(5, "social-care/checs", 4, json!({ "open": false }));
    looked_at(&[status, closed], "is kept with what was told before");
    let withdrawn = event(6, SCHOOL, "event.withdrawn", json!({ "detail": { "original_event_id": id_of(1) } }));
    check(&[first, account, withdrawn], &["Your referral is withdrawn, and whoever was told is being recalled"]);
}

#[test]
fn whoever_says_that_a_child_is_in_danger_is_told_to_ring_999() {
    let high = missing(1, POLICE, "high", json!({}));
    let danger = json!({ "immediate_danger": true });
    let again = missing(2, SCHOOL, "not_graded", danger.clone());
    check(&[high.clone(), again], &["known already; what is new in it is being looked at", RING_999]);
    let lower = corrected(3, POLICE, 1, json!({ "grade": "low", "immediate_danger": true }));
    check(&[high.clone(), lower.clone()], &["Your correction is being looked at", RING_999]);
    check(&[lower], &["is not known yet; it is kept until that comes", RING_999]);
    let safe = corrected(4, POLICE, 1, json!({ "grade": "low" }));
    assert!(!heard(&[high, safe]).0.contains(RING_999));
}
