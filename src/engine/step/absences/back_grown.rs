//! Back, and eighteen meanwhile: those who searched for a child, and are asked nothing about the adult, hear that it is over.

use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::entry::is_grown;
use crate::engine::history::{TOLD, episodes, is_open};
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft};
use crate::engine::step::word::{Word, tell_each};

/// The id under which they are told.
pub const BACK_RULE: &str = "back-grown";
const BACK: Word = Word {
    rule: BACK_RULE,
    title: "Back from being missing, and eighteen",
    why: "The young person is back, and is eighteen now: nothing more is asked of you by this.",
    action: "Know that the young person is back: the search is over",
    wants_answer: false,
};

/// Of a return: tells each agency that holds something of the search, and is asked nothing now.
pub fn tell_searchers(draft: &mut Draft<'_>, cause: &str, entry: &Arc<Entry>) -> Result<(), StepError> {
    let is_back = entry.kind == episodes::ENDED && !episodes::is_impossible(&draft.history, entry, draft.at);
    if !is_back || !is_grown(&draft.history, entry, draft.at) {
        return Ok(());
    }
    let (rules, history) = (&draft.book.rules, &draft.history);
    let is_of_search = |task: &HeldTask| {
        let mut asked = history.entries.iter().filter(|asked| task.is_of(asked));
        asked.any(|asked| {
            asked.kind != episodes::ENDED && episodes::returned_at(history, asked) == Some(entry.occurred_at)
        })
    };
    let hears_already = |task: &HeldTask| {
        let mut asked = draft.decision.tasks.iter();
        asked.any(|asked| asked.agency == task.agency && asked.unit == task.unit)
    };
    let searches = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && task.state != TOLD
            && task.chases.is_none()
            && task.agency != rules.front_door
            && !hears_already(task)
            && is_of_search(task)
    };
    let held: Vec<Arc<HeldTask>> = history.tasks.iter().filter(searches).cloned().collect();
    tell_each(draft, cause, &held, &BACK, &AT_HIGHEST_LEVEL)
}
