//! The child has died: what others were asked is chased no more, and a person decides who speaks to the family. And has not, after
//! all: what the notice had ended or held back is taken up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::absences::search;
use super::deadlines::clocks::{due_already, start_timers};
use super::deadlines::ladder;
use super::decisions::decided::MORE_THAN_HELP;
use super::decisions::taken_back::go_on_by;
use super::decisions::{closed, lowered, services};
use super::draft::{AT_HIGHEST_LEVEL, Draft, within_the_hour_at};
use super::findings::{asked_after_all, over_since, stood_at};
use super::held_back::lifted;
use super::one_child::sighting::Sighted;
use super::outcomes::{kept, responsible};
use super::word::{CLOSED, ENQUIRY_RUNS, LOWERED, Word, each_holder, tell_each, tells_of_another};
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::history::agreement::was_given_at;
use crate::engine::history::death::{Shown, is_notice};
use crate::engine::history::known_as::are_two;
use crate::engine::history::routes::held_back_as_it_stood;
use crate::engine::history::{RECALLED, TOLD, death, decisions, episodes, is_open};
use crate::engine::identity::Keys;
use crate::engine::model::history::{Entry, HeldTask, History, said_by};
use crate::engine::model::scalar::Level;
use crate::engine::rules::RuleBook;
use crate::engine::tasks::route::is_suppressed;
use crate::engine::tasks::{DEATH_ACTION, DEATH_RULE, DEATH_TITLE, Finding, Wanted, Why};

const DOUBT_TITLE: &str = "Reported of a child whose death was notified";
const DOUBT_ACTION: &str =
    "Find out at once whether the child lives: something was reported of one whose death was notified";
const LATE_TITLE: &str = "Reported late, of before a death that was notified";
const LATE_ACTION: &str = "Read a late report with the notice of death: it is of before the child died";
const ENDED_TITLE: &str = "A notice of death stands no longer";
const ENDED_ACTION: &str =
    "See that the child is safe and that somebody holds each task: a notice of death stands no longer";
const GO_ON: Word = Word {
    rule: DEATH_RULE,
    title: ENDED_TITLE,
    why: "The death of the child had been notified, and that stands no longer: what you were asked is to be done.",
    action: "Go on with what you were asked: the notice of death stands no longer",
    wants_answer: true,
};

/// While social care acts nothing tells a service to go on.
const WAITS: Word = Word {
    why: "The death of the child had been notified, and that stands no longer: what had been reported or decided of the child holds.",
    action: MORE_THAN_HELP.action,
    ..GO_ON
};

/// Of what was closed, and opened by an enquiry: nothing of it is begun again.
const ACTS_STILL: Word = Word {
    rule: DEATH_RULE,
    title: ENDED_TITLE,
    why: "The death of the child had been notified, and the case closed: neither stands, and social care acts for the child.",
    ..ENQUIRY_RUNS
};

/// Whoever decides is asked once, however many notify it, and told who holds what.
pub fn ask<'w>(draft: &Draft<'_>, entry: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let of_child = |task: &HeldTask| {
        let mut of_another = draft.history.entries.iter().filter(|other| are_two(&draft.history, other, entry));
        !of_another.any(|other| task.is_of(other))
    };
    // What stood no longer in between is asked anew.
    let ended = draft.history.tasks.iter().filter(|task| task.action == ENDED_ACTION && of_child(task));
    let ended_at = ended.map(|task| task.raised_at).max();
    let asked = |task: &Arc<HeldTask>| {
        task.action == DEATH_ACTION
            && task.state != RECALLED
            && ended_at.is_none_or(|at| task.raised_at > at)
            && of_child(task)
    };
    if !is_notice(entry) || draft.history.tasks.iter().any(asked) {
        return Ok(None);
    }
    let is_left = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && task.chases.is_none()
            && task.raised_at < draft.at
            && !task.is_of(entry)
            && of_child(task)
    };
    let left: Vec<&Arc<HeldTask>> = draft.history.tasks.iter().filter(is_left).collect();
    let why = "The death of the child was notified. What others were asked before is chased no more.".to_owned();
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let own = raising.own_duty(DEATH_RULE, DEATH_TITLE, why, DEATH_ACTION, due, entry);
    let mut notes = Vec::new();
    if !left.is_empty() {
        let left = in_words(&draft.book.rules, left);
        notes.push(format!("Not answered yet, or under way: {left}. Tell them what is still to be done."));
    }
    if entry.known_as.is_none() && draft.history.look_alikes.is_some() {
        notes.push(
            "Two children may bear this identifier, and the notice names neither: find out whose death it is."
                .to_owned(),
        );
    }
    Ok(Some(Wanted { notes, ..own }))
}

