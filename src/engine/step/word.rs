//! A word to whoever holds something of a case: what became of it. One for each holder, and once in a step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::draft::Draft;
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::held_back_of;
use crate::engine::model::history::HeldTask;
use crate::engine::model::task::Task;
use crate::engine::rules::book::UnitKind;
use crate::engine::rules::catalogue::OWN_RULES;
use crate::engine::tasks::route::{Address, is_suppressed};
use crate::engine::tasks::{Deadline, Relation, Wanted};

pub const TAKEN_BACK_RULE: &str = "decision-taken-back";

pub const RAISED_RULE: &str = "decided-level";

/// The id under which a holder is told.
pub const CLOSED_RULE: &str = "case-closed";

/// The id under which they hear that they need not wait any more.
pub const GOES_ON_RULE: &str = "help-goes-on";

/// What each who holds something is told.
pub struct Word {
    pub rule: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub action: &'static str,
    /// Else it is to be known, and nobody is chased to say that they do.
    pub wants_answer: bool,
}

pub const CLOSED: Word = Word {
    rule: CLOSED_RULE,
    title: "A named person has closed the case",
    why: "A named person has closed the case: nobody waits any longer for an answer to what you were asked in it.",
    action: "Know that the case is closed: go on with what your own service owes the child, and ring the front door if more is needed",
    wants_answer: false,
};

pub const OPEN_AGAIN: Word = Word {
    rule: RAISED_RULE,
    title: "A case that was closed is open again",
    why: "A named person has decided that social care acts: the case that you were told was closed is open again.",
    action: "Know that the case is open again: ring the front door now, and go on with what you were asked if it is still to be done",
    wants_answer: false,
};

pub const LOWERED: Word = Word {
    rule: RAISED_RULE,
    title: "A named person has decided that less is needed",
    why: "A named person has decided that less is needed for the child than what you were asked in.",
    action: "Know that less is needed now: go on with what your own service owes the child, and ring the front door about what you were asked",
    wants_answer: false,
};

pub const RAISED_AGAIN: Word = Word {
    rule: RAISED_RULE,
    title: "A named person has decided that social care acts",
    why: "A named person had decided that less is needed, and has decided otherwise since: what you were asked is to be done.",
    action: "Know that social care acts for the child again: ring the front door now, and go on with what you were asked if it is still to be done",
    wants_answer: false,
};

pub const STANDS_NO_LONGER: Word = Word {
    rule: TAKEN_BACK_RULE,
    title: "A decision about the case no longer stands",
    why: "A named person had decided that less is needed, and that was taken back: what you were asked is to be done.",
    action: "Go on with what you were asked: the decision that less is needed was taken back",
    wants_answer: true,
};

pub const GO_ON: Word = Word {
    why: "A person had closed the case, and that was taken back: what you were asked is to be done.",
    action: "Go on with what you were asked: the decision that had closed the case was taken back",
    ..STANDS_NO_LONGER
};

/// What an earlier closing had ended is not begun again: they ring.
pub const OPEN_STILL: Word = Word {
    why: "You were told that the case is closed: that was taken back, and social care acts for the child.",
    action: OPEN_AGAIN.action,
    ..ENQUIRY_RUNS
};

/// Of what an enquiry settles nothing is to be done, and their last word was that the case is closed, or that less is needed.
pub const ENQUIRY_RUNS: Word = Word {
    why: "You were told that the case is closed, or that less is needed: that was taken back, and social care acts for the child.",
    action: "Know that social care acts for the child still: ring the front door now about what you were asked",
    wants_answer: false,
    ..STANDS_NO_LONGER
};

/// What each word begins with that tells its holder to stop, to ring back, to look into what was shared, or to go on.
const OF_A_WORD: [&str; 6] = [
    "Recall:",
    "Stop",
    "Go on with ",
    "Information breach:",
    "Ring whom you passed this on to",
    "Do not ask the family because of that referral",
];

/// Whether a task says no more than what becomes of another that its holder has, or had. It asks nothing of the child itself: nobody goes on
/// with it, and it goes to nobody in their place.
pub fn tells_of_another(task: &HeldTask) -> bool {
    let is_own = || task.rules.iter().all(|rule| OWN_RULES.contains(&rule.as_str()));
    OF_A_WORD.iter().any(|begins| task.action.starts_with(begins)) && is_own()
}

/// When whoever holds these is to do as they are told.
type DueBy<'d> = &'d dyn Fn(&[&Arc<HeldTask>]) -> Result<Deadline, StepError>;

