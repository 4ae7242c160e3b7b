//! A recorded decision is withdrawn: what stood before it stands again, what it had ended runs again, and a person hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::draft::{Draft, own_duty_at, within_the_hour_at};
use super::{closed, escalation, shut_again};
use crate::engine::context::StepError;
use crate::engine::history::decisions::{closes, decided, settles};
use crate::engine::history::{TOLD, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::book::UnitKind;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Deadline, Relation, Wanted};

pub const TAKEN_BACK_RULE: &str = "decision-taken-back";
const TITLE: &str = "A decision about the case no longer stands";
const ACTION: &str =
    "See that the child is safe and that somebody holds each task: a decision about the case was taken back";
const GO_ON_ACTION: &str = "Go on with what you were asked: the decision that had closed the case was taken back";

const OF_CASE: &str = "Received. The decision is withdrawn: the case stands as it did before it, what it had ended runs again, and a \
person is asked to see to that.";
const OF_ROUTE: &str = "Received. The decision is withdrawn: what it had opened is held back again from now on, whoever was told by it \
is recalled, and a person is asked to see to that.";
const OF_REFERRAL: &str = "Received. Your referral is withdrawn, and whoever was told is being recalled.";
const OF_WORD: &str = "Received. What you sent is withdrawn, and counts no more.";
/// To whoever sent what the front door takes back.
pub const BY_FRONT_DOOR: &str = "The front door has withdrawn what you sent, and whoever was told is being recalled.";

/// Why a decision cannot be withdrawn, with what to record instead.
pub fn cannot_be(original: &Entry) -> Option<&'static str> {
    match decided(original)? {
        "subjects_linked" => Some(
            "a link of two records is undone by a decision subjects_unlinked, with the addresses of tasks of both from \
             before the link",
        ),
        "subjects_unlinked" => Some("that two records are one child after all is recorded as subjects_linked"),
        "task_readdressed" => Some("what was passed on is passed on once more by task_readdressed, to the right unit"),
        "episodes_merged" => Some("what was merged stays so: report the other episode under a new reference"),
        _ => None,
    }
}

/// What its sender is told, and what is true.
pub fn words(original: &Entry) -> &'static str {
    match decided(original) {
        Some(code) if settles(code) => OF_CASE,
        Some("route_lifted" | "route_confirmed") => OF_ROUTE,
        Some(_) | None if is_concern(&original.kind) => OF_REFERRAL,
        Some(_) | None => OF_WORD,
    }
}

/// Acts on what a withdrawn decision had brought about. `before`: as it stood with the decision.
pub fn decision(draft: &mut Draft<'_>, cause: &str, withdrawn: &Arc<Entry>, before: &History) -> Result<(), StepError> {
    let Some(code) = decided(withdrawn) else { return Ok(()) };
    if matches!(code, "route_lifted" | "route_confirmed") {
        return shut_again::lift_withdrawn(draft, cause, withdrawn).map(drop);
    }
    if settles(code) && draft.history.last_decision != before.last_decision {
        let why = "A decision about the case was withdrawn by those who had recorded it.";
        stands_again(draft, cause, withdrawn, before.last_decision.as_ref(), why)?;
    }
    Ok(())
}

/// A decision stands no longer: chases run again, whoever holds something that had been closed is told to go on, and whoever
/// decides is asked to look, within the hour at the highest level. `ended`: the decision.
pub fn stands_again(
    draft: &mut Draft<'_>,
    cause: &str,
    about: &Arc<Entry>,
    ended: Option<&RecordedDecision>,
    why: &str,
) -> Result<(), StepError> {
    let at = draft.at;
    escalation::take_up_again(&mut draft.history, &draft.book.rules, at);
    let level = draft.history.case_level;
    let closed_at = ended.filter(|decision| closes(&decision.decision)).map(|decision| decision.at);
    let open = open_again(draft, closed_at);
    let due = draft.raising(None, cause).deadline_from_now(&own_duty_at(level))?;
    let others: Vec<Arc<HeldTask>> =
        open.iter().filter(|task| task.agency != draft.book.rules.front_door).cloned().collect();
    let mut wanted = each_holder(draft, &others, &GO_ON, &due);
    let stands = match (level, &draft.history.last_decision) {
        (_, Some(decision)) if decision.closed => "The case stays closed, by another decision.".to_owned(),
        (Some(level), _) => format!("The case is at level {} again.", level.symbol()),
        (None, _) => "The case is at no level.".to_owned(),
    };
    let held = if open.is_empty() { "Nothing that it had ended is open.".to_owned() } else { in_words(draft, &open) };
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&within_the_hour_at(level))?;
    let own = raising.own_duty(TAKEN_BACK_RULE, TITLE, format!("{why} {stands} {held}"), ACTION, due, about);
    wanted.push(Wanted { level, ..own });
    draft.raise(None, cause, &[], wanted).map(drop)
}

