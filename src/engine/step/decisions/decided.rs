//! A named person has decided: those who referred the child may know that much.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::closed;
use super::services;
use super::taken_back::{in_words, open_again, open_or_done};
use super::unapplied::{Unapplied, is_known};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::decide::Verdict;
use crate::engine::history::known_as::{another, are_two};
use crate::engine::history::routes::held_back_at;
use crate::engine::history::{TOLD, decisions, held_back_of, is_held_still, is_open};
use crate::engine::intake::KEYED_BY_REPLY;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::arriving::named_elsewhere;
use crate::engine::step::draft::{Draft, OWN_DUTY, within_the_hour_at};
use crate::engine::step::findings::findings_of;
use crate::engine::step::one_child::link;
use crate::engine::step::word::{OPEN_AGAIN, RAISED_RULE, Word, tell_each};
use crate::engine::step::{Effect, about};
use crate::engine::tasks::route::sender_held_back;
use crate::engine::tasks::{Finding, Wanted};

/// Why a case is not closed.
pub const IN_DANGER: &str = "it says, too, that the child is in immediate danger, and that is acted on: the case is not closed by it. Close \
it when the child is safe";

const RAISED_TITLE: &str = "A named person has set level 4b";
const STRATEGY_ACTION: &str = "Hold a strategy discussion: social care, the police and health together";
/// What a level asks of whoever decides: the action, its clock and why.
type AsksOf = (&'static str, Clock, &'static str);
const STRATEGY: AsksOf = (
    STRATEGY_ACTION,
    Clock::SameDay,
    "A named person has decided that the child is at level 4b. No rule asks anything for it: the police and health are not told by \
     this, and are to be brought in.",
);
const ASSESS: AsksOf = (
    "Decide who acts for the child at the level that was set, and record it",
    OWN_DUTY,
    "A named person has decided that the child is at level 4a. No rule asks anything for it: nobody else is told by this.",
);
pub const MORE_THAN_HELP: Word = Word {
    rule: RAISED_RULE,
    title: "A named person has decided that social care acts",
    why: "A named person has decided that more than early help is needed.",
    action: "Ring the front door before you go on with the family: social care acts now",
    wants_answer: true,
};

/// A person raises a case to where social care acts, and no rule asks what that level asks: whoever decides is asked, unless they hold
/// it and it is waited for.
pub fn ask_what_level_asks(
    draft: &mut Draft<'_>,
    referral: &Referral,
    entry: &Arc<Entry>,
    before: &History,
) -> Result<(), StepError> {
    let Some(set) = draft.history.last_decision.as_ref().and_then(|decision| decision.level) else { return Ok(()) };
    if !is_known(before) || set < Level::L4a || before.case_level >= Some(set) {
        return Ok(());
    }
    let (action, clock, why) = if set == Level::L4b { STRATEGY } else { ASSESS };
    let closed_at = decisions::last_closed(&draft.history);
    // What was asked at the level before a person set a lower one was done with by that.
    let lowered_at = decisions::last_below(&draft.history, set);
    let raising = draft.raising(None, "");
    let is_asked = |task: &Arc<HeldTask>| {
        // What a stand-in is asked of its own is another thing.
        let is_of_case = task.agency == draft.book.rules.front_door && set < Level::L4b && task.state != TOLD;
        let is_question =
            raising.decides(&task.agency) && task.chases.is_none() && (task.action == action || is_of_case);
        is_question && is_open(&task.state) && Some(task.raised_at) > lowered_at
    };
    let cause = &referral.event.event_id;
    if !draft.history.tasks.iter().any(is_asked) {
        let raising = draft.raising(Some(referral), cause);
        let due = raising.deadline_from_now(&clock)?;
        let title = if set == Level::L4b { RAISED_TITLE } else { MORE_THAN_HELP.title };
        let left = closed_at.map_or_else(Vec::new, |closed_at| open_again(draft, Some(closed_at), None).0);
        let left = if left.is_empty() { String::new() } else { format!(" {}", left_in_words(draft, &left)) };
        let own = raising.own_duty(RAISED_RULE, title, format!("{why}{left}"), action, due, entry);
        draft.raise(Some(referral), cause, &[], vec![Wanted { level: Some(set), ..own }])?;
    }
    Ok(())
}

