//! Whoever mends what a refusal names has mended all of it: nothing is told a round later.

use serde_json::{Value, json};

use super::kit::{Answer, BATCH, HOSPITAL, House, STRUCTURED, event, event_with, paths};

const COUNCIL: (&str, &str) = ("council", "council/case-system");

/// The places that a refusal names, in order of the alphabet.
fn places(answer: &Answer) -> Vec<String> {
    let mut places = paths(&answer.json());
    places.sort();
    places
}

fn check(answer: &Answer, status: u16, expected: &[&str]) {
    assert_eq!((answer.status, places(answer)), (status, expected.iter().map(|place| (*place).to_owned()).collect()));
}

fn post_as(house: &House, (token, source): (&str, &str), mut event: Value) -> Answer {
    event["source"] = json!(source);
    house.post("/v1/events", token, STRUCTURED, event.to_string())
}

/// A decision of one who may record it.
fn decision(child: Value, reply_to: Option<&str>, mut detail: Value) -> Value {
    let mut sent = event_with("", "type", json!("decision.recorded"));
    sent["data"]["child"] = child;
    sent["data"]["reply_to"] = json!(reply_to);
    (detail["decided_by"], detail["decided_by_role"]) = (json!("A. Manager"), json!("manager"));
    sent["data"]["detail"] = detail;
    sent
}

#[test]
fn beside_more_unknown_fields_than_are_told_each() {
    let house = House::open();
    let mut sent = event_with("/data", "do_not_inform", json!([{}]));
    sent["data"]["child"]["date_of_birth"] = json!("2100-01-01");
    for number in 0..150 {
        sent["data"][format!("Zeb{number}")] = json!(1);
    }
    let told = places(&house.post_event(&sent));
    for place in ["data.do_not_inform[0]", "data.child.date_of_birth"] {
        assert!(told.iter().any(|told| told == place), "{place}: {told:?}");
    }
    assert_eq!(told.len(), 103);
}

#[test]
fn of_a_kind_that_is_misspelt_or_of_an_event_without_data() {
    let house = House::open();
    let mut sent = event_with("", "type", json!("self_harm.reportd"));
    sent["data"]["detail"]["setting"] = json!("moon");
    check(&house.post_event(&sent), 400, &["data.detail.setting", "type"]);
    let mut sent = event_with("", "type", json!("nothing like it"));
    sent["data"]["detail"]["setting"] = json!("moon");
    check(&house.post_event(&sent), 400, &["type"]);
    for data in [json!("text"), Value::Null] {
        let mut sent = event_with("", "data", data);
        sent["source"] = json!("police/force-control");
        sent["time"] = json!("2190-01-01T00:00:00Z");
        check(&house.post_event(&sent), 400, &["data", "source", "time"]);
    }
}

#[test]
fn of_a_decision_about_two_children() {
    let house = House::open();
    let linked = |other: Option<&str>| json!({ "decision": "subjects_linked", "other_reply_to": other });
    let send = |sent: Value| post_as(&house, COUNCIL, sent);
    for other in [Some("sealed by nobody"), None] {
        let both = decision(json!({}), Some("nor this"), linked(other));
        check(&send(both), 400, &["data.detail.other_reply_to", "data.reply_to"]);
        let no_child = decision(json!({}), None, linked(other));
        check(&send(no_child), 400, &["data.child", "data.detail.other_reply_to"]);
    }
    // What of the child is at fault does not tell who they are; or does.
    let closed = json!({ "decision": "closed" });
    let by_school = decision(json!({ "school_urn": [], "addresses": [{}] }), None, closed.clone());
    check(&send(by_school), 400, &["data.child", "data.child.addresses[0].lines", "data.child.school_urn"]);
    check(&send(decision(json!({ "upn": [] }), None, closed)), 400, &["data.child.upn"]);
}

/// Who may record it is judged once it is said.
#[test]
fn of_a_decision_that_says_none() {
    let house = House::open();
    let officer = ("designated-officer", "designated-officer/officer");
    let none = decision(json!({ "nhs_number": "9990000433" }), None, json!({}));
    check(&post_as(&house, officer, none), 400, &["data.detail.decision"]);
    let mut another = decision(json!({ "nhs_number": "9990000433" }), None, json!({ "decision": "closed" }));
    check(&post_as(&house, officer, another.clone()), 403, &["source"]);
    another["data"]["detail"]["decision"] = json!("unknown");
    check(&post_as(&house, officer, another), 400, &["data.detail.decision"]);
}

