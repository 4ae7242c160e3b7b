//! A named person closes a case: whoever holds something of it hears that, once. A duty that is not the case's goes on.

use std::sync::Arc;

use super::services;
use super::unapplied::UNAPPLIED_RULE;
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::history::decisions::{self, closes, decided};
use crate::engine::history::known_as::are_two;
use crate::engine::history::{RECALLED, TOLD, death, episodes, is_held_still, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Rule, TaskRule};
use crate::engine::step::absences::search;
use crate::engine::step::deadlines::{ladder, overdue};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::step::recall;
use crate::engine::step::word::{CLOSED, CLOSED_RULE, ENQUIRY_RUNS, Word, tell_each};
use crate::engine::step::{about, by_the_hour};
use crate::engine::tasks::{READDRESSED_RULE, Relation, Wanted, Why};

/// What was received after it was made is acted on: nobody hears that the case is closed.
const CLOSED_BEFORE: Word = Word {
    rule: CLOSED_RULE,
    title: "A named person has closed what you were asked in",
    why: "A named person has closed the case as it was then: nobody waits any longer for an answer to what you were asked in it. More was \
        received since that was decided, and social care acts for the child.",
    ..ENQUIRY_RUNS
};

/// The id under which the front door is asked about a closing while a child is looked for.
const WHILE_MISSING_RULE: &str = "closed-while-missing";
const WHILE_MISSING_TITLE: &str = "A case was closed while the child is missing";
const WHILE_MISSING_ACTION: &str =
    "Confirm or take back that the case is closed: the child is still missing, and the search goes on";
const WHILE_ABSENT_TITLE: &str = "A case was closed while the child is absent";
const WHILE_ABSENT_ACTION: &str =
    "Confirm or take back that the case is closed: the child is still absent, and what is asked of that goes on";
const ASKED_ALREADY: &str = "Closed once more while the child is missing: whether it is to be is asked already.";

/// Whatever is known of the child by now.
const END_OF_TIME: Timestamp = Timestamp(i64::MAX);

/// Whether a closed case ended what a task asks. Not what is asked about that very decision, nor a duty that is not the case's.
pub fn is_ended(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let Some(decision) = history.decided_on(task).filter(|decision| decision.closed) else { return false };
    let is_unapplied = || task.rules.iter().any(|rule| rule == UNAPPLIED_RULE) && is_by(decision, task);
    // That it is closed once more while the child is missing answers nobody's question whether it is to be.
    let is_asked = || is_question(task) && (is_by(decision, task) || is_looked_for(history, task, decision.at));
    let asks_about_it = || is_unapplied() || is_asked();
    decision.at >= task.raised_at && !asks_about_it() && !outlives(rules, task)
}

/// Whether some closing of a history that stands ended it, also where another decision has opened the case since: what was open then is not
/// begun again.
pub fn was_ended(history: &History, closings: &[Arc<Entry>], rules: &RuleBook, task: &HeldTask) -> bool {
    !closings.is_empty()
        && !is_question(task)
        && !outlives(rules, task)
        && decisions::is_closed_by_any(history, task, closings.iter().map(AsRef::as_ref))
}

/// Whether a closing and what came of it leave nobody waiting for a task: it ended it, or the child is back, or what is asked about it
/// is a question no more.
pub fn is_waited_for_no_more(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    is_ended(history, rules, task) || is_over(history, rules, task) || is_answered(history, task)
}

/// Whether what the front door is asked about a closing has answered itself: the case is open, or the child looked for no more.
fn is_answered(history: &History, task: &HeldTask) -> bool {
    let is_closed = || history.decided_on(task).is_some_and(|decision| decision.closed);
    // An enquiry, which opens the case, leaves the closing on record.
    let is_shut = || is_closed() && !decisions::is_opened_since_closed(history);
    is_question(task) && !(is_shut() && is_looked_for(history, task, END_OF_TIME))
}

