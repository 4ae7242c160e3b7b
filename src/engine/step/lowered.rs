//! A named person sets a case below level 4b: whoever else holds something that was asked at it hears that, once, and so when it is put right.

use std::sync::Arc;

use super::closed::{asking, outlives};
use super::decided::{RAISED_RULE, known_without_enquiry};
use super::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use super::taken_back::{self, ENQUIRY_RUNS, TAKEN_BACK_RULE, Word, tell_each};
use super::{by_the_hour, overdue, search};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::{death, decisions, is_held_still, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::scalar::{Level, Timestamp};

pub const LOWERED: Word = Word {
    rule: RAISED_RULE,
    title: "A named person has decided that less is needed",
    why: "A named person has decided that less is needed for the child than what you were asked in.",
    action: "Know that less is needed now: go on with what your own service owes the child, and ring the front door about what you were asked",
    wants_answer: false,
};
const RAISED_AGAIN: Word = Word {
    rule: RAISED_RULE,
    title: "A named person has decided that social care acts",
    why: "A named person had decided that less is needed, and has decided otherwise since: what you were asked is to be done.",
    action: "Know that social care acts for the child again: ring the front door now, and go on with what you were asked if it is still to be done",
    wants_answer: false,
};
pub const STANDS_NO_LONGER: Word = Word {
    rule: TAKEN_BACK_RULE,
    title: "A decision about the case no longer stands",
    why: "A named person had decided that less is needed, and that was taken back: what you were asked is to be done.",
    action: "Go on with what you were asked: the decision that less is needed was taken back",
    wants_answer: true,
};

fn is_below(decision: &RecordedDecision) -> bool {
    !decision.closed && decision.level < Some(Level::L4b)
}

/// Tells each other agency that holds something from when the case was at level 4b. Not of a search, which goes on, nor of what was done.
pub fn tell_holders(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let lowered = draft.history.last_decision.as_ref().filter(|decision| is_below(decision));
    // What came after it was made may have left the case at 4b.
    let is_lowered = before.case_level == Some(Level::L4b) && draft.history.case_level < Some(Level::L4b);
    let Some(at) = lowered.filter(|_| is_lowered).map(|decision| decision.at) else {
        return Ok(());
    };
    let held = held_from_4b(draft, before, at);
    tell(draft, cause, &held, &LOWERED)
}

/// Tells those who hold these, the same day where one of them runs by the hour.
pub fn tell(draft: &mut Draft<'_>, cause: &str, held: &[Arc<HeldTask>], word: &Word) -> Result<(), StepError> {
    let by_the_hour = held.iter().any(|task| by_the_hour::clock_of(task).is_some());
    tell_each(draft, cause, held, word, if by_the_hour { &Clock::SameDay } else { &OWN_DUTY })
}

/// Whether a task was asked at level 4b, a decision that stands has set the case lower since, and it is not done by what is known.
pub fn is_lowered(draft: &Draft<'_>, known: &History, task: &HeldTask) -> bool {
    let stands = draft.history.last_decision.as_ref().filter(|decision| is_below(decision));
    let is_below_4b = draft.history.case_level < Some(Level::L4b);
    stands.is_some_and(|stands| is_below_4b && is_from_4b(draft, known, stands.at, task))
}

/// A closing was taken back, and a lower level stands: whoever was told of that one when it was set hears nothing more, and the others hear
/// it now.
pub fn tell_who_was_not_told(
    draft: &mut Draft<'_>,
    cause: &str,
    closed_at: Option<Timestamp>,
    lowered: &[Arc<HeldTask>],
) -> Result<(), StepError> {
    let lowered_at = draft.history.last_decision.as_ref().map(|decision| decision.at);
    if closed_at.is_none() || lowered_at <= closed_at {
        return Ok(());
    }
    tell(draft, cause, lowered, &LOWERED)
}

/// The case is at level 4b again, by another decision or because the one that had lowered it was taken back: whoever was told of that, and
/// holds it still, is told to go on. `before`: as the case stood when this came.
pub fn tell_raised_again(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let lowered = before.last_decision.as_ref().filter(|decision| is_below(decision));
    let Some(lowered) = lowered.filter(|lowered| is_held_still(lowered.at, draft.at)).cloned() else { return Ok(()) };
    let is_gone = decisions::last_below(&draft.history, Level::L4b) < Some(lowered.at);
    // Where an event had raised the case since, what had lowered it was not put right by that; where a person had, they heard.
    let was_raised = decisions::last_raised(before, Level::L4b).is_some_and(|(at, _)| at > lowered.at);
    // Nor was anybody told of one that was recorded over what had come at 4b since it was made.
    let by = |entry: &&Arc<Entry>| said_by(lowered.event_id.as_deref(), lowered.partner.as_deref(), entry);
    let recorded = before.entries.iter().find(by);
    let was_told = !recorded.is_some_and(|entry| decisions::is_recorded_over(before, entry, Level::L4b));
    let is_put_right = before.case_level < Some(Level::L4b) || (is_gone && !was_raised && was_told);
    if draft.history.case_level != Some(Level::L4b) || !is_put_right {
        return Ok(());
    }
    // One word is enough: that the case is open again, or that what had ended what they were asked was taken back, says it.
    let tell_once = |draft: &mut Draft<'_>, mut held: Vec<Arc<HeldTask>>, word: &Word| {
        let is_settled = |task: &HeldTask| is_gone && is_lowered_by_another(draft, task);
        held.retain(|task| !(taken_back::is_told_now(draft, task) || is_settled(task)));
        tell_each(draft, cause, &held, word, &AT_HIGHEST_LEVEL)
    };
    let held = held_from_4b(draft, before, lowered.at);
    tell_once(draft, held, if is_gone { &STANDS_NO_LONGER } else { &RAISED_AGAIN })?;
    let Some(known) = known_without_enquiry(draft).filter(|_| is_gone) else { return Ok(()) };
    let settled = held_from_4b(draft, &known, lowered.at);
    tell_once(draft, settled, &ENQUIRY_RUNS)
}

