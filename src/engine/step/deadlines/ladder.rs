//! The ladder of an open task: when its next rung is due, from when it is counted, and when nobody waits for it any more.

use std::sync::Arc;

use super::overdue;
use crate::engine::calendar::Clock;
use crate::engine::history::decisions::closings;
use crate::engine::history::{death, is_open};
use crate::engine::model::history::{HeldTask, History};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::LadderStep;
use crate::engine::step::absences::search;
use crate::engine::step::by_the_hour;
use crate::engine::step::decisions::closed;
use crate::engine::step::draft::AT_HIGHEST_LEVEL;
use crate::engine::step::outcomes::outcome::SUPERSEDED;
use crate::engine::tasks::{due_at, is_urgent};

/// The id under which an escalated task gives its reason.
pub const ESCALATION_RULE: &str = "R40";
/// As many rungs as no ladder has: of a task that nobody waits for any more, since a person decided.
const NONE_LEFT: i32 = i32::MAX;

/// Whether a task waits for an answer, or for a disagreement to end. A chase is not itself chased: the next rung is.
pub fn waits(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    // What is over is told by every entry there is: it is asked last, and not of what is closed already.
    let waits = match task.state.as_str() {
        "raised" => !closed::is_waited_for_no_more(history, rules, task),
        "challenged" => !is_settled(history, task),
        _ => false,
    };
    waits
        && !is_chase(task)
        && !death::overtook(history, task)
        && !search::is_over(history, rules, task)
        && !overdue::is_done_unanswered(history, rules, task)
}

/// Whether a person has decided since a task was challenged.
pub fn is_settled(history: &History, task: &HeldTask) -> bool {
    history.decided_on(task).is_some_and(|decision| decision.at >= task.state_at)
}

/// Whether it is asked of an absence that is over, in a case that is closed.
pub fn is_over_unanswered(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    task.state == "raised" && closed::is_over(history, rules, task)
}

/// Also one whose earlier release did not keep which task it chases.
pub fn is_chase(task: &HeldTask) -> bool {
    task.chases.is_some() || task.rules.iter().any(|rule| rule == ESCALATION_RULE || rule == overdue::OVERDUE_RULE)
}

pub fn steps<'b>(rules: &'b RuleBook, task: &HeldTask) -> &'b [LadderStep] {
    by_the_hour::ladder(rules, task).map(|ladder| ladder.steps.as_slice()).unwrap_or_default()
}

pub fn rungs_told(task: &HeldTask) -> usize {
    task.rungs.and_then(|rungs| usize::try_from(rungs).ok()).unwrap_or_default()
}

/// When a rung is told: counted from when the task was raised (or its recipient could answer), or challenged. Where it was to
/// be acknowledged by a time, the first is told then, and the others as much later as the rung below them is elsewhere. Where it runs
/// by the hour, and its ladder does not, the first is told when it is past its clock. None above the top, and beyond the calendar.
pub fn due(rules: &RuleBook, task: &HeldTask, rung: usize) -> Option<Timestamp> {
    let step = steps(rules, task).get(rung)?;
    let acknowledge_by = task.acknowledge_by.filter(|_| task.state != "challenged");
    let (after, from) = match (acknowledge_by, rung.checked_sub(1)) {
        (Some(acknowledge_by), None) => return Some(acknowledge_by),
        // The next is not later for the first having been sooner: the clocks run on from it.
        (Some(acknowledge_by), Some(below)) => (steps(rules, task).get(below)?.after, acknowledge_by),
        (None, _) => (step.after, runs_from(task)),
    };
    let by_ladder = rules.calendar.due(&after, from, None).ok().map(|due| due.at);
    past_its_clock(rules, task, rung).filter(|past| by_ladder.is_none_or(|by_ladder| *past < by_ladder)).or(by_ladder)
}

/// When a rung of a task that runs by the hour may not wait for a ladder that does not: the first; and the one above it, an hour
/// later, where its agency is on duty by night and it was to be done within a few hours.
pub fn past_its_clock(rules: &RuleBook, task: &HeldTask, rung: usize) -> Option<Timestamp> {
    let step = steps(rules, task).get(rung)?;
    if is_urgent(&step.after) || task.acknowledge_by.is_some() || task.state == "challenged" {
        return None;
    }
    match rung {
        0 => by_the_hour::past_its_clock(rules, task, runs_from(task)),
        1 => {
            let is_on_duty = rules.agencies.get(&task.agency).is_some_and(|agency| agency.out_of_hours_unit.is_some());
            let waits_for_nobody = is_on_duty && by_the_hour::is_within_a_shift(task);
            let past = by_the_hour::past_its_clock(rules, task, runs_from(task)).filter(|_| waits_for_nobody)?;
            rules.calendar.due(&AT_HIGHEST_LEVEL, past, None).ok().map(|due| due.at)
        }
        _ => None,
    }
}

