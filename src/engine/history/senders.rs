//! Where whoever reported a happening can be rung: the first who did, and each who reported it too.

use std::collections::BTreeSet;

use crate::engine::identity::Keys;
use crate::engine::model::event::Source;
use crate::engine::model::history::Entry;

/// All numbers of those who reported it, as a person reads them: the first sender's, and each other's with their name. None: of nobody
/// a number is known, or the suspect may answer there.
pub fn numbers(keys: &Keys, entry: &Entry) -> Option<String> {
    let first = first(keys, entry);
    let others = others(keys, entry).into_iter().filter_map(|(name, number)| Some(format!("{name}: {}", number?)));
    let all: Vec<String> = first.into_iter().chain(others).collect();
    (!all.is_empty()).then(|| all.join(", or "))
}

/// The number of whoever reported it first.
pub fn first(keys: &Keys, entry: &Entry) -> Option<String> {
    entry.call_back.clone().filter(|_| !at_suspects(keys, entry, &entry.source))
}

/// Who reported it too and did not take that back, each with their number.
pub fn others(keys: &Keys, entry: &Entry) -> BTreeSet<(String, Option<String>)> {
    let told = (&entry.source, &entry.call_back);
    let others = entry.corroborated_by.iter().filter(|report| (&report.source, &report.call_back) != told);
    let others = others.map(|report| {
        let number = report.call_back.clone().filter(|_| !at_suspects(keys, entry, &report.source));
        (format!("{}, {}", report.source.partner, report.source.unit), number)
    });
    others.collect()
}

/// Whether whoever rings a sender may reach the suspect.
fn at_suspects(keys: &Keys, entry: &Entry, source: &Source) -> bool {
    entry.held_back.iter().any(|route| route.is_suspects_own(keys, source))
}
