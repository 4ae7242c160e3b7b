//! What stands beside `data` and belongs inside it, where it would be lost; and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{FROM_ATTRIBUTES, is_extension};
use crate::engine::danger;
use crate::engine::model::detail::{self, KINDS};
use crate::engine::schema::Fault;
use crate::engine::schema::names::{ATTRIBUTES, SLIP_CHARS_MIN, nearest, speakable};
use crate::engine::schema::read::UNKNOWN_NAMED_MAX;
use crate::engine::schema::shape::Record;

/// By the names that a sender may give them beside the data, the places within the data that fields have.
type Places = BTreeMap<String, BTreeSet<String>>;

/// The router's own, wherever it stands.
const BACKFILL: &str = "backfill";
const BASE64: &str = "data_base64";
/// Of another child there is the same to say as of the child; of a detail what it holds itself, by its kind.
const SAID_OTHERWISE: [&str; 2] = ["siblings", "detail"];

/// What is a field of the data, or of a record in it, and stands beside it: as an extension it would be lost.
/// With the names as they were sent.
pub fn misplaced<'a>(attributes: &'a Map<String, Value>, shape: &Record) -> Vec<(&'a str, Fault)> {
    let places = places(shape);
    let others = attributes.iter().filter(|(name, _)| !ATTRIBUTES.contains(&name.as_str()));
    let known: Vec<&str> = places.keys().map(String::as_str).collect();
    let problem = |number: usize, name: &str, value: &Value| {
        if name == BASE64 {
            return Some("is not read: give data, as a JSON object".to_owned());
        }
        let plain = plain(name);
        if plain == BACKFILL {
            return Some("is for the operator's import alone: leave it out".to_owned());
        }
        if let Some((_, attribute)) = FROM_ATTRIBUTES.iter().find(|(field, _)| self::plain(field) == plain) {
            return Some(format!("does not belong here: give the attribute {attribute}"));
        }
        let slip = || {
            let is_another =
                || is_extension(name, value) || plain.len() < SLIP_CHARS_MIN || nearest(name, ATTRIBUTES).is_some();
            // Of this one a slip is never taken for an extension.
            let may_slip = danger::is_its_name(&plain) || (number < UNKNOWN_NAMED_MAX && !is_another());
            if may_slip { nearest(&plain, &known).and_then(|near| places.get(near)) } else { None }
        };
        let found = places.get(&plain).or_else(slip)?;
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        Some(format!("does not belong here: give it inside {}", found.join(" or ")))
    };
    let found = others.enumerate().filter_map(|(number, (name, value))| {
        let problem = problem(number, name, value)?;
        Some((name.as_str(), Fault::new(speakable(name), problem)))
    });
    found.collect()
}

/// Attributes that stand inside the data, as where a whole event is sent in place of its data.
pub fn attributes_in_data(data: &Map<String, Value>, known: &[&str]) -> Vec<Fault> {
    let found = ATTRIBUTES.iter().filter(|name| !known.contains(*name) && data.contains_key(**name));
    let problem = "does not belong here: give it beside data, in binary mode in a ce- header. A whole event is sent as \
                   application/cloudevents+json, without such headers";
    found.map(|name| Fault::new(format!("data.{name}"), problem)).collect()
}

fn places(shape: &Record) -> Places {
    let mut places = Places::new();
    let mut add = |name: &str, place: &str| {
        places.entry(plain(name)).or_default().insert(place.to_owned());
    };
    for field in shape.fields.iter().filter(|field| FROM_ATTRIBUTES.iter().all(|(carried, _)| *carried != field.name)) {
        add(&field.name, "data");
        let records = field.shape.records().into_iter().filter(|_| !SAID_OTHERWISE.contains(&field.name.as_str()));
        records.for_each(|record| within(record, &format!("data.{}", field.name), &mut add));
    }
    let of_detail = KINDS.iter().filter_map(|(kind, _)| detail::fields(kind)).flatten();
    of_detail.for_each(|(field, _)| add(field, "data.detail"));
    places
}

fn within(record: &Record, place: &str, add: &mut impl FnMut(&str, &str)) {
    for field in &record.fields {
        add(&field.name, place);
        for of_inner in field.shape.records().into_iter().flat_map(|inner| &inner.fields) {
            add(&of_inner.name, &format!("{place}.{}", field.name));
        }
    }
}

/// As a name can stand in a header: small letters and digits.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
