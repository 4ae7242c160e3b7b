//! A recorded decision is withdrawn: what stood before it stands again, what it had ended runs again, and a person hears of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decided::{begun_after_all, tell_referrers_of_none};
use super::{closed, lowered, services};
use crate::engine::context::StepError;
use crate::engine::history::decisions::{self, closes, decided, recorded, settles, starts_enquiry};
use crate::engine::history::entry::is_adult;
use crate::engine::history::{RECALLED, TOLD, death, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::absences::search;
use crate::engine::step::deadlines::{ladder, overdue};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, within_the_hour_at};
use crate::engine::step::held_back::shut_again;
use crate::engine::step::recall;
use crate::engine::step::word::{self, ENQUIRY_RUNS, GO_ON, OPEN_STILL, TAKEN_BACK_RULE, each_holder, tell_each};
use crate::engine::step::{about, by_the_hour};
use crate::engine::tasks::{Deadline, Wanted};

const TITLE: &str = "A decision about the case no longer stands";
const ACTION: &str =
    "See that the child is safe and that somebody holds each task: a decision about the case was taken back";

const ENQUIRY_TAKEN_BACK: &str =
    "A section 47 enquiry, by which the case was at a higher level, was withdrawn by those who had recorded it.";

const WORK_TAKEN_BACK: &str = "That a strategy discussion was held, or an enquiry or assessment begun, was withdrawn by those who had recorded it.";

const OF_CASE: &str = "Received. The decision is withdrawn: the case stands as it did before it, what it had ended runs again, and a \
person is asked to see to that.";
const OF_CASE_ALONE: &str = "Received. The decision is withdrawn: the case stands as it did before it, and a person is asked to see that \
somebody holds each task.";
const OF_CLOSING: &str = "Received. The decision is withdrawn: what it had ended runs again, and a person is asked to see to that. The case \
stands by the decision that was made since.";
const OF_WORK: &str = "Received. The decision is withdrawn: what it had settled is to be done again, and a person is asked to see to that.";
const OF_OLDER: &str = "Received. The decision is withdrawn: the case stands by another, and goes on as it does.";
const OF_ROUTE: &str = "Received. The decision is withdrawn: what it had opened is held back again from now on, whoever was told by it \
is recalled, and a person is asked to see to that.";
const OF_CONFIRMATION: &str = "Received. The decision is withdrawn. What it had shut stays held back until it is lifted (route_lifted), and a \
person is asked whether it is to be.";
const OF_ROUTE_OF_ITS_OWN: &str =
    "Received. The decision is withdrawn: what it alone had held back is held back no longer.";
const OF_REFERRAL: &str = "Received. Your referral is withdrawn, and whoever was told is being recalled.";
const OF_WORD: &str = "Received. What you sent is withdrawn, and counts no more.";
/// To whoever sent what the front door takes back.
pub const BY_FRONT_DOOR: &str = "The front door has withdrawn what you sent, and whoever was told is being recalled.";

/// Why a decision cannot be withdrawn, with what to record instead.
pub fn cannot_be(original: &Entry) -> Option<&'static str> {
    match decided(original)? {
        "subjects_linked" => Some(
            "a link of two records is undone by a decision subjects_unlinked, with the addresses of tasks of both from \
             before the link",
        ),
        "subjects_unlinked" => Some("that two records are one child after all is recorded as subjects_linked"),
        "task_readdressed" => Some("what was passed on is passed on once more by task_readdressed, to the right unit"),
        "episodes_merged" => Some("what was merged stays so: report the other episode under a new reference"),
        _ => None,
    }
}

/// Of a decision and what was said of it anew, that by which the case stood; else a closing, which has ended something; else an enquiry, which
/// has opened something; else the latest.
pub fn by_which_it_stood<'e>(history: &History, all: &'e [Arc<Entry>]) -> Option<&'e Arc<Entry>> {
    let stands = history.last_decision.as_ref();
    let by = |entry: &&Arc<Entry>| {
        stands.is_some_and(|stands| said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry))
    };
    let has_closed = |entry: &&Arc<Entry>| decided(entry).is_some_and(closes);
    let has_opened = |entry: &&Arc<Entry>| starts_enquiry(entry);
    let has_done = || all.iter().find(has_closed).or_else(|| all.iter().find(has_opened));
    all.iter().find(by).or_else(has_done).or(all.iter().max_by_key(|entry| entry.received_at))
}