#[test]
fn of_an_answer_to_a_task() {
    let house = House::open();
    let answer = |name: &str, value: Value| {
        let mut outcome = json!({
            "outcome_id": uuid::Uuid::new_v4(), "reply_to": "sealed by nobody", "outcome": "challenged", "reason": "No.",
            "by_name": "A. Worker", "by_role": "duty worker", "at": "2190-01-01T00:00:00Z",
        });
        outcome[name] = value;
        ["inbox-camhs", HOSPITAL]
            .map(|token| house.post("/v1/outcomes", token, "application/json", outcome.to_string()))
    };
    for (name, value) in [("by_name", json!(5)), ("outcome", json!("dclined")), ("reason", json!(" "))] {
        let mut expected = ["at", "reply_to", name];
        expected.sort_unstable();
        answer(name, value).iter().for_each(|told| check(told, 400, &expected));
    }
    answer("by_role", json!("nurse")).iter().for_each(|told| check(told, 400, &["at", "reply_to"]));
}

#[test]
fn of_an_import_of_which_nothing_is_kept() {
    let house = House::open();
    let mut faulty = event_with("/data", "do_not_inform", json!([{}]));
    faulty["source"] = json!("nowhere/x");
    faulty["data"]["detail"]["setting"] = json!("moon");
    faulty["data"]["child"]["date_of_birth"] = json!("2100-01-01");
    let mut others = event_with("", "type", json!("status.changed"));
    others["data"]["detail"] = json!({ "status": "cpp" });
    let answer = house.post("/v1/import", "operator", BATCH, json!([faulty, others]).to_string());
    let told = answer.json();
    let of = |index: usize| {
        let mut places = paths(&told["results"][index]);
        places.sort();
        places
    };
    let expected = ["data.child.date_of_birth", "data.detail.setting", "data.do_not_inform[0]", "source"];
    assert_eq!((answer.status, of(0)), (400, expected.map(str::to_owned).to_vec()), "{}", answer.text);
    assert_eq!(of(1), ["source"]);
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("nothing of it was kept") && house.referrals().is_empty(), "{}", answer.text);
}

/// No time makes the two dates go together.
#[test]
fn a_due_date_beside_a_birth_is_told_beside_a_time_that_cannot_be() {
    let house = House::open();
    let mut sent = event_with("", "time", json!("2126-04-01T10:00:00+01:00"));
    sent["data"]["child"]["due_date"] = json!("2026-05-01");
    check(&house.post_event(&sent), 400, &["data.child.due_date", "time"]);
}

/// Of the names of `changes`, whose order nobody keeps.
#[test]
fn a_change_that_is_not_repeated_is_told_once_by_its_number() {
    let house = House::open();
    let mut sent = event_with("", "type", json!("event.corrected"));
    let changes = json!({ "overdose": true, "Zebedee": [1], "Ada": 1 });
    sent["data"]["detail"] = json!({ "original_event_id": uuid::Uuid::new_v4(), "changes": changes });
    let answer = house.post_event(&sent);
    check(&answer, 400, &["data.detail.changes.(unnamed)"; 2]);
    for number in [1, 2] {
        assert!(
            answer.text.contains(&format!("(number {number} of the names in order of the alphabet)")),
            "{}",
            answer.text
        );
    }
}

/// A small request is not answered by a large one, nor is one of a large batch told nothing.
#[test]
fn of_thousands_of_faults_the_first_and_how_many_more_there_are() {
    let house = House::open();
    let siblings = vec![json!({ "child": { "addresses": vec![json!({}); 200] } }); 200];
    let sent = event_with("/data", "siblings", json!(siblings));
    let answer = house.post_event(&sent);
    assert!(answer.status == 400 && answer.text.len() < 100_000, "{} bytes", answer.text.len());
    let last = answer.json()["problems"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last, json!({ "path": "", "problem": "has 39500 more faults than are told here" }));
    assert!(house.referrals().last().unwrap().headers.iter().all(|(_, value)| value.len() < 100_000));
    let batch: Vec<Value> = (0..5).map(|_| sent.clone()).chain([event()]).collect();
    let answer = house.post("/v1/events", HOSPITAL, BATCH, json!(batch).to_string());
    let told = answer.json();
    assert_eq!((answer.status, &told["accepted"]), (207, &json!(1)));
    for index in 0..5 {
        assert_eq!(paths(&told["results"][index]).len(), 500 / 6 + 1);
    }
}