fn in_words<'t>(rules: &RuleBook, tasks: impl IntoIterator<Item = &'t Arc<HeldTask>>) -> String {
    let mut words: Vec<String> = Vec::new();
    for task in tasks {
        let title = rules.title_of(&task.agency);
        let word = format!("{title} (\"{}\")", task.action);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join("; ")
}

/// What shows a child alive came after the notice: the notice may be of another child, or of two who are taken for one. What
/// surely happened before the death questions nothing, and is read by whoever decides.
pub fn doubt<'w>(draft: &Draft<'_>, entry: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let Some((shown, notice)) = death::shown(&draft.history, entry) else { return Ok(None) };
    let now = match shown {
        Shown::SurelyBefore => return late(draft, entry, notice).map(Some),
        Shown::About => {
            "This shows the child alive about the time of it, or it cannot be told which was first: the notice may be of another child."
        }
        Shown::After => {
            "This shows the child alive after that. The notice may be of another child, or one of the two times is wrong."
        }
    };
    let own = ask_of_late(draft, entry, notice, &AT_HIGHEST_LEVEL, (DOUBT_TITLE, now, DOUBT_ACTION))?;
    let note = "Where the child lives, the notice is to be withdrawn, by its sender or by you: what was held back goes out then.";
    Ok(Some(Wanted { level: Some(Level::L4b), notes: vec![note.to_owned()], ..own }))
}

/// What is told late of the child's last days.
fn late<'w>(draft: &Draft<'_>, entry: &Arc<Entry>, notice: &Entry) -> Result<Wanted<'w>, StepError> {
    let now = "This happened before that, and is reported late.";
    let own = ask_of_late(draft, entry, notice, &Clock::SameDay, (LATE_TITLE, now, LATE_ACTION))?;
    let note =
        "Where it shows all the same that the child lives, the notice is to be withdrawn, by its sender or by you.";
    Ok(Wanted { notes: vec![note.to_owned()], ..own })
}

/// Asks whoever decides about a report that came after a notice of death.
fn ask_of_late<'w>(
    draft: &Draft<'_>,
    entry: &Arc<Entry>,
    notice: &Entry,
    clock: &Clock,
    (title, now, action): (&str, &str, &str),
) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let received = instant_in_words(notice.received_at);
    let why = by_number(&draft.context.keys, notice, |notice| {
        format!("The death of this child was notified on {received}: {notice}. {now}")
    });
    Ok(raising.own_duty(DEATH_RULE, title, why, action, raising.deadline_from_now(clock)?, entry))
}

/// The times of a report, or of a notice, were corrected: what shows the child alive nearer to the death by that than it did, or after it.
pub fn doubt_anew<'w>(
    draft: &Draft<'_>,
    before: &History,
    (original, changed): (&Entry, &Entry),
) -> Result<Option<Wanted<'w>>, StepError> {
    if is_notice(original) != is_notice(changed) || !death::notices(before).any(|_| true) {
        return Ok(None);
    }
    let was = |entry: &Entry| {
        let was = before.entries.iter().find(|was| was.is_same_event(entry))?;
        death::shown(before, was).map(|(shown, _)| shown)
    };
    let is_anew = |entry: &&Arc<Entry>| {
        let shown = death::shown(&draft.history, entry).map(|(shown, _)| shown);
        let was = if shown.is_some() { was(entry) } else { None };
        !entry.withdrawn && !entry.backfilled && was.is_some() && shown > was
    };
    let Some(entry) = draft.history.entries.iter().rev().find(is_anew) else { return Ok(None) };
    doubt(draft, entry)
}

/// Words about an event, with its sender's number for those who may see that.
fn by_number<'w>(keys: &Keys, entry: &Entry, words: impl Fn(String) -> String) -> Why<'w> {
    let about = Sighted::of(keys, entry);
    Why::Numbers { told: words(about.in_words(true)), without: words(about.in_words(false)) }
}

