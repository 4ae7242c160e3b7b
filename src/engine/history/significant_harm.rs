//! Whether significant harm is suspected as things stand: the case is at level 4b, or a section 47 enquiry runs.

use std::sync::Arc;

use super::decisions::{DECISION, is_since_by_day, known_until, order, raised_at, starts_enquiry};
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::{FactValue, Level, Timestamp};

/// By what was received up to an instant, whatever the judged event itself comes to, unless that is a person's decision. A person
/// ends it: who closes the case, or sets another level.
pub fn is_suspected(history: &History, judged: &Entry, at: Timestamp) -> bool {
    let is_other = |entry: &Entry| entry.kind == DECISION || !entry.is_same_event(judged);
    // What was withdrawn lowers no case: until a person decides it is at the level that it came to.
    let stands = |entry: &Entry| !entry.withdrawn || entry.kind != DECISION;
    let counts = |entry: &&Arc<Entry>| stands(entry) && entry.received_at <= at && is_other(entry);
    let known = || history.entries.iter().filter(counts);
    let settled = known().filter(|entry| settles(entry)).max_by_key(|entry| order(entry));
    let since = settled.map(|entry| known_until(entry));
    let decided = settled.map(|entry| order(entry));
    let stays = settled.is_some_and(|entry| !is_said(entry, "closed") && level_said(entry) == Some(Level::L4b));
    let fired_since =
        |entry: &Entry| raised_at(entry, Level::L4b).is_some_and(|raised| raised <= at && Some(raised) > since);
    let raised =
        |entry: &Arc<Entry>| (entry.level == Some(Level::L4b) && Some(entry.received_at) > since) || fired_since(entry);
    let begun = |entry: &Entry| {
        let by_day = || since.is_some_and(|since| is_since_by_day(entry, since));
        Some(order(entry)) > decided || by_day()
    };
    let enquiry = |entry: &Arc<Entry>| starts_enquiry(entry) && begun(entry);
    stays || known().any(|entry| raised(entry) || enquiry(entry))
}

/// Whether a person has closed the case, or said at which level it is.
fn settles(entry: &Entry) -> bool {
    let of_level = ["level_confirmed", "level_set", "stepped_down"];
    is_said(entry, "closed") || (of_level.iter().any(|code| is_said(entry, code)) && level_said(entry).is_some())
}

fn is_said(entry: &Entry, decision: &str) -> bool {
    entry.kind == DECISION && matches!(entry.facts.get("decision"), Some(FactValue::Code(code)) if code == decision)
}

fn level_said(entry: &Entry) -> Option<Level> {
    let Some(FactValue::Code(symbol)) = entry.facts.get("level") else { return None };
    Level::ALL.into_iter().find(|level| level.symbol() == symbol)
}
