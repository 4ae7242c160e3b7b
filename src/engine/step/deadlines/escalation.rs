//! R40: silence escalates, and so does a disagreement. Each open task waits for the next rung of its ladder.

use std::sync::Arc;

use super::ladder::{self, ESCALATION_RULE, is_by_its_clock, rungs_told, runs_from, steps, waits};
use super::overdue;
use crate::engine::calendar::instant_in_words;
use crate::engine::context::{Context, StepError};
use crate::engine::model::decision::{RuleFired, Trigger};
use crate::engine::model::history::{HeldTask, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Ladder, LadderStep, UnitKind};
use crate::engine::state::State;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, own_duty_at};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::{Step, by_the_hour};
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Deadline, Raising, Relation, Wanted, is_urgent};

/// Tells the next rung of every task that has waited long enough.
pub fn fired(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    let is_due = |task: &&Arc<HeldTask>| task.escalate_at.is_some_and(|due_at| due_at <= at);
    let first = state.history(subject).and_then(|history| history.tasks.iter().find(is_due));
    let Some(first) = first else { return overdue::fired(context, state, subject, timer, at) };
    // By what is told, too: a task that was raised late may have the rung's time of one that is told already.
    let cause = format!("{}\0{}\0{}\0{}", timer.rule, timer.due_at.0, first.task_id, rungs_told(first));
    let mut draft = Draft::open(context, state, subject, at, Trigger::Timer, &cause)?;
    let due: Vec<usize> =
        draft.history.tasks.iter().enumerate().filter(|(_, task)| is_due(task)).map(|(place, _)| place).collect();
    for call in calls(&mut draft, due) {
        tell(&mut draft, call)?;
    }
    overdue::tell(&mut draft)?;
    draft.finish()
}

/// What one recipient is told at one instant: all the tasks of one event whose rungs lead to them.
struct Call<'b> {
    ladder: &'b Ladder,
    step: &'b LadderStep,
    address: Address,
    action: &'b str,
    urgent: bool,
    /// Past their own clock: what is told is to be done within the hour.
    past_clock: bool,
    rungs: Vec<Rung>,
}

/// A rung of one task that has waited long enough, and when its next is.
#[derive(Clone)]
struct Rung {
    task: Arc<HeldTask>,
    number: usize,
    next: Option<Timestamp>,
}

/// Gathers the rungs that are due, in the order of the tasks.
fn calls<'a>(draft: &mut Draft<'a>, due: Vec<usize>) -> Vec<Call<'a>> {
    let book = draft.book;
    let mut calls: Vec<Call<'a>> = Vec::new();
    for place in due {
        let Some(task) =
            draft.history.tasks.get(place).cloned().filter(|task| waits(&draft.history, &book.rules, task))
        else {
            continue;
        };
        let number = rungs_told(&task);
        let ladder = by_the_hour::ladder(&book.rules, &task);
        let (Some(ladder), Some(step)) = (ladder, steps(&book.rules, &task).get(number)) else {
            // A later book has a shorter ladder, or none: its top is reached.
            let top = i32::try_from(steps(&book.rules, &task).len()).ok();
            if let Some(present) = draft.history.tasks.get_mut(place) {
                *present = Arc::new(HeldTask { rungs: top, escalate_at: None, ..HeldTask::clone(&task) });
            }
            continue;
        };
        // A rung by the hour, or of a task to be acknowledged by the minute, does not wait for the office.
        let past_clock = is_by_its_clock(&book.rules, &task, number);
        let urgent = past_clock || is_urgent(&step.after) || (number == 0 && task.acknowledge_by.is_some());
        let within_the_hour = draft.raising(None, "").deadline_from_now(&AT_HIGHEST_LEVEL).ok();
        let urgent_by = urgent.then(|| within_the_hour.filter(|_| past_clock).map_or(draft.at, |due| due.at));
        let mut recipients = recipients(&draft.raising(None, ""), &task, step, urgent_by);
        if past_clock {
            recipients.extend(on_duty_too(&draft.raising(None, ""), &book.rules, &task, step));
        }
        let rung = Rung { next: ladder::due(&book.rules, &task, number.saturating_add(1)), number, task };
        for (address, action) in recipients {
            let with_others = |call: &&mut Call<'a>| {
                let of_event =
                    |other: &Rung| other.task.event_id == rung.task.event_id && other.task.partner == rung.task.partner;
                call.address == address
                    && call.action == action
                    && call.past_clock == past_clock
                    && call.ladder.name == ladder.name
                    && call.step == step
                    && call.rungs.iter().all(of_event)
            };
            match calls.iter_mut().find(with_others) {
                Some(call) => call.rungs.push(rung.clone()),
                None => {
                    let rungs = vec![rung.clone()];
                    calls.push(Call { ladder, step, address, action, urgent, past_clock, rungs });
                }
            }
        }
    }
    calls
}