/// A person, or an enquiry, raises a case that was closed to where social care acts: whoever heard that it is closed, and still holds what
/// they were asked, hears that it is open again, once. A service that waits hears that instead, when the step ends.
pub fn tell_whom_closing_told(
    draft: &mut Draft<'_>,
    cause: &str,
    entry: &Entry,
    before: &History,
) -> Result<(), StepError> {
    let level = draft.history.case_level;
    let closed_at = decisions::last_closed(&draft.history);
    let Some(closed_at) = closed_at.filter(|closed_at| is_held_still(*closed_at, draft.at)) else { return Ok(()) };
    // Two records that are joined are asked about as such.
    let says_so = decisions::starts_enquiry(entry) || decisions::decided(entry).is_some_and(decisions::settles);
    let is_raised = says_so && is_known(before) && level >= Some(Level::L4a) && before.case_level < level;
    let is_open = decisions::last_raised(before, Level::L4a).is_some_and(|(at, _)| at > closed_at);
    if !is_raised || is_open {
        return Ok(());
    }
    let (left, _) = open_again(draft, Some(closed_at), None);
    let heard = open_or_done(draft, closed_at);
    // Of an enquiry nothing else is asked that would say so.
    if decisions::starts_enquiry(entry) && !left.is_empty() {
        let words = left_in_words(draft, &left);
        draft.note_to_front_door(words);
    }
    let was_told = |task: &Arc<HeldTask>| {
        closed::is_to_be_told(&draft.before, &draft.book.rules, task, closed_at) && !services::waits(draft, task)
    };
    let held: Vec<Arc<HeldTask>> = heard.into_iter().filter(was_told).collect();
    tell_each(draft, cause, &held, &OPEN_AGAIN, &within_the_hour_at(level))
}

/// What was open when a case was closed, as whoever decides reads it.
fn left_in_words(draft: &Draft<'_>, left: &[Arc<HeldTask>]) -> String {
    format!("Open when the case was closed, and not begun again by this: {}.", in_words(draft, left))
}

const OTHER_ACTION: &str =
    "See which of two children under one identifier a decision is about: what was asked for the other runs on";

/// A decision that names one of two children who are known under one identifier ends nothing that was asked for the other.
pub fn keep_for_other(draft: &mut Draft<'_>, cause: &str, entry: &Arc<Entry>) -> Result<(), StepError> {
    let Some(at) = draft.history.last_decision.as_ref().map(|decision| decision.at) else { return Ok(()) };
    let history = &draft.history;
    let of_other = |task: &&Arc<HeldTask>| {
        let mut of_task = history.entries.iter().filter(|other| task.is_of(other));
        is_open(&task.state) && of_task.any(|other| are_two(history, other, entry))
    };
    let kept: Vec<Arc<HeldTask>> = history.tasks.iter().filter(of_other).cloned().collect();
    if kept.is_empty() {
        return Ok(());
    }
    for task in draft.history.tasks.iter_mut().filter(|task| kept.iter().any(|kept| kept.task_id == task.task_id)) {
        Arc::make_mut(task).decided_apart = Some(at);
    }
    draft
        .decision
        .notes
        .push("It names one of two children under one identifier: it ends nothing of the other.".to_owned());
    let level = kept.iter().filter_map(|task| task.level).max();
    let due = draft.raising(None, cause).deadline_from_now(&within_the_hour_at(level))?;
    let reports = about::reports(&draft.history, &kept);
    let words = format!(
        "A decision about the case named one of two children who are known under one identifier. Of the other this runs on: {}.",
        in_words(draft, &kept)
    );
    let own = draft.raising(None, cause).own_duty(
        RAISED_RULE,
        OTHER_TITLE,
        about::in_words(&draft.context.keys, &words, &reports),
        OTHER_ACTION,
        due,
        entry,
    );
    let wanted = Wanted { level, relation: about::follows(draft, &reports), ..own };
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}

