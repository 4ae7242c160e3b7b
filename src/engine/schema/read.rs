//! Reads JSON by a schema: every fault at once, each with what to send instead, none with what was sent.
//! Where something is at fault the tree gets a stand-in, so that what only the whole can tell is found in the same go.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::temporal::Pieces;
use serde_json::{Map, Value, json};

use super::Fault;
use super::limits::{EARLIEST_MS, LATEST_MS, LIST_ITEMS_MAX, text_chars_max};
use super::names::{UNNAMED, also_called, by_alphabet, is_speakable, nearest};
use super::path::Path;
use super::shape::{Branch, Field, Record, Shape, Symbols};
use crate::engine::model::scalar::{DAY_MS, Date, Timestamp};

/// Symbol that stands for one of a later schema; read, but not offered.
const UNKNOWN_SYMBOL: &str = "unknown";
/// Offsets from UTC that are in use somewhere: -12:00 to +14:00.
const OFFSETS_SECONDS: std::ops::RangeInclusive<i32> = -12 * 3600..=14 * 3600;

/// How what is said of a value begins that will not do.
const UNUSABLE: &str = "is not usable";

/// As a rule it stands where a program has lost what was written.
pub const HOLDS_NUL: &str = "holds the character U+0000: leave it out";

/// Reads a whole record into the tree serde reads it from.
pub fn record(shape: &Record, json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let Value::Object(members) = json else {
        faults.push(fault(path, "must be an object"));
        return record_stand_in(shape);
    };
    let mut raw = Map::new();
    for field in &shape.fields {
        raw.insert(field.name.clone(), member(field, members, path, faults));
    }
    let known: Vec<&str> = shape.fields.iter().map(|field| field.name.as_str()).collect();
    unknown_members(members, (&known, &|_, _| false), path, faults);
    Value::Object(raw)
}

/// Reads one field of an object; left out or null, it takes its default.
pub fn member(field: &Field, members: &Map<String, Value>, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let here = path.field(&field.name);
    let sent = members.get(&field.name).filter(|value| !value.is_null());
    match (sent, &field.default) {
        (Some(value), _) => read(&field.shape, value, &here, faults),
        (None, Some(default)) => default.clone(),
        (None, None) => {
            faults.push(fault(&here, &format!("is required: {}", expected(&field.shape))));
            stand_in(&field.shape)
        }
    }
}

/// More names that are not known than anybody corrects one by one: each costs a comparison with all that are.
pub const UNKNOWN_NAMED_MAX: usize = 100;

/// What is said of an object's other members: whether it was told of one already.
type IsTold<'a> = &'a dyn Fn(&str, &Value) -> bool;

