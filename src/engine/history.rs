//! What is remembered of a subject: insertion, duplicates, statuses, retention and merging.

use std::sync::Arc;

use super::model::detail::{self, EventCorrected, StatusChanged};
use super::model::event::{ReferralEvent, Source};
use super::model::history::{Corroboration, Entry, History, RecordedDecision, Status};
use super::model::scalar::{Coded, FactValue, Level, Timestamp};

pub mod entry;
pub mod episodes;
#[cfg(test)]
mod tests;

/// Most entries kept whole for one subject; older ones fold into counts.
pub const ENTRIES_MAX: usize = 256;
/// Most tasks remembered for one subject; closed ones go first, oldest first.
pub const TASKS_MAX: usize = 256;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How an arriving event relates to what is already known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing like it.
    New,
    /// The same id and content from the same source.
    Retransmission,
    /// The same happening as the entry at this index: under the same id with other content, the same police
    /// reference, or an overlapping missing episode.
    Duplicate(usize),
}

/// Looks an arriving event up in what is known. Recognised within one subject only.
pub fn recognise(history: &History, arriving: &Entry) -> Known {
    for (index, entry) in history.entries.iter().enumerate() {
        let same_id = entry.event_id == arriving.event_id && entry.source.partner == arriving.source.partner;
        if same_id && entry.content_digest == arriving.content_digest {
            return Known::Retransmission;
        }
        let corroborated = entry.corroborated_by.iter().find(|corroboration| {
            corroboration.event_id == arriving.event_id && corroboration.source.partner == arriving.source.partner
        });
        if corroborated.is_some_and(|corroboration| corroboration.content_digest == arriving.content_digest) {
            return Known::Retransmission;
        }
        if (same_id || corroborated.is_some()) && !entry.withdrawn {
            return Known::Duplicate(index);
        }
    }
    history
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !entry.withdrawn && entry.kind == arriving.kind)
        .find(|(_, entry)| same_police_reference(entry, arriving) || episodes::same_episode(history, entry, arriving))
        .map_or(Known::New, |(index, _)| Known::Duplicate(index))
}

/// A police reference names one incident; a regrade or a status may come many times under one.
fn same_police_reference(entry: &Entry, arriving: &Entry) -> bool {
    let repeats = matches!(
        arriving.kind.as_str(),
        "missing.regraded"
            | "status.changed"
            | "decision.recorded"
            | "agreement.recorded"
            | "event.corrected"
            | "event.withdrawn"
            | "information.requested"
    );
    !repeats && arriving.police_reference.is_some() && entry.police_reference == arriving.police_reference
}

/// Keeps a second report of a known happening beside the first.
pub fn corroborate(entry: &mut Entry, arriving: &Entry) {
    entry.corroborated_by.push(Corroboration {
        event_id: arriving.event_id.clone(),
        source: arriving.source.clone(),
        content_digest: arriving.content_digest.clone(),
        received_at: arriving.received_at,
    });
}

/// Puts an entry in its place: by when it happened, then receipt, then id. Returns where.
pub fn insert(history: &mut History, entry: Entry) -> usize {
    let key = |entry: &Entry| (entry.occurred_at, entry.received_at, entry.event_id.clone());
    let position = history.entries.partition_point(|present| key(present) <= key(&entry));
    history.entries.insert(position, Arc::new(entry));
    position
}

/// The entry of an event of the given partner.
pub fn find(history: &History, event_id: &str, partner: &str) -> Option<usize> {
    history.entries.iter().position(|entry| {
        (entry.event_id == event_id && entry.source.partner == partner)
            || entry
                .corroborated_by
                .iter()
                .any(|corroboration| corroboration.event_id == event_id && corroboration.source.partner == partner)
    })
}

/// What a status event leaves behind: the newest word on each status wins.
pub fn apply_status(history: &mut History, change: &StatusChanged, since: Timestamp) {
    let Some(FactValue::Code(status)) = change.status.fact() else { return };
    let changed = Status {
        status,
        open: change.open.unwrap_or(true),
        since,
        category: change.category.map(|category| category.symbol().to_owned()),
        placing_authority: change.placing_authority.clone(),
        out_of_area: change.out_of_area,
        allocated_worker: change.allocated_worker.clone(),
    };
    let position = history.statuses.partition_point(|present| present.since <= changed.since);
    history.statuses.insert(position, changed);
}

/// Whether a status was open at an instant, as far as is recorded.
pub fn status_open(history: &History, status: &str, at: Timestamp) -> bool {
    latest_status(history, status, at).is_some_and(|latest| latest.open)
}

/// The newest word on a status at an instant.
pub fn latest_status<'a>(history: &'a History, status: &str, at: Timestamp) -> Option<&'a Status> {
    history.statuses.iter().rev().find(|present| present.status == status && present.since <= at)
}