fn tell(draft: &mut Draft<'_>, call: Call<'_>) -> Result<(), StepError> {
    let rules = &draft.book.rules;
    let Some(first) = call.rungs.first().map(|rung| Arc::clone(&rung.task)) else { return Ok(()) };
    let entry = draft.history.entries.iter().find(|entry| first.is_of(entry)).cloned();
    let partner = first.partner.as_deref().unwrap_or_default();
    let entry = entry.unwrap_or_else(|| Arc::new(stand_in_entry(&first.event_id, partner, draft.at)));
    let level = call.rungs.iter().filter_map(|rung| rung.task.level).max();
    let whys: Vec<String> = call.rungs.iter().map(|rung| why(rules, &rung.task)).collect();
    let why = whys.join(" ");
    let raising = draft.raising(None, "");
    let last = own_duty_at(level);
    let next = call.rungs.iter().filter_map(|rung| rung.next).min();
    let due = match next.filter(|next| *next > draft.at) {
        _ if call.past_clock => raising.deadline_from_now(&AT_HIGHEST_LEVEL)?,
        Some(at) => Deadline {
            at,
            words: "before it goes further up".to_owned(),
            late: false,
            assumed: false,
            urgent: call.urgent,
            at_session: false,
            counted: None,
        },
        None => raising.deadline_from_now(&last)?,
    };
    let own = raising.own_duty(ESCALATION_RULE, &call.ladder.title, why.clone(), call.action, due, &entry);
    let wanted = Wanted {
        address: call.address,
        bases: call.ladder.bases.clone(),
        level,
        relation: Relation::Chases(call.rungs.iter().map(|rung| rung.task.task_id.clone()).collect()),
        ..own
    };
    // A ladder that was taken up again is another, with rungs of its own.
    let cause = |rung: &Rung| {
        let (task, number) = (&rung.task, rung.number);
        format!("{}\0{}\0{}\0{number}", task.task_id, task.state, runs_from(task).0)
    };
    let cause = call.rungs.iter().map(cause).collect::<Vec<String>>().join("\0");
    draft.decision.event_id.get_or_insert_with(|| first.event_id.clone());
    let event_id = Some(first.event_id.clone());
    let fired = RuleFired { rule: ESCALATION_RULE.to_owned(), level: None, why, event_id };
    if !draft.decision.fired.contains(&fired) {
        draft.decision.fired.push(fired);
    }
    draft.raise(None, &cause, &[], vec![wanted])?;
    for rung in &call.rungs {
        let same = |task: &&mut Arc<HeldTask>| task.task_id == rung.task.task_id;
        if let Some(present) = draft.history.tasks.iter_mut().find(same) {
            let present = Arc::make_mut(present);
            present.rungs = i32::try_from(rung.number.saturating_add(1)).ok();
            present.escalate_at = rung.next;
        }
    }
    Ok(())
}

/// Who is told, and by the hour at night, where a step leads to an agency that nobody is at, whoever is on duty beside it.
fn recipients<'b>(
    raising: &Raising<'_>,
    task: &HeldTask,
    step: &'b LadderStep,
    urgent: Option<Timestamp>,
) -> Vec<(Address, &'b str)> {
    let address = address(raising, task, step, urgent);
    let elsewhere = step.to.as_ref().filter(|to| urgent.is_some() && **to == address.agency);
    let empty = elsewhere.and_then(|to| raising.book.rules.agencies.get(to));
    let on_duty = empty.and_then(|agency| raising.on_duty_instead(agency));
    std::iter::once(address).chain(on_duty).map(|address| (address, step.action.as_str())).collect()
}

/// Where nobody is at the agency that has not answered, whoever is on duty at the front door: they see that it is answered.
fn on_duty_too<'b>(
    raising: &Raising<'_>,
    rules: &'b RuleBook,
    task: &HeldTask,
    step: &'b LadderStep,
) -> Option<(Address, &'b str)> {
    let agency = rules.agencies.get(&task.agency)?;
    let on_duty = raising.on_duty_instead(agency).filter(|on_duty| on_duty.agency != task.agency)?;
    let above = steps(rules, task).get(1).unwrap_or(step);
    Some((Address { role: None, ..on_duty }, above.action.as_str()))
}

/// Who is told: within the task's own agency and unit unless the step names another agency. Whoever is on duty now, where an
/// agency has a unit out of hours. `urgent`: by when, where that waits for no office.
pub fn address(raising: &Raising<'_>, task: &HeldTask, step: &LadderStep, urgent: Option<Timestamp>) -> Address {
    let rules = &raising.book.rules;
    let of_one_unit = |name: &str| rules.agencies.get(name).filter(|agency| agency.units == UnitKind::One);
    let Some(to) = &step.to else {
        let role = step.role.clone().or_else(|| task.role.clone());
        let on_duty = of_one_unit(&task.agency).and_then(|agency| raising.single_unit(agency, urgent));
        let unit = on_duty.or_else(|| task.unit.clone());
        return Address { agency: task.agency.clone(), unit, role, in_place_of: None };
    };
    match of_one_unit(to) {
        Some(agency) => {
            let unit = raising.single_unit(agency, urgent);
            Address { agency: to.clone(), unit, role: step.role.clone(), in_place_of: None }
        }
        // One of many units cannot be told without a child to tell it by.
        None => Address { in_place_of: Some(to.clone()), ..raising.front_door(urgent) },
    }
}

/// Names the task, whose it is and since when it waits; never the child.
fn why(rules: &RuleBook, task: &HeldTask) -> String {
    let title = rules.title_of(&task.agency);
    let unit = task.unit.as_ref().filter(|_| rules.has_many_units(&task.agency));
    let unit = unit.map_or(String::new(), |unit| format!(", unit {unit}"));
    let (action, raised) = (&task.action, instant_in_words(task.raised_at));
    if task.state == "challenged" {
        let since = instant_in_words(task.state_at);
        return format!(
            "\"{action}\", given to {title}{unit}, was challenged on {since}, and the disagreement is not settled."
        );
    }
    format!("\"{action}\", given to {title}{unit} on {raised}, has been acknowledged by nobody.")
}
