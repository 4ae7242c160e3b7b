//! How long things are remembered: what is too old, or too much, folds into counts by kind.

use std::sync::Arc;

use super::is_open;
use crate::engine::model::history::{Entry, FirstReceipt, HeldTask, History};
use crate::engine::model::scalar::Timestamp;

/// Most entries kept whole for one subject; older ones fold into counts.
pub const ENTRIES_MAX: usize = 256;
/// Most tasks remembered for one subject; closed ones go first, oldest first.
pub const TASKS_MAX: usize = 256;

/// Most reports kept beside an entry, corrections kept waiting, and words on statuses, of one subject.
pub const CORROBORATIONS_MAX: usize = 32;
pub const AWAITING_MAX: usize = 64;
pub const STATUSES_MAX: usize = 256;
/// Most ids of folded imports remembered for one subject.
pub const FOLDED_IDS_MAX: usize = 4096;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Folds what is older than the retention, or over the cap, into counts by kind; returns how many entries went.
///
/// Statuses are kept: plans matter for the whole childhood. Closed tasks over the cap go, oldest first. When the next
/// thing is too old is kept with the history, so that it goes then even if nothing comes.
pub fn fold(history: &mut History, now: Timestamp, retention_days: i64) -> usize {
    let retention_ms = retention_days.saturating_mul(DAY_MS);
    let oldest_kept = now.plus_millis(retention_ms.saturating_neg());
    let over = history.entries.len().saturating_sub(ENTRIES_MAX);
    let expired = oldest(history).is_some_and(|oldest| oldest < oldest_kept);
    let going = if over > 0 || expired { fold_entries(history, oldest_kept, over) } else { 0 };
    if expired {
        history.tasks.retain(|task| task_kept_by(task) >= oldest_kept);
        history.awaiting.retain(|waiting| waiting.received_at >= oldest_kept);
        history.agreement.take_if(|standing| standing.at < oldest_kept);
        let first_receipts = history.first_receipts.take().unwrap_or_default();
        let kept: Vec<FirstReceipt> =
            first_receipts.into_iter().filter(|first| first.received_at >= oldest_kept).collect();
        history.first_receipts = (!kept.is_empty()).then_some(kept);
    }
    bound(history);
    history.fold_at = oldest(history).map(|oldest| next_midnight(oldest.plus_millis(retention_ms)));
    going
}

/// The time by which the oldest thing that will be too old is kept.
fn oldest(history: &History) -> Option<Timestamp> {
    let entries = history.entries.iter().map(|entry| kept_by(entry)).min();
    let tasks = history.tasks.iter().map(|task| task_kept_by(task)).min();
    let awaiting = history.awaiting.iter().map(|waiting| waiting.received_at).min();
    let agreement = history.agreement.as_ref().map(|standing| standing.at);
    let first_receipts = history.first_receipts.iter().flatten().map(|first| first.received_at).min();
    [entries, tasks, awaiting, agreement, first_receipts].into_iter().flatten().min()
}

/// What is told now of long ago is kept as long as anything told now; what is imported goes by when it happened.
fn kept_by(entry: &Entry) -> Timestamp {
    if entry.backfilled { entry.occurred_at } else { entry.occurred_at.max(entry.received_at) }
}

fn task_kept_by(task: &HeldTask) -> Timestamp {
    task.raised_at.max(task.state_at)
}

/// A day's worth goes together, and strictly later than what it must be later than.
fn next_midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS))
}

fn fold_entries(history: &mut History, oldest_kept: Timestamp, over: usize) -> usize {
    let (mut kept, mut going) = (Vec::with_capacity(history.entries.len()), 0_usize);
    let mut held_back = Vec::new();
    for (place, entry) in std::mem::take(&mut history.entries).into_iter().enumerate() {
        if place >= over && kept_by(&entry) >= oldest_kept {
            kept.push(entry);
            continue;
        }
        going = going.saturating_add(1);
        if entry.backfilled {
            remember_folded(history, &entry.event_id);
        }
        if !entry.withdrawn {
            let count = history.folded.entry(entry.kind.clone()).or_default();
            *count = count.saturating_add(1);
            held_back.extend(entry.held_back.iter().cloned());
        }
    }
    history.entries = kept;
    // A route once held back stays so until a person lifts it: the oldest entry that is left holds it on.
    if let Some(oldest) = history.entries.iter_mut().find(|entry| !entry.withdrawn).filter(|_| !held_back.is_empty()) {
        let oldest = Arc::make_mut(oldest);
        oldest.held_back.append(&mut held_back);
        oldest.held_back.sort();
        oldest.held_back.dedup();
    }
    going
}

/// Bounds what would otherwise grow with every report: the oldest go first.
fn bound(history: &mut History) {
    fn keep_last<T>(list: &mut Vec<T>, most: usize) {
        let over = list.len().saturating_sub(most);
        list.drain(..over);
    }
    keep_last(&mut history.awaiting, AWAITING_MAX);
    keep_last(&mut history.statuses, STATUSES_MAX);
    for entry in &mut history.entries {
        if entry.corroborated_by.len() > CORROBORATIONS_MAX {
            keep_last(&mut Arc::make_mut(entry).corroborated_by, CORROBORATIONS_MAX);
        }
    }
    while history.tasks.len() > TASKS_MAX {
        // What still waits for somebody goes last.
        let place = |wanted: fn(&HeldTask) -> bool| history.tasks.iter().position(|task| wanted(task));
        let gone = place(|task| !is_open(&task.state))
            .or_else(|| place(|task| task.chases.is_some()))
            .or_else(|| place(|task| matches!(task.state.as_str(), "acknowledged" | "accepted")));
        history.tasks.remove(gone.unwrap_or(0));
    }
}

fn remember_folded(history: &mut History, event_id: &str) {
    let id = folded_id(event_id);
    if let Err(place) = history.folded_ids.binary_search(&id)
        && history.folded_ids.len() < FOLDED_IDS_MAX
    {
        history.folded_ids.insert(place, id);
    }
}

/// The first eight bytes of an event's id.
pub fn folded_id(event_id: &str) -> i64 {
    let id = uuid::Uuid::parse_str(event_id).unwrap_or_default();
    id.as_bytes().first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
