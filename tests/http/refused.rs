//! What would be lost, or say nothing, is refused with where it belongs or what is missing; danger is heard in it all the same.

use std::io::{Read, Write};
use std::time::Duration;

use pathway_router::engine::intake::refuse::quarantine_id;
use serde_json::{Value, json};

use super::kit::{Answer, HOSPITAL, House, STRUCTURED, event, event_with, header, paths};

fn check(answer: &Answer, path: &str, problem: &str) {
    let told = answer.json();
    let problems = told["problems"].as_array().cloned().unwrap_or_default();
    let found = problems.iter().find(|one| one["path"] == path).map(|one| one["problem"].to_string());
    assert!(answer.status == 400 && found.is_some_and(|found| found.contains(problem)), "{path}: {}", answer.text);
}

#[test]
fn what_belongs_inside_data_is_told_where() {
    let house = House::open();
    let beside = |name: &str, value: Value, place: &str| {
        check(&house.post_event(&event_with("", name, value)), name, &format!("give it inside {place}"));
    };
    let of_child = ["nhsnumber", "upn", "dateofbirth", "sex", "schoolurn", "givennames", "gpods", "localid"];
    for name in of_child {
        beside(name, json!("9990000433"), "data.child");
    }
    beside("postcode", json!("ZZ99 3WZ"), "data.child.addresses");
    beside("callback", json!("101"), "data.practitioner");
    beside("said", json!("No."), "data.voice_of_child");
    beside("immediate_danger", json!(true), "data");
    beside("immediateDanger", json!(true), "data");
    beside("imediate_danger", json!(true), "data");
    beside("occurred_at", json!("2026-04-01T10:01:00+01:00"), "data");
    beside("nhs_number", json!("9990000433"), "data.child");
    beside("practitioner", json!({ "role": "nurse" }), "data");
    beside("child", json!({}), "data");
    beside("detail", json!({}), "data");
    check(&house.post_event(&event_with("", "event_id", json!("1"))), "event_id", "give the attribute id");
    check(
        &house.post_event(&event_with("", "data_base64", json!("e30="))),
        "data_base64",
        "give data, as a JSON object",
    );
}

#[test]
fn without_its_data_every_field_is_told_where_and_none_to_be_left_out() {
    let house = House::open();
    let mut bare = event();
    let data = bare.as_object_mut().unwrap().remove("data").unwrap();
    bare.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    let answer = house.post_event(&bare);
    for name in ["practitioner", "child", "detail"] {
        check(&answer, name, "give it inside data");
    }
    check(&answer, "data", "is required");
    assert!(!answer.text.contains("leave it out"), "{}", answer.text);
}

/// The event's attributes as headers, one more of them, and a body.
fn post_binary(house: &House, event: &Value, more: (&str, &str), body: &Value) -> Answer {
    let authorization = format!("Bearer {}", house.token(HOSPITAL));
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", event["id"].as_str().unwrap()),
        ("ce-source", HOSPITAL),
        ("ce-type", "self_harm.reported"),
        ("ce-time", "2026-04-01T10:01:00+01:00"),
        more,
    ];
    house.post_with("/v1/events", &headers, body.to_string())
}

#[test]
fn binary_headers_and_bodies_are_not_mixed() {
    let house = House::open();
    let sent = event();
    let post = |more: (&str, &str), body: &Value| post_binary(&house, &sent, more, body);
    check(&post(("ce-nhsnumber", "9990000026"), &sent["data"]), "nhsnumber", "give it inside data.child");
    let whole = post(("ce-partitionkey", "k"), &sent);
    for name in ["id", "type", "specversion", "time", "data"] {
        check(&whole, &format!("data.{name}"), "application/cloudevents+json");
    }
    assert_eq!(post(("ce-partitionkey", "k"), &sent["data"]).status, 202);
}

#[test]
fn a_record_that_says_nothing_is_refused() {
    let house = House::open();
    let send = |kind: &str, child: Value, detail: Value| {
        let mut sent = event_with("", "type", json!(kind));
        sent["source"] = json!("council/case-system");
        sent["data"]["child"] = child;
        sent["data"]["detail"] = detail;
        house.post("/v1/events", "council", STRUCTURED, sent.to_string())
    };
    let ada = || json!({ "nhs_number": "9990000433" });
    for detail in
        [json!({}), json!({ "open": true, "category": "neglect" }), json!({ "status": "unknown", "open": true })]
    {
        check(
            &send("status.changed", ada(), detail),
            "data.detail.status",
            "is required: give one of cin, cpp, lac, ce_flag",
        );
    }
    for detail in
        [json!({}), json!({ "reason": "Not today." }), json!({ "state": null }), json!({ "state": "unknown" })]
    {
        check(&send("agreement.recorded", ada(), detail), "data.detail.state", "is required: give one of not_asked");
    }
    check(&send("agreement.recorded", json!({}), json!({ "state": "refused" })), "data.child", "identifies nobody");
    let accepted = [
        send("status.changed", ada(), json!({ "status": "cpp" })),
        send("agreement.recorded", ada(), json!({ "state": "refused" })),
        send("agreement.recorded", json!({}), json!({ "state": "unsafe_to_ask", "reason": "He hits her." })),
    ];
    assert!(accepted.iter().all(|answer| answer.status == 202), "{}", accepted.map(|answer| answer.text).join("\n"));
}

