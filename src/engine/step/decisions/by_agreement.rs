//! Which tasks hang on the family's agreement: services that need it, and those that ask for it, or offer help again, alone.

use crate::engine::history::agreement::{GIVEN, UNSAFE_TO_ASK, said, standing_for, taken_back_since};
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::scalar::FactValue;
use crate::engine::rules::RuleBook;

/// Whether somebody else than whoever decides is sent to the family to ask for their agreement: no rule asks it while that is unsafe.
pub fn asks_the_family(rules: &RuleBook, task: &HeldTask) -> bool {
    let is_sent = task.agency != rules.front_door && !needs_agreement(rules, task);
    is_sent && is_not_asked_where(rules, task, UNSAFE_TO_ASK)
}

/// Whether no rule would ask it where agreement stands so.
fn is_not_asked_where(rules: &RuleBook, task: &HeldTask, state: &str) -> bool {
    let Some(agreement) = rules.facts.id("event.agreement") else { return false };
    let Some(fact) = rules.facts.get(agreement) else { return false };
    let slot = fact.encode(&FactValue::Code(state.to_owned()));
    rules.would_not_ask(task, &|id| slot.filter(|_| id == agreement))
}

/// Whether it would be asked, as agreement stands by now, of the event that it was asked for.
pub fn is_asked_still(history: &History, rules: &RuleBook, task: &HeldTask, of: &Entry) -> bool {
    let stands = || standing_for(history, of, history.agreement.as_ref()).or_else(|| said(of));
    let state = taken_back_since(history, of).or_else(stands).unwrap_or("not_asked");
    !is_not_asked_where(rules, task, state)
}

/// Whether every rule that asks it does so only of a family that has refused.
pub fn is_for_refusal(rules: &RuleBook, task: &HeldTask) -> bool {
    [GIVEN, "not_asked"].into_iter().all(|state| is_not_asked_where(rules, task, state))
}

/// Whether a task is a service; of one raised by an earlier release the rules that asked it tell.
pub fn needs_agreement(rules: &RuleBook, task: &HeldTask) -> bool {
    task.needs_agreement.unwrap_or_else(|| {
        let asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
        let mut asked = asked.filter(|asked| asked.action == task.action).peekable();
        asked.peek().is_some() && asked.all(|asked| asked.needs_agreement)
    })
}
