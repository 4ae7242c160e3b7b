//! A case comes to where social care acts: whoever is at work with the family by agreement, or asks for it, rings the front door first.

use std::sync::Arc;

use super::agreement;
use super::decided::MORE_THAN_HELP;
use super::taken_back::{go_on_by, is_grown};
use crate::engine::context::StepError;
use crate::engine::history::{RECALLED, death, decisions, holds, is_arranged, is_open};
use crate::engine::model::decision::Disposition;
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::supposing::SIGNIFICANT_HARM;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::outcomes::outcome::SUPERSEDED;
use crate::engine::step::word::{GOES_ON_RULE, Word, each_holder};

/// The id under which they hear of what no person has decided.
const HARM_RULE: &str = "harm-suspected";
const HARM_SUSPECTED: Word = Word {
    rule: HARM_RULE,
    title: "Social care acts for the child now",
    why: "What is known since you were asked needs more than early help.",
    ..MORE_THAN_HELP
};

/// No person has decided yet of what had led to the warning.
const OPEN_AGAIN: Word = Word {
    rule: HARM_RULE,
    title: "The case is open again",
    why: "You were told that the case is closed: that was taken back, and what had been reported before waits for a named person to decide.",
    ..MORE_THAN_HELP
};

const GOES_ON: Word = Word {
    rule: GOES_ON_RULE,
    title: "Early help goes on",
    why: "A named person has decided, since you were told to ring the front door first, that early help goes on.",
    action: "Go on with the family as you were asked: you need not ring the front door first any more",
    wants_answer: true,
};
const TAKEN_BACK: Word = Word {
    why: "You were told that social care acts for the child: those who had recorded what led to that have taken it back. Do not use what \
        you were told of it, and share it with nobody.",
    ..GOES_ON
};

/// When a step ends: social care acts for the child now, by whatever came: an event, a clock, a decision, an enquiry, or what is taken back.
pub fn warn_once_social_care_acts(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let is_imported = draft.decision.disposition == Disposition::Backfilled;
    if is_imported || !draft.sides().any(|side| comes_to_act(side, &draft.history)) {
        return Ok(());
    }
    let level = |decision: &Option<RecordedDecision>| decision.as_ref().and_then(|decision| decision.level);
    let acts_at = if draft.sides().any(|side| comes_to_4b(side, &draft.history)) { Level::L4b } else { Level::L4a };
    let decided = draft.history.last_decision != draft.before.last_decision
        && level(&draft.history.last_decision) >= Some(acts_at);
    let word = if decided { &MORE_THAN_HELP } else { &HARM_SUSPECTED };
    let cause = draft.decision.decision_id.clone();
    warn(draft, &cause, word)
}

/// Whether social care acts by what this step brought, as the case stands by now: it did not by what a record knew, or it does at level 4b
/// now, where a service does not go on whatever was agreed with social care at level 4a.
fn comes_to_act(before: &History, now: &History) -> bool {
    comes_to_4b(before, now) || (!social_care_acts(before) && social_care_acts(now))
}

fn comes_to_4b(before: &History, now: &History) -> bool {
    before.case_level < Some(Level::L4b) && now.case_level >= Some(Level::L4b)
}

/// Whether whoever holds a task waits: social care acts, so that they are warned when this step ends, or were before; or they were told to ring
/// first, and wait on. They are not told to go on with it; nor with an earlier warning.
pub fn waits(draft: &Draft<'_>, task: &HeldTask) -> bool {
    waits_on(&draft.history) && waits_if_it_acts(draft, task) && (is_warning(task) || waits_still(draft, task))
}

/// The same, if social care acted.
pub fn waits_if_it_acts(draft: &Draft<'_>, task: &HeldTask) -> bool {
    is_service(draft, &draft.history, task, draft.at) || task.action == HARM_SUSPECTED.action
}

/// Whether somebody else than whoever decides is at work by agreement at an instant, or asks for it.
fn is_service(draft: &Draft<'_>, history: &History, task: &HeldTask, at: Timestamp) -> bool {
    let rules = &draft.book.rules;
    (is_open(&task.state) || is_under_way(history, task, at))
        && task.chases.is_none()
        && task.agency != rules.front_door
        && (task.needs_agreement == Some(true) || waits_for_harm(rules, task))
        && !death::overtook(history, task)
}