#[test]
fn a_withdrawal_names_the_right_child_so_that_they_can_be_found_or_not_at_all() {
    let house = House::open();
    let withdraw = |right: Value| {
        let mut sent = event_with("", "type", json!("event.withdrawn"));
        sent["data"]["detail"] = json!({ "original_event_id": uuid::Uuid::new_v4(), "right_child": right });
        house.post_event(&sent)
    };
    for nobody in [json!({}), json!({ "given_names": "Ok" }), json!({ "sex": "female", "nhs_number": " " })] {
        check(&withdraw(nobody), "data.detail.right_child", "identifies nobody: give");
    }
    let named = json!({ "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-01-01" });
    for usable in [json!({ "nhs_number": "9990000433" }), named, json!({ "nhs_number": "1234567890" }), Value::Null] {
        let answer = withdraw(usable);
        assert_eq!((answer.status, paths(&answer.json())), (202, Vec::new()), "{}", answer.text);
    }
}

/// Sends these bytes on a connection of their own, and reads until it is closed.
fn sent_raw(house: &House, method: &str, more: &str, body: &str) -> String {
    let mut socket = std::net::TcpStream::connect(house.base().strip_prefix("http://").unwrap()).unwrap();
    let token = house.token(HOSPITAL);
    let head = format!(
        "{method} /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: {STRUCTURED}\r\n"
    );
    write!(socket, "{head}{more}\r\n\r\n{body}").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn danger_is_heard_in_a_body_that_breaks_off_and_by_another_method() {
    let house = House::open();
    let danger = "{\"data\": {\"immediate_danger\": true}}";
    let length = format!("content-length: {}", danger.len());
    let answer = sent_raw(&house, "PUT", &length, danger);
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("Ring 999"), "{answer}");
    let calm = "{\"data\": {\"immediate_danger\": null}}";
    let answer = sent_raw(&house, "PUT", &length, calm);
    assert!(answer.starts_with("HTTP/1.1 405") && !answer.contains("Ring 999"), "{answer}");
    let broken = format!("{:x}\r\n{danger}\r\nnot a length\r\n", danger.len());
    let answer = sent_raw(&house, "POST", "transfer-encoding: chunked", &broken);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Ring 999"), "{answer}");
    assert!(answer.contains("Send it again"), "{answer}");
}

/// Misspelt, or where it is not read: refused, told to ring, and on its way to the front door.
#[test]
fn danger_beside_the_data_is_never_taken_for_an_extension() {
    let house = House::open();
    for name in ["immediatedangr", "immediatdanger", "imediatedanger"] {
        let answer = house.post_event(&event_with("", name, json!(true)));
        check(&answer, name, "give it inside data");
        assert!(answer.text.contains("Ring 999"), "{}", answer.text);
    }
    let sent = event();
    let post = |name: &str, value: &str| post_binary(&house, &sent, (name, value), &sent["data"]);
    for name in ["ce-immediatedanger", "ce-immediatedangr"] {
        let answer = post(name, "true");
        assert!(answer.status == 400 && answer.text.contains("Ring 999"), "{name}: {}", answer.text);
        assert_eq!(house.referrals().last().and_then(|record| header(record, "danger")), Some("true"), "{name}");
    }
    assert!(!post("ce-immediatedanger", "false").text.contains("Ring 999"));
    assert_eq!(post("ce-partitionkey", "a").status, 202, "an extension is none");
}

/// Without an id of its own nothing else ties the feedback on it to the request.
#[test]
fn what_was_kept_is_named_as_the_feedback_on_it_will_name_it() {
    let house = House::open();
    let kept = || {
        let record = house.referrals().pop().expect("it is kept");
        json!(quarantine_id(&record.topic, record.partition, record.offset))
    };
    let broken = house.post("/v1/events", HOSPITAL, STRUCTURED, "{\"data\": ");
    assert_eq!((broken.status, &broken.json()["quarantine_id"]), (400, &kept()));
    let too_large = house.post("/v1/events", HOSPITAL, STRUCTURED, vec![b' '; 2 << 20]);
    assert_eq!((too_large.status, &too_large.json()["quarantine_id"]), (413, &kept()));
    let mixed = json!([event(), { "data": {} }]);
    let batch = house.post("/v1/events", HOSPITAL, "application/cloudevents-batch+json", mixed.to_string()).json();
    assert_eq!((&batch["results"][0]["quarantine_id"], &batch["results"][1]["quarantine_id"]), (&Value::Null, &kept()));
    let answer = |body: String| house.post("/v1/outcomes", HOSPITAL, "application/json", body);
    let outcome = json!({
        "outcome_id": uuid::Uuid::new_v4(), "reply_to": "sealed by nobody", "outcome": "challenged", "reason": "We do not agree.",
        "by_name": "A. Doctor", "by_role": "named doctor", "at": "2026-04-01T10:00:00Z",
    });
    for body in ["{".to_owned(), outcome.to_string()] {
        let refused = answer(body);
        assert_eq!((refused.status, &refused.json()["quarantine_id"]), (400, &kept()), "{}", refused.text);
    }
}

