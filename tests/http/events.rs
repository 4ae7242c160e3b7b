//! Events in: every mode, every refusal, and what is written of each.

use std::io::{Read, Write};
use std::time::Duration;

use pathway_router::broker::memory::MemoryOptions;
use pathway_router::engine::codec;
use pathway_router::engine::model::event::ReferralEvent;
use serde_json::{Value, json};

use super::kit::{BATCH, HOSPITAL, House, STRUCTURED, event, event_with, header, paths};

#[test]
fn a_structured_event_is_accepted_once_durable() {
    let house = House::open();
    let sent = event();
    let answer = house.post_event(&sent);
    assert_eq!((answer.status, answer.json()), (202, json!({ "id": sent["id"], "status": "accepted" })));
    let records = house.referrals();
    let record = &records[0];
    assert_eq!(record.key, sent["id"].as_str().unwrap().as_bytes());
    assert_eq!((header(record, "partner"), header(record, "unit")), (Some(HOSPITAL), Some("emergency-department")));
    let stored: ReferralEvent = codec::decode(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(stored.source.unit, "emergency-department");
    assert_eq!(house.post_event(&sent).status, 202, "the same event again");
}

#[test]
fn the_unit_is_the_token_s_when_the_source_names_none() {
    let house = House::open();
    assert_eq!(house.post_event(&event_with("", "source", json!(HOSPITAL))).status, 202);
    let stored: ReferralEvent = codec::decode(house.referrals()[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(stored.source.unit, "emergency-department");
}

#[test]
fn plain_json_is_a_structured_event() {
    let house = House::open();
    assert_eq!(house.post("/v1/events", HOSPITAL, "application/json; charset=utf-8", event().to_string()).status, 202);
}

#[test]
fn binary_mode_carries_attributes_in_headers() {
    let house = House::open();
    let sent = event();
    let authorization = format!("Bearer {}", house.token(HOSPITAL));
    let post = |kind: &str| {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", sent["id"].as_str().unwrap()),
            ("ce-source", "leighton-hospital%2Femergency-department"),
            ("ce-type", kind),
            ("ce-time", "2026-04-01T10:01:00+01:00"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        house.post_with("/v1/events", &headers, sent["data"].to_string())
    };
    assert_eq!(post("self_harm.reported").status, 202);
    assert!(header(&house.referrals()[0], "traceparent").is_some());
    let unversioned = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("ce-id", sent["id"].as_str().unwrap()),
        ("ce-source", "leighton-hospital"),
        ("ce-type", "self_harm.reported"),
        ("ce-time", "2026-04-01T10:01:00+01:00"),
    ];
    let answer = house.post_with("/v1/events", &unversioned, sent["data"].to_string());
    assert_eq!((answer.status, paths(&answer.json())), (400, vec!["specversion".to_owned()]), "{}", answer.text);
    let refused = post("self_harm.reportd");
    assert_eq!((refused.status, paths(&refused.json())), (400, vec!["type".to_owned()]));
    assert_eq!(header(&house.referrals()[2], "ce_type"), Some("self_harm.reportd"), "kept for a retry");
}

#[test]
fn a_field_that_stands_twice_is_refused_and_named() {
    let house = House::open();
    let twice = |sent: Value| sent.to_string().replace("\"detail\":{", "\"detail\":{\"setting\":\"home\",");
    let answer = house.post("/v1/events", HOSPITAL, STRUCTURED, twice(event()));
    assert_eq!(
        (answer.status, paths(&answer.json())),
        (400, vec!["data.detail.setting".to_owned()]),
        "{}",
        answer.text
    );
    let batch = format!("[{},{}]", event(), twice(event_with("", "id", json!("7d3c1e1a-5b60-4f0e-9a0e-2f2f7c8d9b77"))));
    let answer = house.post("/v1/events", HOSPITAL, BATCH, batch);
    let results = answer.json()["results"].clone();
    assert_eq!((answer.status, results[0]["status"].clone()), (207, json!("accepted")), "{}", answer.text);
    assert_eq!(results[1]["problems"][0]["path"], json!("data.detail.setting"));
}

#[test]
fn a_header_that_stands_twice_in_binary_mode_is_refused_and_named() {
    let house = House::open();
    let (sent, authorization) = (event(), format!("Bearer {}", house.token(HOSPITAL)));
    let (id, other) = (sent["id"].as_str().unwrap(), uuid::Uuid::new_v4().to_string());
    let post = |more: &[(&str, &str)], data: &Value| {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", HOSPITAL),
            ("ce-type", "self_harm.reported"),
            ("ce-time", "2026-04-01T10:01:00+01:00"),
            ("ce-partitionkey", "a"),
        ];
        house.post_with("/v1/events", &[&headers, more].concat(), data.to_string())
    };
    let mut danger = sent["data"].clone();
    danger["immediate_danger"] = json!(true);
    let check = |name: &str, value: &str, expected: &str| {
        let answer = post(&[(name, value)], &danger);
        let problem = answer.json();
        assert_eq!((answer.status, paths(&problem)), (400, vec![name.to_owned()]), "{}", answer.text);
        assert!(problem["problems"][0]["problem"].as_str().unwrap().contains(expected), "{}", answer.text);
        assert!(problem["ring"].is_string() && !answer.text.contains(value), "{}", answer.text);
    };
    check("ce-id", &other, "with two values");
    check("ce-type", "missing.started", "with two values");
    check("ce-source", HOSPITAL, "with the same value");
    check("ce-partitionkey", "b c", "with two values");
    let kept = house.referrals();
    let ids =
        |record: &pathway_router::broker::Record| record.headers.iter().filter(|(name, _)| name == "ce_id").count();
    assert_eq!((kept.len(), ids(&kept[0]), ids(&kept[1])), (4, 2, 1), "both values are kept for a person to see");
    assert_eq!(post(&[], &danger).status, 202);
}

#[test]
fn a_batch_is_answered_event_by_event() {
    let house = House::open();
    let bad = event_with("/data/detail", "setting", json!("moon"));
    let other = event_with("", "source", json!("police/missing-from-home"));
    let post = |events: &[&Value]| house.post("/v1/events", HOSPITAL, BATCH, json!(events).to_string());

    let good = post(&[&event(), &event()]);
    assert_eq!((good.status, good.json()["accepted"].clone()), (202, json!(2)));
    let mixed = post(&[&event(), &bad, &other]);
    assert_eq!(mixed.status, 207);
    let results = mixed.json()["results"].clone();
    assert_eq!(results[0]["status"], "accepted");
    assert_eq!((&results[1]["status"], &results[1]["code"]), (&json!("refused"), &json!(400)));
    assert_eq!(results[1]["problems"][0]["path"], "data.detail.setting");
    assert_eq!((&results[2]["index"], &results[2]["code"]), (&json!(2), &json!(403)));
    assert_eq!(post(&[&bad, &other]).status, 400);
    assert_eq!(post(&[&other]).status, 403);
    assert_eq!(post(&[]).status, 400);
    assert_eq!(house.referrals().len(), 2 + 3 + 2 + 1 + 1, "good and bad alike are written");
}

/// The event is refused with these paths, and its bytes are kept with the reason.
fn check_refused(event: &Value, status: u16, expected: &[&str], reason: &str) {
    let house = House::open();
    let answer = house.post_event(event);
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(paths(&answer.json()), expected);
    let kept = house.referrals();
    assert_eq!(kept.len(), 1);
    assert_eq!(header(&kept[0], "refused"), Some(reason));
    assert_eq!(kept[0].value.as_deref(), Some(event.to_string().as_bytes()));
}

#[test]
fn every_fault_is_named_and_the_bytes_are_kept() {
    let mut faulty = event_with("", "type", json!("self_harm.reported"));
    faulty["data"]["detail"]["setting"] = json!("moon");
    faulty["data"]["practitioner"]["role"] = json!("");
    faulty["data"]["colour"] = json!("blue");
    faulty["data"]["partner_reference"] = json!("R-17");
    let house = House::open();
    let answer = house.post_event(&faulty);
    let mut named = paths(&answer.json());
    named.sort();
    assert_eq!(named, ["data.(unnamed)", "data.detail.setting", "data.practitioner.role"]);

    assert_eq!(header(&house.referrals()[0], "partner-reference"), Some("R-17"));

    check_refused(&event_with("", "id", json!("7")), 400, &["id"], "invalid_field");
    check_refused(
        &event_with("", "receivedtime", json!("2026-04-01T10:00:00Z")),
        400,
        &["receivedtime"],
        "invalid_field",
    );
    check_refused(&event_with("/data", "backfill", json!(true)), 400, &["data.backfill"], "invalid_field");
    check_refused(&event_with("", "time", json!("2190-01-01T00:00:00Z")), 400, &["time"], "future_time");
    check_refused(&event_with("", "time", json!("1815-01-01T00:00:00Z")), 400, &["time"], "invalid_field");
    check_refused(&event_with("", "source", json!("police")), 403, &["source"], "wrong_source");
    check_refused(&event_with("", "source", json!("leighton-hospital/paediatrics")), 403, &["source"], "wrong_source");
}

#[test]
fn a_reply_address_that_is_not_ours_is_refused_at_once() {
    let house = House::open();
    let mut withdrawal = event_with("", "type", json!("event.withdrawn"));
    withdrawal["data"]["reply_to"] = json!("AAAA");
    withdrawal["data"]["detail"] = json!({ "original_event_id": uuid::Uuid::new_v4(), "reason": "wrong child" });
    let answer = house.post_event(&withdrawal);
    assert_eq!((answer.status, paths(&answer.json())), (400, vec!["data.reply_to".to_owned()]), "{}", answer.text);
    assert_eq!(house.referrals().len(), 1, "INTAKE keeps it");
}

#[test]
fn only_the_front_door_records_decisions_and_statuses() {
    let house = House::open();
    let mut status = event_with("", "type", json!("status.changed"));
    status["data"]["detail"] = json!({ "status": "cin", "open": true });
    let answer = house.post_event(&status);
    assert_eq!((answer.status, paths(&answer.json())), (403, vec!["source".to_owned()]), "{}", answer.text);
    assert!(answer.text.contains("only social-care may record a decision or a status"), "{}", answer.text);
    status["source"] = json!("council/case-system");
    assert_eq!(house.post("/v1/events", "council", STRUCTURED, status.to_string()).status, 202);
}

#[test]
fn a_decision_that_does_not_say_what_was_decided_is_refused_at_once() {
    let house = House::open();
    let mut decision = event_with("", "type", json!("decision.recorded"));
    decision["source"] = json!("council/case-system");
    for (said, expected) in
        [(None, "is required"), (Some("unknown"), "is not known here"), (Some("shut"), "is not usable")]
    {
        decision["data"]["detail"] = json!({ "decision": said, "decided_by": "A.", "decided_by_role": "manager" });
        let answer = house.post("/v1/events", "council", STRUCTURED, decision.to_string());
        assert_eq!(
            (answer.status, paths(&answer.json())),
            (400, vec!["data.detail.decision".to_owned()]),
            "{}",
            answer.text
        );
        assert!(answer.text.contains(expected) && answer.text.contains("level_set"), "{}", answer.text);
    }
}

#[test]
fn a_wish_that_names_no_agency_is_refused_with_the_one_meant() {
    let house = House::open();
    let entries =
        json!([{ "agency": "schoool" }, { "agency": "moon base" }, { "reason": "Asked." }, { "person": "An aunt" }]);
    let answer = house.post_event(&event_with("/data", "do_not_inform", entries));
    let expected = ["data.do_not_inform[0].agency", "data.do_not_inform[1].agency", "data.do_not_inform[2]"];
    assert_eq!((answer.status, paths(&answer.json())), (400, expected.map(str::to_owned).to_vec()));
    assert!(
        answer.text.contains("did you mean school?") && answer.text.contains("give one of camhs"),
        "{}",
        answer.text
    );
}

#[test]
fn faults_say_where_and_what() {
    let check = |event: Value, path: &str, problem: &str| {
        let answer = House::open().post_event(&event);
        assert_eq!((answer.status, paths(&answer.json())), (400, vec![path.to_owned()]), "{}", answer.text);
        assert!(answer.text.contains(problem), "{}", answer.text);
    };
    check(event_with("", "time", Value::Null), "time", "is required");
    check(event_with("", "time", json!("yesterday")), "time", "is not usable");
    check(event_with("", "time", json!("2026-02-30T10:00:00Z")), "time", "a day that does not exist");
    check(
        event_with("", "time", json!("2026-10-09T22:30:00+25:00")),
        "time",
        "an offset from UTC that is in use nowhere",
    );
    check(
        event_with("", "time", json!("2026-10-09T22:30:00-12:01")),
        "time",
        "an offset from UTC that is in use nowhere",
    );
    let reported = event_with("/data", "reported_at", json!("2026-10-09T22:30:00+15:00"));
    check(reported, "data.reported_at", "an offset from UTC that is in use nowhere");
    check(event_with("", "specversion", json!("0.3")), "specversion", "is not usable");
    check(event_with("", "id", Value::Null), "id", "is required");
    check(event_with("", "id", json!(uuid::Uuid::nil())), "id", "all zeros");
    check(event_with("/data", "narrative", json!("a\0b")), "data.narrative", "U+0000");
    let born = |date: &str| event_with("/data/child", "date_of_birth", json!(date));
    check(born("2011-02-29"), "data.child.date_of_birth", "a day that does not exist");
    check(born("2190-01-01"), "data.child.date_of_birth", "in the future");
    check(born("1899-01-01"), "data.child.date_of_birth", "outside the years 1900 to 2199");
}

#[test]
fn attributes_that_a_broker_adds_are_ignored_and_fields_of_the_data_among_them_are_not() {
    let house = House::open();
    let plain = event();
    let mut sent = plain.clone();
    for (name, value) in [
        ("partitionkey", json!("k1")),
        ("sequence", json!(7)),
        ("sampled", json!(true)),
        ("correlationid", Value::Null),
    ] {
        sent[name] = value;
    }
    assert_eq!(house.post_event(&sent).status, 202);
    let stored =
        |place: usize| codec::decode::<ReferralEvent>(house.referrals()[place].value.as_deref().unwrap()).unwrap();
    assert_eq!(house.post_event(&plain).status, 202);
    assert_eq!(stored(0), stored(1), "nothing is kept of them");
    let check = |name: &str, value: Value, problem: &str| {
        let answer = house.post_event(&event_with("", name, value));
        assert_eq!((answer.status, paths(&answer.json())), (400, vec![name.to_owned()]), "{}", answer.text);
        assert!(answer.text.contains(problem), "{}", answer.text);
    };
    check("narrative", json!("He hits her."), "give it inside data");
    check("grade", json!("high"), "give it inside data");
    check("receivedtime", json!("2026-04-01T10:00:00Z"), "is the router's to set");
    check("partitionKey", json!("k1"), "is not a known field");
    check("partitionkey", json!({ "k": 1 }), "is not a known field");
    let in_data = house.post_event(&event_with("/data", "partitionkey", json!("k1")));
    assert_eq!((in_data.status, paths(&in_data.json())), (400, vec!["data.partitionkey".to_owned()]));
}

#[test]
fn an_unborn_child_is_due_within_ten_months_and_is_not_born() {
    let house = House::open();
    let due = |days: i64, born: Option<&str>| {
        let mut concern = event_with("", "type", json!("unborn.concern"));
        let now = jiff::Timestamp::now();
        let day = jiff::tz::TimeZone::UTC.to_datetime(now + jiff::Span::new().hours(24 * days)).date();
        concern["time"] = json!(now.to_string());
        concern["data"]["child"] = json!({ "family_name": "Example", "due_date": day.to_string() });
        concern["data"]["detail"] = json!({ "risk_factors": ["substance_misuse"], "due_date": day.to_string() });
        if let Some(born) = born {
            concern["data"]["child"]["date_of_birth"] = json!(born);
        }
        house.post_event(&concern)
    };
    let both = vec!["data.child.due_date".to_owned(), "data.detail.due_date".to_owned()];
    for days in [36_500, 400, -400, -2_200] {
        let answer = due(days, None);
        assert_eq!((answer.status, paths(&answer.json())), (400, both.clone()), "{days}: {}", answer.text);
        assert!(answer.text.contains("more than ten months away"), "{}", answer.text);
    }
    for days in [-30, 0, 90, 280] {
        let answer = due(days, None);
        assert_eq!(answer.status, 202, "{days}: {}", answer.text);
    }
    let answer = due(90, Some("2020-02-03"));
    let born = ["data.child.due_date", "data.child.date_of_birth"].map(str::to_owned).to_vec();
    assert_eq!((answer.status, paths(&answer.json())), (400, born), "{}", answer.text);
    let mut corrected = event_with("", "type", json!("event.corrected"));
    let changes = json!({ "due_date": "2127-02-03", "date_of_birth": "2127-02-03" });
    corrected["data"]["detail"] = json!({ "original_event_id": uuid::Uuid::new_v4(), "changes": changes });
    let answer = house.post_event(&corrected);
    let named = ["data.detail.changes.date_of_birth", "data.detail.changes.due_date"].map(str::to_owned).to_vec();
    assert_eq!((answer.status, paths(&answer.json())), (400, named), "{}", answer.text);
}

#[test]
fn what_is_not_json_is_refused_and_kept() {
    let house = House::open();
    let answer = house.post("/v1/events", HOSPITAL, STRUCTURED, r#"{"immediate_danger": true, "id": "#);
    assert!(answer.json()["ring"].is_string(), "{}", answer.text);
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("line 1"), "{}", answer.text);
    let list = house.post("/v1/events", HOSPITAL, STRUCTURED, json!([event()]).to_string());
    assert!(list.status == 400 && list.text.contains("application/cloudevents-batch+json"), "{}", list.text);
    assert_eq!(header(&house.referrals()[0], "refused"), Some("undecodable"));
}

#[test]
fn too_large_is_413_and_its_start_is_kept() {
    let house = House::open();
    let mut event = event_with("/data", "immediate_danger", json!(true));
    event["data"]["narrative"] = json!("x".repeat(5 << 20));
    let answer = house.post_event(&event);
    assert_eq!(answer.status, 413);
    assert!(answer.json()["ring"].is_string() && answer.text.contains("first 65536 bytes"), "{}", answer.text);
    let kept = house.referrals();
    assert_eq!(header(&kept[0], "refused"), Some("too_large"));
    assert_eq!(header(&kept[0], "danger"), Some("true"), "whoever decides is told");
    assert_eq!(kept[0].value.as_ref().map(Vec::len), Some(65_536));
}

#[test]
fn danger_is_heard_wherever_it_stands_in_what_comes_without_a_token() {
    let house = House::open();
    let content_type = [("content-type", STRUCTURED)];
    for (said, before) in [(true, 0), (true, 8_000), (true, 700_000), (false, 700_000)] {
        let body = format!("{{\"narrative\":\"{}\",\"immediate_danger\": {said}}}", "x".repeat(before));
        let answer = house.post_with("/v1/events", &content_type, body);
        assert_eq!((answer.status, answer.json()["ring"].is_string()), (401, said), "{before}: {}", answer.text);
    }
}

#[test]
fn another_media_type_is_415() {
    let house = House::open();
    let answer = house.post("/v1/events", HOSPITAL, "text/xml", r#"<event danger='"immediate_danger": true'/>"#);
    assert_eq!(answer.status, 415);
    assert!(answer.json()["ring"].is_string(), "{}", answer.text);
}

#[test]
fn a_full_queue_is_429_with_retry_after() {
    let house = House::with(MemoryOptions { queue_requests_max: 0, ..MemoryOptions::default() }, |_| ());
    let answer = house.post_event(&event());
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("1")));
}

#[test]
fn a_router_that_is_not_ready_accepts_nothing() {
    let house = House::open();
    house.readiness.hold("decide-0", "restoring its partitions");
    let answer = house.post_event(&event());
    assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("5")));
    assert!(answer.text.contains("restoring its partitions"));
    assert_eq!(house.referrals().len(), 0);
}

