//! The three ways a CloudEvent comes over HTTP, taken apart into events.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::Value;

use super::beside::Faults;
use super::body::media_type;
use super::json::{self, Document};
use super::problem::Problem;
use crate::engine::cloud_event::{self, CloudEvent};
use crate::engine::danger::{attribute_says_danger, says_danger};
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Timestamp;
use crate::engine::schema::names::speakable;
use crate::engine::schema::{Fault, inspect};

/// Any of these headers says that the event's attributes are in headers.
const ATTRIBUTES: [&str; 3] = ["ce-specversion", "ce-type", "ce-source"];

/// Longer than a reference is.
const REFERENCE_BYTES_MAX: usize = 100;

/// How the request carries its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One event: attributes and data in one JSON object.
    Structured,
    /// A JSON list of structured events.
    Batch,
    /// Attributes in `ce-` headers, the data in the body.
    Binary,
}

impl Mode {
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(headers).as_str() {
            "application/cloudevents-batch+json" => Ok(Mode::Batch),
            "application/cloudevents+json" => Ok(Mode::Structured),
            "application/json" if ATTRIBUTES.iter().any(|name| headers.contains_key(*name)) => Ok(Mode::Binary),
            "application/json" => Ok(Mode::Structured),
            _ => Err(Problem::unsupported_media_type(
                "application/cloudevents+json, application/cloudevents-batch+json, or application/json with ce- headers",
            )),
        }
    }
}

/// One event as it came.
pub struct Item {
    original: Vec<u8>,
    form: Form,
}

/// The attributes of an event in binary mode, as they came.
type Attributes = Vec<(String, String)>;

enum Form {
    Json(Value),
    Binary(Attributes, Value),
    /// Names stand twice in it, or among the headers: what was meant cannot be known. Without attributes it is structured.
    Ambiguous(Attributes, Value, Vec<Fault>),
    /// Not JSON, or not a batch.
    Unreadable(Fault),
}

/// A header's text, if it is text.
pub fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The events of a body. What cannot be taken apart is one unreadable item.
pub fn split(mode: Mode, headers: &HeaderMap, bytes: Vec<u8>, events_max: usize) -> Vec<Item> {
    let Document { value: json, repeated } = match json::read(&bytes) {
        Ok(document) => document,
        Err(error) => {
            let fault = breaks_off(&bytes, &error);
            return vec![Item { original: bytes, form: Form::Unreadable(fault) }];
        }
    };
    let faults_of = |place: Option<usize>| -> Vec<Fault> {
        // In binary mode the body is the data.
        let of = if mode == Mode::Binary { "data." } else { "" };
        let here = repeated.iter().filter(|(of, _)| *of == place);
        here.map(|(_, path)| stands_twice(format!("{of}{path}"))).collect()
    };
    let attributes = if mode == Mode::Binary { attributes(headers) } else { Attributes::new() };
    let twice = standing_twice(&attributes);
    if mode != Mode::Batch && !(repeated.is_empty() && twice.is_empty()) {
        let faults = twice.into_iter().chain(faults_of(None)).collect();
        return vec![Item { original: bytes, form: Form::Ambiguous(attributes, json, faults) }];
    }
    let unreadable =
        |bytes, problem: String| vec![Item { original: bytes, form: Form::Unreadable(Fault::new("", problem)) }];
    match (mode, json) {
        (Mode::Structured, Value::Array(_)) => unreadable(
            bytes,
            "is a JSON list: send it with the Content-Type application/cloudevents-batch+json".to_owned(),
        ),
        (Mode::Structured, json) => vec![Item { original: bytes, form: Form::Json(json) }],
        (Mode::Binary, json) => vec![Item { original: bytes, form: Form::Binary(attributes, json) }],
        (Mode::Batch, Value::Array(events)) if (1..=events_max).contains(&events.len()) => {
            let item = |(place, json): (usize, Value)| {
                let faults = faults_of(Some(place));
                let original = json.to_string().into_bytes();
                let form =
                    if faults.is_empty() { Form::Json(json) } else { Form::Ambiguous(Attributes::new(), json, faults) };
                Item { original, form }
            };
            (0..).zip(events).map(item).collect()
        }
        (Mode::Batch, _) => unreadable(bytes, format!("must be a JSON list of 1 to {events_max} events")),
    }
}

