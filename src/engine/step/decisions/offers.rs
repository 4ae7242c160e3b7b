//! Help is to be offered again to a family that had refused it: whoever is to hears once they have agreed, and once that is taken back.

use std::sync::Arc;

use super::agreement::{is_agreed, waits_for_social_care};
use super::by_agreement::{is_asked_still, is_for_refusal};
use crate::engine::context::StepError;
use crate::engine::history::agreement::{REFUSED, said};
use crate::engine::history::{death, held_back_of, holds, is_open};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::detail::Detail;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::rules::RuleBook;
use crate::engine::step::deadlines::ladder;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::outcomes::outcome::SUPERSEDED;
use crate::engine::step::recall::is_senders_own;
use crate::engine::step::word::{Word, each_holder, tell_each};
use crate::engine::tasks::asking::AGREEMENT_RULE;
use crate::engine::tasks::route::is_suppressed;

/// The id under which whoever need not offer help any more hears so.
pub const AGREED_RULE: &str = "agreed";
const AGREED: Word = Word {
    rule: AGREED_RULE,
    title: "The family has agreed",
    why: "The family has agreed to help since you were asked to offer it again.",
    action: "Know that the family has agreed to help: it need not be offered again",
    wants_answer: false,
};
/// That they refuse was taken back.
const NOT_REFUSED: Word = Word {
    why: "You were asked to offer help again, for the family was said to refuse it: that was taken back, and they had agreed.",
    ..AGREED
};

const REFUSED_AFTER_ALL: Word = Word {
    rule: AGREEMENT_RULE,
    title: "That the family has agreed was taken back",
    why: "You need not offer help again, for the family was said to have agreed to it: that was taken back.",
    action: "Go on with what you were asked: that the family has agreed was taken back",
    wants_answer: true,
};

/// The family has agreed, by whomever it is said: what was asked of others because they had refused is over.
pub fn agreed(draft: &mut Draft<'_>, referral: &Referral) -> Result<(), StepError> {
    let event = &referral.event;
    let of_event = event.agreement.as_ref().and_then(|said| said.state);
    let state = if let Detail::AgreementRecorded(recorded) = &event.detail { recorded.state } else { of_event };
    let stands = || {
        draft.history.agreement.as_ref().is_none_or(|standing| standing.state != "refused" || standing.at < draft.at)
    };
    if state != Some(AgreementState::Given) || event.backfill || !stands() {
        return Ok(());
    }
    let over: Vec<Arc<HeldTask>> = offers(draft).cloned().collect();
    end_offers(draft, &over);
    let rules = &draft.book.rules;
    let is_others = |task: &Arc<HeldTask>| !is_senders_own(rules, &event.source, task);
    let told: Vec<Arc<HeldTask>> = over.into_iter().filter(is_others).collect();
    let cause = format!("{}\0agreed", event.event_id);
    let due = draft.raising(None, &cause).deadline_from_now(&OWN_DUTY)?;
    let (held_back, front_door) = (held_back_of(&draft.history), &draft.book.rules.front_door);
    let told = each_holder(draft, &told, &AGREED, &|_| Ok(due.clone()))?;
    let (shut, open) = told.into_iter().partition(|one| is_suppressed(&one.address, front_door, &held_back));
    draft.raise(None, &cause, &[], open)?;
    // Whoever is not told will ask the family again: whoever decides hears of it, with the child and the reason.
    draft.raise(Some(referral), &cause, &[], shut).map(drop)
}

/// What is asked of others because the family had refused, from before this step.
fn offers<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d Arc<HeldTask>> {
    let rules = &draft.book.rules;
    draft.history.tasks.iter().filter(|task| {
        task.raised_at < draft.at && is_open(&task.state) && task.chases.is_none() && is_for_refusal(rules, task)
    })
}

fn end_offers(draft: &mut Draft<'_>, over: &[Arc<HeldTask>]) {
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| over.iter().any(|over| over.task_id == task.task_id)) {
        *task = Arc::new(task.closed_as(SUPERSEDED, at));
    }
}