/// Whether it is asked of an absence whatever becomes of the case, and both are over: the case is closed, and the child back. It is not
/// ended by that: it is waited for again when either is taken back.
pub fn is_over(history: &History, rules: &RuleBook, task: &HeldTask) -> bool {
    let decision = history.decided_on(task).filter(|decision| decision.closed && decision.at >= task.raised_at);
    let is_back = || {
        let mut of_absence = history.entries.iter().filter(|entry| task.is_of(entry));
        of_absence.any(|entry| episodes::back_at(history, entry).is_some())
    };
    decision.is_some() && outlives(rules, task) && is_back()
}

/// Whether a closing ended it: what goes on whatever becomes of the case ended only where the child was known to be back by when the
/// closing was recorded.
pub fn was_ended_by(history: &History, rules: &RuleBook, task: &HeldTask, closed_at: Timestamp) -> bool {
    let mut of_absence = history.entries.iter().filter(|entry| task.is_of(entry));
    let recorded_at = recorded_at(history, closed_at);
    !outlives(rules, task) || of_absence.any(|entry| episodes::was_back_by(history, entry, recorded_at))
}

/// When a closing that holds from then was recorded, also one that was taken back since.
fn recorded_at(history: &History, closed_at: Timestamp) -> Timestamp {
    let is_it = |entry: &&Arc<Entry>| decided(entry).is_some_and(closes) && decisions::known_until(entry) == closed_at;
    history.entries.iter().filter(is_it).map(|entry| entry.received_at).max().unwrap_or(closed_at)
}

/// Whether its holder is somebody to tell what becomes of the case: asked by a rule, not longer ago than it is held, and of what no event
/// says that it is done. Who was not told of a closing is not told to go on, either.
pub fn is_to_be_told(history: &History, rules: &RuleBook, task: &HeldTask, closed_at: Timestamp) -> bool {
    task.state != TOLD
        && task.chases.is_none()
        && task.agency != rules.front_door
        && is_held_still(task.raised_at, closed_at)
        && asking(rules, task).any(|rule| rule.tasks.iter().any(|asked| asked.is_asked_of(task)))
        && !overdue::was_done_unheard(history, rules, task)
}

/// Whether a task is about the very event that a decision was recorded by, as far as it was kept who sent them.
fn is_by(decision: &RecordedDecision, task: &HeldTask) -> bool {
    let mut partners = decision.partner.iter().zip(&task.partner);
    decision.event_id.as_ref() == Some(&task.event_id) && partners.all(|(one, other)| one == other)
}

/// Whether a child was still looked for at an instant, who was out when it was asked: whichever report tells of that, and came when.
fn is_looked_for(history: &History, question: &HeldTask, at: Timestamp) -> bool {
    let was_out = |entry: &&Arc<Entry>| entry.occurred_at <= question.raised_at;
    history.entries.iter().filter(was_out).any(|entry| goes_on(history, entry, at))
}

/// Whether an absence goes on at an instant, of which an entry tells, first or again.
fn goes_on(history: &History, report: &Entry, at: Timestamp) -> bool {
    !report.withdrawn && episodes::is_report(report) && episodes::goes_on(history, report, at)
}

/// Of reports of an absence, the one that tells of it.
fn told_by(history: &History, reports: &[Arc<Entry>]) -> Option<Arc<Entry>> {
    reports.iter().rfind(|report| episodes::opens(history, report)).or(reports.first()).cloned()
}

/// Whether it is what the front door is asked about a closing while a child is looked for.
pub fn is_question(task: &HeldTask) -> bool {
    task.rules.iter().any(|rule| rule == WHILE_MISSING_RULE)
}

/// The closing was taken back, as the question asks: what is told of its silence ends with it.
pub fn end_question(draft: &mut Draft<'_>, of_question: &[Arc<HeldTask>]) {
    let questions: Vec<Arc<HeldTask>> = of_question.iter().filter(|task| is_question(task)).cloned().collect();
    recall::end(draft, &questions);
}

/// Whether it is that question, or tells that nobody has answered it.
pub fn is_of_question(history: &History, task: &HeldTask) -> bool {
    let asks = |id: &String| history.tasks.iter().any(|asked| asked.task_id == *id && is_question(asked));
    is_question(task) || (task.chases.is_some() && task.chased().all(asks))
}