/// The `ce-` headers, percent-decoded, without their prefix.
fn attributes(headers: &HeaderMap) -> Attributes {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("ce-")?;
            Some((name.to_owned(), percent_decoded(value.as_bytes())))
        })
        .collect()
}

/// One fault for each attribute whose header came more than once.
fn standing_twice(attributes: &[(String, String)]) -> Vec<Fault> {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    attributes.iter().for_each(|(name, value)| said.entry(name).or_default().push(value));
    let twice = said.into_iter().filter(|(_, values)| values.len() > 1);
    let fault = |(name, values): (&str, Vec<&str>)| {
        let header = format!("ce-{}", speakable(name));
        match values.iter().all(|value| Some(value) == values.first()) {
            true => Fault::new(header, "stands twice among the headers, with the same value: send it once"),
            false => Fault::new(
                header,
                "stands twice among the headers, with two values, and which was meant cannot be known: send it once",
            ),
        }
    };
    twice.map(fault).collect()
}

/// As the HTTP binding of CloudEvents has it. What is no valid escape stays as it is.
fn percent_decoded(bytes: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let mut value = [0];
        match escaped {
            Some((digits, after)) if hex::decode_to_slice(digits, &mut value).is_ok() => {
                decoded.extend(value);
                rest = after;
            }
            Some(_) | None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

impl Item {
    /// Whether the sender says that a child is in danger now, however faulty the rest of the event is.
    pub fn immediate_danger(&self) -> bool {
        let flag = self.data().and_then(|data| data.get("immediate_danger"));
        let in_headers = || self.attributes().iter().any(|(name, value)| attribute_says_danger(name, value));
        flag.and_then(Value::as_bool) == Some(true) || says_danger(&self.original) || in_headers()
    }

    /// What stood in headers.
    fn attributes(&self) -> &[(String, String)] {
        match &self.form {
            Form::Binary(attributes, _) | Form::Ambiguous(attributes, _, _) => attributes,
            Form::Json(_) | Form::Unreadable(_) => &[],
        }
    }

    fn data(&self) -> Option<&Value> {
        match &self.form {
            Form::Binary(_, data) => Some(data),
            Form::Ambiguous(attributes, data, _) if !attributes.is_empty() => Some(data),
            Form::Json(json) | Form::Ambiguous(_, json, _) => json.get("data"),
            Form::Unreadable(_) => None,
        }
    }

    /// The event's id, if it is a UUID, and one: anything else is not repeated.
    pub fn id(&self) -> Option<String> {
        let id = match &self.form {
            Form::Binary(attributes, _) | Form::Ambiguous(attributes, _, _) if !attributes.is_empty() => {
                let mut ids = attributes.iter().filter(|(name, _)| name == "id").map(|(_, id)| id.as_str());
                ids.next().filter(|id| ids.all(|other| other == *id))
            }
            Form::Json(json) | Form::Ambiguous(_, json, _) => json.get("id").and_then(Value::as_str),
            Form::Binary(_, _) | Form::Unreadable(_) => None,
        };
        id.and_then(|id| uuid::Uuid::parse_str(id).ok()).map(|id| id.to_string())
    }

    /// The sender's own reference, for the feedback on what is refused.
    pub fn partner_reference(&self) -> Option<&str> {
        let reference = self.data()?.get("partner_reference")?.as_str()?;
        (reference.len() <= REFERENCE_BYTES_MAX && !reference.contains(char::is_control)).then_some(reference)
    }

    /// A record from quarantine, with the attributes that came in headers.
    pub fn from_kept(original: Vec<u8>, attributes: Vec<(String, String)>) -> Self {
        let is_binary = |(name, _): &(String, String)| {
            ATTRIBUTES.iter().any(|known| known.strip_prefix("ce-") == Some(name.as_str()))
        };
        let twice = standing_twice(&attributes);
        let form = match parse(&original) {
            Ok(json) if attributes.iter().any(is_binary) && twice.is_empty() => Form::Binary(attributes, json),
            Ok(json) if attributes.iter().any(is_binary) => Form::Ambiguous(attributes, json, twice),
            Ok(json) => Form::Json(json),
            Err(fault) => Form::Unreadable(fault),
        };
        Self { original, form }
    }

    /// The event, or why it is refused, every fault at once.
    pub fn read(&self, now: Timestamp) -> Result<CloudEvent, Unusable> {
        let unread = |reason, faults| Err(Unusable { reason, faults: Faults::of(faults), partly: None });
        let (partly, faults) = match &self.form {
            Form::Json(json) => cloud_event::read_partly(json),
            Form::Binary(attributes, data) => {
                cloud_event::read_parts_partly(&attributes.iter().cloned().collect(), data)
            }
            Form::Ambiguous(_, _, faults) => return unread(QuarantineReason::InvalidField, faults.clone()),
            Form::Unreadable(fault) => return unread(QuarantineReason::Undecodable, vec![fault.clone()]),
        };
        let Some(event) = partly else { return unread(QuarantineReason::InvalidField, faults) };
        let mut faults = Faults::of(faults);
        if event.receivedtime.is_some() {
            faults.push(Fault::new("receivedtime", "is the router's to set: leave it out"));
        }
        let future = event.as_sent(inspect::event(&event.event, Some(now)).future);
        let reason = match (faults.is_empty(), future.is_empty()) {
            (true, true) => return Ok(event),
            (true, false) => QuarantineReason::FutureTime,
            (false, _) => QuarantineReason::InvalidField,
        };
        faults.add_others(future);
        Err(Unusable { reason, faults, partly: Some(Box::new(event)) })
    }

    /// The bytes as they came (for one event of a batch, its JSON), and the attributes that came in headers.
    pub fn into_original(self) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let headers = match self.form {
            Form::Binary(attributes, _) | Form::Ambiguous(attributes, _, _) => {
                attributes.into_iter().map(|(name, value)| (format!("ce_{name}"), value.into_bytes())).collect()
            }
            Form::Json(_) | Form::Unreadable(_) => Vec::new(),
        };
        (self.original, headers)
    }
}

/// Why an event is refused, and what of it could be read all the same: with stand-ins where it is at fault, it is handed to nobody.
pub struct Unusable {
    pub reason: QuarantineReason,
    pub faults: Faults,
    pub partly: Option<Box<CloudEvent>>,
}

/// JSON, or where it breaks off, or where a name stands twice.
pub fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    let document = json::read(bytes).map_err(|error| breaks_off(bytes, &error))?;
    match document.repeated.into_iter().next() {
        Some((_, path)) => Err(stands_twice(path)),
        None => Ok(document.value),
    }
}

