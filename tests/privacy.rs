//! No identifier, name, narrative or token in any log line, metric or reply of refusal: events full of marker strings go
//! through every path, good and bad, and everything that is said of them is searched.

#[path = "privacy/events.rs"]
mod events;
#[path = "privacy/router.rs"]
mod router;

use std::collections::BTreeMap;

use pathway_router::engine::codec;
use pathway_router::engine::identity::{IdentifierKind, Keys};
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::telemetry::logging::{Captured, LogLevel, start_captured};
use serde_json::{Value, json};

use events::{BIRTH, MARKER, NHS_NUMBER, UPN, bad_forms, marked_samples, sender};
use router::{Router, Said};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

#[test]
fn nothing_said_of_an_event_names_anyone() {
    let logs = start_captured(LogLevel::TRACE);
    // The router's panics say where and never what; this test's own failure must say what.
    if let Err(failure) = std::panic::catch_unwind(|| search_everything(&logs)) {
        drop(std::panic::take_hook());
        let text = failure.downcast_ref::<String>().map_or("", String::as_str);
        panic!("{text}");
    }
}

fn search_everything(logs: &Captured) {
    let panicking = uuid::Uuid::new_v4().to_string();
    let router = Router::start(&panicking);
    let mut said = Said::default();
    post_events(&router, &panicking, &mut said);
    post_elsewhere(&router, &mut said);
    write_avro(&router);
    router.settle();
    answer_tasks(&router, &mut said);
    router.settle();
    read_as_others(&router, &mut said);
    let metrics = router.get("/metrics", None).text;
    let feedback = router.get("/v1/partners/leighton-hospital/feedback?limit=500", Some("leighton-hospital"));
    assert_what_was_tried(&router, &metrics, &said);

    let secrets = secrets(&router);
    // A sender's own reference, and the address sealed for it, come back to the sender and go nowhere else.
    let mut feedback = feedback.json();
    for one in feedback["feedback"].as_array_mut().unwrap() {
        one.as_object_mut().unwrap().retain(|name, _| name != "partner_reference" && name != "reply_to");
    }
    said.add("feedback", feedback.to_string());
    said.add("metrics", metrics);
    said.add("logs", logs.text());
    assert!(logs.text().contains("\"message\":\"panic\""), "the injected panic is in the log");
    for (place, text) in said.all() {
        for (what, secret) in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} shows {what}:\n{}", around(text, secret));
        }
    }
    for id in router.posted_ids() {
        assert!(!logs.text().contains(&id), "the log names an event");
    }
    router.stop();
}

fn around(text: &str, secret: &str) -> String {
    let start = text.find(secret).unwrap_or(0).saturating_sub(200);
    text.chars().skip(start).take(500).collect()
}

/// What must not be said, by what it is.
fn secrets(router: &Router) -> BTreeMap<String, String> {
    let keys = Keys::from_secret(router.config.keys.subject.bytes());
    let mut secrets: BTreeMap<String, String> = [
        ("a marker", MARKER.to_owned()),
        ("an NHS number", NHS_NUMBER.to_owned()),
        ("a UPN", UPN.to_owned()),
        ("a date of birth", BIRTH.to_owned()),
        ("a subject key", keys.subject_key(IdentifierKind::NhsNumber, NHS_NUMBER).to_hex()),
        ("the subjects' secret", hex::encode(router.config.keys.subject.bytes())),
        ("the sealing secret", hex::encode(router.config.keys.sealing.bytes())),
    ]
    .map(|(what, secret)| (what.to_owned(), secret))
    .into();
    for entry in router.config.tokens.entries() {
        secrets.insert(format!("the token {}", entry.name), router.token(&entry.name));
        secrets.insert(format!("the hash of the token {}", entry.name), hex::encode(entry.sha256));
    }
    secrets
}

