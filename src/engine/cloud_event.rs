//! CloudEvents 1.0: the JSON form of a referral event, structured or binary, and the JSON of an outcome.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::model::detail::KINDS;
use super::model::event::ReferralEvent;
use super::model::outcome::Outcome;
use super::model::scalar::Timestamp;
use super::schema::inspect;
use super::schema::names::{ATTRIBUTES, nearest};
use super::schema::path::Path;
use super::schema::read::{self, is_uuid, unknown_members};
use super::schema::shape::{Field, Record, Shape};
use super::schema::{Fault, JsonError, SchemaName, checked, from_json_checked, to_json, unless_faulty};

mod misplaced;

use misplaced::{attributes_in_data, misplaced};

/// Fields of a referral event that travel as attributes of the CloudEvent.
const FROM_ATTRIBUTES: &[(&str, &str)] = &[("event_id", "id"), ("source", "source")];

/// A referral event as it came, and what came beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct CloudEvent {
    /// `source.partner` and `source.unit` as claimed (`unit` empty if none was), `source.agency` none.
    pub event: ReferralEvent,
    /// The extension `receivedtime`: for offline commands only; refuse it from anyone else.
    pub receivedtime: Option<Timestamp>,
    pub traceparent: Option<String>,
    /// `data.occurred_at` was left out: the attribute `time` says when it happened.
    pub is_dated_by_time: bool,
}

impl CloudEvent {
    /// The paths of these faults of the event, as its sender knows them.
    pub fn as_sent(&self, faults: Vec<Fault>) -> Vec<Fault> {
        as_sent(faults, self.is_dated_by_time)
    }
}

/// The paths of these faults of an event, as the sender of a CloudEvent knows them. `is_dated_by_time`: as `CloudEvent` has it.
pub fn as_sent(faults: Vec<Fault>, is_dated_by_time: bool) -> Vec<Fault> {
    let mut faults = under_data(faults);
    for fault in faults.iter_mut().filter(|fault| is_dated_by_time && fault.path == "data.occurred_at") {
        "time".clone_into(&mut fault.path);
    }
    faults
}

/// Reads structured mode: one JSON object of attributes with `data`.
///
/// # Errors
/// Everything that is wrong at once, by path (`data.child.nhs_number`).
pub fn read(json: &Value) -> Result<CloudEvent, Vec<Fault>> {
    unless_faulty(read_partly(json))
}

/// As `read`, with what could be read beside faults: stand-ins where they are. For what else is wrong to be found in the same go; it is
/// never handed on.
pub fn read_partly(json: &Value) -> (Option<CloudEvent>, Vec<Fault>) {
    let Value::Object(attributes) = json else {
        return (None, vec![Fault::new("", "must be a JSON object: a CloudEvent in structured mode")]);
    };
    let schema = match SchemaName::ReferralEvent.published() {
        Ok(schema) => schema,
        Err(error) => return (None, vec![Fault::new("", error.to_string())]),
    };
    let mut faults = Vec::new();
    let misplaced = misplaced(attributes, schema.root());
    let told: BTreeSet<&str> = misplaced.iter().map(|(name, _)| *name).collect();
    let is_told = |name: &str, value: &Value| is_extension(name, value) || told.contains(name);
    unknown_members(attributes, (ATTRIBUTES, &is_told), &Path::root(), &mut faults);
    faults.extend(misplaced.into_iter().map(|(_, fault)| fault));
    check_constants(attributes, &mut faults);
    let mut raw = Map::new();
    raw.insert("event_id".to_owned(), id(attributes, &mut faults));
    raw.insert("source".to_owned(), source(attributes, &mut faults));
    let time = instant(attributes, "time", &mut faults);
    let receivedtime = instant(attributes, "receivedtime", &mut faults);
    let kind = kind(attributes, &mut faults);
    let data = attributes.get("data").and_then(Value::as_object);
    let is_dated_by_time = data.is_none_or(|data| data.get("occurred_at").is_none_or(Value::is_null));
    if let Some(data) = data {
        if is_dated_by_time && attributes.get("time").is_none_or(Value::is_null) {
            faults.push(unusable(attributes, "time", &read::expected(&Shape::Timestamp)));
        }
        read_data(schema.root(), data, kind, time, &mut raw, &mut faults);
    } else {
        faults.push(unusable(attributes, "data", "give an object"));
        // Nothing is said of what stands in for all of it.
        read_data(schema.root(), &Map::new(), kind, time, &mut raw, &mut Vec::new());
    }
    let shape = Shape::Record(schema.root().clone());
    let check = |event: &ReferralEvent| {
        let mut found = as_sent(inspect::event(event, None).faults, is_dated_by_time);
        found.retain(|fault| data.is_some() || !fault.path.starts_with("data."));
        found
    };
    let (event, faults) = checked(&shape, Value::Object(raw), faults, check);
    let traceparent = attributes.get("traceparent").and_then(Value::as_str).map(str::to_owned);
    (event.map(|event| CloudEvent { event, receivedtime, traceparent, is_dated_by_time }), faults)
}