/// Line and column only: the parser's own words may quote the body. What is no text of ours at all says so.
fn breaks_off(bytes: &[u8], error: &serde_json::Error) -> Fault {
    let problem = match bytes {
        [] => "must be JSON: the body is empty".to_owned(),
        [0xef, 0xbb, 0xbf, ..] => "must be JSON without a byte order mark: leave out the first three bytes".to_owned(),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => {
            "must be JSON in UTF-8: this is UTF-16 or UTF-32".to_owned()
        }
        [0x1f, 0x8b, ..] => "must be JSON as it is: this is compressed with gzip".to_owned(),
        _ => match no_utf8_at(bytes) {
            Some((line, column)) => {
                format!("must be JSON in UTF-8: it is something else at line {line}, column {column}")
            }
            None => {
                let (line, column) = place_of(bytes, error);
                format!("must be JSON: it {} at line {line}, column {column}", what_breaks(error))
            }
        },
    };
    Fault::new("", problem)
}

/// Behind a line break that stands where none may the parser counts the next line: what is meant is the end of the one before.
fn place_of(bytes: &[u8], error: &serde_json::Error) -> (usize, usize) {
    let before = error.line().checked_sub(2).filter(|_| error.column() == 0);
    let line = before.and_then(|before| bytes.split(|byte| *byte == b'\n').nth(before));
    line.map_or((error.line(), error.column()), |line| (error.line() - 1, line.len() + 1))
}

