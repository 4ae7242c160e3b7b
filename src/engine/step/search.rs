//! A search that is over is chased no more: whoever has not answered when the child is back has nobody left to look for.

use crate::engine::history::episodes;
use crate::engine::model::history::{HeldTask, History};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Rule, TaskRule};
use crate::engine::rules::expression::{Condition, Truth};

/// What is so only while a child is looked for.
const LOOKED_FOR: [&str; 2] = ["status.missing_open", "status.absent_open"];

/// Whether a task that nobody has answered is about looking for a child who is back. A return that is withdrawn begins it again.
pub fn is_over(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    task.state == "raised" && has_nobody_to_find(history, rules, task)
}

/// The same, whether anybody took it on or not.
pub fn has_nobody_to_find(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let back = || {
        let mut asked = history.entries.iter().filter(|entry| task.is_of(entry));
        asked.any(|entry| episodes::back_at(history, entry).is_some())
    };
    is_search(rules, task) && back()
}

/// Whether every rule that asks it does so only while the child is looked for.
fn is_search(rules: &RuleBook, task: &HeldTask) -> bool {
    let of_rule = |rule: &Rule, asked: &TaskRule| {
        asked.action == task.action && !ends_on_return(rules, &rule.when) && !ends_on_return(rules, &asked.when)
    };
    let asking = || task.rules.iter().map(|id| rules.rule(id));
    let known = asking().all(|rule| rule.is_some());
    known && !asking().flatten().any(|rule| rule.tasks.iter().any(|asked| of_rule(rule, asked)))
}

/// Whether a condition fails, whatever else is so, once nobody is looked for.
fn ends_on_return(rules: &RuleBook, condition: &Option<Condition>) -> bool {
    fails_by(rules, condition, (&LOOKED_FOR, 0))
}

/// Whether a condition fails, whatever else is so, once each of these flags is so (1) or not (0).
pub fn fails_by(rules: &RuleBook, condition: &Option<Condition>, (flags, value): (&[&str], i64)) -> bool {
    let known = |fact| flags.contains(&rules.facts.name(fact)).then_some(value);
    condition.as_ref().is_some_and(|condition| condition.expr.truth(&known) == Truth::False)
}
