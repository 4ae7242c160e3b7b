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
    let last = &events.last().unwrap().event_id;
    let mut to_sender = results.feedback.iter().filter(|feedback| feedback.event_id == *last);
    let (Some(feedback), None) = (to_sender.next(), to_sender.next()) else { panic!("{:?}", results.feedback) };
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
fn whoever_decides_hears_what_came_of_it() {
    let decided = |id: u8, detail: Value| {
        let mut detail = detail;
        detail
            .as_object_mut()
            .unwrap()
            .extend(json!({ "decided_by": "A. Worker", "decided_by_role": "manager" }).as_object().unwrap().clone());
        let more = json!({ "detail": detail, "occurred_at": "2026-06-09T10:00:00Z" });
        event(id, "social-care/checs", "decision.recorded", more)
    };
    let child =
        json!({ "nhs_number": "9990000018", "given_names": "Test", "family_name": "Child", "school_urn": "999001" });
    let attended =
        event(1, POLICE, "domestic_abuse.attended", json!({ "child": child, "detail": { "police_risk": "standard" } }));
    let passed_on =
        |unit: &str| decided(2, json!({ "decision": "task_readdressed", "agency": "school", "unit": unit }));
    check(&[attended.clone(), passed_on("999998")], &["No directory lists the unit that it goes to"]);
    assert!(!heard(&[attended, passed_on("999002")]).0.contains("No directory"));
    let harm = json!({ "detail": { "concern": "physical_abuse", "proposed_level": "L4b" } });
    let harm = event(3, SCHOOL, "concern.reported", harm);
    let closed = decided(4, json!({ "decision": "closed" }));
    let meant = |changes: Value| corrected(5, "social-care/checs", 4, changes);
    let lower = meant(json!({ "decision": "level_set", "level": "L3" }));
    check(&[harm.clone(), closed.clone(), lower], &["the case is open again by it, and a person is asked to see"]);
    let open = meant(json!({ "decision": "level_set", "level": "L4b" }));
    check(&[harm, closed, open], &["what the one before had ended runs again"]);
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

#[test]
fn a_sender_hears_what_of_the_child_could_not_be_used_and_no_value_of_it() {
    let of = |child: Value| {
        let detail = json!({ "concern": "housing", "proposed_level": "L2" });
        heard(&[event(1, SCHOOL, "concern.reported", json!({ "child": child, "detail": detail }))]).0
    };
    let named = json!({ "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-03-04" });
    let with = |name: &str, value: &str| {
        let mut child = named.clone();
        child[name] = json!(value);
        of(child)
    };
    let wrong = [
        ("nhs_number", "9990000020", "data.child.nhs_number fails its check:"),
        ("upn", "A123", "data.child.upn fails its check:"),
        ("school_urn", "888888", "data.child.school_urn is not in this partnership's directory"),
        ("gp_ods", "X99999", "data.child.gp_ods is not in this partnership's directory"),
        ("locality", "atlantis", "data.child.locality is not in this partnership's directory"),
    ];
    for (name, value, words) in wrong {
        let message = with(name, value);
        assert!(message.contains(words) && !message.contains(value), "{message}");
    }
    let right = [("nhs_number", "9990000018"), ("school_urn", "999001"), ("gp_ods", "n81001"), ("locality", "Crewe")];
    for (name, value) in right {
        let message = with(name, value);
        assert!(!message.contains("child."), "{message}");
    }
}

#[test]
fn a_sender_hears_the_same_of_every_other_child_of_the_event() {
    let of = |siblings: Value| {
        let detail = json!({ "concern": "housing", "proposed_level": "L2" });
        heard(&[event(1, SCHOOL, "concern.reported", json!({ "siblings": siblings, "detail": detail }))]).0
    };
    let sound = json!({ "child": { "nhs_number": "9990000018", "school_urn": "999001" } });
    let wrong = json!({ "child": { "nhs_number": "9990000020", "school_urn": "888888" } });
    let message = of(json!([sound, wrong]));
    for words in [
        "data.siblings[1].child.nhs_number fails its check:",
        "data.siblings[1].child.school_urn is not in this partnership's directory",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert!(!message.contains("siblings[0]") && !message.contains("9990000020"), "{message}");
    assert!(!of(json!([sound])).contains("data."));
}

#[test]
fn of_a_right_child_by_a_wrong_number_it_is_said_whether_the_time_is_kept() {
    let harm = json!({ "detail": { "concern": "housing", "proposed_level": "L2" } });
    let first = event(1, SCHOOL, "concern.reported", harm);
    let withdrawn = |right: Value| {
        let mut detail = json!({ "original_event_id": id_of(1) });
        detail.as_object_mut().unwrap().extend(right.as_object().unwrap().clone());
        event(2, SCHOOL, "event.withdrawn", json!({ "detail": detail }))
    };
    let wrong = json!({ "nhs_number": "1234567890" });
    let alone = withdrawn(json!({ "right_child": wrong }));
    check(
        &[first.clone(), alone],
        &[
            "data.detail.right_child.nhs_number fails its check:",
            "could not be kept. To have it kept withdraw it again",
        ],
    );
    let with_event = withdrawn(json!({ "right_child": wrong, "right_event_id": id_of(3) }));
    check(&[first.clone(), with_event], &["fails its check:", "is kept only if the event that right_event_id names"]);
    let right = withdrawn(json!({ "right_child": { "nhs_number": "9990000077" } }));
    assert!(!heard(&[first, right]).0.contains("right_child"));
}

#[test]
fn a_correction_that_is_not_applied_names_its_true_cause() {
    let high = missing(1, POLICE, "high", json!({}));
    let correction = corrected(2, POLICE, 1, json!({ "harm_disclosed": true }));
    check(&[high.clone(), correction], &["not of its kind"]);
    let mixed = corrected(2, POLICE, 1, json!({ "immediate_danger": false, "gcp2_grade": 4 }));
    check(&[high.clone(), mixed], &["gcp2_grade; nor was the rest of it applied"]);
    let good = corrected(2, POLICE, 1, json!({ "grade": "medium" }));
    let again = corrected(3, POLICE, 2, json!({ "grade": "low" }));
    check(&[high.clone(), good, again], &["itself a correction or withdrawal: correct the event again"]);
    let mut nobody = corrected(2, POLICE, 1, json!({ "grade": "low" }));
    nobody.child = Default::default();
    check(&[high.clone(), nobody], &["It has no reply_to and names no child", "reply_to of the feedback on it"]);
    let unknown = corrected(2, POLICE, 9, json!({ "grade": "low" }));
    check(&[high, unknown], &["is not known yet", "the same child as it has"]);
}

#[test]
fn a_corrected_time_or_birth_date_is_never_told_as_not_said_before() {
    let first = missing(1, POLICE, "medium", json!({ "occurred_at": "2026-06-09T08:00:00Z" }));
    let changes = json!({ "grade": "low", "occurred_at": "2026-06-09T07:00:00Z", "date_of_birth": "2012-05-01" });
    let mut replay = Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default());
    replay.submit(&first, AT).unwrap();
    let results = replay.submit(&corrected(2, POLICE, 1, changes), AT.plus_millis(60_000)).unwrap();
    let why = results.tasks.iter().flat_map(|task| &task.reasons).map(|reason| reason.why.as_str()).collect::<String>();
    let told = [
        "date_of_birth is corrected to 2012-05-01",
        "occurred_at is now Tuesday 9 June 2026 08:00",
        "was Tuesday 9 June 2026 09:00",
    ];
    assert!(told.iter().all(|words| why.contains(words)) && !why.contains("was not said"), "{why}");
}

#[test]
fn whoever_withdraws_a_decision_hears_whether_the_case_stands_otherwise_by_that() {
    let decided = |id: u8, said: Value| {
        let mut detail = json!({ "decided_by": "A. Worker", "decided_by_role": "team manager" });
        detail.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        event(
            id,
            "social-care/checs",
            "decision.recorded",
            json!({ "detail": detail, "occurred_at": "2026-06-09T10:00:00Z" }),
        )
    };
    let withdrawn = |id: u8, original: u8| {
        event(id, "social-care/checs", "event.withdrawn", json!({ "detail": { "original_event_id": id_of(original) } }))
    };
    let closed = || decided(1, json!({ "decision": "closed" }));
    let concern =
        event(9, SCHOOL, "concern.reported", json!({ "detail": { "concern": "neglect", "proposed_level": "L4b" } }));
    let opened = corrected(2, "social-care/checs", 1, json!({ "decision": "level_set", "level": "L4a" }));
    let again = "the case stands as it did before it";
    check(&[concern.clone(), closed(), opened.clone(), withdrawn(3, 1)], &[again]);
    check(&[concern.clone(), closed(), opened, withdrawn(3, 2)], &[again]);
    let raised = decided(2, json!({ "decision": "level_set", "level": "L4b" }));
    check(&[closed(), raised.clone(), withdrawn(3, 1)], &["the case stands by another, and goes on as it does"]);
    check(&[concern, closed(), raised, withdrawn(3, 1)], &["stands by the decision that was made since"]);
}

#[test]
fn who_refers_a_child_is_not_sent_to_the_front_door_where_somebody_there_is_accused() {
    let accused = event(
        1,
        POLICE,
        "position_of_trust.alleged",
        json!({ "detail": { "employer": "Cheshire East", "role": "social worker", "employer_agency": "social-care" } }),
    );
    let later = event(
        2,
        SCHOOL,
        "concern.reported",
        json!({ "detail": { "concern": "neglect", "proposed_level": "L2" }, "immediate_danger": true }),
    );
    let stand_in = "ring the local authority designated officer";
    check(std::slice::from_ref(&accused), &[&format!("To add or ask something, {stand_in}.")]);
    let words = [&format!("ring 999, then the {}.", &stand_in[9..]), &format!("To add or ask something, {stand_in}.")];
    check(&[accused, later.clone()], &words.map(String::as_str));
    check(&[later], &["ring 999, then the front door.", "To add or ask something, ring the front door."]);
}
