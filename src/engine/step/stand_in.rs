//! An entry in the place of an event that is no longer, or not yet, remembered.

use std::collections::BTreeMap;

use crate::engine::model::event::Source;
use crate::engine::model::history::Entry;
use crate::engine::model::scalar::Timestamp;

/// An entry for tasks about an event whose record lies with another subject.
pub fn stand_in_entry(event_id: &str, partner: &str, at: Timestamp) -> Entry {
    Entry {
        event_id: event_id.to_owned(),
        source: Source { partner: partner.to_owned(), agency: None, unit: String::new() },
        kind: String::new(),
        content_digest: String::new(),
        partner_reference: None,
        police_reference: None,
        episode_ref: None,
        occurred_at: at,
        received_at: at,
        anchors: BTreeMap::new(),
        date_only: false,
        facts: BTreeMap::new(),
        held_back: Vec::new(),
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        backfilled: false,
        withdrawn: false,
        named: Vec::new(),
        known_as: None,
        traceparent: None,
        call_back: None,
        taken_back: Vec::new(),
        lifted: Vec::new(),
    }
}