/// Acts on what a withdrawn decision had brought about. `before`: as it stood with the decision. Returns what its sender is told, and what is
/// true.
pub fn decision(
    draft: &mut Draft<'_>,
    cause: &str,
    withdrawn: &Arc<Entry>,
    before: &History,
) -> Result<&'static str, StepError> {
    let Some(code) = decided(withdrawn) else {
        return Ok(if is_concern(&withdrawn.kind) { OF_REFERRAL } else { OF_WORD });
    };
    if code == "route_lifted" {
        return Ok(if shut_again::lift_withdrawn(draft, cause, withdrawn)? { OF_ROUTE } else { OF_WORD });
    }
    if code == "route_confirmed" {
        let is_asked = shut_again::confirmation_withdrawn(draft, cause, withdrawn, before)?;
        return Ok(if is_asked { OF_CONFIRMATION } else { OF_ROUTE_OF_ITS_OWN });
    }
    // Also where it said anew of a closing what settles nothing, an assessment: the case is closed again by that.
    if draft.history.last_decision != before.last_decision {
        let why = "A decision about the case was withdrawn by those who had recorded it.";
        let runs_again = stands_again(draft, cause, withdrawn, before.last_decision.as_ref(), why)?;
        tell_referrers_of_none(draft, withdrawn);
        return Ok(if runs_again { OF_CASE } else { OF_CASE_ALONE });
    }
    // One that says, too, that the child is in danger had ended nothing.
    let had_closed = closes(code) && !decisions::closes_in_danger(withdrawn);
    if had_closed && draft.history.last_decision.as_ref().is_some_and(|decision| !decision.closed) {
        return Ok(if closed_in_between(draft, cause, withdrawn)? { OF_CLOSING } else { OF_OLDER });
    }
    if starts_enquiry(withdrawn) && draft.history.case_level < before.case_level {
        let runs_again = stands_again(draft, cause, withdrawn, None, ENQUIRY_TAKEN_BACK)?;
        return Ok(if runs_again { OF_CASE } else { OF_CASE_ALONE });
    }
    let rules = &draft.book.rules;
    let is_work = matches!(code, "strategy_held" | "s47_started" | "assessment_started");
    let is_undone = |task: &Arc<HeldTask>| {
        is_open(&task.state) && overdue::is_undone(before, &draft.history, rules, task) && task.chases.is_none()
    };
    if is_work && draft.history.tasks.iter().any(is_undone) {
        let runs_again = stands_again(draft, cause, withdrawn, None, WORK_TAKEN_BACK)?;
        return Ok(if runs_again { OF_WORK } else { OF_WORD });
    }
    Ok(if settles(code) { OF_OLDER } else { OF_WORD })
}

/// A closing is withdrawn that a later decision had undone already, which begins nothing again: what it had ended goes on as if it had
/// never been. True: there was something.
fn closed_in_between(draft: &mut Draft<'_>, cause: &str, withdrawn: &Arc<Entry>) -> Result<bool, StepError> {
    let closing = recorded(withdrawn, decided(withdrawn).unwrap_or_default(), None);
    if open_again(draft, Some(closing.at), Some(&closing)).0.is_empty() {
        return Ok(false);
    }
    let why = "A decision that had closed the case, and that a later one had followed, was withdrawn by those who had recorded it.";
    stands_again(draft, cause, withdrawn, Some(&closing), why)?;
    Ok(true)
}

