//! What must be completed by its deadline, not answered alone, and is not: who is above its recipient is told, once.

use std::sync::Arc;

use super::escalation::address;
use super::ladder;
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::{Context, StepError};
use crate::engine::history::decisions::{self, decided};
use crate::engine::history::known_as::are_two;
use crate::engine::history::{RECALLED, death, is_open};
use crate::engine::model::decision::RuleFired;
use crate::engine::model::history::{Entry, HeldTask, History, Timer};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::TaskRule;
use crate::engine::state::State;
use crate::engine::step::decisions::closed;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::word::RAISED_RULE;
use crate::engine::step::{Step, by_the_hour};
use crate::engine::tasks::settled::Sought;
use crate::engine::tasks::{READDRESSED_RULE, Relation, Wanted};

/// The id under which it is told.
pub const OVERDUE_RULE: &str = "R40-overdue";
const DECLINED: &str = "declined";
const COMPLETED: &str = "completed";
const HOURS_OF_A_DAY: u16 = 24;
const TITLE: &str = "A task that has not been completed in time";

/// Whether a task tells that another is overdue.
pub fn tells_of_overdue(task: &HeldTask) -> bool {
    task.chases.is_some() && task.rules.iter().any(|rule| rule == OVERDUE_RULE)
}

/// Whether rules want it completed by its deadline.
pub fn must_be_done(rules: &RuleBook, task: &HeldTask) -> bool {
    asked(rules, task).next().is_some()
}

/// Whether it is still to be done: taken on or not, and no person closed the case since, though another decision has opened it again. What an event settles is, also by
/// another than who declined it.
pub fn is_owed(history: &History, closings: &[Arc<Entry>], rules: &RuleBook, task: &HeldTask) -> bool {
    let is_for_another = || asked(rules, task).any(|asked| !asked.settled_by.is_empty());
    (is_open(&task.state) || (task.state == DECLINED && is_for_another()))
        && !closed::is_waited_for_no_more(history, rules, task)
        && !closed::was_ended(history, closings, rules, task)
        && !death::overtook(history, task)
        && !is_asked_since_closing(history, closings, rules, task)
}

/// Whether the same was asked anew after a closing had ended it: it is one thing to do, with one deadline, that of what was asked then.
/// A closing that was taken back since has ended nothing: then only what the decision asked that opened the case again is the same, and
/// what another event asks is another discussion, with a deadline of its own.
fn is_asked_since_closing(history: &History, closings: &[Arc<Entry>], rules: &RuleBook, task: &HeldTask) -> bool {
    let first = |stands: bool| {
        let that = closings.iter().filter(|closing| !(stands && closing.withdrawn));
        that.map(|closing| decisions::known_until(closing)).filter(|at| *at >= task.raised_at).min()
    };
    let Some(first_of_all) = first(false) else { return false };
    let first_that_stands = first(true);
    let is_by_opening = |other: &HeldTask| other.rules.iter().any(|rule| rule == RAISED_RULE);
    let is_since = |other: &HeldTask| {
        let closed_at = if is_by_opening(other) { Some(first_of_all) } else { first_that_stands };
        closed_at.is_some_and(|closed_at| other.raised_at >= closed_at) && other.raised_at > task.raised_at
    };
    let stands = |other: &HeldTask| is_open(&other.state) || other.state == COMPLETED;
    let mut since = history.tasks.iter().filter(|other| is_since(other) && stands(other));
    since.any(|other| is_asked_as_well(history, rules, task, other))
}

/// By when a task is to be completed, where it waits for another time or for none. What is done, declined or closed is waited
/// for no more. What is owed is, once more or by a later book or release, if its deadline is ahead: what had run out when it was
/// raised nobody could have done by then, and its silence goes up the ladder alone.
fn waits_elsewhere(
    history: &History,
    closings: &[Arc<Entry>],
    rules: &RuleBook,
    task: &HeldTask,
    at: Timestamp,
) -> Option<Option<Timestamp>> {
    let is_owed = || is_owed(history, closings, rules, task);
    if task.complete_by.is_some() {
        return (!is_owed()).then_some(None);
    }
    // An answer may have been received before a tick that was read before it.
    let is_ahead = task.due_at > at.max(history.updated_at) && task.due_at > task.raised_at;
    (is_ahead && must_be_done(rules, task) && is_owed()).then_some(Some(task.due_at))
}

/// What rules ask for that must be completed by its deadline, and this task is.
fn asked<'r>(rules: &'r RuleBook, task: &HeldTask) -> impl Iterator<Item = &'r TaskRule> {
    of_its_rules(rules, task).filter(|asked| asked.is_asked_of(task))
}