/// Whether help is under way that was arranged: "completed" is what is said then, and the family is visited from then on. Not where
/// they agree no longer, or the case was closed since.
pub fn is_under_way(history: &History, task: &HeldTask, at: Timestamp) -> bool {
    let agreed = |entry: &Arc<Entry>| task.is_of(entry) && agreement::goes_on_by(history, entry);
    is_arranged(history, task, at) && history.entries.iter().any(agreed)
}

/// Tells each who holds such a service from before this step, by a record of the child for whom social care did not act.
fn warn(draft: &mut Draft<'_>, cause: &str, word: &Word) -> Result<(), StepError> {
    let history = &draft.history;
    let acts_newly = |task: &HeldTask| draft.sides().any(|side| comes_to_act(side, history) && holds(side, task));
    let held = history.tasks.iter().filter(|task| is_service(draft, history, task, draft.at) && acts_newly(task));
    let services: Vec<Arc<HeldTask>> = held.cloned().collect();
    let due = draft.raising(None, cause).deadline_from_now(&OWN_DUTY)?;
    let told = each_holder(draft, &services, word, &|_| Ok(due.clone()))?;
    draft.raise(None, cause, &[], told).map(drop)
}

/// Whether social care acts, so that early help waits. Not where a named person has closed the case: then nothing waits.
pub fn social_care_acts(history: &History) -> bool {
    let set = history.last_decision.as_ref().and_then(|decision| decision.level);
    history.case_level >= Some(Level::L4b) || set >= Some(Level::L4a)
}

/// Whether whoever was told to ring first waits still: social care acts, or somebody's word holds the case at a level at which it would, and
/// nobody has decided yet.
pub fn waits_on(history: &History) -> bool {
    social_care_acts(history) || history.case_level >= Some(Level::L4a)
}

/// Whether whoever is at work rings the front door before they do anything with the family: social care acts, or they were told so, and wait on.
pub fn waits_still(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let is_told = || told_to_wait(draft).iter().any(|waiting| waiting.task_id == task.task_id);
    social_care_acts(&draft.history) || (waits_on(&draft.history) && is_told())
}

/// When a step ends: social care acts no longer, by a person's decision or because what led to it was taken back. Whoever was told to
/// ring first, and is at work still, hears that they may go on; those whose case is closed hear that instead.
pub fn let_go_on(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let last = draft.history.last_decision.as_ref();
    let is_closed = last.is_some_and(|decision| decision.closed);
    if !waits_on(&draft.before) || waits_on(&draft.history) || is_closed {
        return Ok(());
    }
    let decided_at = |decision: Option<&RecordedDecision>| decision.map(|decision| decision.at);
    let is_decided = last != draft.before.last_decision.as_ref()
        && decided_at(last) >= decided_at(draft.before.last_decision.as_ref())
        && last.is_some();
    let word = if is_decided { &GOES_ON } else { &TAKEN_BACK };
    let told = each_holder(draft, &told_to_wait(draft), word, &|tasks| go_on_by(draft, tasks))?;
    let cause = draft.decision.decision_id.clone();
    draft.raise(None, &cause, &[], told)?;
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| is_warning(task) && is_open(&task.state)) {
        *task = Arc::new(task.closed_as(SUPERSEDED, at));
    }
    Ok(())
}

/// When a step ends: a closing is taken back, and what had led to a warning waits for a person again: whoever was warned heard since that the
/// case is closed.
pub fn warn_who_waits_again(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let waits_again =
        waits_on(&draft.history) && !social_care_acts(&draft.history) && !draft.sides().any(|side| waits_on(side));
    if !waits_again || draft.decision.disposition == Disposition::Backfilled {
        return Ok(());
    }
    let told = each_holder(draft, &told_to_wait(draft), &OPEN_AGAIN, &|tasks| go_on_by(draft, tasks))?;
    let cause = draft.decision.decision_id.clone();
    draft.raise(None, &cause, &[], told).map(drop)
}

/// What waits since its holder was told to ring first in the case as it stood before this step.
fn told_to_wait(draft: &Draft<'_>) -> Vec<Arc<HeldTask>> {
    // One that is taken back by this step let nobody go on.
    let since = decisions::last_below(&draft.before, Level::L4a).min(decisions::last_below(&draft.history, Level::L4a));
    waiting(draft, &draft.history, |told| is_warning(told) && Some(told.raised_at) > since)
}