/// Whether a rung is told because its task is past its own clock, sooner than its ladder would.
pub fn is_by_its_clock(rules: &RuleBook, task: &HeldTask, rung: usize) -> bool {
    past_its_clock(rules, task, rung).is_some_and(|past| due(rules, task, rung) == Some(past))
}

/// When the clocks of a task's ladder start.
pub fn runs_from(task: &HeldTask) -> Timestamp {
    if task.state == "challenged" {
        return task.state_at;
    }
    task.answer_from.unwrap_or(task.raised_at).max(task.raised_at)
}

/// A rung worked out for one task holds for others of the same ladder that run from the same instant, which the tasks of
/// one event nearly all do.
type WorkedOut = Vec<((Timestamp, Clock), Option<Timestamp>)>;

pub fn due_like_others(rules: &RuleBook, task: &HeldTask, rung: usize, known: &mut WorkedOut) -> Option<Timestamp> {
    if task.acknowledge_by.is_some() || past_its_clock(rules, task, rung).is_some() {
        return due(rules, task, rung);
    }
    let clock = (runs_from(task), steps(rules, task).get(rung)?.after);
    if let Some((_, due)) = known.iter().find(|(known, _)| *known == clock) {
        return *due;
    }
    let due = due(rules, task, rung);
    known.push((clock, due));
    due
}

/// Whether some task waits that has no rung to wait for, and has not been told all of them.
pub fn is_unarmed(history: &History, rules: &RuleBook) -> bool {
    let unarmed = |task: &&Arc<HeldTask>| {
        task.escalate_at.is_none() && waits(history, rules, task) && rungs_told(task) < steps(rules, task).len()
    };
    history.tasks.iter().any(|task| unarmed(&task))
}

/// When the next rung of a waiting task is told by the book, where that is another time than it waits for.
pub fn next_elsewhere(task: &HeldTask, rules: &RuleBook) -> Option<Timestamp> {
    let waits_until = task.escalate_at?;
    due(rules, task, rungs_told(task)).filter(|due| *due != waits_until)
}

/// Counts the next rung of a waiting task again, once its clocks have changed. None is passed over: one whose time has gone by
/// is told at the next tick.
pub fn count_again(task: &mut Arc<HeldTask>, rules: &RuleBook) {
    if let Some(due) = next_elsewhere(task, rules) {
        Arc::make_mut(task).escalate_at = Some(due);
    }
}

/// Every task that waits has one rung to wait for, and no other has; chases of what no longer waits end with it.
pub fn arm(history: &mut History, rules: &RuleBook, at: Timestamp) {
    let (mut changed, mut known): (Vec<(usize, Change)>, WorkedOut) = (Vec::new(), Vec::new());
    let closed = closings(history);
    let is_owed = |other: &HeldTask| overdue::is_owed(history, &closed, rules, other);
    for (place, task) in history.tasks.iter().enumerate() {
        let of_overdue = overdue::tells_of_overdue(task);
        let goes_on = |other: &HeldTask| if of_overdue { is_owed(other) } else { waits(history, rules, other) };
        let is_over = |chased: &String| !history.tasks.iter().any(|other| other.task_id == *chased && goes_on(other));
        if task.chases.is_some() && is_open(&task.state) && task.chased().all(is_over) {
            changed.push((place, Change::Superseded));
            continue;
        }
        match (waits(history, rules, task), task.escalate_at) {
            (true, None) => {
                let is_ahead = |due: Timestamp| due > at || (due == at && task.raised_at == at);
                // What passed before it could be told is not told: a task of an earlier release, or one given up.
                let ahead = (rungs_told(task)..steps(rules, task).len()).find_map(|rung| {
                    due_like_others(rules, task, rung, &mut known).filter(|due| is_ahead(*due)).map(|due| (rung, due))
                });
                let rung = ahead.map_or(steps(rules, task).len(), |(rung, _)| rung);
                if ahead.is_some() || rung > rungs_told(task) {
                    let rungs = i32::try_from(rung).ok().filter(|rungs| *rungs > 0);
                    changed.push((place, Change::Waits { rungs, escalate_at: ahead.map(|(_, due)| due) }));
                }
            }
            (false, waited) => {
                let rungs = rungs_when_over(history, rules, task);
                if waited.is_some() || rungs != task.rungs {
                    changed.push((place, Change::Waits { rungs, escalate_at: None }));
                }
            }
            (true, Some(_)) => {}
        }
    }
    overdue::arm(history, rules, at);
    for (place, change) in changed {
        let Some(task) = history.tasks.get_mut(place) else { continue };
        match change {
            Change::Superseded => *task = Arc::new(task.closed_as(SUPERSEDED, at)),
            Change::Waits { rungs, escalate_at } => {
                // What this step raised is nobody else's yet: it is not copied.
                let task = Arc::make_mut(task);
                (task.rungs, task.escalate_at) = (rungs, escalate_at);
            }
        }
    }
}