/// What the decision had closed, and somebody holds or is to take on.
fn open_again(draft: &Draft<'_>, closed_at: Option<Timestamp>) -> Vec<Arc<HeldTask>> {
    let Some(closed_at) = closed_at else { return Vec::new() };
    let was_closed = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && task.state != TOLD
            && task.raised_at <= closed_at
            && task.chases.is_none()
            && !closed::outlives(&draft.book.rules, task)
    };
    draft.history.tasks.iter().filter(was_closed).cloned().collect()
}

/// What each who holds something is told.
pub struct Word {
    pub rule: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub action: &'static str,
    /// Else it is to be known, and nobody is chased to say that they do.
    pub wants_answer: bool,
}

const GO_ON: Word = Word {
    rule: TAKEN_BACK_RULE,
    title: TITLE,
    why: "A person had closed the case, and that was taken back: what you were asked is to be done.",
    action: GO_ON_ACTION,
    wants_answer: true,
};

/// One task for each agency or unit that holds some of these.
pub fn each_holder<'w>(draft: &Draft<'_>, held: &[Arc<HeldTask>], word: &Word, due: &Deadline) -> Vec<Wanted<'w>> {
    let raising = draft.raising(None, "");
    let mut holders: BTreeMap<(&str, Option<String>), Vec<&Arc<HeldTask>>> = BTreeMap::new();
    for task in held {
        let agency = draft.book.rules.agencies.get(&task.agency).filter(|agency| agency.units == UnitKind::One);
        let unit = agency.map_or(task.unit.clone(), |agency| raising.single_unit(agency, due.urgent_by()));
        holders.entry((&task.agency, unit)).or_default().push(task);
    }
    let ring = draft.context.on_front_door_phone();
    let mut wanted = Vec::new();
    for ((agency, unit), tasks) in holders {
        let Some(entry) = tasks.iter().find_map(|task| draft.history.entries.iter().find(|entry| task.is_of(entry)))
        else {
            continue;
        };
        let asked: BTreeSet<&str> = tasks.iter().map(|task| task.action.as_str()).collect();
        let asked = asked.into_iter().collect::<Vec<_>>().join("; ");
        let own = raising.own_duty(word.rule, word.title, word.why.to_owned(), word.action, due.clone(), entry);
        let address = Address { agency: agency.to_owned(), unit, role: None, in_place_of: None };
        let notes = vec![format!("What you were asked: {asked}. To ask something, ring the front door{ring}.")];
        let latest = tasks.last().filter(|_| !word.wants_answer);
        let relation = latest.map_or(Relation::Usual, |task| Relation::Word(task.task_id.clone()));
        wanted.push(Wanted { address, notes, level: None, relation, ..own });
    }
    wanted
}

/// Who holds what, by agency.
fn in_words(draft: &Draft<'_>, open: &[Arc<HeldTask>]) -> String {
    let of_task = |task: &Arc<HeldTask>| {
        let title = draft.book.rules.agencies.get(&task.agency).map_or(task.agency.as_str(), |agency| &agency.title);
        format!("{title}: \"{}\" ({})", task.action, task.state)
    };
    let tasks: BTreeSet<String> = open.iter().map(of_task).collect();
    format!("It had ended, and runs again: {}.", tasks.into_iter().collect::<Vec<_>>().join("; "))
}
