//! Two histories become one: entries known in both once, and no decision of the one counted for what the other holds.

use std::sync::Arc;

use super::{
    Known, agreement, corroborate, decisions, folding, insert, is_imported, is_open, known_as, raise_case_level,
    recognise_by, routes, take_place_of,
};
use crate::engine::model::history::{Entry, EventOf, HeldTask, History, LookAlikes, Pair, RecordedDecision, said_by};
use crate::engine::model::scalar::Timestamp;

/// What was taken back under one key is no witness to what is reported under another.
fn keep_withdrawn(into: &mut History, entry: &Entry) {
    if !into.entries.iter().any(|present| present.is_same_event(entry)) {
        insert(into, entry.clone());
    }
}

fn join_pairs(into: &mut History, from: Option<Vec<Pair>>) {
    let mut pairs = into.pairs.take().unwrap_or_default();
    for pair in from.into_iter().flatten() {
        if !pairs.iter().any(|present| present.subject == pair.subject) {
            pairs.push(pair);
        }
    }
    into.pairs = (!pairs.is_empty()).then_some(pairs);
}

fn join_look_alikes(into: &mut History, from: Option<Vec<LookAlikes>>) {
    for known in from.into_iter().flatten() {
        if known_as::standing(into, &known.one, &known.two).is_none() {
            into.look_alikes.get_or_insert_default().push(known);
        }
    }
}

/// An entry that is known under another event's id in the joined history: what was tied to the one is tied to the other.
type Renamed = Vec<(Arc<Entry>, Arc<Entry>)>;

fn join_entries(into: &mut History, entries: Vec<Arc<Entry>>) -> (Vec<Arc<Entry>>, Renamed) {
    let (mut added, mut renamed) = (Vec::new(), Vec::new());
    // Where an absence ended is known by its own record alone, whose return may come after its start.
    let mut both = History { look_alikes: into.look_alikes.clone(), ..History::default() };
    both.entries.extend(into.entries.iter().chain(&entries).cloned());
    both.entries.sort_by_key(|entry| (entry.occurred_at, entry.received_at));
    for entry in entries {
        if entry.withdrawn {
            keep_withdrawn(into, &entry);
            continue;
        }
        match recognise_by(into, &both, &entry) {
            Known::New => {
                insert(into, Entry::clone(&entry));
                added.push(entry);
            }
            Known::Retransmission | Known::Withdrawn => {}
            Known::Duplicate(index) if is_imported(into, index) && !entry.backfilled => {
                let imported = into.entries.remove(index);
                let mut live = Entry::clone(&entry);
                take_place_of(&imported, &mut live);
                insert(into, live);
                added.push(entry);
            }
            Known::Duplicate(index) => {
                if let Some(present) = into.entries.get_mut(index) {
                    join(Arc::make_mut(present), &entry);
                    renamed.push((entry, Arc::clone(present)));
                }
            }
        }
    }
    (added, renamed)
}

/// Joins the history of a weaker key into this one. Entries known in both are kept once. `known_at`: receipt of what showed that
/// they are one.
pub fn merge(into: &mut History, mut from: History, known_at: Timestamp) -> Vec<Arc<Entry>> {
    let (added, renamed) = join_entries(into, std::mem::take(&mut from.entries));
    folding::join(into, &mut from);
    for status in from.statuses {
        if !into.statuses.contains(&status) {
            let position = into.statuses.partition_point(|present| present.since <= status.since);
            into.statuses.insert(position, status);
        }
    }
    into.recount_at = into.recount_at.into_iter().chain(from.recount_at).min();
    raise_case_level(into, from.case_level);
    let from_tasks = keep_apart_from_decisions(into, from.last_decision.as_ref(), from.tasks, known_at);
    if into.last_decision.as_ref().map(|decision| decision.at) < from.last_decision.as_ref().map(|decision| decision.at)
    {
        into.last_decision = from.last_decision;
    }
    if agreement::supersedes(from.agreement.as_ref(), into.agreement.as_ref()) {
        into.agreement = from.agreement;
    }
    for mut task in from_tasks {
        if let Some((old, new)) = renamed.iter().find(|(old, _)| task.is_of(old)) {
            let task = Arc::make_mut(&mut task);
            let partner = task.partner.clone().unwrap_or_else(|| old.source.partner.clone());
            task.raised_for.get_or_insert(EventOf { event_id: task.event_id.clone(), partner });
            task.event_id.clone_from(&new.event_id);
            task.partner = Some(new.source.partner.clone());
        }
        if !into.tasks.iter().any(|present| present.task_id == task.task_id) {
            into.tasks.push(task);
        }
    }
    for mut timer in from.timers {
        if let Some((_, new)) = renamed.iter().find(|(old, _)| timer.is_of(old)) {
            timer.event_id.clone_from(&new.event_id);
            timer.partner = Some(new.source.partner.clone());
        }
        if !into.timers.contains(&timer) {
            into.timers.push(timer);
        }
    }
    into.timers.sort();
    into.awaiting.extend(from.awaiting);
    join_pairs(into, from.pairs);
    join_look_alikes(into, from.look_alikes);
    for first in from.first_receipts.into_iter().flatten() {
        into.first_receipts.get_or_insert_default().push(first);
    }
    into.updated_at = into.updated_at.max(from.updated_at);
    added
}

/// A decision about the one record says nothing of the tasks of the other: whoever made it did not know of them. Tasks that
/// their own side's decision closed stay so.
fn keep_apart_from_decisions(
    into: &mut History,
    theirs: Option<&RecordedDecision>,
    mut from_tasks: Vec<Arc<HeldTask>>,
    known_at: Timestamp,
) -> Vec<Arc<HeldTask>> {
    let ours = into.last_decision.clone();
    let (newer, older, tasks) = match (ours.as_ref(), theirs) {
        (ours, Some(theirs)) if ours.is_none_or(|ours| ours.at < theirs.at) => (theirs, ours, &mut into.tasks),
        // The decision named the child by both keys, and was about both records.
        (Some(ours), _) if is_received_at(into, ours, known_at) => return from_tasks,
        (Some(ours), theirs) => (ours, theirs, &mut from_tasks),
        (None, _) => return from_tasks,
    };
    let is_closed = |task: &HeldTask| older.is_some_and(|older| older.closed && older.at >= task.raised_at);
    for task in tasks.iter_mut().filter(|task| is_open(&task.state) && task.raised_at <= newer.at) {
        if !is_closed(task) && task.decided_apart < Some(newer.at) {
            Arc::make_mut(task).decided_apart = Some(newer.at);
        }
    }
    from_tasks
}

fn is_received_at(history: &History, decision: &RecordedDecision, at: Timestamp) -> bool {
    let by = |entry: &&Arc<Entry>| said_by(decision.event_id.as_deref(), decision.partner.as_deref(), entry);
    history.entries.iter().find(by).is_some_and(|entry| entry.received_at == at)
}

/// One happening, reported under both keys: what was done for either is done, and what either holds back is held back.
fn join(present: &mut Entry, other: &Entry) {
    corroborate(present, other);
    present.corroborated_by.extend(other.corroborated_by.iter().cloned());
    present.taken_back.extend(other.taken_back.iter().cloned());
    present.denied.extend(other.denied.iter().cloned());
    routes::join(present, other);
    present.fired.extend(other.fired.iter().cloned());
    present.fired.sort();
    present.fired.dedup();
    present.level = present.level.max(other.level);
    for (name, at) in other.anchors.iter().filter(|(name, _)| decisions::is_raised_to(name)) {
        let latest = present.anchors.entry(name.clone()).or_insert(*at);
        *latest = (*latest).max(*at);
    }
}
