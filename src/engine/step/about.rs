//! What a question to a person is about, as far as its reader may know: who reported it, what they call it, where they can be rung, and
//! which tasks it follows. For questions that no event at hand brings, and that name no child therefore.

use std::sync::Arc;

use super::draft::Draft;
use super::one_child::sighting::Sighted;
use crate::engine::history::decisions::DECISION;
use crate::engine::identity::Keys;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::rules::catalogue::{NEVER_JUDGED, is_concern};
use crate::engine::tasks::{Relation, Why};

/// More reports than anybody rings about at once: the latest are named.
const NAMED_MAX: usize = 8;

/// The reports that these tasks came from; where they came from none, the latest that were told of the child.
pub fn reports(history: &History, tasks: &[Arc<HeldTask>]) -> Vec<Arc<Entry>> {
    let is_report = |entry: &&Arc<Entry>| entry.kind != DECISION && !NEVER_JUDGED.contains(&entry.kind.as_str());
    let latest = || history.entries.iter().rev().filter(is_report);
    let behind: Vec<Arc<Entry>> =
        latest().filter(|entry| tasks.iter().any(|task| task.is_of(entry))).cloned().collect();
    if !behind.is_empty() {
        return behind;
    }
    let concerns: Vec<Arc<Entry>> = latest().filter(|entry| is_concern(&entry.kind)).cloned().collect();
    if concerns.is_empty() { latest().take(1).cloned().collect() } else { concerns }
}

/// The latest reports of one record, where a question is about two.
pub fn latest(history: &History) -> Vec<Arc<Entry>> {
    reports(history, &[]).into_iter().take(NAMED_MAX / 2).collect()
}

/// The reason of a question, with who sent each of these reports, and where to ring them for whoever may see that.
pub fn in_words(keys: &Keys, before: &str, reports: &[Arc<Entry>]) -> Why<'static> {
    let words = |with_number| {
        let named: Vec<String> =
            reports.iter().take(NAMED_MAX).map(|report| Sighted::of(keys, report).in_words(with_number)).collect();
        let more = match reports.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} earlier"),
        };
        match named.is_empty() {
            true => before.to_owned(),
            false => format!("{before} It is about {}{more}. Who the child is, their senders say.", named.join("; ")),
        }
    };
    Why::Numbers { told: words(true), without: words(false) }
}

/// What whoever decides holds, or was given, of these reports: the latest first.
pub fn follows(draft: &Draft<'_>, reports: &[Arc<Entry>]) -> Relation {
    let raising = draft.raising(None, "");
    let of_reports = |task: &&Arc<HeldTask>| {
        raising.decides(&task.agency) && task.chases.is_none() && reports.iter().any(|report| task.is_of(report))
    };
    let held = draft.history.tasks.iter().rev().filter(of_reports).take(NAMED_MAX);
    Relation::Follows(held.map(|task| task.task_id.clone()).collect())
}
