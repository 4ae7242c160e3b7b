//! What runs by the hour waits for no office: when somebody decides about it, and when its silence is told.

use super::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::model::history::HeldTask;
use crate::engine::model::scalar::{DAY_MS, Level, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::Ladder;
use crate::engine::tasks::{due_at, is_urgent};

const A_SHIFT_HOURS_MAX: u16 = 4;
/// What is asked at once is late by then.
const AT_ONCE: Clock = Clock::Minutes(15);

/// The clock of a task that runs through nights and weekends. None: it waits for an office, or an earlier release kept it.
pub fn clock_of(task: &HeldTask) -> Option<Clock> {
    task.clock.as_ref()?.parse().ok().filter(is_urgent)
}

/// The ladder of a task. What the router itself asks says by its clock whether it can wait: of what is due by the working day (that
/// something was recalled, or shared and should not have been), nobody is chased by night, at whatever level.
pub fn ladder<'b>(rules: &'b RuleBook, task: &HeldTask) -> Option<&'b Ladder> {
    let by_the_working_day = || {
        let clock: Option<Clock> = task.clock.as_ref().and_then(|clock| clock.parse().ok());
        matches!(clock, Some(Clock::WorkingDays(_))) && is_of_no_rule(rules, task)
    };
    rules.ladder(task.level.filter(|level| *level != Level::L4b || !by_the_working_day()))
}

/// Whether no rule of the book asks it, of its holder or of whoever they stand in for.
fn is_of_no_rule(rules: &RuleBook, task: &HeldTask) -> bool {
    let mut asked = rules.rules.iter().flat_map(|rule| &rule.tasks);
    let is_by_rule = task.rules.iter().any(|id| rules.rule(id).is_some());
    task.in_place_of.is_none() && !is_by_rule && !asked.any(|asked| asked.is_asked_of(task))
}

/// Whether a task was to be done before whoever is on duty goes home.
pub fn is_within_a_shift(task: &HeldTask) -> bool {
    match clock_of(task) {
        Some(Clock::Now | Clock::Minutes(_) | Clock::TimeOfDay { .. } | Clock::TimeThatDay { .. }) => true,
        Some(Clock::Hours(hours)) => hours <= A_SHIFT_HOURS_MAX,
        Some(
            Clock::SameDay
            | Clock::WorkingDays(_)
            | Clock::NextSessionDay
            | Clock::TimeOnWorkingDay { .. }
            | Clock::OnTheDay,
        )
        | None => false,
    }
}

/// When a task that runs by the hour is past its clock. One that was past it when it was raised, or open again, is given it once.
/// `from`: since when it waits.
pub fn past_its_clock(rules: &RuleBook, task: &HeldTask, from: Timestamp) -> Option<Timestamp> {
    let clock = clock_of(task)?;
    if clock != Clock::Now && task.due_at > from {
        return Some(task.due_at);
    }
    let clock = if clock == Clock::Now { AT_ONCE } else { clock };
    let from_then = |clock: &Clock| rules.calendar.due(clock, from, None).ok().map(|due| due.at);
    // A time of that day that had gone by is not given again: it is due at once, and late as soon as what is.
    from_then(&clock).filter(|due| *due > from).or_else(|| from_then(&AT_ONCE))
}

/// Whether what was asked is still to be seen to by the hour: what was completed days ago is not.
pub fn still_matters(task: &HeldTask, at: Timestamp) -> bool {
    task.state != "completed" || at <= task.due_at.plus_millis(DAY_MS)
}

/// By when a person decides what becomes of these: within the hour at the highest level, or where one of them runs by the hour
/// and has no more than a working day's hours left; the same day where its time runs out before the office would decide.
pub fn decided_by<'t>(
    draft: &Draft<'_>,
    level: Option<Level>,
    tasks: impl Iterator<Item = &'t HeldTask>,
) -> Result<Clock, StepError> {
    if level == Some(Level::L4b) {
        return Ok(AT_HIGHEST_LEVEL);
    }
    let Some(soonest) = tasks.filter(|task| clock_of(task).is_some()).map(|task| task.due_at).min() else {
        return Ok(OWN_DUTY);
    };
    let calendar = &draft.book.rules.calendar;
    if soonest <= due_at(calendar, &Clock::SameDay, draft.at, None)?.at {
        return Ok(AT_HIGHEST_LEVEL);
    }
    let usual = due_at(calendar, &OWN_DUTY, draft.at, None)?.at;
    Ok(if soonest < usual { Clock::SameDay } else { OWN_DUTY })
}