/// A decision stands no longer: chases run again, whoever holds something that had been closed is told to go on, and whoever
/// decides is asked to look, within the hour at the highest level. `ended`: the decision. True: something that it had ended runs again, or is
/// to be gone on with.
pub fn stands_again(
    draft: &mut Draft<'_>,
    cause: &str,
    about: &Arc<Entry>,
    ended: Option<&RecordedDecision>,
    why: &str,
) -> Result<bool, StepError> {
    let at = draft.at;
    begin_recalled_again(draft, ended);
    ladder::take_up_again(&mut draft.history, &draft.book.rules, at);
    let level = draft.history.case_level;
    let closed_at = ended.filter(|decision| closes(&decision.decision)).map(|decision| decision.at);
    let (open, over) = open_again(draft, closed_at, ended);
    let rules = &draft.book.rules;
    // What a person's decision had ended of a withdrawn event, its holder was told to stop, however long ago it was asked.
    let was_told = |task: &HeldTask| {
        let of_closing = closed_at.is_some_and(|at| closed::is_to_be_told(&draft.before, rules, task, at));
        of_closing || (began_again(draft, ended, task) && task.agency != rules.front_door)
    };
    let told = open.iter().filter(|task| was_told(task) && !services::waits(draft, task)).cloned();
    let (lowered, others): (Vec<_>, Vec<_>) = told.partition(|task| lowered::is_lowered(draft, &draft.before, task));
    let word = if closed_at.is_some() { &GO_ON } else { &word::STANDS_NO_LONGER };
    let mut wanted = each_holder(draft, &others, word, &|tasks| go_on_by(draft, tasks))?;
    let reports = about::reports(&draft.history, &open);
    let again = RunsAgain::of(draft, ended, &open, &over);
    let why = format!("{why} {} {}", stands_in_words(draft, ended), again.in_words(draft));
    let why = about::in_words(&draft.context.keys, &why, &reports);
    let clock = by_the_hour::decided_by(draft, level, open.iter().map(AsRef::as_ref))?;
    let raising = draft.raising(None, cause);
    let own = raising.own_duty(TAKEN_BACK_RULE, TITLE, why, ACTION, raising.deadline_from_now(&clock)?, about);
    wanted.push(Wanted { level, relation: about::follows(draft, &reports), ..own });
    let begun = begun_after_all(draft);
    let enquired = settled_by_enquiry(draft, closed_at, &over);
    draft.raise(None, cause, &begun, wanted)?;
    tell_each(draft, cause, &enquired, &ENQUIRY_RUNS, &AT_HIGHEST_LEVEL)?;
    let opened = closed_since_opened(draft, closed_at, &open);
    tell_each(draft, cause, &opened, &OPEN_STILL, &within_the_hour_at(level))?;
    lowered::tell_who_was_not_told(draft, cause, closed_at, &lowered)?;
    Ok(!(again.open.is_empty() && again.told.is_empty()))
}

/// What an enquiry settles that was recorded after the closing which is taken back: where it did not open the case then, its holder heard of the
/// closing alone.
fn settled_by_enquiry(draft: &Draft<'_>, closed_at: Option<Timestamp>, over: &[Arc<HeldTask>]) -> Vec<Arc<HeldTask>> {
    let rules = &draft.book.rules;
    let raised_at = decisions::last_raised(&draft.before, Level::L4a).map(|(at, _)| at);
    let acts = draft.history.case_level >= Some(Level::L4a);
    let Some(closed_at) = closed_at.filter(|at| acts && raised_at <= Some(*at)) else { return Vec::new() };
    let heard = |task: &&Arc<HeldTask>| {
        overdue::was_done(&draft.before, rules, task)
            && closed::is_to_be_told(&draft.before, rules, task, closed_at)
            && !death::overtook(&draft.history, task)
            && !lowered::is_lowered(draft, &draft.before, task)
    };
    over.iter().filter(heard).cloned().collect()
}

/// What an earlier closing had ended that stands, of a case that was opened since: nothing of it is begun again, but its holder heard that
/// the case was open, and then of the closing that is taken back.
fn closed_since_opened(draft: &Draft<'_>, closed_at: Option<Timestamp>, open: &[Arc<HeldTask>]) -> Vec<Arc<HeldTask>> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let Some((earlier, closed_at)) = decisions::last_closed(history).zip(closed_at) else { return Vec::new() };
    let is_opened = decisions::is_raised_between(history, Level::L4a, (earlier, closed_at));
    // Where another has opened it since, they heard that.
    let is_open = decisions::last_raised(&draft.before, Level::L4a).is_some_and(|(at, _)| at > closed_at);
    if !is_opened || is_open || history.case_level < Some(Level::L4a) {
        return Vec::new();
    }
    let was_told = |task: &Arc<HeldTask>| {
        closed::is_to_be_told(&draft.before, rules, task, earlier)
            && !services::waits(draft, task)
            && !open.iter().any(|other| other.task_id == task.task_id)
    };
    open_or_done(draft, earlier).into_iter().filter(was_told).collect()
}