/// Whoever mends what is named has mended all of it.
#[test]
fn form_times_names_and_source_are_told_in_one_go() {
    let house = House::open();
    let mut faulty = event_with("", "receivedtime", json!("2026-04-01T10:00:00Z"));
    faulty["time"] = json!("2190-01-01T00:00:00Z");
    faulty["source"] = json!("police/force-control");
    faulty["data"]["detail"]["setting"] = json!("moon");
    faulty["data"]["do_not_inform"] = json!([{ "agency": "schoool" }]);
    faulty["data"]["child"]["date_of_birth"] = json!("2100-01-01");
    let answer = house.post_event(&faulty);
    let mut told = paths(&answer.json());
    told.sort();
    let expected = [
        "data.child.date_of_birth",
        "data.detail.setting",
        "data.do_not_inform[0].agency",
        "receivedtime",
        "source",
        "time",
    ];
    assert_eq!((answer.status, told), (400, expected.map(str::to_owned).to_vec()), "{}", answer.text);
    // What stands in for a field that is at fault is not at fault itself.
    let mut decision = event_with("", "type", json!("decision.recorded"));
    decision["source"] = json!("council/case-system");
    decision["data"]["child"] = json!({ "nhs_number": 9 });
    decision["data"]["reply_to"] = json!(7);
    decision["data"]["detail"] =
        json!({ "decision": "level_set", "level": "L9", "decided_by": "A.", "decided_by_role": "manager" });
    let answer = house.post("/v1/events", "council", STRUCTURED, decision.to_string());
    let mut told = paths(&answer.json());
    told.sort();
    assert_eq!(told, ["data.child.nhs_number", "data.detail.level", "data.reply_to"], "{}", answer.text);
}

/// What could not be read is put right first: by what stands in for it nothing else is accused.
#[test]
fn a_slip_accuses_no_other_field() {
    let house = House::open();
    let told = |sender: (&str, &str), kind: &str, child: Value, detail: Value| {
        let mut sent = event_with("", "type", json!(kind));
        sent["source"] = json!(sender.1);
        sent["data"]["child"] = child;
        sent["data"]["detail"] = detail;
        let answer = house.post("/v1/events", sender.0, STRUCTURED, sent.to_string());
        (answer.status, paths(&answer.json()))
    };
    let alone = |path: &str| (400, vec![path.to_owned()]);
    let council = ("council", "council/case-system");
    let ada = || json!({ "nhs_number": "9990000433" });
    let route = |decision: &str, held_back_for: &str, agency: &str| {
        let told_of = json!({ "decided_by": "A.", "decided_by_role": "manager" });
        let mut detail = json!({ "decision": decision, "held_back_for": held_back_for, "agency": agency });
        detail.as_object_mut().unwrap().extend(told_of.as_object().unwrap().clone());
        detail
    };
    for (decision, held_back_for, agency, slip) in [
        ("route_liftd", "suspect", "a person", "data.detail.decision"),
        ("route_lifted", "suspct", HOSPITAL, "data.detail.held_back_for"),
    ] {
        let detail = route(decision, held_back_for, agency);
        assert_eq!(told(council, "decision.recorded", ada(), detail), alone(slip));
    }
    // Its sender may record this decision, and few others.
    let detail = route("route_lift", "suspect", "a person");
    let officer = ("designated-officer", "designated-officer/officer");
    assert_eq!(told(officer, "decision.recorded", ada(), detail), alone("data.detail.decision"));
    let unsafe_to_ask = json!({ "state": "unsafe_to_aks", "reason": "He hits her." });
    assert_eq!(told(council, "agreement.recorded", json!({}), unsafe_to_ask), alone("data.detail.state"));
    let hospital = (HOSPITAL, HOSPITAL);
    // As a form sends what nobody filled in.
    let unborn = json!({ "nhs_number": "9990000433", "date_of_birth": "", "due_date": "2026-06-01" });
    assert_eq!(
        told(hospital, "self_harm.reported", unborn, event()["data"]["detail"].clone()),
        alone("data.child.date_of_birth")
    );
}