/// Attributes that brokers and libraries add, by CloudEvents' own rule: a name of small letters and digits, a value that is no
/// object or list. They are ignored.
fn is_extension(name: &str, value: &Value) -> bool {
    let has_form = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    has_form && !ATTRIBUTES.contains(&name) && !matches!(value, Value::Object(_) | Value::Array(_))
}

/// Reads binary mode: attributes by name without their `ce-` or `ce_`, and the data.
///
/// # Errors
/// As `read`.
pub fn read_parts(attributes: &BTreeMap<String, String>, data: &Value) -> Result<CloudEvent, Vec<Fault>> {
    unless_faulty(read_parts_partly(attributes, data))
}

/// As `read_partly`, of binary mode.
pub fn read_parts_partly(attributes: &BTreeMap<String, String>, data: &Value) -> (Option<CloudEvent>, Vec<Fault>) {
    let mut whole: Map<String, Value> =
        attributes.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    whole.insert("data".to_owned(), data.clone());
    read_partly(&Value::Object(whole))
}

/// Writes an event in structured mode, without what is none, empty or default.
pub fn write(event: &ReferralEvent) -> Result<Value, JsonError> {
    let mismatch = || JsonError::Mismatch(SchemaName::ReferralEvent.file_stem());
    let Value::Object(mut data) = to_json(event)? else { return Err(mismatch()) };
    for (field, _) in FROM_ATTRIBUTES {
        data.shift_remove(*field);
    }
    let detail = data.shift_remove("detail").ok_or_else(mismatch)?;
    let Value::Object(detail) = detail else { return Err(mismatch()) };
    let (kind, detail) = detail.into_iter().next().ok_or_else(mismatch)?;
    let time = data.get("occurred_at").cloned().ok_or_else(mismatch)?;
    data.insert("detail".to_owned(), detail);
    let source = if event.source.unit.is_empty() {
        event.source.partner.clone()
    } else {
        format!("{}/{}", event.source.partner, event.source.unit)
    };
    Ok(json!({
        "specversion": "1.0",
        "id": event.event_id,
        "source": source,
        "type": kind,
        "time": time,
        "datacontenttype": "application/json",
        "data": said(Value::Object(data)),
    }))
}

/// Reads an outcome: one JSON object with the fields of `schemas/outcome.avsc`.
///
/// # Errors
/// Everything that is wrong at once.
pub fn outcome(json: &Value) -> Result<Outcome, Vec<Fault>> {
    unless_faulty(outcome_partly(json))
}

/// As `outcome`, with what could be read beside faults: as `read_partly` has it.
pub fn outcome_partly(json: &Value) -> (Option<Outcome>, Vec<Fault>) {
    from_json_checked(json, |outcome| inspect::outcome(outcome, None).faults)
}

/// Paths as the sender of a CloudEvent knows them: under `data`, or the attribute.
fn under_data(faults: Vec<Fault>) -> Vec<Fault> {
    let named = |fault: Fault| {
        let field = fault.path.split('.').next().unwrap_or_default();
        let path = match FROM_ATTRIBUTES.iter().find(|(carried, _)| *carried == field) {
            Some((_, attribute)) => (*attribute).to_owned(),
            None if field.is_empty() => String::new(),
            None => format!("data.{}", fault.path),
        };
        Fault::new(path, fault.problem)
    };
    faults.into_iter().map(named).collect()
}

fn check_constants(attributes: &Map<String, Value>, faults: &mut Vec<Fault>) {
    if attributes.get("specversion").and_then(Value::as_str) != Some("1.0") {
        faults.push(unusable(attributes, "specversion", "give \"1.0\""));
    }
    let content = attributes.get("datacontenttype").filter(|value| !value.is_null());
    let media_type = content.map(|value| value.as_str().unwrap_or_default().split(';').next().unwrap_or_default());
    if media_type.is_some_and(|media_type| media_type.trim() != "application/json") {
        faults.push(Fault::new("datacontenttype", "must be application/json, or left out"));
    }
    for name in ["traceparent", "tracestate", "dataschema", "subject"] {
        let sent = attributes.get(name).filter(|value| !value.is_null());
        if sent.is_some_and(|value| !value.is_string()) {
            faults.push(Fault::new(name, "is not usable: give text, or leave it out"));
        }
    }
}

/// That an attribute is missing, or that it will not do.
fn unusable(attributes: &Map<String, Value>, name: &str, expected: &str) -> Fault {
    let is_missing = attributes.get(name).is_none_or(Value::is_null);
    Fault::new(name, format!("{}: {expected}", if is_missing { "is required" } else { "is not usable" }))
}