/// A fault for every member whose name is not known, with the nearest name that is. One that cannot be repeated is told by its number.
pub fn unknown_members(
    members: &Map<String, Value>,
    (known, is_told): (&[&str], IsTold<'_>),
    path: &Path<'_>,
    faults: &mut Vec<Fault>,
) {
    let unknown =
        |(_, (name, value)): &(u32, (&String, &Value))| !known.contains(&name.as_str()) && !is_told(name, value);
    let mut unknown = (1..).zip(members).filter(unknown);
    for (number, (name, _)) in unknown.by_ref().take(UNKNOWN_NAMED_MAX) {
        let place = if is_speakable(name) { String::new() } else { format!(" (number {number} of its object)") };
        let instead = match nearest(name, known).or_else(|| also_called(name, known)) {
            Some(near) => format!("did you mean {near}?"),
            None => "leave it out".to_owned(),
        };
        faults.push(fault(&path.theirs(name), &format!("is not a known field{place}: {instead}")));
    }
    if let more @ 1.. = unknown.count() {
        // Of none of these, nor of their object: what else is wrong with that is told beside it.
        let problem = format!("stands for {more} other fields that are not known: leave them out");
        faults.push(fault(&path.field(UNNAMED), &problem));
    }
}

/// Reads one value into the tree serde reads it from.
pub fn read(shape: &Shape, json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    match shape {
        Shape::Optional(inner) => {
            if json.is_null() {
                return Value::Null;
            }
            let known = faults.len();
            let value = read(inner, json, path, faults);
            if matches!(**inner, Shape::Date) {
                // A year alone is known, or a day that a form made up: nobody is kept from sending the rest.
                faults.iter_mut().skip(known).for_each(|fault| fault.problem.push_str(", or leave it out"));
            }
            value
        }
        Shape::Array(items) => list(items, json, path, faults),
        Shape::Map(values) => map(values, json, path, faults),
        Shape::Record(shape) => record(shape, json, path, faults),
        Shape::Branches(branches) => branch(branches, json, path, faults),
        Shape::String => text(json, path, faults),
        leaf @ (Shape::Null
        | Shape::Boolean
        | Shape::Int
        | Shape::Long
        | Shape::Bytes
        | Shape::Uuid
        | Shape::Date
        | Shape::Timestamp
        | Shape::Scalar
        | Shape::Enum(_)) => read_leaf(leaf, json).unwrap_or_else(|| {
            faults.push(fault(path, &why_not(leaf, json)));
            stand_in(leaf)
        }),
    }
}

fn read_leaf(shape: &Shape, json: &Value) -> Option<Value> {
    let usable = match shape {
        Shape::Null => json.is_null(),
        Shape::Boolean => json.is_boolean(),
        Shape::Int => json.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Shape::Long => json.is_i64(),
        Shape::Uuid => json.as_str().is_some_and(is_uuid),
        Shape::Enum(symbols) => json.as_str().is_some_and(|symbol| symbols.symbols.iter().any(|known| known == symbol)),
        Shape::Timestamp => return time(json.as_str()?).map(|instant| json!(instant.0)),
        Shape::Date => return date(json.as_str()?).map(|date| json!(date.0)),
        Shape::Bytes => return STANDARD.decode(json.as_str()?).ok().map(|bytes| json!(bytes)),
        Shape::Scalar => return scalar(json),
        Shape::String
        | Shape::Array(_)
        | Shape::Map(_)
        | Shape::Optional(_)
        | Shape::Branches(_)
        | Shape::Record(_) => false,
    };
    usable.then(|| json.clone())
}

fn text(json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let Value::String(text) = json else {
        faults.push(fault(path, &format!("is not usable: {}", expected(&Shape::String))));
        return stand_in(&Shape::String);
    };
    let chars_max = text_chars_max(path.last_field());
    if longer_than(text, chars_max) {
        faults.push(fault(path, &format!("is too long: give at most {chars_max} characters")));
    }
    if text.contains('\0') {
        faults.push(fault(path, HOLDS_NUL));
    }
    readable(text, path.last_field()).map_or_else(|| json.clone(), Value::String)
}

/// Without what cannot be seen and changes how a line reads: controls become spaces, marks of direction go. None: there are none.
fn readable(text: &str, field: &str) -> Option<String> {
    /// Where a line break would tell of another field.
    const OF_ONE_LINE: [&str; 7] =
        ["given_names", "family_name", "name", "call_back", "role", "partner_reference", "local_id"];
    let breaks_lines = |c: char| matches!(c, '\n' | '\r' | '\t');
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let blank = |c: char| c.is_control() && (!breaks_lines(c) || OF_ONE_LINE.contains(&field));
    let has_any = text.chars().any(|c| turns(c) || blank(c));
    has_any.then(|| text.chars().filter(|c| !turns(*c)).map(|c| if blank(c) { ' ' } else { c }).collect())
}

fn list(items: &Shape, json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let Value::Array(sent) = json else {
        faults.push(fault(path, "is not usable: give a list"));
        return json!([]);
    };
    if sent.len() > LIST_ITEMS_MAX {
        faults.push(fault(path, &format!("is too long: give at most {LIST_ITEMS_MAX} items")));
        return json!([]);
    }
    Value::Array(sent.iter().enumerate().map(|(index, item)| read(items, item, &path.item(index), faults)).collect())
}

fn map(values: &Shape, json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let Value::Object(sent) = json else {
        faults.push(fault(path, "is not usable: give an object of names and values"));
        return json!({});
    };
    if sent.len() > LIST_ITEMS_MAX {
        faults.push(fault(path, &format!("is too long: give at most {LIST_ITEMS_MAX} members")));
        return json!({});
    }
    let mut raw = Map::new();
    for (name, value) in sent {
        let known = faults.len();
        raw.insert(name.clone(), read(values, value, &path.theirs(name), faults));
        if faults.len() > known && !is_speakable(name) {
            let place = by_alphabet(sent.keys().filter(|other| *other <= name).count());
            for fault in faults.iter_mut().skip(known) {
                fault.problem = fault.problem.replacen(UNUSABLE, &format!("{UNUSABLE}{place}"), 1);
            }
        }
    }
    Value::Object(raw)
}

fn branch(branches: &[Branch], json: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let member = json.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
    let found = member
        .and_then(|(label, value)| branches.iter().find(|branch| branch.label == *label).map(|branch| (branch, value)));
    let Some((branch, value)) = found else {
        let labels: Vec<&str> = branches.iter().map(|branch| branch.label.as_str()).collect();
        faults.push(fault(path, &format!("must be an object with one member, named one of: {}", labels.join(", "))));
        return branches.first().map(branch_stand_in).unwrap_or_default();
    };
    let mut tagged = Map::new();
    tagged.insert(branch.record.full_name.clone(), record(&branch.record, value, &path.field(&branch.label), faults));
    Value::Object(tagged)
}

/// A value that serde can read in place of one at fault. It is never handed on.
pub fn stand_in(shape: &Shape) -> Value {
    match shape {
        Shape::Null | Shape::Optional(_) => Value::Null,
        Shape::Boolean => json!(false),
        Shape::Int | Shape::Long | Shape::Date | Shape::Timestamp => json!(0),
        Shape::Bytes | Shape::Array(_) => json!([]),
        Shape::String => json!("-"),
        Shape::Uuid => json!(uuid::Uuid::max()),
        Shape::Map(_) => json!({}),
        Shape::Scalar => json!({ "Boolean": false }),
        Shape::Enum(symbols) => json!(symbols.symbols.first()),
        Shape::Record(record) => record_stand_in(record),
        Shape::Branches(branches) => branches.first().map(branch_stand_in).unwrap_or_default(),
    }
}

fn record_stand_in(record: &Record) -> Value {
    let fields = record.fields.iter();
    Value::Object(
        fields
            .map(|field| (field.name.clone(), field.default.clone().unwrap_or_else(|| stand_in(&field.shape))))
            .collect(),
    )
}

fn branch_stand_in(branch: &Branch) -> Value {
    let mut tagged = Map::new();
    tagged.insert(branch.record.full_name.clone(), record_stand_in(&branch.record));
    Value::Object(tagged)
}

fn scalar(json: &Value) -> Option<Value> {
    match json {
        Value::Bool(_) => Some(json!({ "Boolean": json })),
        Value::Number(number) if number.is_i64() => Some(json!({ "Long": json })),
        Value::String(text) if !longer_than(text, text_chars_max("")) => Some(json!({ "String": json })),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An instant from RFC 3339 text with an offset, cut to the millisecond; None outside the years 1900 to 2199.
pub fn time(text: &str) -> Option<Timestamp> {
    let instant = Timestamp::from_jiff(text.parse().ok().filter(|_| has_real_offset(text))?);
    (EARLIEST_MS..LATEST_MS).contains(&instant.0).then_some(instant)
}

/// A slip of the keyboard would move the time by a day: `+25:00`.
fn has_real_offset(text: &str) -> bool {
    let offset = Pieces::parse(text).ok().and_then(|pieces| pieces.to_numeric_offset());
    offset.is_some_and(|offset| OFFSETS_SECONDS.contains(&offset.seconds()))
}

fn date(text: &str) -> Option<Date> {
    let plain = text.len() == "2026-01-31".len();
    let date = Date::from_civil(text.parse().ok().filter(|_| plain)?);
    is_plausible(date).then_some(date)
}

/// Within the years 1900 to 2199.
pub fn is_plausible(date: Date) -> bool {
    (EARLIEST_MS..LATEST_MS).contains(&i64::from(date.0).saturating_mul(DAY_MS))
}

/// A UUID in its hyphenated form, and not the one of zeros that stands for none.
pub fn is_uuid(text: &str) -> bool {
    text.len() == "00000000-0000-0000-0000-000000000000".len()
        && uuid::Uuid::try_parse(text).is_ok_and(|uuid| !uuid.is_nil())
}

/// Whether a text has more characters than that.
pub fn longer_than(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

/// Why a value is not usable, and what to send.
pub fn why_not(shape: &Shape, json: &Value) -> String {
    let expected = expected(shape);
    let text = json.as_str().unwrap_or_default();
    match shape {
        Shape::Date | Shape::Timestamp if names_no_day(text) => format!("names a day that does not exist: {expected}"),
        Shape::Timestamp if text.parse::<jiff::Timestamp>().is_ok() && !has_real_offset(text) => {
            format!("has an offset from UTC that is in use nowhere (-12:00 to +14:00 are): {expected}")
        }
        Shape::Timestamp if text.parse::<jiff::Timestamp>().is_ok() && time(text).is_none() => {
            format!("lies outside the years 1900 to 2199: {expected}")
        }
        Shape::Date if text.parse::<jiff::civil::Date>().is_ok_and(|day| !is_plausible(Date::from_civil(day))) => {
            format!("lies outside the years 1900 to 2199: {expected}")
        }
        Shape::Uuid if uuid::Uuid::try_parse(text).is_ok_and(|uuid| uuid.is_nil()) => {
            format!("is all zeros, which stands for none: {expected}")
        }
        _ => format!("is not usable: {expected}"),
    }
}

/// Whether a text starts like a date, with a day that no calendar has: `2026-02-30`.
fn names_no_day(text: &str) -> bool {
    let Some(day) = text.get(.."2026-01-31".len()) else { return false };
    let is_digits = |part: Option<&str>| part.is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let has_form = is_digits(day.get(..4))
        && day.get(4..5) == Some("-")
        && is_digits(day.get(5..7))
        && day.get(7..8) == Some("-")
        && is_digits(day.get(8..));
    has_form && day.parse::<jiff::civil::Date>().is_err()
}

/// What to send, in words.
pub fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Null => "give null".to_owned(),
        Shape::Boolean => "give true or false".to_owned(),
        Shape::Int | Shape::Long => "give a whole number".to_owned(),
        Shape::Bytes => "give base64 text".to_owned(),
        Shape::String => "give text".to_owned(),
        Shape::Uuid => "give a UUID, such as 3f2c8a54-7d0e-4f7c-9a51-0c1d2e3f4a5b".to_owned(),
        Shape::Date => "give a date as YYYY-MM-DD".to_owned(),
        Shape::Timestamp => "give a time with its offset, such as 2026-10-09T22:30:00+01:00".to_owned(),
        Shape::Array(_) => "give a list".to_owned(),
        Shape::Map(_) => "give an object of names and values".to_owned(),
        Shape::Optional(inner) => expected(inner),
        Shape::Scalar => "give true, false, a whole number or a code".to_owned(),
        Shape::Branches(_) | Shape::Record(_) => "give an object".to_owned(),
        Shape::Enum(symbols) => format!("give one of {}", offered(symbols)),
    }
}

fn offered(symbols: &Symbols) -> String {
    let offered: Vec<&str> =
        symbols.symbols.iter().map(String::as_str).filter(|symbol| *symbol != UNKNOWN_SYMBOL).collect();
    offered.join(", ")
}

fn fault(path: &Path<'_>, problem: &str) -> Fault {
    Fault::new(path.to_string(), problem)
}
