//! Made-up records: the sample events in `tests/samples/events`, one for each kind, and records of any schema made from
//! its shape.

use std::path::Path;

use pathway_router::engine::cloud_event;
use pathway_router::engine::model::detail::KINDS;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::schema::SchemaName;
use pathway_router::engine::schema::shape::{Branch, Record, Shape};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The sample of a kind, as a partner would post it.
pub fn event_json(kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/events").join(format!("{kind}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sample of a kind, read.
pub fn event(kind: &str) -> ReferralEvent {
    cloud_event::read(&event_json(kind)).unwrap_or_else(|faults| panic!("{kind}: {faults:?}")).event
}

/// Every kind, in catalogue order.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _)| *kind)
}

/// The root record of a schema.
pub fn root(name: SchemaName) -> &'static Record {
    name.published().expect("a usable schema").root()
}

/// JSON of records that leave nothing out, together using every branch of every union.
pub fn full(name: SchemaName) -> Vec<Value> {
    (0..record_turns(root(name))).map(|turn| full_record(root(name), turn)).collect()
}

/// JSON of a record that leaves out whatever may be left out.
pub fn bare(name: SchemaName) -> Value {
    bare_record(root(name))
}

/// How many records it takes to use every branch of every union.
fn turns(shape: &Shape) -> usize {
    match shape {
        Shape::Array(inner) | Shape::Map(inner) | Shape::Optional(inner) => turns(inner),
        Shape::Record(record) => record_turns(record),
        Shape::Branches(branches) => branches.iter().map(|branch| record_turns(&branch.record)).sum(),
        Shape::Scalar => 3,
        Shape::Null
        | Shape::Boolean
        | Shape::Int
        | Shape::Long
        | Shape::Bytes
        | Shape::String
        | Shape::Uuid
        | Shape::Date
        | Shape::Timestamp
        | Shape::Enum(_) => 1,
    }
}

fn record_turns(record: &Record) -> usize {
    record.fields.iter().map(|field| turns(&field.shape)).max().unwrap_or(1)
}

/// The branch whose turn it is, and which turn of its own that is.
fn branch_at(branches: &[Branch], turn: usize) -> (&Branch, usize) {
    let mut left = turn % branches.iter().map(|branch| record_turns(&branch.record)).sum::<usize>();
    for branch in branches {
        let own = record_turns(&branch.record);
        if left < own {
            return (branch, left);
        }
        left -= own;
    }
    unreachable!("the turn is less than the sum of all turns")
}

fn full_record(record: &Record, turn: usize) -> Value {
    Value::Object(
        record.fields.iter().map(|field| (field.name.clone(), full_value(&field.shape, &field.name, turn))).collect(),
    )
}

fn full_value(shape: &Shape, name: &str, turn: usize) -> Value {
    match shape {
        Shape::Null => Value::Null,
        Shape::Boolean => json!(turn.is_multiple_of(2)),
        Shape::Int => json!(-7),
        Shape::Long => json!(1_i64 << 40),
        Shape::Bytes => json!("AP8B"),
        Shape::String => text(name),
        Shape::Uuid => json!("00000000-0000-4000-8000-000000000001"),
        Shape::Date => json!("2011-02-03"),
        Shape::Timestamp => json!("2026-03-12T16:20:00.123Z"),
        Shape::Array(items) => json!([full_value(items, name, turn), full_value(items, name, turn + 1)]),
        Shape::Map(values) => {
            json!({ "one": full_value(values, name, turn), "two": full_value(values, name, turn + 1) })
        }
        Shape::Optional(inner) => full_value(inner, name, turn),
        Shape::Scalar => [json!(true), json!(-3), json!("high")][turn % 3].clone(),
        Shape::Branches(branches) => {
            let (branch, turn) = branch_at(branches, turn);
            let mut tagged = Map::new();
            tagged.insert(branch.label.clone(), full_record(&branch.record, turn));
            Value::Object(tagged)
        }
        Shape::Enum(symbols) => json!(symbols.symbols[turn % symbols.symbols.len()]),
        Shape::Record(record) => full_record(record, turn),
    }
}