/// Every kind, good and in every bad form, alone and in batches.
fn post_events(router: &Router, panicking: &str, said: &mut Said) {
    let mut all = Vec::new();
    for (kind, sample) in marked_samples() {
        let sender = sender(&kind);
        let good = router.post("/v1/events", sender, STRUCTURED, sample.to_string());
        assert_eq!(good.status, 202, "{kind}: {}", good.text);
        said.add(&kind, good.text);
        for bad in bad_forms(&sample) {
            let refused = router.post("/v1/events", sender, STRUCTURED, bad.clone());
            assert!((400..500).contains(&refused.status), "{kind}: {} {bad}", refused.status);
            said.add(&kind, refused.text);
            all.extend(serde_json::from_str::<Value>(&bad));
        }
        all.push(sample);
    }
    for batch in all.chunks(50) {
        said.add("batch", router.post("/v1/events", "leighton-hospital", BATCH, json!(batch).to_string()).text);
    }
    let (_, mut sample) = marked_samples().remove(0);
    sample["id"] = json!(panicking);
    sample["data"]["child"]["local_id"] = json!(format!("{MARKER} panic"));
    let accepted = router.post("/v1/events", "leighton-hospital", STRUCTURED, sample.to_string());
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let long = json!({ "narrative": MARKER.repeat(200_000) }).to_string();
    said.add("too large", router.post("/v1/events", "leighton-hospital", STRUCTURED, long).text);
}

