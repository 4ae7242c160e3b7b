//! What a person passed on while the child's death was notified was kept from whom it was meant for: it goes out once that stands no longer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::readdressed::{Meant, passed_on, same_work};
use crate::engine::context::StepError;
use crate::engine::model::history::HeldTask;
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::absences::search;
use crate::engine::step::decisions::{closed, lowered};
use crate::engine::step::draft::Draft;
use crate::engine::tasks::{READDRESSED, Wanted};

const KEPT_UNTIL_NOW: &str = "A person had passed this on while the death of the child was notified, which stands no longer: it was kept until now.";

/// It goes to whoever finds out whose it is, for nothing says by now who the child is. `since`: when the notice came.
pub fn send(draft: &mut Draft<'_>, cause: &str, since: Timestamp) -> Result<(), StepError> {
    for entry in draft.history.entries.clone() {
        let kept: Vec<Arc<HeldTask>> = draft
            .history
            .tasks
            .iter()
            .filter(|task| task.is_of(&entry) && is_kept(draft, task, since))
            .cloned()
            .collect();
        let meant_for: BTreeSet<&String> = kept.iter().map(|task| task.meant_for()).collect();
        for agency in meant_for.into_iter().filter_map(|name| draft.book.rules.agencies.get(name)) {
            let theirs = kept.iter().filter(|task| *task.meant_for() == agency.name);
            let mut wanted: Vec<Wanted<'_>> =
                theirs.map(|task| passed_on(draft, None, task, &entry, (agency, &Meant::Unknown))).collect();
            wanted.iter_mut().for_each(|one| one.notes.push(KEPT_UNTIL_NOW.to_owned()));
            let cause = format!("{cause}\0{}\0{}", entry.event_id, agency.name);
            draft.raise(None, &cause, &[], wanted)?;
        }
    }
    Ok(())
}

/// Whether it was passed on since then, and nobody was asked it for that.
fn is_kept(draft: &Draft<'_>, task: &HeldTask, since: Timestamp) -> bool {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let is_asked_for_it = |other: &Arc<HeldTask>| {
        same_work(other, task) && other.meant_for() == task.meant_for() && other.raised_at >= task.state_at
    };
    task.state == READDRESSED
        && task.state_at >= since
        && !history.entries.iter().any(|entry| entry.withdrawn && task.is_of(entry))
        && !search::has_nobody_to_find(history, rules, task)
        && !closed::is_waited_for_no_more(history, rules, task)
        && !lowered::is_lowered(draft, history, task)
        && !history.tasks.iter().any(is_asked_for_it)
}
