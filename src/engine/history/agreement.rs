//! Whether asking the family for agreement was said to be unsafe, by a recorded agreement or by any event, and stands.

use std::sync::Arc;

use crate::engine::model::history::{AgreementStanding, Entry, History, said_by};
use crate::engine::model::scalar::{FactValue, Timestamp};

pub const UNSAFE_TO_ASK: &str = "unsafe_to_ask";
const SETTLED: [&str; 3] = ["given", "refused", UNSAFE_TO_ASK];

/// What an event itself says of agreement, where that settles anything: that nobody asked yet, or that it is being asked, does not
/// make asking safe.
pub fn said(entry: &Entry) -> Option<&str> {
    match entry.facts.get("agreement") {
        Some(FactValue::Code(state)) if SETTLED.contains(&state.as_str()) => Some(state),
        Some(FactValue::Code(_) | FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// Until an agreement is recorded, or a later event says that it was given or refused, unsafe stands. `until`: by what was received
/// up to then.
pub fn is_unsafe(history: &History, until: Option<Timestamp>) -> bool {
    let standing = history.agreement.as_ref();
    match (latest(history, until), standing) {
        (Some(entry), Some(standing)) if standing.at >= entry.received_at => standing.state == UNSAFE_TO_ASK,
        (Some(entry), _) => said(entry) == Some(UNSAFE_TO_ASK),
        (None, standing) => standing.is_some_and(|standing| standing.state == UNSAFE_TO_ASK),
    }
}

/// The latest event that settles it; of two at once the one that warns.
fn latest(history: &History, until: Option<Timestamp>) -> Option<&Arc<Entry>> {
    let known = |entry: &&Arc<Entry>| !entry.withdrawn && until.is_none_or(|until| entry.received_at <= until);
    let words = history.entries.iter().filter(known).filter(|entry| said(entry).is_some());
    words.max_by_key(|entry| (entry.received_at, said(entry) == Some(UNSAFE_TO_ASK)))
}

/// The events that said so since an agreement was last recorded, that record among them.
pub fn unsafe_by(history: &History) -> impl Iterator<Item = &Arc<Entry>> {
    let standing = history.agreement.as_ref();
    let recorded = move |entry: &Entry| {
        let of =
            |standing: &AgreementStanding| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), entry);
        standing.is_some_and(|standing| standing.state == UNSAFE_TO_ASK && of(standing))
    };
    let since = standing.map(|standing| standing.at);
    let says =
        move |entry: &Entry| said(entry) == Some(UNSAFE_TO_ASK) && since.is_none_or(|since| entry.received_at > since);
    history.entries.iter().filter(move |entry| !entry.withdrawn && (recorded(entry) || says(entry)))
}