/// Whether a rule asks it whatever becomes of the case.
pub fn outlives(rules: &RuleBook, task: &HeldTask) -> bool {
    let asks = |asked: &TaskRule| asked.outlives_closing && asked.is_asked_of(task);
    asking(rules, task).flat_map(|rule| &rule.tasks).any(asks)
}

/// The rules that ask it; of what was passed on to the right unit, any.
pub fn asking<'r>(rules: &'r RuleBook, task: &'r HeldTask) -> impl Iterator<Item = &'r Rule> {
    let passed_on = task.rules.iter().any(|id| id == READDRESSED_RULE);
    let others = rules.rules.iter().filter(move |_| passed_on);
    task.rules.iter().filter_map(|id| rules.rule(id)).chain(others)
}

/// Tells each agency that holds something which the closing has ended. Not whoever decides, nor on a route that is held back; nor who
/// waits, where social care acts by what was received after it was made.
pub fn tell_holders(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let Some(at) = draft.history.last_decision.as_ref().filter(|decision| decision.closed).map(|decision| decision.at)
    else {
        return Ok(());
    };
    let (rules, history) = (&draft.book.rules, &draft.history);
    // An enquiry begins nothing again that an earlier closing had ended, but they heard by it that the case is open.
    let is_opened = decisions::is_opened_since_closed(before);
    let is_held = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && is_to_be_told(history, rules, task, at)
            && !search::is_over(history, rules, task)
            && !death::overtook(history, task)
            && is_waited_for_no_more(history, rules, task)
            && (!is_waited_for_no_more(before, rules, task) || (is_opened && is_ended(before, rules, task)))
    };
    let mut held: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_held).cloned().collect();
    for waiting in services::waiting_at_closing(draft) {
        // What was asked after a closing was made, and before it was recorded, is not ended by it.
        let is_ended = !is_open(&waiting.state) || is_waited_for_no_more(history, rules, &waiting);
        if is_ended && held.iter().all(|task| task.task_id != waiting.task_id) {
            held.push(waiting);
        }
    }
    let by_the_hour = held.iter().any(|task| by_the_hour::clock_of(task).is_some());
    let clock = if by_the_hour { Clock::SameDay } else { OWN_DUTY };
    held.retain(|task| !services::waits(draft, task));
    let goes_on = history.case_level >= Some(Level::L4a);
    tell_each(draft, cause, &held, if goes_on { &CLOSED_BEFORE } else { &CLOSED }, &clock)
}

/// A child whose case is closed may be missing still: the search goes on, and whoever decides is asked at once.
pub fn ask_while_missing(draft: &mut Draft<'_>, referral: &Referral, entry: &Arc<Entry>) -> Result<(), StepError> {
    if draft.history.last_decision.as_ref().is_none_or(|decision| !decision.closed) {
        return Ok(());
    }
    let reports = looked_for(&draft.history, draft.at, entry);
    let Some(absence) = told_by(&draft.history, &reports) else { return Ok(()) };
    // One that an opening had answered in between is not the one that is asked now.
    let (before, rules) = (&draft.before, &draft.book.rules);
    let is_asked = |task: &Arc<HeldTask>| is_asked_of(task, &reports) && !is_waited_for_no_more(before, rules, task);
    if draft.history.tasks.iter().any(|task| is_asked(task) && is_open(&task.state)) {
        draft.decision.notes.push(ASKED_ALREADY.to_owned());
        return Ok(());
    }
    let why = Why::Plain(in_words_of(draft, &absence));
    ask(draft, Some(referral), &referral.event.event_id, entry, (&absence, why, Relation::Usual))
}

