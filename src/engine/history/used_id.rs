//! What comes under an id that its sender used before and is no repeat: kept beside the first, under an id that the router gives it.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::engine::history::retracts;
use crate::engine::ids::derived;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::FactValue;

/// A later word does not repeat an earlier one: each counts from when it holds.
const WORDS: [&str; 2] = ["status.changed", "agreement.recorded"];
const SPEAK_OF_OTHERS: [&str; 2] = ["event.corrected", "event.withdrawn"];

/// Whether an event is a word on how something stands, which another of its kind under the same id does not repeat.
pub fn says_how_it_stands(kind: &str) -> bool {
    WORDS.contains(&kind)
}

/// The id that an event is kept under beside whatever had its own before.
pub fn own_id(arriving: &Entry) -> String {
    own_id_under(arriving, &arriving.event_id)
}

fn own_id_under(entry: &Entry, event_id: &str) -> String {
    let (kind, partner) = (entry.kind.as_str(), entry.source.partner.as_str());
    if says_how_it_stands(kind) || SPEAK_OF_OTHERS.contains(&kind) {
        derived(&[kind, partner, event_id, &entry.content_digest])
    } else {
        derived(&[if retracts(entry) { "retraction" } else { kind }, partner, event_id])
    }
}

/// Whether it was kept so before: it is sent once more.
pub fn was_heard(history: &History, arriving: &Entry) -> bool {
    let partner = &arriving.source.partner;
    let same =
        |entry: &&Arc<Entry>| entry.source.partner == *partner && entry.content_digest == arriving.content_digest;
    // Its own id is worked out for what says the same alone: nearly nothing does.
    history.entries.iter().filter(same).any(|entry| entry.event_id == own_id(arriving))
}

/// Whether its sender gave it this id, under whichever it is kept.
pub fn came_under(entry: &Entry, event_id: &str, partner: &str) -> bool {
    entry.source.partner == partner && (entry.event_id == event_id || own_id_under(entry, event_id) == entry.event_id)
}

/// The id of a decision of its own that came by a correction, or under the id of another.
pub fn decided_again(partner: &str, event_id: &str, content_digest: &str) -> String {
    derived(&["decided again", partner, event_id, content_digest])
}

/// The id that its sender gave it, where that is known: theirs to ask about. One that the router gave says nothing to anybody.
pub fn as_sent<'h>(history: &'h History, entry: &'h Entry) -> &'h str {
    let partner = &entry.source.partner;
    let is_its = |event_id: &&String| {
        own_id_under(entry, event_id) == entry.event_id
            || decided_again(partner, event_id, &entry.content_digest) == entry.event_id
    };
    let of_sender = history.entries.iter().filter(|other| other.source.partner == *partner);
    of_sender.map(|other| &other.event_id).find(is_its).unwrap_or(&entry.event_id)
}

/// Whether its sender gave the id of this entry to something of another kind, too, which stands.
pub fn bears_another(history: &History, event_id: &str, entry: &Entry) -> bool {
    let speaks_of_none = |other: &Entry| !SPEAK_OF_OTHERS.contains(&other.kind.as_str());
    history.entries.iter().any(|other| {
        other.kind != entry.kind
            && !other.withdrawn
            && speaks_of_none(other)
            && came_under(other, event_id, &entry.source.partner)
    })
}

/// Of what its sender gave one id, the place of that which `is_meant`; where the one at this place is, or none, this.
pub fn meant(history: &History, event_id: &str, place: usize, is_meant: impl Fn(&Entry) -> bool) -> usize {
    let Some(entry) = history.entries.get(place).filter(|entry| !is_meant(entry)) else { return place };
    let is_other = |other: &Arc<Entry>| {
        other.kind != entry.kind
            && !SPEAK_OF_OTHERS.contains(&other.kind.as_str())
            && other.source == entry.source
            && came_under(other, event_id, &entry.source.partner)
            && is_meant(other)
    };
    history.entries.iter().position(is_other).unwrap_or(place)
}

/// All that one sender said under an id of what this entry is about, and that stands, the latest received first. Of what is no
/// word on how something stands, the entry alone.
pub fn words_of(history: &History, event_id: &str, entry: &Arc<Entry>) -> Vec<Arc<Entry>> {
    if !says_how_it_stands(&entry.kind) {
        return vec![Arc::clone(entry)];
    }
    let partner = &entry.source.partner;
    let is_theirs =
        |word: &&Arc<Entry>| !word.withdrawn && word.kind == entry.kind && came_under(word, event_id, partner);
    let mut words: Vec<Arc<Entry>> = history.entries.iter().filter(is_theirs).cloned().collect();
    words.sort_by_key(|word| Reverse(word.received_at));
    words
}

/// The place of the entry that speaks for an id: of several words the latest received.
pub fn latest(history: &History, event_id: &str, place: usize) -> usize {
    let Some(entry) = history.entries.get(place) else { return place };
    let words = words_of(history, event_id, entry);
    let is_latest = |present: &Arc<Entry>| words.first().is_some_and(|word| Arc::ptr_eq(word, present));
    history.entries.iter().position(is_latest).unwrap_or(place)
}

/// Another word under one id puts right what was said before: where it warns, it stands though it is dated earlier.
pub fn stands_over_earlier(history: &History, arriving: &mut Entry, used: (&str, &Source)) {
    let said = |name: &str| arriving.facts.get(name);
    let warns = match arriving.kind.as_str() {
        "status.changed" => said("open") != Some(&FactValue::Bool(false)),
        "agreement.recorded" => {
            matches!(said("state"), Some(FactValue::Code(state)) if state == "refused" || state == "unsafe_to_ask")
        }
        _ => false,
    };
    let earlier = history
        .entries
        .iter()
        .filter(|entry| entry.kind == arriving.kind && !entry.withdrawn && came_under(entry, used.0, &used.1.partner));
    let latest = earlier.map(|entry| entry.occurred_at).max().filter(|_| warns);
    arriving.occurred_at = arriving.occurred_at.max(latest.unwrap_or(arriving.occurred_at));
}
