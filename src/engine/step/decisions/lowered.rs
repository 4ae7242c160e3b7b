//! A named person sets a case below level 4b: whoever else holds something that was asked at it hears that, once, and so when it is put right.

use std::sync::Arc;

use super::closed::{self, asking, outlives};
use super::services;
use super::taken_back::{self};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::decisions::order;
use crate::engine::history::{death, decisions, is_held_still, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::step::absences::search;
use crate::engine::step::by_the_hour;
use crate::engine::step::deadlines::overdue;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::step::word::{ENQUIRY_RUNS, LOWERED, RAISED_AGAIN, STANDS_NO_LONGER, Word, tell_each};

fn is_below(decision: &RecordedDecision) -> bool {
    !decision.closed && decision.level < Some(Level::L4b)
}

/// Tells each other agency that holds something from when the case was at level 4b, or heard that social care acts since the case was closed.
/// Not of a search, which goes on, nor of what was done.
pub fn tell_holders(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let lowered = draft.history.last_decision.as_ref().filter(|decision| is_below(decision));
    let Some(at) = lowered.map(|decision| decision.at) else { return Ok(()) };
    // What came after it was made may have left the case where it was.
    let is_now_below = |level: Level| before.case_level >= Some(level) && draft.history.case_level < Some(level);
    let mut held = if is_now_below(Level::L4b) { held_from_4b(draft, before, at) } else { Vec::new() };
    if is_now_below(Level::L4a) {
        let heard = who_heard_of_opening(draft, before);
        held.extend(
            heard
                .into_iter()
                .filter(|task| !held.iter().any(|other| other.task_id == task.task_id))
                .collect::<Vec<_>>(),
        );
    }
    tell(draft, cause, &held, &LOWERED)
}

/// What a closing had ended, whose holder heard since that the case is open again: nothing of it was begun again.
fn who_heard_of_opening(draft: &Draft<'_>, before: &History) -> Vec<Arc<HeldTask>> {
    let rules = &draft.book.rules;
    let closed_at = decisions::last_closed(before).filter(|_| decisions::is_opened_since_closed(before));
    let Some(closed_at) = closed_at.filter(|closed_at| is_held_still(*closed_at, draft.at)) else { return Vec::new() };
    let heard = |task: &Arc<HeldTask>| {
        closed::is_to_be_told(before, rules, task, closed_at) && !services::waits_if_it_acts(draft, task)
    };
    taken_back::open_or_done(draft, closed_at).into_iter().filter(heard).collect()
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
    let Some((closed_at, lowered_at)) =
        closed_at.zip(lowered_at).filter(|(closed_at, lowered_at)| lowered_at > closed_at)
    else {
        return Ok(());
    };
    // Opened in between, they had heard that, and so that less is needed.
    if decisions::is_raised_between(&draft.history, Level::L4a, (closed_at, lowered_at.plus_millis(-1))) {
        return Ok(());
    }
    tell(draft, cause, lowered, &LOWERED)
}

/// Whether what was lowered had come to level 4b since the case was last closed: of that decision somebody heard, and not of the closing since.
pub fn is_heard_since_closed(history: &History) -> bool {
    let lowered_at = history.last_decision.as_ref().filter(|decision| is_below(decision)).map(|decision| decision.at);
    let closed_at = decisions::last_closed(history);
    let is_between = |entry: &Entry| Some(entry.received_at) > closed_at && Some(entry.received_at) <= lowered_at;
    history.entries.iter().any(|entry| entry.level == Some(Level::L4b) && is_between(entry))
}

/// The case is at level 4b again, by another decision or because the one that had lowered it was taken back: whoever was told of that, and
/// holds it still, is told to go on. `before`: as the case stood when this came.
pub fn tell_raised_again(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let Some(RaisedAgain { held, done, is_gone }) = raised_again(draft, before) else { return Ok(()) };
    tell_each(draft, cause, &held, if is_gone { &STANDS_NO_LONGER } else { &RAISED_AGAIN }, &AT_HIGHEST_LEVEL)?;
    tell_each(draft, cause, &done, &ENQUIRY_RUNS, &AT_HIGHEST_LEVEL)
}

/// What they hold who are told to go on with it, because the decision that had lowered the case is taken back.
pub fn go_on(draft: &Draft<'_>) -> Vec<Arc<HeldTask>> {
    raised_again(draft, &draft.before).filter(|again| again.is_gone).map_or(Vec::new(), |again| again.held)
}

/// Who had heard that less is needed, of a case that is at level 4b again.
struct RaisedAgain {
    held: Vec<Arc<HeldTask>>,
    /// What an enquiry settles: nothing of it is to be done.
    done: Vec<Arc<HeldTask>>,
    /// What had lowered the case is taken back.
    is_gone: bool,
}

fn raised_again(draft: &Draft<'_>, before: &History) -> Option<RaisedAgain> {
    let lowered = before.last_decision.as_ref().filter(|decision| is_below(decision));
    let lowered = lowered.filter(|lowered| is_held_still(lowered.at, draft.at))?;
    let is_gone = decisions::last_below(&draft.history, Level::L4b) < Some(lowered.at);
    // Where an event had raised the case since, what had lowered it was not put right by that; where a person had, they heard.
    let was_raised = decisions::last_raised(before, Level::L4b).is_some_and(|(at, _)| at > lowered.at);
    // Nor was anybody told of one that was recorded over what had come at 4b since it was made.
    let by = |entry: &&Arc<Entry>| said_by(lowered.event_id.as_deref(), lowered.partner.as_deref(), entry);
    let recorded = before.entries.iter().find(by);
    // What says itself that the child is in danger lowered nothing, either.
    let was_told = !recorded
        .is_some_and(|entry| entry.level == Some(Level::L4b) || decisions::is_recorded_over(before, entry, Level::L4b));
    let is_put_right = before.case_level < Some(Level::L4b) || (is_gone && !was_raised && was_told);
    if draft.history.case_level != Some(Level::L4b) || !is_put_right {
        return None;
    }
    // One word is enough: that the case is open again, or that what had ended what they were asked was taken back, says it.
    let mut held = held_from_4b(draft, before, lowered.at);
    held.retain(|task| !(is_gone && is_lowered_by_another(draft, task)));
    let is_done = |task: &Arc<HeldTask>| is_gone && overdue::was_done(&draft.history, &draft.book.rules, task);
    let (done, held): (Vec<_>, Vec<_>) = held.into_iter().partition(is_done);
    Some(RaisedAgain { held, done, is_gone })
}

/// What others hold, or have done since, who heard by what is withdrawn that social care acts again though a decision had lowered the case,
/// whatever was decided since.
pub fn had_heard(draft: &Draft<'_>, withdrawn: &Entry) -> Vec<Arc<HeldTask>> {
    let history = &draft.history;
    let is_before = |entry: &Entry| {
        !entry.withdrawn && order(entry) < order(withdrawn) && entry.received_at < withdrawn.received_at
    };
    let lowers = |entry: &Entry| decisions::level_named(entry).is_some_and(|level| level < Level::L4b);
    let settles = |entry: &Entry| decisions::decided(entry).is_some_and(decisions::settles);
    let lowered = history.entries.iter().filter(|entry| is_before(entry) && settles(entry) && lowers(entry));
    let lowered = lowered.filter(|_| decisions::raises(withdrawn, Level::L4b)).max_by_key(|entry| order(entry));
    let Some(lowered_at) = lowered.map(|entry| decisions::known_until(entry)) else { return Vec::new() };
    // Where the case was at 4b before what is withdrawn came, they heard nothing by that.
    let is_between = |entry: &Entry| entry.received_at > lowered_at && entry.received_at < withdrawn.received_at;
    let raised = |entry: &Entry| entry.level == Some(Level::L4b) || decisions::raises(entry, Level::L4b);
    let is_known = history.entries.iter().any(|entry| !entry.withdrawn && is_between(entry) && raised(entry));
    // Where another has raised it since, they go on by that.
    let goes_on = decisions::last_raised(history, Level::L4b) > Some(order(withdrawn));
    if is_known || goes_on || !is_held_still(lowered_at, withdrawn.received_at) {
        return Vec::new();
    }
    let is_theirs = |task: &&Arc<HeldTask>| {
        task.agency != draft.book.rules.front_door
            && (is_open(&task.state) || task.state_at > withdrawn.received_at)
            && is_from_4b(draft, history, lowered_at, task)
    };
    history.tasks.iter().filter(is_theirs).cloned().collect()
}

/// Whether another decision that stands had lowered the case since a task was asked, or closed it, and no enquiry has raised it since.
fn is_lowered_by_another(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let stands = draft.history.last_decision.as_ref().filter(|stands| stands.closed || is_below(stands));
    let raised_at = decisions::last_raised(&draft.history, Level::L4b).map(|(at, _)| at);
    stands.is_some_and(|stands| stands.at >= task.raised_at && raised_at <= Some(stands.at))
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
        && !overdue::was_done_unheard(known, rules, task)
        && !death::overtook(history, task)
}
