//! The made-up partnership is the same for the same seed, whole, and plausible.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{nhs_number, upn};
use super::{Payload, Simulated, generate, referral_events};
use crate::engine::cloud_event;
use crate::engine::identity::{nhs_number_is_valid, upn_is_valid};
use crate::engine::model::detail::KINDS;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::scalar::Timestamp;

const END: Timestamp = Timestamp(1_780_000_000_000);

fn events(sent: &[Simulated]) -> Vec<&ReferralEvent> {
    sent.iter()
        .filter_map(|one| match &one.payload {
            Payload::Event(event) => Some(&**event),
            Payload::Refused(_) | Payload::Unreadable(_) => None,
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_events_in_order_of_sending() {
    let first = generate(7, 700, END);
    assert_eq!(first, generate(7, 700, END));
    assert_ne!(first, generate(8, 700, END));
    assert_eq!(first.len(), 700);
    assert!(first.is_sorted_by_key(|one| one.at));
    assert!(first.last().is_some_and(|one| one.at <= END));
}

#[test]
fn every_kind_occurs_and_every_fault_too() {
    let sent = generate(1, 20_000, END);
    let kinds: BTreeSet<_> = events(&sent).iter().map(|event| event.detail.kind()).collect();
    let absent: Vec<_> = KINDS.iter().filter(|(kind, _)| !kinds.contains(kind)).collect();
    assert!(absent.is_empty(), "never sent: {absent:?}");
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events(&sent) {
        *ids.entry(&event.event_id).or_default() += 1;
    }
    assert!(ids.values().any(|count| *count == 2), "no duplicates");
    assert!(sent.iter().any(|one| matches!(one.payload, Payload::Refused(_))));
    assert!(sent.iter().any(|one| matches!(one.payload, Payload::Unreadable(_))));
    let children: BTreeSet<_> = events(&sent).iter().filter_map(|event| event.child.nhs_number.as_deref()).collect();
    assert!(children.len() < events(&sent).len() / 2, "children come again");
}

#[test]
fn identifiers_pass_their_checks() {
    for serial in 0..2000 {
        let (number, upn) = (nhs_number(serial * 499), upn(u64::from(serial) * 499_979));
        assert!(number.starts_with("999") && nhs_number_is_valid(&number), "{number}");
        assert!(upn_is_valid(&upn), "{upn}");
    }
}

#[test]
fn every_valid_event_is_a_valid_cloud_event_and_no_refused_one_is() {
    for one in generate(5, 3000, END) {
        match &one.payload {
            Payload::Event(event) => {
                let json = cloud_event::write(event).expect("an event that can be written");
                let read =
                    cloud_event::read(&json).unwrap_or_else(|faults| panic!("{}: {faults:?}", event.detail.kind()));
                assert_eq!(read.event, **event);
            }
            Payload::Refused(body) => {
                let read = serde_json::from_slice(body).map(|json| cloud_event::read(&json));
                let claims_another = String::from_utf8_lossy(body).contains("someone-else");
                let lies_ahead = String::from_utf8_lossy(body).contains("2099");
                assert!(!matches!(read, Ok(Ok(_))) || claims_another || lies_ahead);
            }
            Payload::Unreadable(bytes) => assert!(crate::engine::codec::decode::<ReferralEvent>(bytes).is_err()),
        }
    }
}

#[test]
fn events_for_benches_are_valid_and_as_many_as_asked_for() {
    let events = referral_events(3, 500, END);
    assert_eq!(events.len(), 500);
    assert_eq!(events, referral_events(3, 500, END));
}