fn bare_record(record: &Record) -> Value {
    let required = record.fields.iter().filter(|field| field.default.is_none());
    let value = |shape: &Shape, name: &str| match shape {
        Shape::Record(record) => bare_record(record),
        Shape::Branches(branches) => {
            let mut tagged = Map::new();
            tagged.insert(branches[0].label.clone(), bare_record(&branches[0].record));
            Value::Object(tagged)
        }
        other => full_value(other, name, 0),
    };
    Value::Object(required.map(|field| (field.name.clone(), value(&field.shape, &field.name))).collect())
}

/// Fields that hold a subject key.
fn is_key(name: &str) -> bool {
    matches!(
        name,
        "subject"
            | "stronger"
            | "weaker"
            | "checked_for"
            | "from"
            | "alias_of"
            | "seen"
            | "sighting"
            | "expected"
            | "other"
            | "keys"
    )
}

fn text(name: &str) -> Value {
    if is_key(name) { json!("0a".repeat(32)) } else { json!("Test zażółć") }
}

/// JSON of any record of a schema.
pub fn any(name: SchemaName) -> BoxedStrategy<Value> {
    any_record(root(name))
}

fn any_record(record: &Record) -> BoxedStrategy<Value> {
    let fields: Vec<_> =
        record.fields.iter().map(|field| (Just(field.name.clone()), any_value(&field.shape, &field.name))).collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().collect())).boxed()
}

fn any_value(shape: &Shape, name: &str) -> BoxedStrategy<Value> {
    match shape {
        Shape::Null => Just(Value::Null).boxed(),
        Shape::Boolean => proptest::bool::ANY.prop_map(Value::from).boxed(),
        Shape::Int => proptest::num::i32::ANY.prop_map(Value::from).boxed(),
        Shape::Long => proptest::num::i64::ANY.prop_map(Value::from).boxed(),
        Shape::Bytes => "([A-Za-z0-9+/]{4}){0,9}".prop_map(Value::from).boxed(),
        Shape::String if is_key(name) => "[0-9a-f]{64}".prop_map(Value::from).boxed(),
        Shape::String => "\\PC{0,20}".prop_map(Value::from).boxed(),
        Shape::Uuid => "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}".prop_map(Value::from).boxed(),
        Shape::Date => (1900..2200, 1..13, 1..29).prop_map(|(y, m, d)| json!(format!("{y:04}-{m:02}-{d:02}"))).boxed(),
        Shape::Timestamp => {
            (1900..2200, 1..13, 1..29, 0..24, 1..1000).prop_map(|(y, m, d, h, ms)| json!(time(y, m, d, h, ms))).boxed()
        }
        Shape::Array(items) => prop::collection::vec(any_value(items, name), 0..3).prop_map(Value::from).boxed(),
        Shape::Map(values) => prop::collection::btree_map("[a-z]{1,8}", any_value(values, name), 0..3)
            .prop_map(|entries| Value::Object(entries.into_iter().collect()))
            .boxed(),
        // A list that may be left out is left out when it is empty.
        Shape::Optional(inner) => prop_oneof![Just(Value::Null), any_value(inner, name)]
            .prop_map(|value| if value.as_array().is_some_and(Vec::is_empty) { Value::Null } else { value })
            .boxed(),
        Shape::Scalar => prop_oneof![
            proptest::bool::ANY.prop_map(Value::from),
            proptest::num::i64::ANY.prop_map(Value::from),
            "[a-z_]{0,9}".prop_map(Value::from)
        ]
        .boxed(),
        Shape::Branches(branches) => {
            let tagged = branches.iter().map(|branch| {
                let label = branch.label.clone();
                any_record(&branch.record).prop_map(move |record| {
                    let mut tagged = Map::new();
                    tagged.insert(label.clone(), record);
                    Value::Object(tagged)
                })
            });
            proptest::strategy::Union::new(tagged.map(Strategy::boxed)).boxed()
        }
        Shape::Enum(symbols) => prop::sample::select(symbols.symbols.clone()).prop_map(Value::from).boxed(),
        Shape::Record(record) => any_record(record),
    }
}

/// As `to_json` writes it: a fraction without trailing zeros.
fn time(year: i32, month: i32, day: i32, hour: i32, milliseconds: i32) -> String {
    let fraction = format!("{milliseconds:03}");
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:30:59.{}Z", fraction.trim_end_matches('0'))
}
