//! An event is taken back by which somebody was asked what another event asks as well: they are asked by that one.

use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::episodes;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::step::deadlines::clocks::due_already;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::{add_new, asked_after_all, goes_on};
use crate::engine::step::held_back::lifted::{fired_for, is_open};
use crate::engine::tasks::{Finding, Raised};

/// One task stood for what several events ask of one recipient: with the event it was raised for it ends, and the others ask it still.
/// `ended`: what nobody holds any longer.
pub fn ask(draft: &mut Draft<'_>, cause: &str, ended: &[Arc<HeldTask>]) -> Result<(), StepError> {
    let asks_same = |entry: &Entry| {
        let same =
            |task: &Arc<HeldTask>| task.chases.is_none() && task.rules.iter().any(|rule| entry.fired.contains(rule));
        ended.iter().any(same)
    };
    let stands = |entry: &Entry| is_open(&draft.history, entry) || (!entry.withdrawn && goes_on(draft, entry));
    let others: Vec<Arc<Entry>> =
        draft.history.entries.iter().filter(|entry| asks_same(entry) && stands(entry)).cloned().collect();
    let findings: Vec<Finding<'_>> = others.iter().flat_map(|entry| fired_for(draft, entry)).collect();
    if findings.is_empty() {
        return Ok(());
    }
    let raised = draft.raising(None, &format!("{cause}\0asked by others")).raise_ended(&findings, ended)?;
    draft.take(Raised { ring: None, ..raised });
    Ok(())
}

/// A report of an absence is taken back: by the others the child is out as they tell it, and what the clocks of that and what was recorded
/// meanwhile ask is asked now.
pub fn of_absence<'a>(
    draft: &Draft<'a>,
    before: &History,
    withdrawn: &Entry,
    findings: &mut Vec<Finding<'a>>,
) -> Result<(), StepError> {
    if !episodes::is_report(withdrawn) {
        return Ok(());
    }
    let history = &draft.history;
    let is_out = |entry: &&Arc<Entry>| !entry.withdrawn && !entry.backfilled && goes_on(draft, entry);
    for entry in history.entries.iter().filter(is_out) {
        add_new(findings, due_already(draft, entry)?);
    }
    add_new(findings, asked_after_all(draft, before, withdrawn.received_at)?);
    Ok(())
}
