//! The child has died: what others were asked is chased no more, and a person decides who speaks to the family.

use std::sync::Arc;

use super::draft::Draft;
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::{death, is_open};
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::tasks::{DEATH_ACTION, DEATH_RULE, DEATH_TITLE, Wanted};

/// Whoever decides is asked once, however many notify it, and told who holds what.
pub fn ask<'w>(draft: &Draft<'_>, entry: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let asked = |task: &Arc<HeldTask>| task.action == DEATH_ACTION && task.state != "recalled";
    if !death::is_notice(entry) || draft.history.tasks.iter().any(asked) {
        return Ok(None);
    }
    let rules = &draft.book.rules;
    let is_left = |task: &&Arc<HeldTask>| is_open(&task.state) && task.chases.is_none() && task.raised_at < draft.at;
    let mut left: Vec<String> = Vec::new();
    for task in draft.history.tasks.iter().filter(is_left) {
        let title = rules.agencies.get(&task.agency).map_or(task.agency.as_str(), |agency| &agency.title);
        let words = format!("{title} (\"{}\")", task.action);
        if !left.contains(&words) {
            left.push(words);
        }
    }
    let why = "The death of the child was notified. What others were asked before is chased no more.".to_owned();
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let own = raising.own_duty(DEATH_RULE, DEATH_TITLE, why, DEATH_ACTION, due, entry);
    let notes = if left.is_empty() {
        Vec::new()
    } else {
        vec![format!("Not answered yet, or under way: {}. Tell them what is still to be done.", left.join("; "))]
    };
    Ok(Some(Wanted { notes, ..own }))
}