/// How the case stands now: again so, unless a decision that was made since has set it.
fn stands_in_words(draft: &Draft<'_>, ended: Option<&RecordedDecision>) -> String {
    let stands = draft.history.last_decision.as_ref();
    let is_since = stands.zip(ended).is_some_and(|(stands, ended)| stands.at > ended.at);
    let is_unchanged = ended.is_none() && draft.history.case_level == draft.before.case_level;
    match draft.history.case_level {
        // What came since another closing was made may have opened the case.
        Some(level) => {
            format!("The case is at level {}{}.", level.symbol(), if is_since || is_unchanged { "" } else { " again" })
        }
        None if stands.is_some_and(|decision| decision.closed) => {
            "The case stays closed, by another decision.".to_owned()
        }
        None => "The case is at no level.".to_owned(),
    }
}

/// What becomes of what a decision had ended, as whoever decides reads it.
struct RunsAgain {
    open: Vec<Arc<HeldTask>>,
    /// Asked at level 4b, which the decision had lowered: their holders hear that they go on.
    told: Vec<Arc<HeldTask>>,
    /// Asked at level 4b, below which another decision has set the case.
    lowered: Vec<Arc<HeldTask>>,
    over: Vec<Arc<HeldTask>>,
}

impl RunsAgain {
    fn of(draft: &Draft<'_>, ended: Option<&RecordedDecision>, open: &[Arc<HeldTask>], over: &[Arc<HeldTask>]) -> Self {
        let (lowered, mut open): (Vec<_>, Vec<_>) =
            open.iter().cloned().partition(|task| lowered::is_lowered(draft, &draft.before, task));
        // What the decision itself had settled is to be done again.
        let (over, again): (Vec<_>, Vec<_>) =
            over.iter().cloned().partition(|task| is_over(draft, &draft.history, task));
        open.extend(again);
        let told = if ended.is_some_and(|ended| !ended.closed) { lowered::go_on(draft) } else { Vec::new() };
        open.retain(|task| !told.iter().any(|told| told.task_id == task.task_id));
        Self { open, told, lowered, over }
    }

    fn in_words(&self, draft: &Draft<'_>) -> String {
        let said = [
            ("It had ended, and runs again", &self.open),
            (
                "It had said that less is needed, and whoever holds what was asked at level 4b is told to go on with it",
                &self.told,
            ),
            (
                "Asked at level 4b, below which a named person has set the case, so that nobody is told to go on with it",
                &self.lowered,
            ),
            ("Done or over, so that nobody is told to go on with it", &self.over),
        ];
        let words = said.iter().filter(|(_, tasks)| !tasks.is_empty());
        let words: Vec<String> = words.map(|(what, tasks)| format!("{what}: {}.", in_words(draft, tasks))).collect();
        if self.open.is_empty() && self.told.is_empty() {
            return ["Nothing that it had ended is open.".to_owned()]
                .into_iter()
                .chain(words)
                .collect::<Vec<_>>()
                .join(" ");
        }
        words.join(" ")
    }
}

/// What only a withdrawn event had asked, and the decision had ended: it stands until a person decides, as it did before.
fn begin_recalled_again(draft: &mut Draft<'_>, ended: Option<&RecordedDecision>) {
    let by = |entry: &&Arc<Entry>| {
        ended.is_some_and(|ended| said_by(ended.event_id.as_deref(), ended.partner.as_deref(), entry))
    };
    let Some(decided_at) = draft.history.entries.iter().find(by).map(|entry| entry.received_at) else { return };
    let at = draft.at;
    let History { entries, tasks, .. } = &mut draft.history;
    let of_withdrawn = |task: &HeldTask| entries.iter().any(|entry| entry.withdrawn && task.is_of(entry));
    for task in tasks {
        if task.state == RECALLED && task.state_at == decided_at && of_withdrawn(task) {
            ladder::begin_again(Arc::make_mut(task), at);
        }
    }
}

