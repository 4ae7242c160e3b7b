//! The made-up partnership is the same for the same seed, whole, and plausible.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{nhs_number, upn};
use super::{Payload, Simulated, generate, referral_events};
use crate::engine::model::detail::KINDS;
use crate::engine::model::scalar::Timestamp;

const END: Timestamp = Timestamp(1_780_000_000_000);

fn events(sent: &[Simulated]) -> Vec<&crate::engine::model::event::ReferralEvent> {
    let event = |one: &'_ Simulated| matches!(one.payload, Payload::Event(_));
    sent.iter()
        .filter(|one| event(one))
        .map(|one| match &one.payload {
            Payload::Event(event) => &**event,
            Payload::Refused(_) | Payload::Unreadable(_) => unreachable!("filtered"),
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
fn identifiers_pass_their_checks_and_belong_to_nobody() {
    for serial in 0..2000 {
        let number = nhs_number(serial * 499);
        let sum: u32 = number.bytes().zip((1..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        assert!(number.len() == 10 && number.starts_with("999") && sum.is_multiple_of(11), "{number}");
    }
    assert_eq!(upn(123_456_789), "U999123456789");
}

#[test]
fn events_for_benches_are_valid_and_as_many_as_asked_for() {
    let events = referral_events(3, 500, END);
    assert_eq!(events.len(), 500);
    assert_eq!(events, referral_events(3, 500, END));
}
