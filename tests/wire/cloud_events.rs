//! Events and outcomes as JSON and back, and what is said of a faulty one.

use std::collections::BTreeMap;

use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::schema::Fault;
use pathway_router::engine::{cloud_event, codec};
use serde_json::{Value, json};

use crate::samples;

#[test]
fn every_kind_comes_back_from_json_and_avro_as_it_was() {
    for kind in samples::kinds() {
        let json = samples::event_json(kind);
        let event = samples::event(kind);
        assert_eq!(event.detail.kind(), kind);
        let bytes = codec::encode(&event).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let decoded = codec::decode(&bytes).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(event, decoded, "{kind}");
        let written = cloud_event::write(&decoded).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(cloud_event::read(&written).map(|read| read.event), Ok(event), "{kind}");
        for (name, value) in json["data"]["detail"].as_object().expect("an object") {
            assert_eq!(&written["data"]["detail"][name], value, "{kind}: {name}");
        }
        for (name, value) in json["data"]["child"].as_object().expect("an object") {
            assert_eq!(&written["data"]["child"][name], value, "{kind}: {name}");
        }
    }
}

#[test]
fn binary_mode_reads_the_same_event() {
    let json = samples::event_json("missing.started");
    let attributes: BTreeMap<String, String> = ["specversion", "id", "source", "type", "time"]
        .into_iter()
        .map(|name| (name.to_owned(), json[name].as_str().expect("text").to_owned()))
        .collect();
    let read = cloud_event::read_parts(&attributes, &json["data"]).expect("a sample");
    assert_eq!(read.event, samples::event("missing.started"));
    let mut lacking = attributes;
    lacking.remove("id");
    let faults = cloud_event::read_parts(&lacking, &json["data"]).expect_err("no id");
    assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), ["id"]);
}

/// The smallest event there is.
fn small() -> Value {
    json!({
        "specversion": "1.0",
        "id": "00000000-0000-4000-8000-000000000001",
        "source": "schools",
        "type": "concern.reported",
        "time": "2026-10-09T22:30:00+01:00",
        "data": { "practitioner": { "role": "Test role", "call_back": "01632 960001" }, "child": {} }
    })
}

#[test]
fn what_is_optional_may_be_left_out_or_null() {
    let mut json = small();
    let read = cloud_event::read(&json).expect("a small event");
    assert_eq!((read.event.source.partner.as_str(), read.event.source.unit.as_str()), ("schools", ""));
    assert_eq!(read.event.occurred_at.0, 1_791_581_400_000);
    assert_eq!((read.receivedtime, read.traceparent), (None, None));
    for field in ["narrative", "carers", "siblings", "factors", "agreement", "immediate_danger", "reply_to", "detail"] {
        json["data"][field] = Value::Null;
    }
    json["receivedtime"] = json!("2026-10-09T21:45:00Z");
    json["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let again = cloud_event::read(&json).expect("a small event");
    assert_eq!(again.event, read.event);
    assert_eq!(again.receivedtime.map(|time| time.0), Some(1_791_582_300_000));
    assert!(again.traceparent.is_some());
}

#[test]
fn an_address_is_confidential_unless_its_sender_says_otherwise() {
    let mut json = small();
    json["data"]["child"]["addresses"] = json!([{ "lines": "1 Test Street" }, { "lines": "2", "confidential": false }]);
    let event = cloud_event::read(&json).expect("a small event").event;
    let flags: Vec<bool> = event.child.addresses.iter().map(|address| address.confidential).collect();
    assert_eq!(flags, [true, false]);
}

#[test]
fn what_happened_earlier_than_its_report_says_so_itself() {
    let mut json = small();
    json["data"]["occurred_at"] = json!("2026-10-08T12:00:00Z");
    json.as_object_mut().expect("an object").remove("time");
    assert_eq!(cloud_event::read(&json).expect("a small event").event.occurred_at.0, 1_791_460_800_000);
}

/// Changes the small event and expects exactly these faults, in this order.
fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut json = small();
    change(&mut json);
    let faults = cloud_event::read(&json).map(|_| ()).expect_err("a fault");
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(faults, expected);
}