/// In our words, by how the parser's own begin.
fn what_breaks(error: &serde_json::Error) -> &'static str {
    const KNOWN: [(&str, &str); 15] = [
        ("EOF while parsing", "breaks off"),
        ("expected `:`", "has no colon behind a name"),
        ("expected `,`", "has no comma, or no end of a list or object, where one must stand"),
        ("expected value", "has something else than a value"),
        ("expected ident", "has a word that JSON does not know"),
        ("key must be a string", "has a name that does not stand in double quotes"),
        ("trailing comma", "has a comma before the end of a list or object"),
        ("control character", "has a line break or another control character in a text (write \\n, \\t)"),
        ("invalid number", "has a number as JSON does not write it"),
        ("number out of range", "has a number that is too large"),
        ("trailing characters", "goes on behind its end"),
        ("recursion limit exceeded", "is nested too deep"),
        ("lone leading surrogate", "has half of a surrogate pair"),
        ("unexpected end of hex escape", "has half of a surrogate pair"),
        ("invalid escape", "has an escape that JSON does not know"),
    ];
    let words = error.to_string();
    KNOWN.iter().find(|(start, _)| words.starts_with(start)).map_or("is something else", |(_, ours)| ours)
}

/// Line and column (in bytes) of the first that is no UTF-8.
fn no_utf8_at(bytes: &[u8]) -> Option<(usize, usize)> {
    let good = std::str::from_utf8(bytes).err()?.valid_up_to();
    let lines = bytes.get(..good)?.split(|byte| *byte == b'\n');
    let last = lines.clone().next_back().map_or(0, <[u8]>::len);
    Some((lines.count(), last + 1))
}

fn stands_twice(path: String) -> Fault {
    Fault::new(path, "stands twice in one object, and which was meant cannot be known: send it once")
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn what_is_no_text_of_ours_says_what_it_is() {
        let check = |bytes: &[u8], expected: &str| {
            let problem = super::parse(bytes).unwrap_err().to_string();
            assert!(problem.contains(expected), "{problem}");
        };
        check(b"", "empty");
        check(b"\xef\xbb\xbf{}", "byte order mark");
        check(b"\xff\xfe{\0}\0", "UTF-16");
        check(b"{\0}\0", "UTF-16");
        check(b"\x1f\x8b\x08", "gzip");
        check(b"{\n\"a\": ", "breaks off at line 2");
        check(b"{\n\"a\" 1}", "has no colon behind a name at line 2, column 5");
        check(
            b"{\"a\": 1 \"b\": 2}",
            "has no comma, or no end of a list or object, where one must stand at line 1, column 9",
        );
        check(b"{\"a\": 1,}", "has a comma before the end of a list or object at line 1");
        check(b"{'a': 1}", "does not stand in double quotes at line 1, column 2");
        check(b"{\"a\": NaN}", "has something else than a value at line 1");
        check(b"{\"a\": trx}", "has a word that JSON does not know at line 1");
        check(b"{\"a\": 01}", "has a number as JSON does not write it at line 1");
        check(b"{\"a\": 1e400}", "has a number that is too large at line 1");
        check(
            b"{\"a\": \"one\ntwo\"}",
            "line break or another control character in a text (write \\n, \\t) at line 1, column 11",
        );
        check(b"{} {}", "goes on behind its end at line 1");
        check(br#"{"a": "\ud800 "}"#, "half of a surrogate pair");
        check(&b"[".repeat(200), "nested too deep");
        check(b"{\n\"a\": \"caf\xe9\"}", "in UTF-8: it is something else at line 2, column 10");
        check(b"{\"child\": {\"upn\": 1, \"upn\": 2}}", "child.upn stands twice");
    }

    #[test]
    fn header_values_are_percent_decoded() {
        for (sent, meant) in [("a%20b", "a b"), ("%C3%A9", "é"), ("50%", "50%"), ("%zz", "%zz"), ("", "")] {
            assert_eq!(percent_decoded(sent.as_bytes()), meant);
        }
    }
}