/// What the decision had closed, and somebody holds or is to take on; and what of that is done, or over meanwhile.
pub fn open_again(
    draft: &Draft<'_>,
    closed_at: Option<Timestamp>,
    ended_by: Option<&RecordedDecision>,
) -> (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let closings = decisions::closings(history);
    let is_word =
        |task: &HeldTask| task.rules.iter().any(|rule| rule == TAKEN_BACK_RULE) || recall::is_recall_or_breach(task);
    let was_closed = |task: &&Arc<HeldTask>| {
        let by_closing = closed_at.is_some_and(|closed_at| {
            task.raised_at <= closed_at && closed::was_ended_by(history, rules, task, closed_at)
        });
        let is_asked = is_open(&task.state) && task.state != TOLD && task.chases.is_none();
        // What another closing had ended, which stands, stays so.
        let is_freed = || ended_by.is_none() || !closed::was_ended(history, &closings, rules, task);
        // What a level, a discussion or an enquiry had settled, that is taken back, is to be done again.
        let is_of_closing = ended_by.map_or(closed_at.is_some(), |ended| ended.closed);
        let is_undone = || !is_of_closing && overdue::is_undone(&draft.before, history, rules, task);
        let runs_again = || by_closing || began_again(draft, ended_by, task) || is_undone();
        is_asked && runs_again() && !is_word(task) && is_freed()
    };
    // What this very step says is done was not when they were told of the closing.
    let is_over = |task: &Arc<HeldTask>| is_over(draft, &draft.before, task);
    let (over, open) = history.tasks.iter().filter(was_closed).cloned().partition(is_over);
    (open, over)
}

/// Whether nobody is to go on with it: it is done by what is known, or there is nobody to do it for.
fn is_over(draft: &Draft<'_>, known: &History, task: &HeldTask) -> bool {
    let (history, rules) = (&draft.history, &draft.book.rules);
    search::has_nobody_to_find(history, rules, task)
        || is_grown(draft, task)
        || overdue::was_done(known, rules, task)
        || death::overtook(history, task)
}

/// What a closing had ended and is held, and what of that an event says is done: not what is over.
pub fn open_or_done(draft: &Draft<'_>, closed_at: Timestamp) -> Vec<Arc<HeldTask>> {
    let (open, over) = open_again(draft, Some(closed_at), None);
    let is_done = |task: &Arc<HeldTask>| {
        overdue::was_done(&draft.before, &draft.book.rules, task) && !death::overtook(&draft.history, task)
    };
    open.into_iter().chain(over.into_iter().filter(is_done)).collect()
}

/// Whether what a decision had ended of a withdrawn event runs again by this step.
fn began_again(draft: &Draft<'_>, ended: Option<&RecordedDecision>, task: &HeldTask) -> bool {
    ended.is_some() && task.state_at == draft.at && task.answer_from == Some(draft.at)
}

/// Whether its holder serves children alone, and the child is none any more.
pub fn is_grown(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let mut of_task = draft.history.entries.iter().filter(|entry| task.is_of(entry));
    draft.book.rules.is_for_children_alone(&task.agency) && of_task.any(|entry| is_adult(entry, draft.at))
}

/// By when whoever holds these goes on: no later than the first of them is to be done.
pub fn go_on_by(draft: &Draft<'_>, tasks: &[&Arc<HeldTask>]) -> Result<Deadline, StepError> {
    let by_the_hour = tasks.iter().filter(|task| by_the_hour::clock_of(task).is_some());
    let level = by_the_hour.filter_map(|task| task.level).max();
    let clock = by_the_hour::decided_by(draft, level, tasks.iter().map(AsRef::as_ref))?;
    let due = draft.raising(None, "").deadline_from_now(&clock)?;
    let ahead = tasks.iter().map(|task| task.due_at).filter(|due_at| *due_at > draft.at).min();
    Ok(match ahead.filter(|ahead| *ahead < due.at) {
        Some(at) => Deadline { at, words: "when the first of it is due".to_owned(), counted: None, ..due },
        None => due,
    })
}

/// Who holds what, by agency.
pub fn in_words(draft: &Draft<'_>, open: &[Arc<HeldTask>]) -> String {
    let of_task = |task: &Arc<HeldTask>| {
        let title = draft.book.rules.title_of(&task.agency);
        format!("{title}: \"{}\" ({})", task.action, task.state)
    };
    let tasks: BTreeSet<String> = open.iter().map(of_task).collect();
    tasks.into_iter().collect::<Vec<_>>().join("; ")
}
