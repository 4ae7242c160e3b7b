//! Bytes that the previous release wrote, kept: this one reads them, and writes what the previous one reads.

use std::path::Path;

use pathway_router::engine::codec::{decode, encode, encode_for_released, encode_stably};
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::intake::{self, IncomingRecord, IntakeContext, Partner};
use pathway_router::engine::model::decision::Decision;
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::feedback::Feedback;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord};
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::schema::{Published, from_json, to_json};
use pathway_router::engine::seal::Sealer;
use serde_json::Value;

use crate::samples;

/// The kept records of a schema: each as the previous release wrote it, and what it says.
fn kept<T: Published>() -> Vec<(Vec<u8>, Value)> {
    let name = format!("tests/samples/previous/{}.jsonl", T::SCHEMA.file_stem());
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file");
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        (hex::decode(line["avro"].as_str().expect("hex")).expect("hex"), line["json"].clone())
    });
    lines.collect()
}

/// What the previous release wrote is read as what it says, and written again as it was.
fn check<T: Published + PartialEq + std::fmt::Debug>() {
    let kept = kept::<T>();
    assert!(!kept.is_empty());
    for (bytes, json) in kept {
        let record: T = decode(&bytes).unwrap_or_else(|error| panic!("{:?}: {error}\n{json}", T::SCHEMA));
        assert_eq!(from_json::<T>(&json).as_ref(), Ok(&record), "{:?}", T::SCHEMA);
        assert_eq!(encode_for_released(&record).as_ref(), Ok(&bytes), "{:?}", T::SCHEMA);
        assert_eq!(encode_stably(&record).as_ref(), Ok(&bytes), "{:?} can be said as before", T::SCHEMA);
        let again = encode(&record).expect("our own record");
        assert_eq!(decode::<T>(&again), Ok(record));
    }
}

#[test]
fn what_the_previous_release_wrote_is_read_and_written_again_as_it_was() {
    check::<ReferralEvent>();
    check::<Outcome>();
    check::<InboxRecord>();
    check::<Task>();
    check::<Decision>();
    check::<History>();
    check::<Feedback>();
}

/// Records that use all that is new lose only that, and lie where the previous release reads them: under its schema.
fn check_downward<T: Published + PartialEq + std::fmt::Debug>() {
    let written = kept::<T>().swap_remove(0).0;
    for json in samples::full(T::SCHEMA) {
        let record: T = from_json(&json).unwrap_or_else(|faults| panic!("{:?}: {faults:?}", T::SCHEMA));
        let bytes = encode_for_released(&record).unwrap_or_else(|error| panic!("{:?}: {error}\n{json}", T::SCHEMA));
        assert_eq!(bytes[..10], written[..10], "{:?} is not under the schema of the previous release", T::SCHEMA);
        assert_eq!(decode::<T>(&bytes), Ok(record.as_released()), "{:?}", T::SCHEMA);
        assert!(to_json(&record.as_released()).is_ok());
    }
}

#[test]
fn the_previous_release_can_be_written_for() {
    check_downward::<ReferralEvent>();
    check_downward::<InboxRecord>();
    check_downward::<Task>();
    check_downward::<Decision>();
    check_downward::<History>();
    check_downward::<Feedback>();
}

#[test]
fn an_event_sent_again_after_an_upgrade_is_still_the_same_event() {
    let (keys, sealer) = (Keys::from_secret(&[7; 32]), Sealer::from_secret(&[9; 32]));
    let agencies = Agencies::default();
    let mut compared = 0;
    for (bytes, _) in kept::<InboxRecord>() {
        let record: InboxRecord = decode(&bytes).expect("a kept record");
        let InboxBody::Referral(referral) = record.body else { continue };
        if matches!(referral.event.detail, Detail::DecisionRecorded(_) | Detail::StatusChanged(_)) {
            continue;
        }
        let mut event = referral.event.clone();
        let agency = event.source.agency.take();
        let partner = event.source.partner.clone();
        let value = encode(&event).expect("an event");
        let partners = [(partner.clone(), Partner { agency, units: None })].into();
        let context = IntakeContext {
            keys: &keys,
            sealer: &sealer,
            partners: &partners,
            agencies: &agencies,
            front_door_phone: None,
        };
        let incoming = IncomingRecord {
            topic: "referrals.kept",
            partition: 0,
            offset: 0,
            receipt: Timestamp(record.receipt.0),
            sender: &partner,
            unit: None,
            headers: &[],
            value: &value,
            allow_backfill: false,
            by_gateway: false,
            fault: None,
        };
        let again = intake::referral(&context, &incoming);
        for inbox in again.inbox {
            if let InboxBody::Referral(taken) = inbox.body {
                assert_eq!(taken.content_digest, referral.content_digest, "{}", event.detail.kind());
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "only {compared} events were compared");
}