#[test]
fn faults_say_what_to_send_instead() {
    let time = "give a time with its offset, such as 2026-10-09T22:30:00+01:00";
    check(|json| json["data"]["child"]["nhs_number"] = json!(7), &["data.child.nhs_number is not usable: give text"]);
    check(
        |json| json["data"]["practitioner"] = json!({ "role": " " }),
        &["data.practitioner.call_back is required: give text", "data.practitioner.role is required: give text"],
    );
    check(|json| json["data"]["practitioner"] = Value::Null, &["data.practitioner is required: give an object"]);
    check(
        |json| json["data"]["child"]["sex"] = json!("F"),
        &["data.child.sex is not usable: give one of female, male, indeterminate, not_known"],
    );
    check(
        |json| json["data"]["child"]["date_of_birth"] = json!("03/02/2011"),
        &["data.child.date_of_birth is not usable: give a date as YYYY-MM-DD, or leave it out"],
    );
    check(
        |json| json["data"]["child"]["date_of_birth"] = json!("1011-02-03"),
        &["data.child.date_of_birth lies outside the years 1900 to 2199: give a date as YYYY-MM-DD, or leave it out"],
    );
    check(|json| json["time"] = json!("2026-10-09T22:30:00"), &[&format!("time is not usable: {time}")]);
    check(
        |json| json["time"] = json!("1850-01-01T00:00:00Z"),
        &[&format!("time lies outside the years 1900 to 2199: {time}")],
    );
    check(|json| json["data"]["nhsNumber"] = json!("x"), &["data.nhsNumber is not a known field: leave it out"]);
    check(
        |json| json["data"]["child"]["nhsNumber"] = json!("x"),
        &["data.child.nhsNumber is not a known field: did you mean nhs_number?"],
    );
    check(|json| json["data"]["event_id"] = json!("x"), &["data.event_id does not belong here: give the attribute id"]);
    // The router's own, wherever it stands.
    check(|json| json["backfill"] = json!(true), &["backfill is for the operator's import alone: leave it out"]);
    check(|json| json["data"]["carers"] = json!({}), &["data.carers is not usable: give a list"]);
    check(
        |json| json["data"]["carers"] = json!([{ "relationship": "mother" }, { "told": 1, "relationship": "father" }]),
        &["data.carers[1].told is not usable: give true or false"],
    );
    check(
        |json| json["data"]["siblings"] = json!([{ "child": { "upn": [] } }]),
        &["data.siblings[0].child.upn is not usable: give text"],
    );
}

#[test]
fn what_cannot_be_seen_is_taken_out_of_the_text() {
    let mut json = small();
    json["data"]["child"]["given_names"] = json!("Ada\u{7}\nExample\u{202e}");
    json["data"]["practitioner"]["call_back"] = json!("01632 960001\r\nor ask");
    json["data"]["narrative"] = json!("One line.\n\tAnother\u{b}line, na\u{ef}ve.\u{2066}");
    let event = cloud_event::read(&json).expect("a small event").event;
    assert_eq!(event.child.given_names.as_deref(), Some("Ada  Example"));
    assert_eq!(event.practitioner.call_back, "01632 960001  or ask");
    assert_eq!(event.narrative.as_deref(), Some("One line.\n\tAnother line, na\u{ef}ve."));
}

/// A program that uses names as keys would put a child's into answers, feedback and the quarantine's list.
#[test]
fn a_name_that_is_not_made_of_our_words_is_told_by_its_place() {
    check(
        |json| json["data"]["child"]["ZebedeeQuillfeather"] = json!({}),
        &["data.child.(unnamed) is not a known field (number 1 of its object): leave it out"],
    );
    check(
        |json| json["data"]["child"]["nhs_numbr"] = json!("x"),
        &["data.child.nhs_numbr is not a known field: did you mean nhs_number?"],
    );
}

/// Each name costs a comparison with every name of ours: of many that are not known a hundred are told, and how many more there are.
#[test]
fn of_many_unknown_names_a_hundred_are_told() {
    let mut json = small();
    for number in 0..5_000 {
        json["data"]["child"][format!("Zeb{number}")] = json!(1);
    }
    let faults = cloud_event::read(&json).expect_err("unknown fields");
    assert_eq!(faults.len(), 101);
    let more = "data.child.(unnamed) stands for 4900 other fields that are not known: leave them out";
    assert!(faults.iter().any(|fault| fault.to_string() == more));
    let changes: serde_json::Map<String, Value> = (0..150).map(|number| (format!("Zeb{number}"), json!(1))).collect();
    let mut json = small();
    json["type"] = json!("event.corrected");
    json["data"]["detail"] = json!({ "original_event_id": "00000000-0000-4000-8000-000000000002", "changes": changes });
    let faults = cloud_event::read(&json).expect_err("changes of no field");
    assert_eq!(faults.len(), 101);
    let more = "data.detail.changes.(unnamed) stands for 50 more that cannot be corrected so: leave them out";
    assert!(faults.iter().any(|fault| fault.to_string() == more));
}

