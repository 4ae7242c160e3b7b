//! A search that is over is chased no more: whoever has not answered when the child is back has nobody left to look for.

use crate::engine::history::episodes;
use crate::engine::model::history::{HeldTask, History};
use crate::engine::rules::RuleBook;

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
    // What its rules would ask is the dearer question: it is asked of the tasks of a child who is back alone.
    back() && is_search(rules, task)
}

/// Whether every rule that asks it does so only because the child is looked for no longer.
pub fn says_it_is_over(rules: &RuleBook, task: &HeldTask) -> bool {
    rules.would_not_ask(task, &|fact| rules.looked_for(fact, true))
}

/// Whether every rule that asks it does so only while the child is looked for.
fn is_search(rules: &RuleBook, task: &HeldTask) -> bool {
    rules.would_not_ask(task, &|fact| rules.looked_for(fact, false))
}