/// What had ended an absence is taken back, and the case is closed: whoever decides is asked now, or once more if they had not answered
/// by when it was over.
pub fn ask_if_missing_after_all(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let before = Arc::clone(&draft.before);
    let closing = draft.history.last_decision.clone().filter(|decision| decision.closed);
    let Some(closing) = closing.filter(|closing| before.last_decision.as_ref() == Some(closing)) else { return Ok(()) };
    let by = |entry: &&Arc<Entry>| said_by(closing.event_id.as_deref(), closing.partner.as_deref(), entry);
    let Some(entry) = draft.history.entries.iter().find(by).cloned() else { return Ok(()) };
    // By a return, or a notice of death.
    let looked_for_before = looked_for(&before, draft.at, &entry);
    let was_over = |absence: &Arc<Entry>| {
        let is_it = |other: &Arc<Entry>| other.is_same_event(absence);
        before.entries.iter().any(is_it) && !looked_for_before.iter().any(is_it)
    };
    let reports: Vec<_> = looked_for(&draft.history, draft.at, &entry).into_iter().filter(was_over).collect();
    let Some(absence) = told_by(&draft.history, &reports) else { return Ok(()) };
    let is_answered = |task: &HeldTask| task.state != RECALLED && task.state != "raised" && task.state_at >= closing.at;
    let of_it: Vec<Arc<HeldTask>> =
        draft.history.tasks.iter().filter(|task| is_asked_of(task, &reports)).cloned().collect();
    if of_it.iter().any(|task| task.state == "raised") {
        let (rules, at) = (&draft.book.rules, draft.at);
        ladder::take_up(&mut draft.history, rules, at, |task| is_asked_of(task, &reports) && task.state == "raised");
        return Ok(());
    }
    if of_it.iter().any(|task| is_answered(task)) {
        return Ok(());
    }
    let cause = format!("{WHILE_MISSING_RULE}\0{}", draft.decision.decision_id);
    let about = vec![Arc::clone(&absence)];
    let why = about::in_words(&draft.context.keys, &in_words_of(draft, &absence), &about);
    let follows = about::follows(draft, &about);
    ask(draft, None, &cause, &entry, (&absence, why, follows))
}

/// Reports of absences of the child of a decision that go on, and in which they are not known to have died.
fn looked_for(history: &History, at: Timestamp, entry: &Entry) -> Vec<Arc<Entry>> {
    let has_died =
        |absence: &Entry| death::is_known(history, absence, at) && !death::is_searched_after(history, absence);
    let is_looked_for = |absence: &&Arc<Entry>| {
        goes_on(history, absence, at) && !are_two(history, absence, entry) && !has_died(absence)
    };
    history.entries.iter().filter(is_looked_for).cloned().collect()
}

fn is_asked_of(task: &HeldTask, reports: &[Arc<Entry>]) -> bool {
    is_question(task) && reports.iter().any(|report| task.raised_at >= report.received_at)
}

/// Whether the child is missing or absent, and the title and action of the question. By the police's grade for no apparent risk:
/// absent is not missing.
fn how_away(draft: &Draft<'_>, absence: &Entry) -> (&'static str, &'static str, &'static str) {
    if episodes::still_absent(&draft.history, absence, draft.at) {
        ("absent", WHILE_ABSENT_TITLE, WHILE_ABSENT_ACTION)
    } else {
        ("missing", WHILE_MISSING_TITLE, WHILE_MISSING_ACTION)
    }
}

fn in_words_of(draft: &Draft<'_>, absence: &Entry) -> String {
    let (so, ..) = how_away(draft, absence);
    let since = episodes::out_since(&draft.history, absence, draft.at).unwrap_or(absence.occurred_at);
    format!(
        "A named person has closed the case, and the child, {so} since {}, is not known to be back. Who looks for the child \
goes on, and is chased as before; what else was asked in the case has ended with it.",
        instant_in_words(since)
    )
}

fn ask(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    (absence, why, relation): (&Entry, Why<'static>, Relation),
) -> Result<(), StepError> {
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let (_, title, action) = how_away(draft, absence);
    let own = raising.own_duty(WHILE_MISSING_RULE, title, why, action, due, entry);
    let level = draft.before.case_level.max(absence.level);
    draft.raise(referral, cause, &[], vec![Wanted { level, relation, ..own }]).map(drop)
}
