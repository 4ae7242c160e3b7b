//! What a task is asked for alone: whether anybody would ask it still, were something so.

use super::RuleBook;
use super::expression::{Condition, Truth};
use super::facts::FactId;
use crate::engine::model::history::HeldTask;

impl RuleBook {
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