/// What the rules of a task ask that must be completed by its deadline, of whomever.
fn of_its_rules<'r>(rules: &'r RuleBook, task: &HeldTask) -> impl Iterator<Item = &'r TaskRule> {
    // A task passed on to the right unit, or asked for by a decision alone, has its action from a rule, and not the rule.
    let any = task.rules.iter().any(|id| id == READDRESSED_RULE || id == RAISED_RULE);
    // Asked of every task that is held, whenever a step ends: its own rules are looked up, and not sought among all.
    let own = task.rules.iter().filter(move |_| !any).filter_map(|id| rules.rule(id));
    let of = own.chain(rules.to_complete().filter(move |_| any));
    of.flat_map(|rule| &rule.tasks).filter(|asked| asked.completed_by_due)
}

/// Whether some task waits for another time than it should, as `arm` has it.
pub fn is_unarmed(history: &History, rules: &RuleBook, at: Timestamp) -> bool {
    let closings = decisions::closings(history);
    history.tasks.iter().any(|task| waits_elsewhere(history, &closings, rules, task, at).is_some())
}

/// Every task waits for when it is to be completed, where that is owed and still ahead.
pub fn arm(history: &mut History, rules: &RuleBook, at: Timestamp) {
    let closings = decisions::closings(history);
    let elsewhere =
        |(place, task): (usize, &Arc<HeldTask>)| Some((place, waits_elsewhere(history, &closings, rules, task, at)?));
    let changed: Vec<(usize, Option<Timestamp>)> = history.tasks.iter().enumerate().filter_map(elsewhere).collect();
    for (place, complete_by) in changed {
        if let Some(task) = history.tasks.get_mut(place) {
            Arc::make_mut(task).complete_by = complete_by;
        }
    }
}

/// The clock of a subject's ladders ran out, and no rung is due: something is to be completed by now.
pub fn fired(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    let is_due = |task: &Arc<HeldTask>| is_due(task, at);
    if !state.history(subject).is_some_and(|history| history.tasks.iter().any(is_due)) {
        return Ok(Step::default());
    }
    let overdue = Timer { rule: OVERDUE_RULE.to_owned(), ..timer.clone() };
    let mut draft = Draft::of_own_timer(context, state, subject, &overdue, at)?;
    tell(&mut draft)?;
    draft.finish()
}

fn is_due(task: &HeldTask, at: Timestamp) -> bool {
    task.complete_by.is_some_and(|by| by <= at)
}

/// Tells whom the ladder names of all that should have been completed by now and is not.
pub fn tell(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let at = draft.at;
    arm(&mut draft.history, &draft.book.rules, at);
    let due: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(|task| is_due(task, at)).cloned().collect();
    for task in due {
        let mut waits_until = None;
        let asked: Vec<&TaskRule> = settled_by_word(&draft.book.rules, &task).collect();
        if let Some(said) = settled_by(&draft.history, &draft.book.rules, &asked, &task) {
            let words = settled_in_words(&asked, &task, said);
            draft.decision.notes.push(words);
        } else if is_chased_anyway(&task) {
            waits_until = task.escalate_at;
        } else {
            tell_of(draft, &task)?;
        }
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            Arc::make_mut(present).complete_by = waits_until;
        }
    }
    Ok(())
}

/// Where a person set a lower level nothing was done, and nothing need be.
fn settled_in_words(asked: &[&TaskRule], task: &HeldTask, said: &Entry) -> String {
    let in_time = decisions::known_until(said) <= task.due_at;
    if is_lowering(asked, said) {
        let when = if in_time { "before" } else { "after" };
        let what = if decided(said).is_some_and(decisions::closes) { "closed the case" } else { "set a lower level" };
        return format!("\"{}\" is not asked for any more: a named person {what} {when} its deadline.", task.action);
    }
    let when = if in_time { "in time" } else { "after its deadline" };
    format!("\"{}\" was done {when}, by an event that says so.", task.action)
}

/// Whether what settles these was a lower level, and not that they are done.
fn is_lowering(asked: &[&TaskRule], said: &Entry) -> bool {
    decided(said).is_some_and(|code| !asked.iter().any(|asked| asked.settled_by_decisions.contains(code)))
}

/// What nobody has answered goes up its ladder, and those above hear of it there: should it be taken on meanwhile, and not done,
/// they hear of that when the next rung would have been told.
fn is_chased_anyway(task: &HeldTask) -> bool {
    let waited_already = task.complete_by.is_some_and(|by| by > task.due_at);
    let goes_up = task.escalate_at.is_some() || waited_already;
    task.state == "raised" && goes_up && by_the_hour::clock_of(task).is_none()
}

/// Whether it is said that what a task asks is done, whoever was asked to do it, and not by its recipient: nobody is chased for it any
/// more.
pub fn is_done_unanswered(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    task.state == "raised" && settled_at(history, rules, task).is_some()
}