/// When a step ends: where a notice of death stood before and does not now (withdrawn, corrected, or another's), what it had ended
/// or held back is taken up again.
pub fn take_up_if_ended(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let before = Arc::clone(&draft.before);
    let stands = |notice: &Entry| death::notices(&draft.history).any(|present| present.is_same_event(notice));
    let ended = death::notices(&before).find(|notice| !stands(notice)).cloned();
    // A record that joined another is that one's from now on.
    let Some(ended) = ended.filter(|_| draft.history.alias_of.is_none()) else { return Ok(()) };
    let freed = freed(&before, &draft.history);
    let since = |entry: &&Arc<Entry>| is_alive_again(&before, &draft.history, entry);
    let alive: Vec<Arc<Entry>> = draft.history.entries.iter().filter(since).cloned().collect();
    if freed.is_empty() && alive.is_empty() {
        return Ok(());
    }
    let cause = format!("{DEATH_RULE}\0{}\0{}", ended.event_id, draft.decision.decision_id);
    ladder::take_up(&mut draft.history, &draft.book.rules, draft.at, |task| freed.contains(&task.task_id));
    let (mut findings, mut from_before) = (Vec::new(), Vec::new());
    for entry in &alive {
        findings.extend(held_back_of(draft, entry, &ended)?);
        if entry.received_at < ended.received_at && lifted::is_open(&draft.history, entry) {
            from_before.extend(lifted::fired_for(draft, entry));
        }
    }
    responsible::named_while_thought_dead(draft, &cause, ended.received_at)?;
    kept::send(draft, &cause, ended.received_at)?;
    findings.extend(asked_after_all(draft, &before, over_since(&draft.history, &ended))?);
    let words = tell(draft, &ended, &freed, &findings)?;
    draft
        .decision
        .notes
        .push("A notice of death stands no longer: what it had ended or held back is taken up again.".to_owned());
    draft.raise(None, &cause, &findings, words)?;
    let overtaken = {
        // What was kept back as it stood when the notice came, and is open now. Nothing else of that time waits for it.
        let stood = |entry: &Entry| !entry.withdrawn || stood_at(&before, entry, ended.received_at);
        let shut = held_back_as_it_stood(&before, ended.received_at, stood);
        let was_agreed = was_given_at(&before, ended.received_at, stood);
        let was_kept = |one: &Wanted<'_>| {
            is_suppressed(&one.address, &draft.book.rules.front_door, &shut)
                || (one.needs_agreement && !was_agreed)
                || is_asked_since(&draft.history, &ended, one)
        };
        draft.raising(None, &cause).raise_overtaken(&from_before, was_kept)?
    };
    draft.take(overtaken);
    tell_what_was_decided(draft, &cause, &ended, &freed)
}

/// Whether an event from before a notice asks this only since it came: by a correction or a second report, by what was told late, or because
/// what another event had asked ended.
fn is_asked_since(history: &History, ended: &Entry, one: &Wanted<'_>) -> bool {
    let meant_for = one.address.meant_for();
    let is_theirs = |held: &HeldTask| {
        let is_by_rule = held.is_of(&one.entry) && held.rules.contains(&one.rule);
        let is_held = held.agency == *meant_for && held.action == one.action && held.state != RECALLED;
        is_by_rule || is_held
    };
    let mut before = history.tasks.iter().filter(|held| held.raised_at < ended.received_at);
    !before.any(|held| is_theirs(held))
}

/// The tasks that a death had overtaken, and overtakes no longer.
fn freed(before: &History, now: &History) -> BTreeSet<String> {
    let is_freed = |task: &&Arc<HeldTask>| death::overtook(before, task) && !death::overtook(now, task);
    now.tasks.iter().filter(is_freed).map(|task| task.task_id.clone()).collect()
}

/// Whether the child of an entry was taken for dead, and is not.
fn is_alive_again(before: &History, now: &History, entry: &Entry) -> bool {
    let at = before.updated_at.max(entry.received_at);
    !entry.withdrawn
        && !entry.backfilled
        && entry.kind != death::SERIOUS_INCIDENT
        && death::is_known(before, entry, at)
        && !death::is_known(now, entry, at)
}

/// What an event still calls for that the death kept from going out, and the clocks of an absence.
fn held_back_of<'a>(draft: &mut Draft<'a>, entry: &Arc<Entry>, ended: &Entry) -> Result<Vec<Finding<'a>>, StepError> {
    let mut findings = Vec::new();
    if entry.received_at >= ended.received_at && lifted::is_open(&draft.history, entry) {
        findings.extend(lifted::fired_for(draft, entry));
    }
    if episodes::goes_on(&draft.history, entry, draft.at) {
        findings.extend(due_already(draft, entry)?);
        draft.history.timers.retain(|timer| !timer.is_of(entry));
        start_timers(draft, entry)?;
    }
    Ok(findings)
}

