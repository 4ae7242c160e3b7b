//! An event is taken back: all who were told are recalled, counts are redone, and what they led to goes to a person.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clocks::{due_already, start_timers};
use super::correction::{refuse, review};
use super::draft::{Draft, OWN_DUTY};
use super::findings::judged_again;
use super::{awaiting, siblings};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::{self, Spoken, episodes, forget, is_open, put};
use crate::engine::model::decision::Disposition;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::inbox::Referral;
use crate::engine::rules::catalogue::NEVER_JUDGED;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Finding, Wanted};

pub const WITHDRAWAL_RULE: &str = "withdrawal";
const RECALL_ACTION: &str =
    "Recall: the referral behind your task was withdrawn; stop, do not use it, and ask before you keep or delete it";
const BREACH_ACTION: &str = "Information breach: details were shared about the wrong child or event; look into it";
const SECOND_ACTION: &str = "Decide: one of several who reported the same has withdrawn their report";
const MISSING_ACTION: &str =
    "The return was withdrawn: the child may still be missing; make sure that they are looked for";
const PARTNERSHIP: &str = "partnership";

pub fn received(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original_event_id: &str,
) -> Result<(), StepError> {
    let event = &referral.event;
    let front_door = &draft.book.rules.front_door;
    let (index, own) = match history::find(&draft.history, original_event_id, &arriving.source, front_door) {
        None => return awaiting::keep(draft, referral, arriving, original_event_id, None),
        Some(Spoken::Own(index)) => (index, true),
        Some(Spoken::Corroborated(index)) => (index, false),
    };
    let Some(original) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    let arriving = Arc::new(arriving);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    if NEVER_JUDGED.contains(&original.kind.as_str()) {
        return refuse(draft, referral, &arriving, "what it withdraws is itself a correction or withdrawal");
    }
    if original.withdrawn {
        draft.disposed(Disposition::Duplicate);
        draft.tell_sender(event, FeedbackStatus::AlreadyKnown, &["Received. It was withdrawn already."]);
        return Ok(());
    }
    if !own || !original.corroborated_by.is_empty() {
        one_of_several(draft, referral, &original, own, original_event_id)?;
        draft.tell_sender(event, FeedbackStatus::Received, &["Received. Others reported the same; a person decides."]);
        return Ok(());
    }
    apply(draft, &event.event_id, &original)?;
    let words = ["Received. Your referral is withdrawn, and whoever was told is being recalled."];
    draft.tell_sender(event, FeedbackStatus::Received, &words);
    Ok(())
}

/// What others reported too does not end with one of them.
fn one_of_several(
    draft: &mut Draft<'_>,
    referral: &Referral,
    original: &Arc<Entry>,
    own: bool,
    event_id: &str,
) -> Result<(), StepError> {
    if !own {
        let mut kept = original.as_ref().clone();
        kept.corroborated_by.retain(|corroboration| corroboration.event_id != event_id);
        put(&mut draft.history, kept);
    }
    let cause = &referral.event.event_id;
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let why = "A report was withdrawn that another sender also made. Nothing was recalled.".to_owned();
    let title = "One report of several was withdrawn";
    let wanted = raising.own_duty(WITHDRAWAL_RULE, title, why, SECOND_ACTION, due, original);
    draft.raise(Some(referral), cause, &[], vec![wanted]).map(drop)
}

/// Withdraws an entry and acts on what follows. Names no child: the withdrawal may be about the wrong one.
pub fn apply(draft: &mut Draft<'_>, cause: &str, original: &Arc<Entry>) -> Result<(), StepError> {
    let before = draft.history.clone();
    let mut changed = original.as_ref().clone();
    changed.withdrawn = true;
    let changed = put(&mut draft.history, changed);
    forget(&mut draft.history, &changed);
    draft.history.timers.retain(|timer| !timer.is_of(original));
    let told: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(|task| is_told(task, original)).cloned().collect();
    let mut extra = recalls(draft, &RECALL, &changed, &told)?;
    extra.extend(review(draft, &before, &changed)?);
    let mut findings = judged_again(draft, &before, &changed);
    if changed.kind == episodes::ENDED {
        missing_after_all(draft, &changed, &mut findings, &mut extra)?;
    }
    draft.raise(None, cause, &findings, extra)?;
    siblings::withdrawn(draft, cause, original);
    for task in draft.history.tasks.iter_mut().filter(|task| is_open(&task.state)) {
        if told.iter().any(|told| told.task_id == task.task_id) {
            let task = Arc::make_mut(task);
            task.state = "recalled".to_owned();
            task.state_at = draft.at;
        }
    }
    Ok(())
}