/// The worker who holds an open plan of this child at an instant.
pub fn allocated_worker(history: &History, at: Timestamp) -> Option<&str> {
    ["lac", "cpp", "cin"]
        .iter()
        .find_map(|status| latest_status(history, status, at).filter(|latest| latest.open)?.allocated_worker.as_deref())
}

/// A human decision: the only thing that lowers or closes.
pub fn apply_decision(history: &mut History, decision: RecordedDecision) {
    history.case_level = decision.level;
    history.last_decision = Some(decision);
}

/// Raises the case level; it is never lowered here.
pub fn raise_case_level(history: &mut History, level: Option<Level>) {
    history.case_level = history.case_level.max(level);
}

/// The coded facts after a correction; unknown names or wrong types are refused by name.
pub fn corrected(entry: &Entry, correction: &EventCorrected) -> Result<Entry, Vec<String>> {
    let mut after = entry.clone();
    let fields = detail::fields(&entry.kind).unwrap_or_default();
    let mut refused = Vec::new();
    for (name, value) in &correction.changes {
        let declared = fields.iter().find(|(field, _)| field == name).and_then(|(_, fact)| *fact);
        let declared = declared.or_else(|| entry::envelope_fact(name));
        if declared.is_some_and(|fact| entry::fits(fact, value)) {
            after.facts.insert(name.clone(), value.clone());
        } else {
            refused.push(name.clone());
        }
    }
    if refused.is_empty() { Ok(after) } else { Err(refused) }
}

/// Folds what is older than the retention, or over the cap, into counts by kind; returns how many went.
///
/// Statuses are kept: plans matter for the whole childhood. Closed tasks over the cap go, oldest first.
pub fn fold(history: &mut History, now: Timestamp, retention_days: i64) -> usize {
    let oldest_kept = now.plus_millis(retention_days.saturating_mul(DAY_MS).saturating_neg());
    let expired = history.entries.partition_point(|entry| entry.occurred_at < oldest_kept);
    let over = history.entries.len().saturating_sub(ENTRIES_MAX);
    let going = expired.max(over);
    for entry in history.entries.drain(..going) {
        if !entry.withdrawn {
            let count = history.folded.entry(entry.kind.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }
    while history.tasks.len() > TASKS_MAX {
        let closed = history.tasks.iter().position(|task| !is_open(&task.state)).unwrap_or(0);
        history.tasks.remove(closed);
    }
    going
}

/// Whether a task in this state still waits for someone.
pub fn is_open(state: &str) -> bool {
    matches!(state, "raised" | "acknowledged" | "accepted" | "challenged")
}

/// Joins the history of a weaker key into this one. Entries known in both are kept once.
pub fn merge(into: &mut History, from: History) -> Vec<Arc<Entry>> {
    let mut added = Vec::new();
    for entry in from.entries {
        match recognise(into, &entry) {
            Known::New => {
                insert(into, Entry::clone(&entry));
                added.push(entry);
            }
            Known::Retransmission => {}
            Known::Duplicate(index) => {
                if let Some(present) = into.entries.get_mut(index) {
                    corroborate(Arc::make_mut(present), &entry);
                }
            }
        }
    }
    for (kind, count) in from.folded {
        let sum = into.folded.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    }
    for status in from.statuses {
        if !into.statuses.contains(&status) {
            let position = into.statuses.partition_point(|present| present.since <= status.since);
            into.statuses.insert(position, status);
        }
    }
    raise_case_level(into, from.case_level);
    if into.last_decision.as_ref().map(|decision| decision.at) < from.last_decision.as_ref().map(|decision| decision.at)
    {
        into.last_decision = from.last_decision;
    }
    if into.agreement.as_ref().map(|agreement| agreement.at) < from.agreement.as_ref().map(|agreement| agreement.at) {
        into.agreement = from.agreement;
    }
    for task in from.tasks {
        if !into.tasks.iter().any(|present| present.task_id == task.task_id) {
            into.tasks.push(task);
        }
    }
    for timer in from.timers {
        if !into.timers.contains(&timer) {
            into.timers.push(timer);
        }
    }
    into.timers.sort();
    into.awaiting.extend(from.awaiting);
    into.updated_at = into.updated_at.max(from.updated_at);
    added
}

/// The police's own reference names the incident even when they do not repeat it in the shared field.
pub fn police_reference(event: &ReferralEvent) -> Option<String> {
    let own = if is_police(&event.source) { event.partner_reference.clone() } else { None };
    event.police_reference.clone().or(own)
}

fn is_police(source: &Source) -> bool {
    source.agency.as_deref() == Some("police")
}