/// Whether what a task asks was done, and not that a lower level calls for it no more.
pub fn was_done(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let asked: Vec<&TaskRule> = settled_by_word(rules, task).collect();
    settled_by(history, rules, &asked, task).is_some_and(|said| !is_lowering(&asked, said))
}

/// Whether it was done before its holder heard that the case is closed, or that less is needed. Who had heard that is somebody to tell what
/// becomes of the case also where an enquiry that was begun since settles what they hold.
pub fn was_done_unheard(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let is_done = was_done(history, rules, task);
    is_done && was_done(&decisions::without_enquiries_since_lowered(history, task.raised_at), rules, task)
}

/// From when on somebody says that what a task asks is done, whoever was asked to do it.
fn settled_at(history: &History, rules: &RuleBook, task: &HeldTask) -> Option<Timestamp> {
    let asked: Vec<&TaskRule> = settled_by_word(rules, task).collect();
    settled_by(history, rules, &asked, task).map(|said| decisions::known_until(said))
}

/// The first word that it is done, or is not asked for any more.
fn settled_by<'h>(
    history: &'h History,
    rules: &RuleBook,
    asked: &[&TaskRule],
    task: &HeldTask,
) -> Option<&'h Arc<Entry>> {
    if asked.is_empty() {
        return None;
    }
    let cause = history.entries.iter().find(|entry| task.is_of(entry)).map(AsRef::as_ref);
    let sought = Sought { asked, cause, since: task.raised_at, level: task.level };
    sought.settled_by(history).or_else(|| {
        // At a level that was set again it is one thing to do, with one deadline: that of what was asked since.
        let lowered = sought.lowered_by(history)?;
        let is_since = |other: &HeldTask| other.raised_at >= decisions::known_until(lowered) && other.state != RECALLED;
        let mut since = history.tasks.iter().filter(|other| other.raised_at > task.raised_at && is_since(other));
        since.any(|other| is_asked_as_well(history, rules, task, other)).then_some(lowered)
    })
}

/// What the rules of a task ask of anybody that a word of an event or a person may settle, and this task asks.
fn settled_by_word<'r>(rules: &'r RuleBook, task: &HeldTask) -> impl Iterator<Item = &'r TaskRule> {
    of_its_rules(rules, task).filter(|asked| asked.action == task.action && asked.is_settled_by_word())
}

/// When a step ends: what had been said to be done, and is not by what is known now (withdrawn, corrected, or decided otherwise),
/// or was ended by a closing that stands no longer, is waited for again, from now; and told as overdue, should its deadline have gone by
/// with nothing to tell.
pub fn take_up_undone(draft: &mut Draft<'_>) {
    let before = Arc::clone(&draft.before);
    undo(&before, &mut draft.history, &draft.book.rules, draft.at);
}

/// The same of a history and what it was before, or was a part of.
pub fn undo(before: &History, history: &mut History, rules: &RuleBook, at: Timestamp) {
    // What is done is told by the entries: where none of them changed, nothing is undone.
    let is_same = |(one, other): (&Arc<Entry>, &Arc<Entry>)| Arc::ptr_eq(one, other);
    if before.entries.len() == history.entries.len() && before.entries.iter().zip(&history.entries).all(is_same) {
        return;
    }
    let (closings_before, closings) = (decisions::closings(before), decisions::closings(history));
    // What comes with another record was waited for there, and by what was known there.
    let was_held = |task: &HeldTask| before.tasks.iter().any(|held| held.task_id == task.task_id);
    let was_settled = |task: &HeldTask| was_settled(before, &closings_before, rules, task);
    // What was open when the case was closed is not begun again by a decision that opens it: a closing that stands had ended it.
    let was_closed = |task: &HeldTask| {
        let was_ended = closed::was_ended(before, &closings_before, rules, task);
        was_ended && !closed::was_ended(history, &closings, rules, task)
    };
    let is_asked_anew = |history: &History, task: &HeldTask| is_asked_since_closing(history, &closings, rules, task);
    let was_asked_anew = |task: &HeldTask| {
        is_asked_since_closing(before, &closings_before, rules, task) && !is_asked_anew(history, task)
    };
    let undone: Vec<Arc<HeldTask>> = history
        .tasks
        .iter()
        .filter(|task| (was_settled(task) || was_closed(task) || was_asked_anew(task)) && was_held(task))
        .filter(|task| settled_at(history, rules, task).is_none())
        .cloned()
        .collect();
    for task in undone {
        let mut just_now = history.tasks.iter().filter(|other| other.raised_at == at);
        let is_anew =
            just_now.any(|other| is_asked_as_well(history, rules, &task, other)) || is_asked_anew(history, &task);
        let unanswered = task.state == "raised" && !is_anew;
        ladder::take_up(history, rules, at, |other| unanswered && other.task_id == task.task_id);
        let is_past = task.complete_by.is_none() && task.due_at <= at && task.due_at > task.raised_at;
        if !(is_past && must_be_done(rules, &task) && is_owed(history, &closings, rules, &task))
            || was_told(history, &task)
        {
            continue;
        }
        if let Some(present) = history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            let next = ladder::due(rules, present, 0).filter(|_| unanswered);
            Arc::make_mut(present).complete_by = next.or(Some(at));
        }
    }
}