/// The rungs of what is waited for no more. None are left of what its recipient leaves open, but not whoever decides, or says that it is
/// done: also when a later decision opens the case again, and also where all were told before, so that it is taken up with the others.
fn rungs_when_over(history: &History, rules: &RuleBook, task: &HeldTask) -> Option<i32> {
    let was_waited_for = || {
        let told = rungs_told(task);
        task.escalate_at.is_some() || (told > 0 && told >= steps(rules, task).len() && task.rungs != Some(NONE_LEFT))
    };
    // Should the notice end, or the return or the closing be taken back, it is taken up where it was.
    let may_go_on = || {
        search::is_over(history, rules, task)
            || death::overtook(history, task)
            || is_over_unanswered(history, rules, task)
    };
    let is_left_open = matches!(task.state.as_str(), "raised" | "challenged") && was_waited_for();
    if is_left_open && !may_go_on() { Some(NONE_LEFT) } else { task.rungs }
}

/// What arming changes of a task.
enum Change {
    Superseded,
    Waits { rungs: Option<i32>, escalate_at: Option<Timestamp> },
}

/// What nobody waited for any more, since a person had decided, is waited for again: its ladder runs from now. Not what another closing
/// had ended, which stands.
pub fn take_up_again(history: &mut History, rules: &RuleBook, at: Timestamp) {
    let (before, closings) = (history.clone(), closings(history));
    let was_ended = |task: &HeldTask| closed::was_ended(&before, &closings, rules, task);
    take_up(history, rules, at, |task| task.rungs == Some(NONE_LEFT) && !was_ended(task));
}

/// The ladders of these tasks, where they wait, run from now.
pub fn take_up(history: &mut History, rules: &RuleBook, at: Timestamp, is_meant: impl Fn(&HeldTask) -> bool) {
    for place in 0..history.tasks.len() {
        let was_left = |task: &&Arc<HeldTask>| is_meant(task) && waits(history, rules, task);
        if history.tasks.get(place).filter(was_left).is_none() {
            continue;
        }
        let Some(task) = history.tasks.get_mut(place) else { continue };
        let task = Arc::make_mut(task);
        (task.rungs, task.escalate_at, task.acknowledge_by) = (None, None, None);
        if task.state == "challenged" {
            task.state_at = at;
        } else {
            task.answer_from = Some(can_answer_from(rules, task, at));
        }
    }
}

/// From when whoever holds a task can answer it that is open again: a school from its next session, as when it was asked.
fn can_answer_from(rules: &RuleBook, task: &HeldTask, at: Timestamp) -> Timestamp {
    let clock: Option<Clock> = task.clock.as_ref().and_then(|clock| clock.parse().ok());
    let in_session = clock.filter(|clock| *clock == Clock::NextSessionDay);
    let next = in_session.and_then(|clock| due_at(&rules.calendar, &clock, at, task.clock_school.as_deref()).ok());
    next.map_or(at, |due| due.at).max(task.answer_from.unwrap_or(at))
}

/// What had been ended is to be done after all: its ladder runs from now.
pub fn begin_again(task: &mut HeldTask, at: Timestamp) {
    (task.state, task.state_at) = ("raised".to_owned(), at);
    (task.rungs, task.acknowledge_by, task.answer_from) = (None, None, Some(at));
}

/// Rungs whose step failed are not tried again at every tick.
pub fn give_up(history: &mut History, due_at: Timestamp) {
    for task in history.tasks.iter_mut().filter(|task| task.escalate_at.is_some_and(|at| at <= due_at)) {
        let task = Arc::make_mut(task);
        task.rungs = Some(task.rungs.unwrap_or_default().saturating_add(1));
        task.escalate_at = None;
    }
    for task in history.tasks.iter_mut().filter(|task| task.complete_by.is_some_and(|at| at <= due_at)) {
        Arc::make_mut(task).complete_by = None;
    }
}