/// Other routes, tokens, queries, headers and methods.
fn post_elsewhere(router: &Router, said: &mut Said) {
    let event = marked_samples().remove(0).1.to_string();
    let wrong = format!("Bearer {MARKER}");
    let wrong_token = [("authorization", wrong.as_str()), ("content-type", STRUCTURED)];
    said.add("wrong token", router.post_with("/v1/events", &wrong_token, event.clone()).text);
    let operator = format!("Bearer {}", router.token("operator"));
    let hospital = format!("Bearer {}", router.token("leighton-hospital"));
    for path in ["/v1/events", "/v1/outcomes", "/v1/import", "/v1/elsewhere", "/metrics"] {
        for (token, content_type) in [(&operator, STRUCTURED), (&hospital, MARKER), (&hospital, BATCH)] {
            let headers = [("authorization", token.as_str()), ("content-type", content_type)];
            said.add(path, router.post_with(path, &headers, event.clone()).text);
        }
    }
    let imported = json!([serde_json::from_str::<Value>(&event).unwrap(), { "id": MARKER }]).to_string();
    said.add("import", router.post("/v1/import", "operator", BATCH, imported).text);
    let binary = [
        ("authorization", hospital.as_str()),
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", MARKER),
        ("ce-source", MARKER),
        ("ce-type", MARKER),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    said.add("binary", router.post_with("/v1/events", &binary, event).text);
    for path in [
        format!("/v1/agencies/{MARKER}/tasks"),
        format!("/v1/agencies/camhs/tasks?after={MARKER}"),
        format!("/v1/agencies/camhs/tasks?{MARKER}=1"),
        format!("/v1/agencies/camhs/tasks?wait={MARKER}"),
        format!("/v1/partners/{MARKER}/feedback"),
        format!("/v1/quarantine/{MARKER}"),
        format!("/{MARKER}"),
    ] {
        for token in ["inbox-camhs", "operator", "leighton-hospital"] {
            said.add("path", router.get(&path, Some(token)).text);
        }
    }
}

/// What a partner may write to its topic by itself: broken Avro, and another's event.
fn write_avro(router: &Router) {
    let json = marked_samples().remove(0).1;
    let mut event: ReferralEvent = pathway_router::engine::cloud_event::read(&json).unwrap().event;
    let good = codec::encode(&event).unwrap();
    let half = good[..good.len() / 2].to_vec();
    let trailing = [good.as_slice(), MARKER.as_bytes()].concat();
    let mut unknown_schema = good.clone();
    unknown_schema[4] ^= 0xFF;
    event.source.partner = MARKER.to_owned();
    let wrong_source = codec::encode(&event).unwrap();
    event.source.partner = "leighton-hospital".to_owned();
    event.event_id = MARKER.to_owned();
    event.reply_to = Some(MARKER.to_owned());
    let invalid = codec::encode(&event).unwrap();
    for value in [half, trailing, unknown_schema, wrong_source, invalid, MARKER.into(), Vec::new()] {
        router.publish("referrals.leighton-hospital", value);
    }
    router.publish("outcomes.camhs", MARKER.into());
}

/// Answers to real tasks, good and bad.
fn answer_tasks(router: &Router, said: &mut Said) {
    let tasks = router.get("/v1/agencies/camhs/tasks?limit=500", Some("inbox-camhs")).json();
    let tasks = tasks["tasks"].as_array().unwrap().clone();
    assert!(tasks.iter().any(|task| task.to_string().contains(MARKER)), "tasks carry what may be seen");
    let outcome = json!({
        "outcome_id": uuid::Uuid::new_v4(), "reply_to": tasks[0]["reply_to"], "outcome": "challenged",
        "by_name": MARKER, "by_role": MARKER, "at": "2026-04-01T10:00:00Z", "reason": MARKER, "result": MARKER,
    });
    let post = |body: &Value| router.post("/v1/outcomes", "inbox-camhs", "application/json", body.to_string());
    let good = post(&outcome);
    assert_eq!(good.status, 202, "{}", good.text);
    said.add("outcome", good.text);
    for (name, value) in [
        ("reply_to", json!(MARKER)),
        ("outcome", json!(MARKER)),
        ("at", json!(MARKER)),
        ("outcome_id", json!(MARKER)),
        ("reason", Value::Null),
        (&format!("{MARKER} key"), json!(MARKER)),
    ] {
        let mut bad = outcome.clone();
        bad[name] = value;
        let refused = post(&bad);
        assert!((400..500).contains(&refused.status), "{name}: {}", refused.text);
        said.add("outcome", refused.text);
    }
    let stolen = router.post("/v1/outcomes", "inbox-police", "application/json", outcome.to_string());
    assert_eq!(stolen.status, 403, "another agency's task");
    said.add("outcome", stolen.text);
    let stored: Outcome = pathway_router::engine::cloud_event::outcome(&outcome).unwrap();
    router.publish("outcomes.police", codec::encode(&stored).unwrap());
}

/// Refusals to those who may not read, and what a retry says.
fn read_as_others(router: &Router, said: &mut Said) {
    for path in ["/v1/agencies/camhs/tasks", "/v1/quarantine", "/v1/partners/leighton-hospital/feedback"] {
        for token in [None, Some("police"), Some("inbox-school-111111")] {
            said.add(path, router.get(path, token).text);
        }
    }
    said.add("ready", router.get("/readyz", None).text);
    let list = router.get("/v1/quarantine?limit=500", Some("operator")).json();
    for kept in list["quarantine"].as_array().unwrap() {
        let id = kept["quarantine_id"].as_str().unwrap();
        let retried = router.post(&format!("/v1/quarantine/{id}/retry?dry_run=true"), "operator", "text/plain", "");
        said.add("retry", retried.text);
    }
    assert!(list.to_string().contains("time is not usable"), "the faults told are kept: {list}");
    said.add("quarantine", list.to_string());
}

/// The test is not vacuous: every path was taken.
fn assert_what_was_tried(router: &Router, metrics: &str, said: &Said) {
    assert!(said.all().count() > 300);
    for reason in
        ["undecodable", "unknown_schema", "wrong_source", "invalid_field", "too_large", "bad_reply_to", "router_fault"]
    {
        // Each reason is there from the start, at zero.
        let label = format!("reason=\"{reason}\"");
        let kept = sum(metrics, |line| line.starts_with("pathway_quarantined_total{") && line.contains(&label));
        assert!(kept > 0.0, "{reason} was not quarantined:\n{metrics}");
    }
    assert!(metrics.lines().any(|line| line == "pathway_step_faults_total 1"), "{metrics}");
    assert!(total(metrics, "pathway_feedback_total{") > 0.0, "{metrics}");
    for (stage, disposed) in [("intake", "pathway_intake_disposed_total"), ("decide", "pathway_decide_disposed_total")]
    {
        let read = total(metrics, &format!("pathway_batch_records_sum{{stage=\"{stage}\"}}"));
        assert!(read > 300.0, "{stage} read {read}");
        assert_eq!(read, total(metrics, disposed), "{stage}: consumed is the sum of what became of it:\n{metrics}");
    }
    let kept = router.reader().read("quarantine", 0, 0, 10_000).unwrap();
    let marked = kept.iter().filter(|record| {
        let value = record.value.as_deref().unwrap_or_default();
        value.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
    });
    assert!(marked.count() > 100, "quarantine keeps the bytes as they came");
}

/// The sum of a metric over its labels.
fn total(metrics: &str, name: &str) -> f64 {
    sum(metrics, |line| line.starts_with(name))
}

fn sum(metrics: &str, is_meant: impl Fn(&str) -> bool) -> f64 {
    let lines = metrics.lines().filter(|line| is_meant(line));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
