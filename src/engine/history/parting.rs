//! Two histories that were joined come apart again: what came under one key goes back to it.

use std::sync::Arc;

use super::decisions::latest;
use super::{insert, latest_agreement};
use crate::engine::model::history::{Corroboration, Entry, EventOf, HeldTask, History, said_by};

/// Takes out of a joined history what came by these events: entries, and what is tied to them by event and sender. What was
/// folded into counts stays. The case level of what is left stands until a person decides.
pub fn take_out(history: &mut History, events: &[EventOf]) -> History {
    let is_theirs = |event_id: &str, partner: &str| events.iter().any(|event| event.is(event_id, partner));
    let look_alikes = history.look_alikes.clone();
    // What is kept no longer may have held these back on either side.
    let held_back = history.held_back.clone();
    let (covered_since, grown_by) = (history.covered_since, history.grown_by);
    let updated_at = history.updated_at;
    let mut taken = History { updated_at, look_alikes, held_back, covered_since, grown_by, ..History::default() };
    for entry in std::mem::take(&mut history.entries) {
        let (goes, stays) = parted(&entry, &is_theirs);
        goes.into_iter().for_each(|entry| {
            insert(&mut taken, entry);
        });
        stays.into_iter().for_each(|entry| {
            insert(history, entry);
        });
    }
    let moved: Vec<Arc<Entry>> = taken.entries.clone();
    let left: Vec<Arc<Entry>> = history.entries.clone();
    let goes = |is_of: &dyn Fn(&Entry) -> bool| {
        moved.iter().any(|entry| is_of(entry)) && !left.iter().any(|entry| is_of(entry))
    };
    let back = |task: Arc<HeldTask>| with_its_own(task, &moved, &left);
    (taken.tasks, history.tasks) =
        std::mem::take(&mut history.tasks).into_iter().map(back).partition(|task| goes(&|entry| task.is_of(entry)));
    (taken.timers, history.timers) =
        std::mem::take(&mut history.timers).into_iter().partition(|timer| goes(&|entry| timer.is_of(entry)));
    (taken.statuses, history.statuses) = std::mem::take(&mut history.statuses)
        .into_iter()
        .partition(|status| goes(&|entry| said_by(status.event_id.as_deref(), status.partner.as_deref(), entry)));
    (taken.awaiting, history.awaiting) = std::mem::take(&mut history.awaiting)
        .into_iter()
        .partition(|waiting| is_theirs(&waiting.event_id, &waiting.source.partner));
    taken.last_decision = history
        .last_decision
        .take_if(|decision| goes(&|entry| said_by(decision.event_id.as_deref(), decision.partner.as_deref(), entry)));
    if taken.last_decision.is_some() {
        history.last_decision = latest(history);
    } else {
        taken.last_decision = latest(&taken);
    }
    let agreed = history
        .agreement
        .take_if(|standing| goes(&|entry| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), entry)));
    if agreed.is_some() {
        history.agreement = latest_agreement(history);
    }
    taken.agreement = latest_agreement(&taken);
    taken
}

/// A task that was raised for what became a second report is that report's again, where it stands by itself.
fn with_its_own(mut task: Arc<HeldTask>, moved: &[Arc<Entry>], left: &[Arc<Entry>]) -> Arc<HeldTask> {
    let Some(own) = task.raised_for.clone() else { return task };
    if moved.iter().chain(left).any(|entry| own.is(&entry.event_id, &entry.source.partner)) {
        let task = Arc::make_mut(&mut task);
        (task.event_id, task.partner, task.raised_for) = (own.event_id, Some(own.partner), None);
    }
    task
}

/// An entry for either side. One happening that both reported is kept on both, each with its own reports.
fn parted(entry: &Arc<Entry>, is_theirs: &dyn Fn(&str, &str) -> bool) -> (Option<Entry>, Option<Entry>) {
    let theirs = |report: &&Corroboration| is_theirs(&report.event_id, &report.source.partner);
    let first = is_theirs(&entry.event_id, &entry.source.partner);
    let (goes, stays): (Vec<&Corroboration>, Vec<&Corroboration>) = entry.corroborated_by.iter().partition(theirs);
    let with = |reports: Vec<&Corroboration>| Entry {
        corroborated_by: reports.into_iter().cloned().collect(),
        ..entry.as_ref().clone()
    };
    if first { (Some(with(goes)), standing_in(entry, &stays)) } else { (standing_in(entry, &goes), Some(with(stays))) }
}

/// The entry as whoever reported it again would have left it.
fn standing_in(entry: &Entry, reports: &[&Corroboration]) -> Option<Entry> {
    let (first, others) = reports.split_first()?;
    Some(Entry {
        event_id: first.event_id.clone(),
        source: first.source.clone(),
        content_digest: first.content_digest.clone(),
        received_at: first.received_at,
        partner_reference: None,
        call_back: first.call_back.clone(),
        corroborated_by: others.iter().copied().cloned().collect(),
        named: Vec::new(),
        // Nothing was asked for it: it is judged as one of its own.
        level: None,
        fired: Vec::new(),
        ..entry.clone()
    })
}