const OTHER_TITLE: &str = "A decision about one of two children";
const OLDER: &str =
    "a decision that was made later is on record, and stands: if this one is to stand, record it again, as made now";

/// Of a decision about the level or the case that a later one outdates, or of what was begun and ended by it. Where it would have raised
/// the level or opened the case, somebody may rely on it.
pub fn of_older(draft: &Draft<'_>, entry: &Entry) -> Option<Unapplied> {
    if decisions::is_begun_before_it_ended(&draft.history, entry) {
        return Some(Unapplied::and_asked(OLDER));
    }
    let code = decisions::decided(entry).filter(|code| decisions::settles(code))?;
    let stands = draft.history.last_decision.as_ref()?;
    if decisions::closes_in_danger(entry) || said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry) {
        return None;
    }
    let raises = decisions::level_named(entry) > draft.history.case_level;
    let opens = stands.closed && !decisions::closes(code);
    Some(if raises || opens { Unapplied::and_asked(OLDER) } else { Unapplied::because(OLDER) })
}

/// A decision that was made before it was recorded lowers nothing of what was received in between. One that is known by the day alone may
/// have been made after all of that day.
pub fn leave_what_came_since(draft: &mut Draft<'_>, entry: &Entry) {
    let stands = draft.history.last_decision.as_ref();
    let is_it = stands.is_some_and(|stands| said_by(stands.event_id.as_deref(), stands.partner.as_deref(), entry));
    if !is_it {
        return;
    }
    let meant = draft.history.case_level;
    decisions::settle_level(&mut draft.history);
    if let Some(level) = draft.history.case_level.filter(|level| Some(*level) > meant) {
        let words =
            format!("The case is at level {}, by what was received after the decision was made.", level.symbol());
        draft.decision.notes.push(words);
        draft.sender_words.push(RECORDED_OVER);
    }
}

/// To whoever recorded it, who may believe the case to be at a lower level.
const RECORDED_OVER: &str = "More was received after this was decided and before it was recorded, and the case is not lowered below that: record \
the decision again, as made now, if it is to stand over that too.";

/// What fires for an entry as it arrives: nothing, where it was begun before a decision that is on record already and ended it.
pub fn findings_unless_over<'a>(draft: &Draft<'a>, entry: &Arc<Entry>, verdict: &Arc<Verdict<'a>>) -> Vec<Finding<'a>> {
    let is_over = decisions::is_begun_before_it_ended(&draft.history, entry);
    if is_over { Vec::new() } else { findings_of(entry, verdict, &[]) }
}

/// What was begun before a decision that stands no longer, and recorded after it, begins after all.
pub fn begun_after_all<'a>(draft: &Draft<'a>) -> Vec<Finding<'a>> {
    let judged = freed(draft).filter_map(|entry| Some((entry, Arc::new(draft.judge(entry)?))));
    judged.flat_map(|(entry, verdict)| findings_of(entry, &verdict, &entry.fired)).collect()
}

fn freed<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d Arc<Entry>> {
    let is_freed = |entry: &&Arc<Entry>| {
        !entry.withdrawn
            && !entry.backfilled
            && decisions::is_begun_before_it_ended(&draft.before, entry)
            && !decisions::is_begun_before_it_ended(&draft.history, entry)
    };
    draft.history.entries.iter().filter(is_freed)
}

pub const OF_TWO_CHILDREN: &str = "its child and its reply_to name two children; send it with one of them";
/// Most referrals whose senders are told of one decision.
const TOLD_MAX: usize = 64;