fn id(attributes: &Map<String, Value>, faults: &mut Vec<Fault>) -> Value {
    match attributes.get("id") {
        Some(Value::String(id)) if is_uuid(id) => Value::String(id.to_ascii_lowercase()),
        Some(_) | None => {
            let fault = match attributes.get("id").filter(|id| !id.is_null()) {
                Some(id) => Fault::new("id", read::why_not(&Shape::Uuid, id)),
                None => unusable(attributes, "id", &read::expected(&Shape::Uuid)),
            };
            faults.push(fault);
            read::stand_in(&Shape::Uuid)
        }
    }
}

fn source(attributes: &Map<String, Value>, faults: &mut Vec<Fault>) -> Value {
    let (partner, unit) = match attributes.get("source") {
        Some(Value::String(source)) => match source.split_once('/') {
            Some((partner, unit)) => (partner, unit),
            None => (source.as_str(), ""),
        },
        Some(_) | None => ("", ""),
    };
    if partner.is_empty() || unit.contains('/') {
        faults.push(unusable(attributes, "source", "give your partner name, or partner/unit"));
    }
    json!({ "partner": partner, "agency": null, "unit": unit })
}

fn instant(attributes: &Map<String, Value>, name: &str, faults: &mut Vec<Fault>) -> Option<Timestamp> {
    let sent = attributes.get(name).filter(|value| !value.is_null())?;
    let instant = sent.as_str().and_then(read::time);
    if instant.is_none() {
        faults.push(Fault::new(name, read::why_not(&Shape::Timestamp, sent)));
    }
    instant
}

/// Of one that is misspelt the kind that is meant: what is said of its detail is judged by that.
fn kind(attributes: &Map<String, Value>, faults: &mut Vec<Fault>) -> Option<&'static str> {
    let sent = attributes.get("type").and_then(Value::as_str).unwrap_or_default();
    let full_name_of = |sent: &str| KINDS.iter().find(|(kind, _)| *kind == sent).map(|(_, full_name)| *full_name);
    full_name_of(sent).or_else(|| {
        let kinds: Vec<&'static str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let near = nearest(sent, &kinds);
        let problem = match near {
            Some(near) => format!("is not a known event kind: did you mean {near}?"),
            None => format!("must be an event kind: give one of {}", kinds.join(", ")),
        };
        faults.push(Fault::new("type", problem));
        near.and_then(full_name_of)
    })
}

fn read_data(
    shape: &Record,
    data: &Map<String, Value>,
    kind: Option<&str>,
    time: Option<Timestamp>,
    raw: &mut Map<String, Value>,
    faults: &mut Vec<Fault>,
) {
    let root = Path::root();
    let path = root.field("data");
    let carried: Vec<&Field> =
        shape.fields.iter().filter(|field| FROM_ATTRIBUTES.iter().all(|(carried, _)| *carried != field.name)).collect();
    for field in &carried {
        let is_sent = data.get(&field.name).is_some_and(|value| !value.is_null());
        let value = match (field.name.as_str(), time, kind) {
            ("occurred_at", Some(time), _) if !is_sent => json!(time.0),
            // Its fault is that of `time`.
            ("occurred_at", None, _) if !is_sent => json!(0),
            ("detail", _, Some(full_name)) => detail(field, data, full_name, &path, faults),
            ("detail", _, None) => read::stand_in(&field.shape),
            (_, _, _) => read::member(field, data, &path, faults),
        };
        raw.insert(field.name.clone(), value);
    }
    let known: Vec<&str> = carried.iter().map(|field| field.name.as_str()).collect();
    for (field, attribute) in FROM_ATTRIBUTES {
        if data.contains_key(*field) {
            faults.push(Fault::new(
                format!("data.{field}"),
                format!("does not belong here: give the attribute {attribute}"),
            ));
        }
    }
    faults.extend(attributes_in_data(data, &known));
    let is_attribute =
        |name: &str, _: &Value| ATTRIBUTES.contains(&name) || FROM_ATTRIBUTES.iter().any(|(field, _)| *field == name);
    unknown_members(data, (&known, &is_attribute), &path, faults);
}

fn detail(
    field: &Field,
    data: &Map<String, Value>,
    full_name: &str,
    path: &Path<'_>,
    faults: &mut Vec<Fault>,
) -> Value {
    let Some(branch) = field.shape.branch(full_name) else { return Value::Null };
    let nothing = json!({});
    let sent = data.get("detail").filter(|value| !value.is_null()).unwrap_or(&nothing);
    let mut tagged = Map::new();
    tagged.insert(full_name.to_owned(), read::read(&branch, sent, &path.field("detail"), faults));
    Value::Object(tagged)
}

/// Without members that are null or empty lists or sets, and without flags left at false where that is their default.
fn said(json: Value) -> Value {
    match json {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, value)| {
                    let is_default_flag =
                        matches!(name.as_str(), "date_only" | "backfill") && value == &Value::Bool(false);
                    let is_empty_list = value.as_array().is_some_and(Vec::is_empty);
                    !(value.is_null() || is_empty_list || is_default_flag)
                })
                .map(|(name, value)| (name, said(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(said).collect()),
        leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => leaf,
    }
}