fn was_settled(before: &History, closings: &[Arc<Entry>], rules: &RuleBook, task: &HeldTask) -> bool {
    let by_word = settled_by_word(rules, task).next().is_some() && is_owed(before, closings, rules, task);
    by_word && settled_at(before, rules, task).is_some()
}

/// Whether what had settled it is taken back, so that it is to be done again.
pub fn is_undone(before: &History, history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    was_settled(before, &decisions::closings(before), rules, task) && settled_at(history, rules, task).is_none()
}

/// Whether those above its recipient were told already that it is not done: before somebody said that it had been.
fn was_told(history: &History, task: &HeldTask) -> bool {
    history.tasks.iter().any(|word| tells_of_overdue(word) && word.chased().any(|chased| *chased == task.task_id))
}

/// Whether another task asks the same of the same: of one unit, where each answers for itself, and for one child.
fn is_asked_as_well(history: &History, rules: &RuleBook, task: &HeldTask, other: &HeldTask) -> bool {
    let is_of_one_unit = || task.unit == other.unit || !rules.has_many_units(&task.agency);
    let cause = |task: &HeldTask| history.entries.iter().find(|entry| task.is_of(entry));
    let is_of_another = || cause(task).zip(cause(other)).is_some_and(|(one, other)| are_two(history, one, other));
    other.task_id != task.task_id
        && (&other.agency, &other.action) == (&task.agency, &task.action)
        && is_of_one_unit()
        && !is_of_another()
}

fn tell_of(draft: &mut Draft<'_>, task: &HeldTask) -> Result<(), StepError> {
    let book = draft.book;
    let Some(ladder) = book.rules.ladder(task.level) else { return Ok(()) };
    let partner = task.partner.as_deref().unwrap_or_default();
    let entry = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned();
    let entry = entry.unwrap_or_else(|| Arc::new(stand_in_entry(&task.event_id, partner, draft.at)));
    let title = book.rules.title_of(&task.agency);
    let (action, raised, due) = (&task.action, instant_in_words(task.raised_at), instant_in_words(task.due_at));
    let why =
        format!("\"{action}\", given to {title} on {raised}, was to be completed by {due}: it is {}.", task.state);
    draft.decision.event_id.get_or_insert_with(|| task.event_id.clone());
    let event_id = Some(task.event_id.clone());
    draft.decision.fired.push(RuleFired { rule: OVERDUE_RULE.to_owned(), level: None, why: why.clone(), event_id });
    let cause = format!("{OVERDUE_RULE}\0{}\0{}", task.task_id, task.due_at.0);
    let raising = draft.raising(None, "");
    let mut wanted = Vec::new();
    // What runs by the hours of a day at the highest level is told by night, too.
    let waits_for_no_office = task.level == Some(Level::L4b) && is_within_a_day(task);
    let within_the_agency = ladder.overdue.iter().any(|step| step.to.is_none());
    for step in &ladder.overdue {
        // Its own agency is told once, and not of what it declined.
        let is_told_twice = within_the_agency && step.to.as_ref() == Some(&task.agency);
        let has_declined = task.state == DECLINED && step.to.is_none();
        if is_told_twice || has_declined {
            continue;
        }
        let due = raising.deadline_from_now(if waits_for_no_office { &AT_HIGHEST_LEVEL } else { &OWN_DUTY })?;
        let urgent = waits_for_no_office.then_some(due.at);
        let own = raising.own_duty(OVERDUE_RULE, TITLE, why.clone(), &step.action, due, &entry);
        wanted.push(Wanted {
            address: address(&raising, task, step, urgent),
            bases: ladder.bases.clone(),
            level: task.level,
            relation: Relation::Chases(vec![task.task_id.clone()]),
            ..own
        });
    }
    draft.raise(None, &cause, &[], wanted).map(drop)
}

fn is_within_a_day(task: &HeldTask) -> bool {
    match by_the_hour::clock_of(task) {
        Some(Clock::Now | Clock::Minutes(_) | Clock::SameDay) => true,
        Some(Clock::Hours(hours)) => hours <= HOURS_OF_A_DAY,
        Some(
            Clock::WorkingDays(_)
            | Clock::NextSessionDay
            | Clock::TimeOfDay { .. }
            | Clock::TimeThatDay { .. }
            | Clock::TimeOnWorkingDay { .. }
            | Clock::OnTheDay,
        )
        | None => false,
    }
}
