//! A made-up partnership: from a seed, the referral events that police, schools, hospitals and the council would send.
//!
//! Pure: the same seed, number and end give the same events. Nobody in it exists; NHS numbers are of the 999 test range,
//! UPNs of an authority that is none. The mix of kinds, the hours, the repeats and the faults are those of a partnership of
//! Cheshire East's size (about 60,000 events a year).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::engine::model::event::ReferralEvent;
use crate::engine::model::scalar::Timestamp;

pub mod agencies;
pub mod details;
pub mod faults;
pub mod hours;
pub mod incidents;
pub mod partners;
pub mod people;

#[cfg(test)]
mod tests;

const EVENTS_A_YEAR: i64 = 60_000;
const YEAR_MS: i64 = 365 * DAY_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const MINUTE_MS: i64 = 60_000;

/// One thing a partner sends.
#[derive(Clone, PartialEq, Debug)]
pub struct Simulated {
    /// When it is sent; events come in this order.
    pub at: Timestamp,
    pub partner: &'static str,
    pub unit: String,
    pub payload: Payload,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Payload {
    /// A valid event, perhaps a duplicate, late, or a correction.
    Event(Box<ReferralEvent>),
    /// A body that the router must refuse over HTTP.
    Refused(Vec<u8>),
    /// Bytes that reach the partner's topic past the gateway, and must end in quarantine.
    Unreadable(Vec<u8>),
}

/// `count` sendings, the last of them about at `end`, over as long a time as so many events take in real life.
pub fn generate(seed: u64, count: usize, end: Timestamp) -> Vec<Simulated> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let span = span_ms(count);
    let start = end.plus_millis(-span);
    let population = people::Population::new(&mut rng, count, end);
    let mut sent = Vec::with_capacity(count + count / 8);
    while sent.len() < count {
        // Follow-ups of an incident may lie past the end; they are not sent.
        let incident = incidents::incident(&mut rng, &population, start, end);
        let incident = faults::spoil(&mut rng, incident);
        sent.extend(incident.into_iter().filter(|one| one.at <= end));
    }
    sent.truncate(count);
    sent.sort_by_key(|one| one.at);
    sent
}

/// How long so many events take in real life; at least a day, so that hours of the day show.
fn span_ms(count: usize) -> i64 {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    count.saturating_mul(YEAR_MS / EVENTS_A_YEAR).max(DAY_MS)
}

/// `count` valid events alone, in the order of sending: for benches and tests that need no partners.
pub fn referral_events(seed: u64, count: usize, end: Timestamp) -> Vec<ReferralEvent> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start = end.plus_millis(-span_ms(count));
    let population = people::Population::new(&mut rng, count, end);
    let mut sent = Vec::with_capacity(count + 8);
    while sent.len() < count {
        sent.extend(incidents::incident(&mut rng, &population, start, end));
    }
    sent.truncate(count);
    sent.sort_by_key(|(at, _)| *at);
    sent.into_iter().map(|(_, event)| event).collect()
}