/// Tasks of the withdrawn event, save those that are about a withdrawal themselves.
fn is_told(task: &HeldTask, withdrawn: &Entry) -> bool {
    task.is_of(withdrawn) && task.state != "recalled" && !task.rules.iter().any(|rule| rule == WITHDRAWAL_RULE)
}

/// A return that was not: the clocks of the absence run on, and a person makes sure that someone is looking.
fn missing_after_all<'a>(
    draft: &mut Draft<'a>,
    ended: &Arc<Entry>,
    findings: &mut Vec<Finding<'a>>,
    extra: &mut Vec<Wanted<'a>>,
) -> Result<(), StepError> {
    let missing = |entry: &&Arc<Entry>| episodes::still_missing(&draft.history, entry, draft.at);
    let of_absence = |entry: &&Arc<Entry>| entry.kind == episodes::STARTED && !entry.withdrawn && !entry.backfilled;
    let Some(started) = draft.history.entries.iter().rev().filter(of_absence).find(missing).cloned() else {
        return Ok(());
    };
    findings.extend(due_already(draft, &started)?);
    draft.history.timers.retain(|timer| !timer.is_of(&started));
    start_timers(draft, &started)?;
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&Clock::Now)?;
    let why = "The report that the child is back was withdrawn.".to_owned();
    extra.push(raising.own_duty(WITHDRAWAL_RULE, "Not back after all", why, MISSING_ACTION, due, ended));
    Ok(())
}

/// Why those who were told are asked to stop.
pub struct Recall {
    pub rule: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub action: &'static str,
}

const RECALL: Recall = Recall {
    rule: WITHDRAWAL_RULE,
    title: "A referral was withdrawn",
    why: "The sender withdrew the referral this came from.",
    action: RECALL_ACTION,
};

/// One recall for each who was told, and word of the breach to the partnership.
pub fn recalls<'w>(
    draft: &Draft<'_>,
    reason: &Recall,
    withdrawn: &Arc<Entry>,
    told: &[Arc<HeldTask>],
) -> Result<Vec<Wanted<'w>>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let mut asked: BTreeMap<(String, Option<String>), Vec<String>> = BTreeMap::new();
    for task in told {
        asked.entry((task.agency.clone(), task.unit.clone())).or_default().push(task.action.clone());
    }
    let recall = |agency: String, unit: Option<String>, action: &str, note: String| {
        let why = reason.why.to_owned();
        let own = raising.own_duty(reason.rule, reason.title, why, action, due.clone(), withdrawn);
        let address = Address { agency, unit, role: None, in_place_of: None };
        Wanted { address, notes: vec![note], ..own }
    };
    let agencies: Vec<String> = asked.keys().map(|(agency, _)| agency.clone()).collect();
    let mut wanted: Vec<Wanted<'w>> = asked
        .into_iter()
        .map(|((agency, unit), actions)| {
            recall(agency, unit, reason.action, format!("What you were asked: {}.", actions.join("; ")))
        })
        .collect();
    if !wanted.is_empty() && draft.book.rules.agencies.contains_key(PARTNERSHIP) {
        let reference = withdrawn.partner_reference.as_deref().unwrap_or("none given");
        let source = &withdrawn.source;
        let note = format!(
            "Sent by {}, {}; their reference: {reference}; event {}. Told: {}.",
            source.partner,
            source.unit,
            withdrawn.event_id,
            agencies.join(", ")
        );
        wanted.push(recall(PARTNERSHIP.to_owned(), None, BREACH_ACTION, note));
    }
    Ok(wanted)
}