/// What waits, by what is known, since one of these warnings of its holder.
fn waiting(draft: &Draft<'_>, known: &History, is_warning: impl Fn(&HeldTask) -> bool) -> Vec<Arc<HeldTask>> {
    let rules = &draft.book.rules;
    let warnings: Vec<&Arc<HeldTask>> = known.tasks.iter().filter(|task| is_warning(task)).collect();
    // Who is asked for the same help by this very step goes on by that.
    let is_asked_anew = |task: &HeldTask| {
        let is_same = |other: &Arc<HeldTask>| other.action == task.action && is_same_holder(rules, other, task);
        draft.history.tasks.iter().any(|other| draft.is_raised_now(other) && is_same(other))
    };
    let waits = |task: &&Arc<HeldTask>| {
        let is_since = |told: &HeldTask| told.raised_at >= task.raised_at && is_same_holder(rules, told, task);
        // What was under way when they were told waits, however long that is ago.
        let mut told_at = warnings.iter().filter(|told| is_since(told)).map(|told| told.raised_at);
        !is_grown(draft, task) && !is_asked_anew(task) && told_at.any(|at| is_service(draft, known, task, at))
    };
    known.tasks.iter().filter(waits).cloned().collect()
}

/// What waits when a person closes the case: its holder hears that, however long ago they were asked, for they were told to ring since; also
/// where social care acted no longer, and they had not heard that, for asking the family was said to be unsafe then.
pub fn waiting_at_closing(draft: &Draft<'_>) -> Vec<Arc<HeldTask>> {
    let (known, rules) = (&draft.before, &draft.book.rules);
    // One that was recorded over what came after it was made had left them waiting.
    let is_heard = |closing: &Entry| !decisions::is_recorded_over(known, closing, Level::L4b);
    let closed_at =
        decisions::closings_that_stand(known).filter(|closing| is_heard(closing)).map(decisions::known_until).max();
    let was_told = |told: &HeldTask| {
        let is_since = |other: &&Arc<HeldTask>| other.raised_at > told.raised_at && is_same_holder(rules, other, told);
        let lets_go_on = |other: &Arc<HeldTask>| other.action == GOES_ON.action || other.needs_agreement == Some(true);
        let heard = known.tasks.iter().filter(is_since).any(lets_go_on);
        told.action == MORE_THAN_HELP.action && told.state != RECALLED && Some(told.raised_at) > closed_at && !heard
    };
    // Of what was withdrawn they are told to stop.
    let is_withdrawn = |task: &HeldTask| known.entries.iter().any(|entry| entry.withdrawn && task.is_of(entry));
    let mut waiting = waiting(draft, known, was_told);
    waiting.retain(|task| !is_withdrawn(task));
    waiting
}

/// Whether it tells its holder to ring the front door first, whoever was the cause; and nobody has said since that they need not.
fn is_warning(task: &HeldTask) -> bool {
    task.action == MORE_THAN_HELP.action && task.state != SUPERSEDED && task.state != RECALLED
}

pub fn is_same_holder(rules: &RuleBook, one: &HeldTask, task: &HeldTask) -> bool {
    one.agency == task.agency && (one.unit == task.unit || !rules.has_many_units(&task.agency))
}

/// Who was told to ring first when this came: that there is something to ring about was shared with them, whatever they were told since.
pub fn warned_by(history: &History, entry: &Entry) -> Vec<Arc<HeldTask>> {
    let was_told = |task: &HeldTask| task.action == MORE_THAN_HELP.action && task.state != RECALLED;
    let by = |task: &&Arc<HeldTask>| was_told(task) && task.raised_at == entry.received_at;
    history.tasks.iter().filter(by).cloned().collect()
}

/// Whether every rule that asks it asks it only while no significant harm is looked into. Not of whoever referred the child.
fn waits_for_harm(rules: &RuleBook, task: &HeldTask) -> bool {
    let harm = |fact| (rules.facts.name(fact) == SIGNIFICANT_HARM).then_some(1);
    let asked = || task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
    rules.would_not_ask(task, &harm) && !asked().any(|asked| asked.is_asked_of(task) && asked.to_is_referrer())
}
