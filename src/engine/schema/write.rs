//! Puts a record into the JSON that people and partners read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::shape::{Record, Shape};
use crate::engine::model::scalar::{Date, Timestamp};

/// A record from the tree its serialisation made; None if that does not follow the schema.
pub fn record(shape: &Record, raw: Value) -> Option<Value> {
    let Value::Object(mut raw) = raw else { return None };
    let mut fields = Map::new();
    for field in &shape.fields {
        let left_out = || matches!(field.shape, Shape::Optional(_)).then_some(Value::Null);
        let value = raw.remove(&field.name).or_else(left_out)?;
        fields.insert(field.name.clone(), present(&field.shape, value)?);
    }
    raw.is_empty().then_some(Value::Object(fields))
}

fn present(shape: &Shape, raw: Value) -> Option<Value> {
    match shape {
        Shape::Null | Shape::Boolean | Shape::Int | Shape::Long | Shape::String | Shape::Uuid | Shape::Enum(_) => {
            Some(raw)
        }
        Shape::Optional(inner) => {
            if raw.is_null() {
                Some(raw)
            } else {
                present(inner, raw)
            }
        }
        Shape::Timestamp => raw.as_i64().map(|milliseconds| Value::String(time(Timestamp(milliseconds)))),
        Shape::Date => {
            let days = i32::try_from(raw.as_i64()?).ok()?;
            Some(Value::String(Date(days).to_civil().to_string()))
        }
        Shape::Bytes => Some(Value::String(STANDARD.encode(bytes(&raw)?))),
        Shape::Array(items) => {
            let Value::Array(raw) = raw else { return None };
            raw.into_iter().map(|item| present(items, item)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Shape::Map(values) => {
            let Value::Object(raw) = raw else { return None };
            let mut entries = Map::new();
            for (name, value) in raw {
                entries.insert(name, present(values, value)?);
            }
            Some(Value::Object(entries))
        }
        Shape::Scalar => only_member(raw).map(|(_, value)| value),
        Shape::Branches(branches) => {
            let (full_name, value) = only_member(raw)?;
            let branch = branches.iter().find(|branch| branch.record.full_name == full_name)?;
            let mut tagged = Map::new();
            tagged.insert(branch.label.clone(), record(&branch.record, value)?);
            Some(Value::Object(tagged))
        }
        Shape::Record(shape) => record(shape, raw),
    }
}

/// RFC 3339 in UTC, with milliseconds only where there are any: `2026-10-09T21:30:00Z`.
pub fn time(instant: Timestamp) -> String {
    instant.to_jiff().to_string()
}

fn only_member(raw: Value) -> Option<(String, Value)> {
    let Value::Object(raw) = raw else { return None };
    let mut members = raw.into_iter();
    let member = members.next()?;
    members.next().is_none().then_some(member)
}

fn bytes(raw: &Value) -> Option<Vec<u8>> {
    raw.as_array()?.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
}
