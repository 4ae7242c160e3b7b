//! The published schemas as files: documented, self-contained, alike where they share a type, and compatible with what
//! was last released.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use pathway_router::engine::model::detail::KINDS;
use pathway_router::engine::schema::SchemaName;
use pathway_router::engine::schema::shape::Shape;
use serde_json::{Map, Value, json};

use crate::samples;

fn parse(name: SchemaName) -> Value {
    serde_json::from_str(name.text()).expect("JSON")
}

/// Every object in a schema, outermost first.
fn objects<'a>(json: &'a Value, visit: &mut dyn FnMut(&'a Map<String, Value>)) {
    match json {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| objects(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_named_type(object: &Map<String, Value>) -> bool {
    object.contains_key("fields") || object.contains_key("symbols")
}

fn named_types(json: &Value) -> Vec<&Map<String, Value>> {
    let mut found = Vec::new();
    objects(json, &mut |object| found.extend(Some(object).filter(|object| is_named_type(object))));
    found
}

fn fields(json: &Value) -> Vec<&Value> {
    named_types(json).into_iter().filter_map(|object| object.get("fields")?.as_array()).flatten().collect()
}

#[test]
fn every_type_and_field_is_documented() {
    let mut undocumented = Vec::new();
    for name in SchemaName::ALL {
        let json = parse(name);
        let types = named_types(&json).into_iter().map(|object| Value::Object(object.clone()));
        for item in types.chain(fields(&json).into_iter().cloned()) {
            if item["doc"].as_str().is_none_or(|doc| doc.trim().len() < 3) {
                undocumented.push(format!("{}: {}", name.file_stem(), item["name"]));
            }
        }
    }
    assert_eq!(undocumented, Vec::<String>::new());
}

#[test]
fn defaults_are_as_promised() {
    let mut faults = Vec::new();
    for name in SchemaName::ALL {
        let json = parse(name);
        for object in named_types(&json) {
            let default = object.get("default").unwrap_or(&Value::Null);
            if object.get("symbols").is_some_and(|symbols| !symbols.as_array().is_some_and(|all| all.contains(default)))
            {
                faults.push(format!("{}: enum {} has no default", name.file_stem(), object["name"]));
            }
        }
        for field in fields(&json) {
            let expected = match &field["type"] {
                Value::Array(union) if union.first() == Some(&json!("null")) => Some(json!(null)),
                Value::Object(of) if of["type"] == "array" => Some(json!([])),
                Value::Object(of) if of["type"] == "map" => Some(json!({})),
                _ => continue,
            };
            if field.get("default") != expected.as_ref() {
                faults.push(format!("{}: {} lacks its default", name.file_stem(), field["name"]));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn ids_and_times_carry_their_logical_type() {
    let ids = ["event_id", "outcome_id", "task_id", "decision_id", "feedback_id", "quarantine_id", "original_event_id"];
    for name in SchemaName::ALL {
        for field in fields(&parse(name)) {
            let field_name = field["name"].as_str().expect("a name");
            let expected = match field_name {
                _ if ids.contains(&field_name) => "uuid",
                "date_of_birth" | "due_date" => "date",
                "receipt" | "at" | "since" | "covered_since" | "acknowledge_by" => "timestamp-millis",
                _ if field_name.ends_with("_at") => "timestamp-millis",
                _ => continue,
            };
            let mut logical = None;
            objects(&field["type"], &mut |object| logical = object.get("logicalType").or(logical));
            assert_eq!(logical, Some(&json!(expected)), "{}: {field_name}", name.file_stem());
        }
    }
}

#[test]
fn the_union_of_details_is_the_catalogue_in_its_order() {
    let Some(Shape::Branches(branches)) =
        samples::root(SchemaName::ReferralEvent).field("detail").map(|field| field.shape.clone())
    else {
        panic!("detail is a union of records")
    };
    let listed: Vec<_> =
        branches.iter().map(|branch| (branch.label.as_str(), branch.record.full_name.as_str())).collect();
    assert_eq!(listed, KINDS);
}

#[test]
fn a_type_shared_by_schemas_is_the_same_in_each() {
    let mut seen: BTreeMap<String, (SchemaName, Value)> = BTreeMap::new();
    let mut shared = 0;
    for name in SchemaName::ALL {
        for (type_name, definition) in definitions(&parse(name)) {
            match seen.get(&type_name) {
                Some((first, known)) => {
                    shared += 1;
                    assert_eq!(known, &definition, "{type_name} in {first:?} and {name:?}");
                }
                None => {
                    seen.insert(type_name, (name, definition));
                }
            }
        }
    }
    assert!(shared > 40, "schemas share types: {shared}");
}

/// Every named type of a schema, what it contains by name only.
fn definitions(json: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for object in named_types(json) {
        let mut definition = object.clone();
        definition.remove("namespace");
        let name = full_name(object);
        for value in definition.values_mut() {
            by_name(value);
        }
        assert!(found.insert(name, Value::Object(definition)).is_none(), "defined twice");
    }
    found
}

fn full_name(object: &Map<String, Value>) -> String {
    format!("pathway.{}", object["name"].as_str().expect("a name"))
}

fn by_name(value: &mut Value) {
    match value {
        Value::Object(object) if is_named_type(object) => *value = Value::String(full_name(object)),
        Value::Object(object) => object.values_mut().for_each(by_name),
        Value::Array(items) => items.iter_mut().for_each(by_name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is promised between a schema and its last released copy.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Promise {
    /// The new one reads what the old one wrote.
    Backward,
    /// And the old one reads what the new one writes.
    Full,
}

fn promise(name: SchemaName) -> Promise {
    match name {
        SchemaName::ReferralEvent | SchemaName::Outcome | SchemaName::Inbox | SchemaName::History => Promise::Backward,
        SchemaName::Task | SchemaName::Decision | SchemaName::Feedback | SchemaName::Quarantine => Promise::Full,
    }
}

/// What breaks the promise, if anything does.
fn broken(promise: Promise, released: &Value, current: &Value) -> Result<(), String> {
    can_read(released, current).map_err(|problem| format!("the new cannot read the old: {problem}"))?;
    if promise == Promise::Full {
        can_read(current, released).map_err(|problem| format!("the old cannot read the new: {problem}"))?;
    }
    Ok(())
}

fn can_read(writer: &Value, reader: &Value) -> Result<(), String> {
    let (writer, reader) = (inlined(writer), inlined(reader));
    logical_types_match(&writer, &reader, "")?;
    let parse = |json: &Value| Schema::parse(json).map_err(|error| error.to_string());
    match SchemaCompatibility::can_read(&parse(&writer)?, &parse(&reader)?) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("some of what was written is lost".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The schema with every reference replaced by what it refers to, because the checker compares references by name
/// alone. Each copy gets a namespace of its own: names may occur once, and are compared without namespace.
fn inlined(json: &Value) -> Value {
    let types: BTreeMap<String, Value> =
        named_types(json).into_iter().map(|object| (full_name(object), Value::Object(object.clone()))).collect();
    let mut copies = 0;
    inline(json, &types, &mut copies)
}

fn inline(json: &Value, types: &BTreeMap<String, Value>, copies: &mut usize) -> Value {
    match json {
        Value::String(name) if types.contains_key(name) => inline(&types[name], types, copies),
        Value::Array(items) => items.iter().map(|item| inline(item, types, copies)).collect(),
        Value::Object(object) => {
            let mut copy = object.clone();
            if is_named_type(object) {
                *copies += 1;
                copy.insert("namespace".to_owned(), json!(format!("copy{copies}")));
            }
            for part in ["type", "items", "values"] {
                if let Some(value) = copy.get_mut(part) {
                    *value = inline(value, types, copies);
                }
            }
            if let Some(Value::Array(fields)) = copy.get_mut("fields") {
                fields.iter_mut().for_each(|field| *field = inline(field, types, copies));
            }
            Value::Object(copy)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json.clone(),
    }
}

/// The checker ignores logical types, and takes text for bytes: a date read as a number is not what was meant.
fn logical_types_match(writer: &Value, reader: &Value, path: &str) -> Result<(), String> {
    match (writer, reader) {
        (Value::Array(writers), Value::Array(readers)) => {
            for writer in writers {
                if let Some(reader) = readers.iter().find(|reader| type_name(reader) == type_name(writer)) {
                    logical_types_match(writer, reader, path)?;
                }
            }
            Ok(())
        }
        (Value::Array(writers), reader) => writers
            .iter()
            .filter(|writer| type_name(writer) == type_name(reader))
            .try_for_each(|writer| logical_types_match(writer, reader, path)),
        (writer, Value::Array(readers)) => readers
            .iter()
            .filter(|reader| type_name(writer) == type_name(reader))
            .try_for_each(|reader| logical_types_match(writer, reader, path)),
        (Value::Object(_), _) | (_, Value::Object(_)) => {
            if writer.get("logicalType") != reader.get("logicalType") {
                return Err(format!("logical type of {path} changed"));
            }
            for part in ["items", "values"] {
                logical_types_match(&writer[part], &reader[part], path)?;
            }
            for field in reader["fields"].as_array().unwrap_or(&Vec::new()) {
                let name = &field["name"];
                let written = writer["fields"].as_array().and_then(|all| all.iter().find(|one| one["name"] == *name));
                if let Some(written) = written {
                    logical_types_match(&written["type"], &field["type"], &format!("{path}.{name}"))?;
                }
            }
            Ok(())
        }
        (writer, reader)
            if matches!(type_name(writer), "string" | "bytes") && type_name(writer) != type_name(reader) =>
        {
            Err(format!("type of {path} changed"))
        }
        (_, _) => Ok(()),
    }
}

/// What tells branches of a union apart: a type's own name, else what it is.
fn type_name(json: &Value) -> &str {
    json.get("name").or_else(|| json.get("type")).unwrap_or(json).as_str().unwrap_or_default()
}

#[test]
fn every_schema_keeps_its_promise_to_the_last_released_copy() {
    for name in SchemaName::ALL {
        let released = serde_json::from_str(name.released_text()).expect("JSON");
        assert_eq!(broken(promise(name), &released, &parse(name)), Ok(()), "{}", name.file_stem());
    }
}

/// A change to a schema, made in every place a pattern is found.
fn changed(name: SchemaName, from: &str, to: &str) -> Value {
    let text = name.text();
    assert!(text.contains(from), "{}: nothing like {from}", name.file_stem());
    serde_json::from_str(&text.replace(from, to)).unwrap_or_else(|error| panic!("{from}: {error}"))
}

fn check_change(name: SchemaName, from: &str, to: &str, is_kept: bool) {
    let verdict = broken(promise(name), &parse(name), &changed(name, from, to));
    assert_eq!(verdict.is_ok(), is_kept, "{}: {from} -> {to}: {verdict:?}", name.file_stem());
}

#[test]
fn changes_that_break_a_promise_are_found() {
    let event = SchemaName::ReferralEvent;
    let broken = |name, from: &str, to: &str| check_change(name, from, to, false);
    // A field's type, also inside a type that is used by reference (`siblings`).
    broken(event, r#""name": "relationship", "type": "string""#, r#""name": "relationship", "type": "boolean""#);
    broken(
        event,
        r#""name": "interpreter_needed", "type": ["null", "boolean"]"#,
        r#""name": "interpreter_needed", "type": ["null", "int"]"#,
    );
    broken(event, r#""name": "lines", "type": "string""#, r#""name": "lines", "type": "bytes""#);
    // A logical type.
    broken(event, r#"{"type": "int", "logicalType": "date"}"#, r#""int""#);
    broken(event, r#"{"type": "long", "logicalType": "timestamp-millis"}"#, r#""long""#);
    broken(event, r#""timestamp-millis""#, r#""timestamp-micros""#);
    broken(event, r#"{"type": "string", "logicalType": "uuid"}"#, r#""string""#);
    // A field without default, by addition or by a new name.
    broken(event, r#"{"name": "occurred_at","#, r#"{"name": "happened_at","#);
    // A kind that is gone, or renamed.
    broken(event, r#""name": "MissingEnded""#, r#""name": "MissingOver""#);
    // A field that was optional and no longer is.
    broken(event, r#"["null", "boolean"], "default": null"#, r#""boolean", "default": false"#);
    // What agencies receive may not lose a field they rely on, nor gain one they cannot do without.
    broken(SchemaName::Task, r#"{"name": "due_reason","#, r#"{"name": "due_because","#);
    broken(
        SchemaName::Feedback,
        r#"{"name": "message", "type": "string","#,
        r#"{"name": "message", "type": ["null", "string"], "default": null,"#,
    );
}

#[test]
fn changes_within_a_promise_are_let_through() {
    let kept = |name, from: &str, to: &str| check_change(name, from, to, true);
    let optional = r#"{"name": "new", "type": ["null", "string"], "default": null, "doc": "New."}, "#;
    kept(SchemaName::ReferralEvent, r#"{"name": "occurred_at","#, &format!(r#"{optional}{{"name": "occurred_at","#));
    kept(SchemaName::Task, r#"{"name": "due_at","#, &format!(r#"{optional}{{"name": "due_at","#));
    kept(SchemaName::Feedback, r#""being_looked_at", "#, r#""being_looked_at", "seen", "#);
    // A new kind: what partners send is promised backward only.
    let kind = r#"{"type": "record", "name": "NewKind", "doc": "New.", "fields": []}, "#;
    let union = serde_json::from_str::<Value>(SchemaName::ReferralEvent.text()).expect("JSON");
    let mut grown = union.clone();
    let detail = grown["fields"].as_array_mut().and_then(|fields| fields.last_mut()).expect("fields");
    let branch: Value = serde_json::from_str(kind.trim_end_matches(", ")).expect("JSON");
    detail["type"].as_array_mut().expect("a union").push(branch);
    assert_eq!(broken(Promise::Backward, &union, &grown), Ok(()));
    assert!(broken(Promise::Full, &union, &grown).is_err());
}
