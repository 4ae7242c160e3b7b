//! What a task is asked for alone: whether anybody would ask it still, were something so.

use super::RuleBook;
use super::book::{Rule, TaskRule};
use super::expression::{Condition, Truth};
use super::facts::FactId;
use crate::engine::model::history::HeldTask;

/// The fact that puts off a service.
pub const SIGNIFICANT_HARM: &str = "status.significant_harm";

/// What is so only while a child is looked for.
const LOOKED_FOR: [&str; 2] = ["status.missing_open", "status.absent_open"];

impl RuleBook {
    /// While a child is looked for, and once they are no longer.
    pub fn looked_for(&self, fact: FactId, so: bool) -> Option<i64> {
        LOOKED_FOR.contains(&self.facts.name(fact)).then_some(i64::from(so))
    }

    /// Whether it is asked only because the child is looked for no longer.
    pub fn says_search_is_over(&self, asked: &TaskRule) -> bool {
        let when = asked.when.as_ref();
        when.is_some_and(|when| when.expr.supposing(&|fact| self.looked_for(fact, true)) == Truth::False)
    }

    /// Whether no service that a rule asks for begins while significant harm is suspected.
    pub fn waits_for_harm(&self, rule: &Rule) -> bool {
        let harm = |fact| (self.facts.name(fact) == SIGNIFICANT_HARM).then_some(1);
        let fails = |condition: &Option<Condition>| {
            condition.as_ref().is_some_and(|condition| condition.expr.supposing(&harm) == Truth::False)
        };
        fails(&rule.when) || rule.tasks.iter().filter(|task| task.needs_agreement).all(|task| fails(&task.when))
    }

    /// Whether every rule that asks it would ask it no longer were these facts so, whatever else is. What rules no longer ask, or the
    /// router asks itself, nothing is known of: then it is not.
    pub fn would_not_ask(&self, task: &HeldTask, supposed: &dyn Fn(FactId) -> Option<i64>) -> bool {
        let fails = |condition: &Option<Condition>| {
            condition.as_ref().is_some_and(|condition| condition.expr.supposing(supposed) == Truth::False)
        };
        let mut is_asked = false;
        for id in &task.rules {
            let Some(rule) = self.rule(id) else { return false };
            for asked in rule.tasks.iter().filter(|asked| asked.is_asked_of(task)) {
                is_asked = true;
                if !fails(&rule.when) && !fails(&asked.when) {
                    return false;
                }
            }
        }
        is_asked
    }
}
