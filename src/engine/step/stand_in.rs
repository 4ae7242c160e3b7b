//! An entry in the place of an event that is no longer, or not yet, remembered.

use crate::engine::history::entry::bare;
use crate::engine::model::event::Source;
use crate::engine::model::history::Entry;
use crate::engine::model::scalar::Timestamp;

/// An entry for tasks about an event whose record lies with another subject.
pub fn stand_in_entry(event_id: &str, partner: &str, at: Timestamp) -> Entry {
    bare(event_id, Source { partner: partner.to_owned(), agency: None, unit: String::new() }, at)
}