/// Whether another decision that stands had lowered the case since a task was asked, or closed it.
fn is_lowered_by_another(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let stands = draft.history.last_decision.as_ref().filter(|stands| stands.closed || is_below(stands));
    stands.is_some_and(|stands| stands.at >= task.raised_at)
}

/// What others than whoever decides hold, and were asked at level 4b, when a decision lowered it.
fn held_from_4b(draft: &Draft<'_>, known: &History, lowered_at: Timestamp) -> Vec<Arc<HeldTask>> {
    let is_others = |task: &HeldTask| is_open(&task.state) && task.agency != draft.book.rules.front_door;
    let is_held = |task: &&Arc<HeldTask>| is_others(task) && is_from_4b(draft, known, lowered_at, task);
    draft.history.tasks.iter().filter(is_held).cloned().collect()
}

/// Whether it was asked at level 4b, before a decision lowered that. Not of a search, nor of what was done by
/// what is known.
fn is_from_4b(draft: &Draft<'_>, known: &History, lowered_at: Timestamp, task: &HeldTask) -> bool {
    let (rules, history) = (&draft.book.rules, &draft.history);
    let is_raised_now = || draft.decision.tasks.iter().any(|raised| raised.task_id == task.task_id);
    task.chases.is_none()
        && task.level == Some(Level::L4b)
        && task.raised_at <= lowered_at
        && task.decided_apart.is_none_or(|until| lowered_at > until)
        && is_held_still(task.raised_at, lowered_at)
        && !is_raised_now()
        && asking(rules, task).any(|rule| rule.tasks.iter().any(|asked| asked.is_asked_of(task)))
        && !outlives(rules, task)
        && !search::is_over(history, rules, task)
        && !overdue::was_done(known, rules, task)
        && !death::overtook(history, task)
}
