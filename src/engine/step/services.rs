//! A case comes to where social care acts: whoever is at work with the family by agreement, or asks for it, rings the front door first.

use std::sync::Arc;

use super::decided::MORE_THAN_HELP;
use super::draft::{Draft, OWN_DUTY};
use super::search;
use super::taken_back::{Word, each_holder};
use crate::engine::context::StepError;
use crate::engine::history::{death, is_open};
use crate::engine::model::decision::Disposition;
use crate::engine::model::history::{HeldTask, RecordedDecision};
use crate::engine::model::scalar::Level;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::TaskRule;
use crate::engine::rules::catalogue::REFERRER;
use crate::engine::rules::expression::Condition;

/// The fact that puts off a service.
const SIGNIFICANT_HARM: &str = "status.significant_harm";
/// The id under which they hear of what no person has decided.
const HARM_RULE: &str = "harm-suspected";
const HARM_SUSPECTED: Word = Word {
    rule: HARM_RULE,
    title: "Social care acts for the child now",
    why: "What is known since you were asked needs more than early help.",
    ..MORE_THAN_HELP
};

/// Once a case has come to level 4b in this step, by whatever came: by an event, a clock, a decision or an enquiry.
pub fn warn_at_4b(draft: &mut Draft<'_>) -> Result<(), StepError> {
    if !comes_to_4b(draft) {
        return Ok(());
    }
    let level = |decision: &Option<RecordedDecision>| decision.as_ref().and_then(|decision| decision.level);
    let decided = draft.history.last_decision != draft.before.last_decision
        && level(&draft.history.last_decision) == Some(Level::L4b);
    let word = if decided { &MORE_THAN_HELP } else { &HARM_SUSPECTED };
    let cause = draft.decision.decision_id.clone();
    warn(draft, &cause, word)
}

/// Whether a case has come to level 4b in this step, as it stands by now.
fn comes_to_4b(draft: &Draft<'_>) -> bool {
    let is_imported = draft.decision.disposition == Disposition::Backfilled;
    draft.before.case_level < Some(Level::L4b) && draft.history.case_level >= Some(Level::L4b) && !is_imported
}

/// Whether whoever holds a task is warned when this step ends, and so is not told to go on with it; nor with an earlier warning.
pub fn is_to_be_warned(draft: &Draft<'_>, task: &HeldTask) -> bool {
    comes_to_4b(draft) && (is_service(draft, task) || task.action == HARM_SUSPECTED.action)
}

/// Whether somebody else than whoever decides is at work by agreement, or asks for it.
fn is_service(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let (history, rules) = (&draft.history, &draft.book.rules);
    is_open(&task.state)
        && task.chases.is_none()
        && task.agency != rules.front_door
        && (task.needs_agreement == Some(true) || waits_for_harm(rules, task))
        && !death::overtook(history, task)
}

/// Tells each who holds such a service from before this step.
pub fn warn(draft: &mut Draft<'_>, cause: &str, word: &Word) -> Result<(), StepError> {
    let raised_now = |task: &HeldTask| draft.decision.tasks.iter().any(|raised| raised.task_id == task.task_id);
    let held = draft.history.tasks.iter().filter(|task| is_service(draft, task) && !raised_now(task));
    let services: Vec<Arc<HeldTask>> = held.cloned().collect();
    let due = draft.raising(None, cause).deadline_from_now(&OWN_DUTY)?;
    let told = each_holder(draft, &services, word, &|_| Ok(due.clone()))?;
    draft.raise(None, cause, &[], told).map(drop)
}

/// Whether every rule that asks it asks it only while no significant harm is looked into. Not of whoever referred the child.
fn waits_for_harm(rules: &RuleBook, task: &HeldTask) -> bool {
    let fails = |condition: &Option<Condition>| search::fails_by(rules, condition, (&[SIGNIFICANT_HARM], 1));
    let to_referrer = |asked: &TaskRule| asked.to.iter().any(|to| to.agency == REFERRER);
    let asking = task.rules.iter().filter_map(|id| rules.rule(id));
    let asked = asking.flat_map(|rule| rule.tasks.iter().map(move |asked| (rule, asked)));
    let mut asked = asked.filter(|(_, asked)| asked.is_asked_of(task)).peekable();
    asked.peek().is_some()
        && asked.all(|(rule, asked)| (fails(&rule.when) || fails(&asked.when)) && !to_referrer(asked))
}