/// Tells whoever reported something since the decision before, and by when this one was made: never what was decided.
pub fn tell_referrers(draft: &mut Draft<'_>, entry: &Entry, decided_before: Option<Timestamp>) {
    let words = "A named person has decided what happens next.";
    let held_back = held_back_of(&draft.history);
    let when = (decided_before, decisions::known_until(entry));
    tell_who_reported(draft, when, &held_back, (FeedbackStatus::Decided, words));
}

/// The decision that they were told of is taken back, and none that stands was made of what they reported.
pub fn tell_referrers_of_none(draft: &mut Draft<'_>, taken_back: &Entry) {
    let decided_before = draft.history.last_decision.as_ref().map(|stands| stands.at);
    let words =
        "What a named person had decided, as you were told, was taken back: what happens next is looked at again.";
    // Whose route was held back when it was made were told nothing, whatever was lifted since.
    let mut held_back = held_back_of(&draft.history);
    held_back.extend(held_back_at(&draft.before, taken_back.received_at));
    let when = (decided_before, decisions::known_until(taken_back));
    tell_who_reported(draft, when, &held_back, (FeedbackStatus::BeingLookedAt, words));
}

/// Tells whoever reported something after the one time, and by the other.
fn tell_who_reported(
    draft: &mut Draft<'_>,
    (after, until): (Option<Timestamp>, Timestamp),
    held_back: &BTreeSet<HeldBack>,
    (status, words): (FeedbackStatus, &str),
) {
    let is_decided = |received_at: Timestamp| received_at <= until && Some(received_at) > after;
    let mut told: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut senders: Vec<(Source, String, Option<String>)> = Vec::new();
    let reported = draft.history.entries.iter().rev().filter(|entry| {
        is_concern(&entry.kind) && !entry.withdrawn && !entry.backfilled && is_decided(entry.received_at)
    });
    for entry in reported.take(TOLD_MAX) {
        let first = (entry.source.clone(), entry.event_id.clone(), entry.partner_reference.clone());
        let others = entry.corroborated_by.iter().map(|other| (other.source.clone(), other.event_id.clone(), None));
        for (source, event_id, reference) in std::iter::once(first).chain(others) {
            let is_new = told.insert((source.partner.clone(), source.unit.clone(), event_id.clone()));
            if is_new && !sender_held_back(&draft.context.keys, &source, held_back) {
                senders.push((source, event_id, reference));
            }
        }
    }
    for (source, event_id, reference) in senders.into_iter().rev().take(TOLD_MAX) {
        let feedback = draft.feedback(&source, &event_id, reference, status, &[words]);
        draft.publish(Effect::Feedback(feedback));
    }
}

/// Whether a decision or status names one child by its `child` and another by its `reply_to`: a named person meant one of them.
/// Which two records are one child is said with the addresses of both.
pub fn contradicts_itself(draft: &Draft<'_>, referral: &Referral, arriving: &Entry) -> bool {
    let detail = &referral.event.detail;
    let moves_a_case = matches!(detail, Detail::DecisionRecorded(_) | Detail::StatusChanged(_));
    moves_a_case && !link::is_of_two(detail) && names_two(draft, referral, arriving)
}

/// Whether what came by a `reply_to` names another child than whose it is.
pub fn names_two(draft: &Draft<'_>, referral: &Referral, arriving: &Entry) -> bool {
    let names_another =
        || another(&draft.history, arriving).is_some() || named_elsewhere::has_another_number(draft, &referral.event);
    referral.keyed_by == KEYED_BY_REPLY && names_another()
}

/// Both its sender and a person hear: one of the two children may be left without what was decided. What the task shows is
/// of neither.
pub fn refuse_contradiction(draft: &mut Draft<'_>, event: &ReferralEvent, arriving: Entry) -> Result<(), StepError> {
    Unapplied::and_asked(OF_TWO_CHILDREN).tell(draft, event, None, &Arc::new(arriving))
}