#[test]
fn immediate_danger_is_told_whom_to_ring_whatever_else() {
    let danger = event_with("/data", "immediate_danger", json!(true));
    let mut faulty = danger.clone();
    faulty["data"]["detail"] = json!({ "setting": "moon" });
    let check = |house: &House, body: &Value, content_type: &str, status: u16| {
        let answer = house.post("/v1/events", HOSPITAL, content_type, body.to_string());
        assert_eq!(answer.status, status, "{}", answer.text);
        let ring = answer.json()["ring"].as_str().unwrap_or_default().to_owned();
        assert!(ring.contains("Ring 999") && ring.contains("0300 123 5012"), "{}", answer.text);
    };
    let house = House::open();
    check(&house, &danger, STRUCTURED, 202);
    check(&house, &faulty, STRUCTURED, 400);
    check(&house, &json!([danger, event()]), BATCH, 202);
    check(&house, &json!([faulty]), BATCH, 400);
    check(&house, &event_with("/data", "immediate_danger", json!("true")), STRUCTURED, 400);
    check(&house, &event_with("/data", "immediateDanger", json!(true)), STRUCTURED, 400);
    check(&house, &event_with("/data", "imediate_danger", json!(1)), STRUCTURED, 400);
    house.readiness.hold("decide-0", "restoring its partitions");
    check(&house, &danger, STRUCTURED, 503);
    let full = House::with(MemoryOptions { queue_requests_max: 0, ..MemoryOptions::default() }, |_| ());
    check(&full, &danger, STRUCTURED, 429);
}

#[test]
fn danger_is_heard_in_what_came_of_a_body_that_never_ends() {
    let house = House::open();
    let mut socket = std::net::TcpStream::connect(house.base().strip_prefix("http://").unwrap()).unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: 900\r\n";
    write!(socket, "{head}\r\n{{\"data\": {{\"immediate_danger\": true").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("Ring 999"), "{answer}");
}