#[test]
fn a_field_called_by_its_initials_is_named() {
    check(
        |json| json["data"]["child"]["dob"] = json!("2011-05-20"),
        &["data.child.(unnamed) is not a known field (number 1 of its object): did you mean date_of_birth?"],
    );
}

#[test]
fn faults_of_the_attributes_are_found() {
    let uuid = "give a UUID, such as 3f2c8a54-7d0e-4f7c-9a51-0c1d2e3f4a5b";
    check(|json| json["id"] = json!("17"), &[&format!("id is not usable: {uuid}")]);
    check(|json| json["specversion"] = json!("0.3"), &["specversion is not usable: give \"1.0\""]);
    check(|json| json["source"] = json!(""), &["source is not usable: give your partner name, or partner/unit"]);
    check(|json| json["source"] = json!("a/b/c"), &["source is not usable: give your partner name, or partner/unit"]);
    check(
        |json| json["type"] = json!("missing.start"),
        &["type is not a known event kind: did you mean missing.started?"],
    );
    check(
        |json| json["datacontenttype"] = json!("text/xml"),
        &["datacontenttype must be application/json, or left out"],
    );
    check(|json| json["data"] = Value::Null, &["data is required: give an object"]);
    check(|json| json["tracestate"] = json!(1), &["tracestate is not usable: give text, or leave it out"]);
    check(
        |json| json["datta"] = json!({}),
        &["(unnamed) is not a known field (number 7 of its object): did you mean data?"],
    );
    let whole = cloud_event::read(&json!([])).expect_err("not an object");
    assert_eq!(whole.first().map(|fault| fault.path.as_str()), Some(""));
}

#[test]
fn faults_of_a_kind_are_found() {
    let of = |kind: &str, detail: Value| {
        let kind = kind.to_owned();
        move |json: &mut Value| {
            json["type"] = json!(kind);
            json["data"]["detail"] = detail;
        }
    };
    check(
        of("missing.started", json!({ "grade": "severe", "seen": true })),
        &[
            "data.detail.grade is not usable: give one of absent, away, low, medium, high, not_graded",
            "data.detail.(unnamed) is not a known field (number 2 of its object): leave it out",
        ],
    );
    check(
        of("missing.ended", json!({})),
        &["data.detail.ended_at is required: give a time with its offset, such as 2026-10-09T22:30:00+01:00"],
    );
    check(
        of("neglect.assessed", json!({ "gcp2_grade": 6 })),
        &["data.detail.gcp2_grade is not usable: give a whole number from 1 to 5"],
    );
    check(
        of("neglect.assessed", json!({ "gcp2_grade": 4.5 })),
        &["data.detail.gcp2_grade is not usable: give a whole number"],
    );
    let original = "00000000-0000-4000-8000-000000000002";
    let changes = json!({
        "gcp2_grade": 9, "percent_missed": 500, "unauthorised_days": -1, "date_of_birth": "1800-01-01",
        "occurred_at": "1800-01-01T00:00:00Z"
    });
    check(
        of("event.corrected", json!({ "original_event_id": original, "changes": changes })),
        &[
            "data.detail.changes.date_of_birth is not usable: give a date such as 2011-05-20",
            "data.detail.changes.gcp2_grade is not usable: give a whole number from 1 to 5",
            "data.detail.changes.occurred_at is not usable: give a time in RFC 3339, with its offset (-12:00 to +14:00)",
            "data.detail.changes.percent_missed is not usable: give a whole number from 0 to 100",
            "data.detail.changes.unauthorised_days is not usable: give a whole number from 0 to 366",
        ],
    );
    check(
        of(
            "event.corrected",
            json!({
                "original_event_id": original,
                "changes": { "grade": "severe", "grad": "high", "first_known": 1, "narrative": "x", "do_not_inform": true }
            }),
        ),
        &[
            "data.detail.changes.do_not_inform is not usable: give false, to take its wishes back; name in the event's own \
             do_not_inform who must not be told",
            "data.detail.changes.first_known is not usable: give true or false",
            "data.detail.changes.(unnamed) is not a coded field of any event kind (number 3 of the names in order of the alphabet): did you \
             mean grade?",
            "data.detail.changes.grade is not usable: give one of absent, away, low, medium, high, not_graded",
            "data.detail.changes.narrative is not a coded field of any event kind. An account goes into the correction's own \
             narrative; a name, number, school or practice is put right by withdrawing the event and sending it again \
             (docs/http.md)",
        ],
    );
}