/// A word on agreement is taken back: the family had agreed to what an event asks, and what is asked because they refuse is over. `before`: as it
/// stood with that word.
pub fn agreed_after_all(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let over = over_since(draft, &|_, entry| !is_agreed(before, entry));
    end_offers(draft, &over);
    tell_each(draft, &format!("{cause}\0agreed"), &over, &NOT_REFUSED, &OWN_DUTY)
}

/// Two records are one child from now on, and by the other one the family has agreed.
pub fn agreed_by_the_other(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let was_not = |task: &HeldTask, entry: &Entry| {
        draft.sides().filter(|side| holds(side, task)).all(|side| !is_agreed(side, entry))
    };
    let over = over_since(draft, &was_not);
    end_offers(draft, &over);
    tell_each(draft, &format!("{cause}\0agreed"), &over, &AGREED, &OWN_DUTY)
}

/// What is asked of others because the family had refused what they agree to by now.
fn over_since(draft: &Draft<'_>, was_not: &dyn Fn(&HeldTask, &Entry) -> bool) -> Vec<Arc<HeldTask>> {
    let is_over = |task: &&Arc<HeldTask>| {
        let mut of_task = draft.history.entries.iter().filter(|entry| task.is_of(entry) && !entry.withdrawn);
        of_task.any(|entry| is_agreed(&draft.history, entry) && was_not(task, entry))
    };
    offers(draft).filter(is_over).cloned().collect()
}

/// That the family has agreed is taken back, or corrected: what had ended by it is to be done again. `before`: as it stood with that word.
pub fn offer_again(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    if waits_for_social_care(history) {
        return Ok(());
    }
    let is_asked = |task: &HeldTask| {
        let mut of_task = history.entries.iter().filter(|entry| task.is_of(entry) && !entry.withdrawn);
        of_task.any(|entry| is_asked_still(history, rules, task, entry) && !is_asked_still(before, rules, task, entry))
    };
    let is_held = |task: &HeldTask| {
        let is_same =
            |held: &HeldTask| (&held.agency, &held.unit, &held.action) == (&task.agency, &task.unit, &task.action);
        history.tasks.iter().any(|held| is_open(&held.state) && is_same(held))
    };
    let ended = |task: &&Arc<HeldTask>| {
        task.state == SUPERSEDED && is_for_refusal(rules, task) && !death::overtook(history, task)
    };
    let ended = history.tasks.iter().filter(ended);
    let again: Vec<Arc<HeldTask>> = ended.filter(|task| is_asked(task) && !is_held(task)).cloned().collect();
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| again.iter().any(|one| one.task_id == task.task_id)) {
        ladder::begin_again(Arc::make_mut(task), at);
    }
    tell_each(draft, &format!("{cause}\0offered again"), &again, &REFUSED_AFTER_ALL, &OWN_DUTY)
}

/// Whether its holder heard by an event, or by a report of it, that help need not be offered again, and the family has not agreed. The word itself
/// is not kept.
pub fn was_ended_for_nothing(history: &History, rules: &RuleBook, by: &Entry, task: &HeldTask) -> bool {
    let mut of_task = history.entries.iter().filter(|entry| task.is_of(entry) && !entry.withdrawn);
    task.state == SUPERSEDED
        && by.was_reported_at(task.state_at)
        && is_for_refusal(rules, task)
        && !of_task.any(|entry| is_agreed(history, entry))
}

/// Whether help is offered again since this referral, and by its refusal alone, though it was asked later, for another had to end first.
pub fn is_asked_by(history: &History, rules: &RuleBook, entry: &Entry, task: &HeldTask) -> bool {
    let had_said = |entry: &Entry| said(entry) == Some(REFUSED) && entry.received_at <= task.raised_at;
    let others = || history.entries.iter().any(|other| !other.withdrawn && had_said(other));
    had_said(entry) && is_for_refusal(rules, task) && !others()
}
