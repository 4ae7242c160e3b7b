//! Every schema through JSON and Avro, and everything that is not one whole record refused.

use pathway_router::engine::codec::{CodecError, decode, encode};
use pathway_router::engine::model::decision::Decision;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::feedback::Feedback;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::inbox::InboxRecord;
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::quarantine::Quarantined;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::schema::{Published, SchemaName, from_json, to_json};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::samples;

/// A record whose reading panics.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
struct Unlucky;

impl<'de> serde::Deserialize<'de> for Unlucky {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("injected fault");
    }
}

impl Published for Unlucky {
    const SCHEMA: SchemaName = SchemaName::History;
}

#[test]
fn a_panic_on_reading_a_record_is_a_record_that_cannot_be_read() {
    let bytes = encode(&History::default()).unwrap();
    assert_eq!(decode::<Unlucky>(&bytes), Err(CodecError::Failed));
    assert_eq!(decode::<History>(&bytes), Ok(History::default()));
}

/// A record of this schema by JSON; the record comes back from Avro, and the JSON from the record.
fn check<T: Published + PartialEq + std::fmt::Debug>(json: &Value) -> Vec<u8> {
    let record: T = from_json(json).unwrap_or_else(|faults| panic!("{:?}: {faults:?}\n{json}", T::SCHEMA));
    let bytes = encode(&record).unwrap_or_else(|error| panic!("{:?}: {error}\n{json}", T::SCHEMA));
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(&record), "{json}");
    assert_eq!(bytes, by_another_encoder(&record), "{json}");
    assert_eq!(&to_json(&record).expect("our own record"), json);
    bytes
}

/// The record as an encoder writes it that looks each field up.
fn by_another_encoder<T: Published>(record: &T) -> Vec<u8> {
    let schema: serde_avro_fast::Schema = T::SCHEMA.text().parse().unwrap();
    serde_avro_fast::to_single_object_vec(record, &mut serde_avro_fast::ser::SerializerConfig::new(&schema)).unwrap()
}

/// Nothing but the whole record is one: no part of it, and nothing more than it.
fn check_only_whole<T: Published + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    for end in 0..bytes.len() {
        let decoded = decode::<T>(&bytes[..end]);
        let expected = if end < 10 {
            matches!(decoded, Err(CodecError::Unframed))
        } else {
            matches!(decoded, Err(CodecError::Undecodable { .. }))
        };
        assert!(expected, "{:?}: first {end} of {} bytes: {decoded:?}", T::SCHEMA, bytes.len());
    }
    for more in [&[0][..], &[1, 2, 3], bytes] {
        assert_eq!(decode::<T>(&[bytes, more].concat()), Err(CodecError::TrailingBytes), "{:?}", T::SCHEMA);
    }
}

fn check_full<T: Published + PartialEq + std::fmt::Debug>() {
    for json in samples::full(T::SCHEMA) {
        check_only_whole::<T>(&check::<T>(&json));
    }
}

fn check_any<T: Published + PartialEq + std::fmt::Debug>(cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&samples::any(T::SCHEMA), |json| {
        check::<T>(&json);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{:?}: {error}", T::SCHEMA));
}

/// Runs a check for the record of every schema.
macro_rules! for_every_schema {
    ($check:ident($($argument:expr),*)) => {
        for name in SchemaName::ALL {
            match name {
                SchemaName::ReferralEvent => $check::<ReferralEvent>($($argument),*),
                SchemaName::Outcome => $check::<Outcome>($($argument),*),
                SchemaName::Inbox => $check::<InboxRecord>($($argument),*),
                SchemaName::Task => $check::<Task>($($argument),*),
                SchemaName::Decision => $check::<Decision>($($argument),*),
                SchemaName::History => $check::<History>($($argument),*),
                SchemaName::Feedback => $check::<Feedback>($($argument),*),
                SchemaName::Quarantine => $check::<Quarantined>($($argument),*),
            }
        }
    };
}

#[test]
fn full_records_of_every_schema_round_trip_and_no_part_of_one_is_read() {
    for_every_schema!(check_full());
}

#[test]
fn any_record_of_every_schema_round_trips() {
    for_every_schema!(check_any(24));
}

fn check_bare<T: Published + PartialEq + std::fmt::Debug>() {
    let json = samples::bare(T::SCHEMA);
    let record: T = from_json(&json).unwrap_or_else(|faults| panic!("{:?}: {faults:?}\n{json}", T::SCHEMA));
    let bytes = encode(&record).unwrap_or_else(|error| panic!("{:?}: {error}", T::SCHEMA));
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(&record));
    let written = to_json(&record).expect("our own record");
    assert_eq!(from_json::<T>(&written).as_ref(), Ok(&record), "what was left out stays so");
    check_only_whole::<T>(&bytes);
}

#[test]
fn records_may_leave_out_what_has_a_default() {
    for_every_schema!(check_bare());
}

#[test]
fn sample_events_are_refused_in_part_or_with_more() {
    for kind in samples::kinds() {
        let bytes = encode(&samples::event(kind)).expect("a sample");
        check_only_whole::<ReferralEvent>(&bytes);
    }
}

#[test]
fn a_record_of_another_schema_is_unknown() {
    let event = encode(&samples::event("missing.started")).expect("a sample");
    assert_eq!(decode::<Outcome>(&event), Err(CodecError::UnknownSchema));
    let mut other = event.clone();
    other[4] ^= 1;
    assert_eq!(decode::<ReferralEvent>(&other), Err(CodecError::UnknownSchema));
    other[0] = 0;
    assert_eq!(decode::<ReferralEvent>(&other), Err(CodecError::FramedForRegistry));
    other[0] = 1;
    assert_eq!(decode::<ReferralEvent>(&other), Err(CodecError::Unframed));
}

#[test]
fn a_damaged_record_is_refused_by_path_without_its_values() {
    let event = samples::event("missing.started");
    let bytes = encode(&event).expect("a sample");
    let grade = event.practitioner.role.as_bytes();
    let place = bytes.windows(grade.len()).position(|window| window == grade).expect("the role is in there");
    let mut damaged = bytes.clone();
    damaged[place] = 0xFF;
    let error = decode::<ReferralEvent>(&damaged).expect_err("not UTF-8");
    assert_eq!(error, CodecError::Undecodable { path: "practitioner.role".to_owned() });
    assert!(!error.to_string().contains(&event.practitioner.role));
}

#[test]
fn a_key_of_a_set_is_never_part_of_a_path() {
    let event = samples::event("event.corrected");
    let bytes = encode(&event).expect("a sample");
    let name = b"grade";
    let place = bytes.windows(name.len()).position(|window| window == name).expect("the name is in there");
    let mut damaged = bytes.clone();
    // The union's branch: there is no seventh.
    damaged[place + name.len()] = 14;
    let error = decode::<ReferralEvent>(&damaged).expect_err("no branch");
    assert_eq!(error, CodecError::Undecodable { path: "detail.changes.*".to_owned() });
}

#[test]
fn a_length_that_cannot_be_is_refused_at_once() {
    let event = samples::event("missing.started");
    let whole = encode(&event).expect("a sample");
    // The last thing before `immediate_danger` is the list of factors: a block of one item, "15A", end.
    let list = [2, 6, b'1', b'5', b'A', 0];
    let place = whole.windows(list.len()).position(|window| window == list).expect("the list is in there");
    // A block of 2^62 items.
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    let bytes = [&whole[..place], &huge, &whole[place + 1..]].concat();
    assert_eq!(decode::<ReferralEvent>(&bytes), Err(CodecError::Undecodable { path: "factors".to_owned() }));
}