/// One task for each agency or unit that holds some of these: it follows them.
pub fn each_holder<'w>(
    draft: &Draft<'_>,
    held: &[Arc<HeldTask>],
    word: &Word,
    due: DueBy<'_>,
) -> Result<Vec<Wanted<'w>>, StepError> {
    let raising = draft.raising(None, "");
    let one_unit = |name: &str| draft.book.rules.agencies.get(name).filter(|agency| agency.units == UnitKind::One);
    let mut holders: BTreeMap<(&str, Option<&String>), Vec<&Arc<HeldTask>>> = BTreeMap::new();
    for task in held {
        let unit = task.unit.as_ref().filter(|_| one_unit(&task.agency).is_none());
        holders.entry((&task.agency, unit)).or_default().push(task);
    }
    let ring = draft.context.on_front_door_phone();
    let mut wanted = Vec::new();
    for ((agency, unit), tasks) in holders {
        let Some(entry) = tasks.iter().find_map(|task| draft.history.entries.iter().find(|entry| task.is_of(entry)))
        else {
            continue;
        };
        let due = due(&tasks)?;
        let on_duty = one_unit(agency).map(|agency| raising.single_unit(agency, due.urgent_by()));
        let unit = on_duty.unwrap_or_else(|| unit.cloned());
        let relation = relation(word, &tasks);
        let asked: BTreeSet<&str> = tasks.iter().map(|task| task.action.as_str()).collect();
        let asked = asked.into_iter().collect::<Vec<_>>().join("; ");
        let own = raising.own_duty(word.rule, word.title, word.why.to_owned(), word.action, due, entry);
        let address = Address { agency: agency.to_owned(), unit, role: None, in_place_of: None };
        let notes = vec![format!("What you were asked: {asked}. To ask something, ring the front door{ring}.")];
        wanted.push(Wanted { address, notes, level: None, relation, ..own });
    }
    Ok(wanted)
}

/// Tells each who holds some of these, save on a route that is held back. Whoever hears by this step already that social care acts reads of
/// these on that word.
pub fn tell_each(
    draft: &mut Draft<'_>,
    cause: &str,
    held: &[Arc<HeldTask>],
    word: &Word,
    clock: &Clock,
) -> Result<(), StepError> {
    // Every step asks, and nearly none has anybody to tell.
    if held.is_empty() {
        return Ok(());
    }
    let due = draft.raising(None, cause).deadline_from_now(clock)?;
    let held_back = held_back_of(&draft.history);
    let mut held = held.to_vec();
    if ACTS.contains(&word.action) {
        held.retain(|task| !is_said_with_another(draft, task, word));
    }
    let mut told = each_holder(draft, &held, word, &|_| Ok(due.clone()))?;
    told.retain(|one| !is_suppressed(&one.address, &draft.book.rules.front_door, &held_back));
    draft.raise(None, cause, &[], told).map(drop)
}

/// The rules of a word to whoever holds a task of what became of the case, and those words that say that social care acts.
const OF_WORDS: [&str; 2] = [RAISED_RULE, TAKEN_BACK_RULE];

const ACTS: [&str; 5] =
    [GO_ON.action, ENQUIRY_RUNS.action, OPEN_AGAIN.action, RAISED_AGAIN.action, STANDS_NO_LONGER.action];

/// Names a task on such a word that its holder has by this step. False: they have none.
fn is_said_with_another(draft: &mut Draft<'_>, task: &HeldTask, word: &Word) -> bool {
    let Some(said) = draft.words_to(task, &OF_WORDS).find(|said| ACTS.contains(&said.action.as_str())) else {
        return false;
    };
    if !names(said, task) {
        // What an enquiry settles, or an earlier closing had ended, is not begun again by a word to go on with the rest.
        let first = if word.wants_answer { "" } else { " Ring the front door about that before you do more of it." };
        said.notes.push(format!("You were asked this, too: {}.{first}", task.action));
    }
    true
}

fn names(word: &Task, task: &HeldTask) -> bool {
    word.notes.iter().any(|note| note.contains(&task.action))
}

/// Whether this step tells whoever holds a task what became of the case, and names it.
pub fn is_told_now(draft: &mut Draft<'_>, task: &HeldTask) -> bool {
    draft.words_to(task, &OF_WORDS).any(|word| names(word, task))
}

/// The word follows what they hold. What they have not answered is chased itself: that they go on with it ends when they do.
fn relation(word: &Word, tasks: &[&Arc<HeldTask>]) -> Relation {
    let task_ids: Vec<String> = tasks.iter().rev().map(|task| task.task_id.clone()).collect();
    let goes_on = word.rule == TAKEN_BACK_RULE || word.rule == GOES_ON_RULE;
    let is_chased = goes_on && tasks.iter().any(|task| task.state == "raised");
    match (word.wants_answer, is_chased) {
        (false, _) => Relation::Word(task_ids.into_iter().next().unwrap_or_default()),
        (true, true) => Relation::Chases(task_ids),
        (true, false) => Relation::Follows(task_ids),
    }
}

#[cfg(test)]
mod tests {
    use super::{GO_ON, HeldTask, STANDS_NO_LONGER, tells_of_another};
    use crate::engine::step::recall::{RECALL, RECALL_NOT_YET};
    use crate::engine::tasks::TOLD_BY_MISTAKE;

    fn held(action: &str, rule: &str) -> HeldTask {
        HeldTask { action: action.to_owned(), rules: vec![rule.to_owned()], ..HeldTask::default() }
    }

    #[test]
    fn a_word_is_the_routers_own_and_tells_to_stop_or_to_go_on() {
        for (action, rule) in [
            (RECALL.action, RECALL.rule),
            (RECALL_NOT_YET.action, RECALL_NOT_YET.rule),
            (TOLD_BY_MISTAKE, "held-back"),
            (GO_ON.action, GO_ON.rule),
            (STANDS_NO_LONGER.action, STANDS_NO_LONGER.rule),
        ] {
            assert!(tells_of_another(&held(action, rule)), "{action}");
            assert!(!tells_of_another(&held(action, "R08")), "asked by a rule of the book: {action}");
        }
        assert!(!tells_of_another(&held("Find the child", "readdressed")), "passed on, it is asked still");
    }
}