#[test]
fn every_fault_is_reported_at_once() {
    check(
        |json| {
            json["id"] = json!(1);
            json["type"] = json!("neglect.assessed");
            json["favouriteColour"] = json!("red");
            json["data"]["child"]["given_names"] = json!({});
            json["data"]["practitioner"]["role"] = json!("");
            json["data"]["factors"] = json!(["15A", 16]);
            json["data"]["detail"] = json!({ "gcp2_grade": 0, "medical_neglect": "yes" });
        },
        &[
            "(unnamed) is not a known field (number 7 of its object): leave it out",
            "id is not usable: give a UUID, such as 3f2c8a54-7d0e-4f7c-9a51-0c1d2e3f4a5b",
            "data.child.given_names is not usable: give text",
            "data.factors[1] is not usable: give text",
            "data.detail.medical_neglect is not usable: give true or false",
            "data.practitioner.role is required: give text",
            "data.detail.gcp2_grade is not usable: give a whole number from 1 to 5",
        ],
    );
}

#[test]
fn what_is_too_long_is_refused() {
    check(
        |json| json["data"]["partner_reference"] = json!("é".repeat(4_001)),
        &["data.partner_reference is too long: give at most 4000 characters"],
    );
    check(
        |json| json["data"]["narrative"] = json!("é".repeat(50_001)),
        &["data.narrative is too long: give at most 50000 characters"],
    );
    check(
        |json| json["data"]["factors"] = json!(vec!["15A"; 201]),
        &["data.factors is too long: give at most 200 items"],
    );
    let mut json = small();
    json["data"]["narrative"] = json!("é".repeat(50_000));
    json["data"]["factors"] = json!(vec!["15A"; 200]);
    assert!(cloud_event::read(&json).is_ok());
}

/// Replaces one value after another by a marker of the wrong type, and looks for the marker in what is said of it.
#[test]
fn no_fault_repeats_a_value() {
    const MARKER: &str = "ZZ-MARKER-9990000123";
    let mut faults_seen = 0;
    for kind in samples::kinds() {
        let sample = samples::event_json(kind);
        for place in places(&sample, "") {
            for wrong in [json!(MARKER), json!([MARKER]), json!({ MARKER: MARKER })] {
                let mut json = sample.clone();
                *json.pointer_mut(&place).expect("a place in the sample") = wrong;
                for fault in cloud_event::read(&json).map(|_| ()).err().unwrap_or_default() {
                    faults_seen += 1;
                    assert!(!fault.to_string().contains("MARKER"), "{kind} {place}: {fault}");
                }
            }
        }
    }
    assert!(faults_seen > 1_000, "{faults_seen}");
}

fn places(json: &Value, here: &str) -> Vec<String> {
    let inner: Vec<String> = match json {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| places(value, &format!("{here}/{name}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| places(item, &format!("{here}/{index}"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    std::iter::once(here.to_owned()).chain(inner).collect()
}

fn outcome_json() -> Value {
    json!({
        "outcome_id": "00000000-0000-4000-8000-0000000000f1",
        "reply_to": "opaque",
        "outcome": "declined",
        "by_name": "Test Worker",
        "by_role": "duty worker",
        "at": "2026-10-10T09:00:00+01:00",
        "reason": "Already open to us."
    })
}

#[test]
fn an_outcome_is_read_and_its_faults_are_found() {
    let outcome = cloud_event::outcome(&outcome_json()).expect("an outcome");
    assert_eq!((outcome.outcome, outcome.at.0), (OutcomeKind::Declined, 1_791_619_200_000));
    let mut json = outcome_json();
    json["reason"] = json!("");
    json["by_name"] = Value::Null;
    json["outcome"] = json!("done");
    json["by"] = json!("x");
    let faults: Vec<String> = cloud_event::outcome(&json).expect_err("faults").iter().map(Fault::to_string).collect();
    assert_eq!(
        faults,
        [
            "outcome is not usable: give one of acknowledged, accepted, declined, completed, challenged",
            "by_name is required: give text",
            "(unnamed) is not a known field (number 8 of its object): leave it out",
        ]
    );
    json = outcome_json();
    json["reason"] = Value::Null;
    let faults: Vec<String> = cloud_event::outcome(&json).expect_err("faults").iter().map(Fault::to_string).collect();
    assert_eq!(faults, ["reason is required: give text"]);
}
