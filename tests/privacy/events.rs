//! A made-up event of every kind, with a marker wherever a person could be named, and many ways to get one wrong.

use serde_json::{Value, json};

/// In every name, narrative, address and reference.
pub const MARKER: &str = "Zqxmarker";
/// Verified, so that it makes the subject.
pub const NHS_NUMBER: &str = "9990000085";
pub const UPN: &str = "H895000000001";
pub const BIRTH: &str = "2011-07-19";

/// Fields that are free text: everything else is a code, a time or an address within the router.
const FREE_TEXT: &[&str] = &[
    "name",
    "role",
    "call_back",
    "given_names",
    "family_name",
    "local_id",
    "lines",
    "postcode",
    "narrative",
    "said",
    "person",
    "reason",
    "safe_contact",
    "not_told_because",
    "partner_reference",
    "police_reference",
    "first_language",
    "disability_or_send",
    "ethnicity",
    "relationship",
    "absent_because",
    "episode_ref",
    "place",
    "place_ref",
    "person_ref",
    "group_ref",
    "last_school",
    "employer",
    "suspect_role",
    "decided_by",
    "decided_by_role",
    "lesson",
    "finding",
    "review",
    "audit",
    "allocated_worker",
    "placing_authority",
];

/// Whose token sends it: some kinds are for social care alone.
pub fn sender(kind: &str) -> &'static str {
    if ["decision.recorded", "status.changed"].contains(&kind) { "council" } else { "leighton-hospital" }
}

/// Kind and event, for every sample.
pub fn marked_samples() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/events");
    let mut samples: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let mut event: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let kind = event["type"].as_str().unwrap().to_owned();
            event["id"] = json!(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, kind.as_bytes()));
            event["source"] = json!(sender(&kind));
            let data = event["data"].as_object_mut().unwrap();
            data.remove("reply_to");
            data["detail"].as_object_mut().unwrap().remove("other_reply_to");
            data.insert("do_not_inform".to_owned(), json!([]));
            mark(&mut event["data"]);
            event["data"]["child"]["nhs_number"] = json!(NHS_NUMBER);
            event["data"]["child"]["upn"] = json!(UPN);
            // Who is not born yet has none.
            if kind != "unborn.concern" {
                event["data"]["child"]["date_of_birth"] = json!(BIRTH);
            }
            (kind, event)
        })
        .collect();
    // Self-harm first: it is what makes tasks for camhs.
    samples.sort_by_key(|(kind, _)| (kind != "self_harm.reported", kind.clone()));
    samples
}

fn mark(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    // Some kinds have a code of the same name: one word, where people write several.
                    Value::String(text) if name == "reason" && !text.contains(' ') => {}
                    Value::String(text) if FREE_TEXT.contains(&name.as_str()) => *text = format!("{MARKER} {name}"),
                    other => mark(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The event with one thing wrong, in each of many ways; the last is no JSON at all.
pub fn bad_forms(good: &Value) -> Vec<String> {
    let changed = |pointer: &str, name: &str, value: Value| {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
        bad.to_string()
    };
    let text = json!(format!("{MARKER} value"));
    let key = format!("{MARKER} key");
    let mut bad = vec![
        changed("", "id", text.clone()),
        changed("", "source", text.clone()),
        changed("", "type", text.clone()),
        changed("", "time", text.clone()),
        changed("", "specversion", text.clone()),
        changed("", "receivedtime", json!("2026-04-01T10:00:00Z")),
        changed("", "time", json!("2190-01-01T00:00:00Z")),
        changed("", &key, text.clone()),
        changed("/data", &key, text.clone()),
        changed("/data", "child", text.clone()),
        changed("/data", "carers", json!({ key.clone(): text.clone() })),
        changed("/data", "narrative", json!({ key: text.clone() })),
        changed("/data", "narrative", json!(MARKER.repeat(10_000))),
        changed("/data", "immediate_danger", text.clone()),
        changed("/data", "detail", text.clone()),
        changed("/data/child", "sex", text.clone()),
        changed("/data/child", "date_of_birth", text.clone()),
        changed("/data/practitioner", "role", json!([text])),
    ];
    let whole = good.to_string();
    bad.push(whole.chars().take(whole.chars().count() - 20).collect());
    bad
}