/// Whoever decides is asked within the hour; those who hold something are told to go on, no later than what they hold can wait.
fn tell<'w>(
    draft: &Draft<'_>,
    ended: &Arc<Entry>,
    freed: &BTreeSet<String>,
    findings: &[Finding<'_>],
) -> Result<Vec<Wanted<'w>>, StepError> {
    let rules = &draft.book.rules;
    let runs_again = |task: &&Arc<HeldTask>| {
        freed.contains(&task.task_id)
            && is_open(&task.state)
            && task.state != TOLD
            && task.chases.is_none()
            && !search::is_over(&draft.history, rules, task)
            && !closed::is_waited_for_no_more(&draft.history, rules, task)
    };
    let held: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(runs_again).cloned().collect();
    let raising = draft.raising(None, "");
    let hour = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    // Below what a person has set since, nobody goes on.
    let goes_on = |task: &&Arc<HeldTask>| {
        let is_theirs = task.agency != rules.front_door && !tells_of_another(task);
        is_theirs && !lowered::is_lowered(draft, &draft.history, task)
    };
    // Who is warned when this step ends hears that alone.
    let is_warned = findings.iter().any(|finding| finding.rule.level == Some(Level::L4b));
    let (waiting, others): (Vec<_>, Vec<_>) = held
        .iter()
        .filter(goes_on)
        .cloned()
        .partition(|task| services::waits(draft, task) || (is_warned && services::waits_if_it_acts(draft, task)));
    let mut wanted = each_holder(draft, &others, &GO_ON, &|tasks| go_on_by(draft, tasks))?;
    if !is_warned {
        wanted.extend(each_holder(draft, &waiting, &WAITS, &|tasks| go_on_by(draft, tasks))?);
    }
    let runs = if held.is_empty() {
        String::new()
    } else {
        format!(" Open from before it, and running again: {}.", in_words(rules, &held))
    };
    let why = by_number(&draft.context.keys, ended, |notice| {
        format!(
            "The death of the child had been notified: {notice}. That stands no longer, so the child is to be taken for alive.{runs}"
        )
    });
    let own = raising.own_duty(DEATH_RULE, ENDED_TITLE, why, ENDED_ACTION, hour, ended);
    wanted.push(Wanted { level: own.level.max(draft.history.case_level), ..own });
    Ok(wanted)
}

/// Whoever else holds something from before the notice hears now what they would have heard of a decision about the case that was recorded
/// while it stood: that it is closed, that less is needed, or that social care acts all the same.
fn tell_what_was_decided(
    draft: &mut Draft<'_>,
    cause: &str,
    ended: &Entry,
    freed: &BTreeSet<String>,
) -> Result<(), StepError> {
    let (rules, history) = (&draft.book.rules, &draft.history);
    let Some(stands) = history.last_decision.as_ref() else { return Ok(()) };
    let acts = stands.closed && history.case_level >= Some(Level::L4a);
    let is_said = |entry: &Entry| {
        said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry)
            || (acts && decisions::raises(entry, Level::L4a))
    };
    let is_meanwhile = |entry: &Arc<Entry>| !entry.withdrawn && entry.received_at >= ended.received_at;
    if !history.entries.iter().any(|entry| is_meanwhile(entry) && is_said(entry)) {
        return Ok(());
    }
    let closings = decisions::closings(history);
    let heard: Vec<Arc<Entry>> = closings.into_iter().filter(|closing| !is_meanwhile(closing)).collect();
    let heard_at =
        heard.iter().filter(|closing| !closing.withdrawn).map(|closing| decisions::known_until(closing)).max();
    let opened = |at| decisions::is_raised_between(history, Level::L4a, (at, ended.received_at));
    let is_open = heard_at.is_none_or(opened);
    // Their last word from before the notice was that the case is closed.
    let knew = |task: &HeldTask| !is_open && closed::was_ended(history, &heard, rules, task);
    let is_ended = |task: &HeldTask| {
        closed::is_ended(history, rules, task)
            && closed::is_to_be_told(history, rules, task, stands.at)
            && !search::is_over(history, rules, task)
            && !services::waits(draft, task)
    };
    let is_to_hear = |task: &&Arc<HeldTask>| match stands.closed {
        true => is_ended(task) && (acts || !knew(task)),
        false => lowered::is_lowered(draft, history, task) && !knew(task),
    };
    let is_theirs = |task: &&Arc<HeldTask>| {
        freed.contains(&task.task_id) && is_open_of_others(task, &rules.front_door) && is_to_hear(task)
    };
    let held: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_theirs).cloned().collect();
    if acts {
        return tell_each(draft, cause, &held, &ACTS_STILL, &within_the_hour_at(draft.history.case_level));
    }
    let word = if stands.closed { &CLOSED } else { &LOWERED };
    lowered::tell(draft, cause, &held, word)
}

fn is_open_of_others(task: &HeldTask, front_door: &str) -> bool {
    is_open(&task.state) && task.agency != *front_door
}
