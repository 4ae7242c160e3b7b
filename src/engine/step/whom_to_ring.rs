//! Whom the router's own words send their reader to: the front door, and where somebody there is accused whoever stands in for it.

use super::draft::Draft;
use crate::engine::model::task::Task;
use crate::engine::rules::catalogue::OWN_RULES;
use crate::engine::tasks::asking::REASON_GIVEN;

const FRONT_DOOR: &str = "the front door";
/// What is said before it where its reader is sent there.
const SENT: [&str; 6] = ["ring ", "Ring ", "ask ", "Ask ", "asked ", "ring 999, then "];

/// When a step ends: its words are written for the front door, and go out as they hold for this child; so does what those who referred them
/// are told.
pub fn settle(draft: &mut Draft<'_>) {
    if draft.given().next().is_none() && draft.feedback_given().next().is_none() {
        return;
    }
    let raising = draft.raising(None, "");
    if raising.decides(&draft.book.rules.front_door) {
        return;
    }
    let words = Words { ring: draft.context.on_front_door_phone(), instead: raising.whom_to_ring() };
    draft.given().for_each(|task| words.settle(task));
    draft.feedback_given().for_each(|feedback| feedback.message = words.of(&feedback.message));
    for task in draft.decision.tasks.iter_mut().filter(|task| is_own(task.rules.iter())) {
        task.action = words.of(&task.action);
    }
}

struct Words {
    /// The front door's number, as it stands behind its name.
    ring: String,
    instead: String,
}

impl Words {
    /// Not what a rule of the book asks, nor what a sender wrote.
    fn settle(&self, task: &mut Task) {
        if is_own(task.reasons.iter().map(|reason| &reason.rule)) {
            task.action = self.of(&task.action);
        }
        for reason in task.reasons.iter_mut().filter(|reason| OWN_RULES.contains(&reason.rule.as_str())) {
            reason.why = self.of(&reason.why);
        }
        for note in &mut task.notes {
            *note = self.of(note);
        }
    }

    fn of(&self, text: &str) -> String {
        let (ours, theirs) = text.find(REASON_GIVEN).map_or((text, ""), |at| text.split_at(at));
        let settled = SENT.into_iter().fold(ours.to_owned(), |text, sent| {
            let with_number = format!("{sent}{FRONT_DOOR}{}", self.ring);
            let instead = format!("{sent}{}", self.instead);
            text.replace(&with_number, &instead).replace(&format!("{sent}{FRONT_DOOR}"), &instead)
        });
        settled + theirs
    }
}

fn is_own<'r>(mut rules: impl Iterator<Item = &'r String>) -> bool {
    rules.all(|rule| OWN_RULES.contains(&rule.as_str()))
}
