//! What is known changes: duplicates, corrections, withdrawals, and those that came before their original.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use super::findings::{findings_of, judged_again};
use super::timer;
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::{self, corroborate, is_open};
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Entry, HeldTask, History, Timer};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Wanted, Why, due_at};

pub const CORRECTION_RULE: &str = "correction";
pub const WITHDRAWAL_RULE: &str = "withdrawal";
const CONFIRM_ACTION: &str = "Confirm or refuse the correction: it would lower what was proposed";
const REFUSED_ACTION: &str = "Ask the sender what they meant: their correction could not be applied";
const RECALL_ACTION: &str = "Recall: the referral behind your task was withdrawn; stop, and delete what you hold of it";
const BREACH_ACTION: &str = "Information breach: details were shared about the wrong child or event; look into it";
const REVIEW_ACTION: &str = "Review what was started: an event it counted on was changed or withdrawn";
const PARTNERSHIP: &str = "partnership";

/// The same happening by another report: kept beside the first, and acted on only where it would fire more.
pub fn duplicate(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry, index: usize) -> Result<(), StepError> {
    draft.disposed(Disposition::Duplicate);
    let event = &referral.event;
    let Some(first) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    let mut joined = first.as_ref().clone();
    joined.facts.extend(arriving.facts.clone());
    joined.held_back.extend(arriving.held_back.clone());
    joined.held_back.sort();
    joined.held_back.dedup();
    corroborate(&mut joined, &arriving);
    let before = draft.judge(&first);
    let mut with_more = draft.history.clone();
    let joined = put(&mut with_more, joined);
    let after = judge(draft.book, &with_more, &joined, AsOf::entry(&joined), Moment::Arrival).map(Arc::new);
    let more = match (&before, &after) {
        (Some(before), Some(after)) => fires_more(before, after) && !first.backfilled && !event.backfill,
        (_, _) => false,
    };
    if let Some(verdict) = after.filter(|_| more) {
        draft.history = with_more;
        draft.record_facts(&joined.kind, &verdict);
        let findings = findings_of(&joined, &verdict, &joined.fired);
        draft.decision.notes.push("This second report would do more than the first, and was acted on.".to_owned());
        draft.raise(Some(referral), &event.event_id, &findings, Vec::new())?;
    } else {
        let mut kept = first.as_ref().clone();
        corroborate(&mut kept, &arriving);
        put(&mut draft.history, kept);
    }
    draft.tell_sender(event, &arriving, FeedbackStatus::AlreadyKnown, &["Received. This is known already."]);
    Ok(())
}

/// More than before: a higher level, or everything as before and something besides.
fn fires_more(before: &Verdict<'_>, after: &Verdict<'_>) -> bool {
    let ids =
        |verdict: &Verdict<'_>| -> BTreeSet<String> { verdict.fired.iter().map(|rule| rule.id.clone()).collect() };
    let (before_ids, after_ids) = (ids(before), ids(after));
    after.level > before.level
        || (after.level == before.level && after_ids.is_superset(&before_ids) && after_ids != before_ids)
}

/// Puts a changed entry in the place of the one it changes.
fn put(history: &mut History, changed: Entry) -> Arc<Entry> {
    let changed = Arc::new(changed);
    let same = |entry: &&mut Arc<Entry>| entry.event_id == changed.event_id && entry.source == changed.source;
    if let Some(place) = history.entries.iter_mut().find(same) {
        *place = Arc::clone(&changed);
    }
    changed
}

/// A correction of an earlier event of the same sender: upward it acts at once, downward it asks a person.
pub fn correction(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let event = &referral.event;
    let Some(original) = original_of(draft, &correction.original_event_id, &arriving) else {
        return await_original(draft, referral, arriving, &correction.original_event_id, Some(correction));
    };
    let arriving_entry = Arc::new(arriving.clone());
    history::insert(&mut draft.history, arriving);
    let changed = match history::corrected(&original, correction) {
        Ok(changed) if !original.withdrawn => changed,
        Ok(_) => return refuse(draft, referral, &arriving_entry, "its original was withdrawn"),
        Err(names) => {
            let problem =
                format!("these fields are not of its kind, or the values not of their type: {}", names.join(", "));
            return refuse(draft, referral, &arriving_entry, &problem);
        }
    };
    if original.backfilled {
        put(&mut draft.history, changed);
        draft.tell_sender(
            event,
            &arriving_entry,
            FeedbackStatus::Received,
            &["Received, and recorded in the history."],
        );
        return Ok(());
    }
    let before = draft.history.clone();
    let changed = put(&mut draft.history, changed);
    act_on_change(draft, referral, &before, &original, &changed)?;
    draft.tell_sender(
        event,
        &arriving_entry,
        FeedbackStatus::Received,
        &["Received. Your correction is being looked at."],
    );
    Ok(())
}

/// Judges the changed entry, and what it counts towards, with and without the change.
fn act_on_change(
    draft: &mut Draft<'_>,
    referral: &Referral,
    before: &History,
    original: &Entry,
    changed: &Arc<Entry>,
) -> Result<(), StepError> {
    let earlier = judge(draft.book, before, original, AsOf::entry(original), Moment::Arrival);
    let (Some(earlier), Some(verdict)) = (earlier, draft.judge(changed).map(Arc::new)) else { return Ok(()) };
    draft.record_facts(&changed.kind, &verdict);
    let fires_less = earlier.fired.iter().any(|rule| changed.fired.contains(&rule.id) && !verdict.fires(&rule.id));
    let lowers = verdict.level < changed.level || (fires_less && verdict.level <= earlier.level);
    let mut findings = if lowers { Vec::new() } else { findings_of(changed, &verdict, &changed.fired) };
    findings.extend(judged_again(draft, before, changed));
    let mut extra = Vec::new();
    if lowers {
        extra.push(confirm(draft, changed, verdict.level)?);
    }
    extra.extend(review(draft, before, changed)?);
    draft.raise(Some(referral), &referral.event.event_id, &findings, extra)
}

/// Only a person lowers: the front door confirms, the same day when the case stands at the highest level.
fn confirm<'w>(draft: &Draft<'_>, changed: &Arc<Entry>, to: Option<Level>) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let clock = if draft.history.case_level == Some(Level::L4b) { Clock::SameDay } else { OWN_DUTY };
    let due = raising.deadline_from_now(&clock)?;
    let from = changed.level.map_or("no level", Level::symbol);
    let to = to.map_or("no level", Level::symbol);
    let why = format!(
        "The sender corrected what they said. By the corrected facts the event would be at {to}, not {from}. \
         The proposed level stays until a named person decides."
    );
    Ok(raising.own_duty(CORRECTION_RULE, "A correction that would lower", why, CONFIRM_ACTION, due, changed))
}

/// What had fired for other entries only because of the one that changed goes to a person.
fn review<'w>(draft: &Draft<'_>, before: &History, changed: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let mut lost = BTreeSet::new();
    for entry in before.entries.iter().filter(|entry| entry.event_id != changed.event_id && !entry.fired.is_empty()) {
        let was = judge(draft.book, before, entry, AsOf::entry(entry), Moment::Arrival);
        let (Some(was), Some(is)) = (was, draft.judge(entry)) else { continue };
        let gone = was.fired.iter().filter(|rule| entry.fired.contains(&rule.id) && !is.fires(&rule.id));
        lost.extend(gone.map(|rule| rule.title.clone()));
    }
    if lost.is_empty() {
        return Ok(None);
    }
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let titles: Vec<String> = lost.into_iter().collect();
    let why = format!("Counted again, these no longer hold: {}.", titles.join("; "));
    Ok(Some(raising.own_duty(WITHDRAWAL_RULE, "What it counted on has changed", why, REVIEW_ACTION, due, changed)))
}

fn refuse(draft: &mut Draft<'_>, referral: &Referral, arriving: &Arc<Entry>, problem: &str) -> Result<(), StepError> {
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push(format!("The correction was not applied: {problem}."));
    let raising = draft.raising(Some(referral), &referral.event.event_id);
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let why = format!("A sender's correction was not applied: {problem}.");
    let wanted =
        raising.own_duty(CORRECTION_RULE, "A correction that could not be applied", why, REFUSED_ACTION, due, arriving);
    draft.raise(Some(referral), &referral.event.event_id, &[], vec![wanted])?;
    let words = format!("Your correction was not applied: {problem}.");
    draft.tell_sender(&referral.event, arriving, FeedbackStatus::NotApplied, &[&words]);
    Ok(())
}

/// An earlier event of the same sender is taken back: all who were told are recalled, and what it led to is reviewed.
pub fn withdrawal(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original_event_id: &str,
) -> Result<(), StepError> {
    let Some(original) = original_of(draft, original_event_id, &arriving) else {
        return await_original(draft, referral, arriving, original_event_id, None);
    };
    let arriving_entry = Arc::new(arriving.clone());
    history::insert(&mut draft.history, arriving);
    let before = draft.history.clone();
    let mut changed = original.as_ref().clone();
    changed.withdrawn = true;
    let changed = put(&mut draft.history, changed);
    draft.history.timers.retain(|timer| timer.event_id != original.event_id);
    let mut extra = recalls(draft, &changed)?;
    extra.extend(review(draft, &before, &changed)?);
    draft.raise(None, &referral.event.event_id, &[], extra)?;
    for task in &mut draft.history.tasks {
        if task.event_id == original.event_id && task.raised_at < draft.at && is_open(&task.state) {
            let task = Arc::make_mut(task);
            task.state = "recalled".to_owned();
            task.state_at = draft.at;
        }
    }
    let words = ["Received. Your referral is withdrawn, and whoever was told is being recalled."];
    draft.tell_sender(&referral.event, &arriving_entry, FeedbackStatus::Received, &words);
    Ok(())
}

/// One recall for everyone who was told, and word of the breach to the partnership.
fn recalls<'w>(draft: &Draft<'_>, withdrawn: &Arc<Entry>) -> Result<Vec<Wanted<'w>>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let told: BTreeSet<Address> = draft
        .history
        .tasks
        .iter()
        .filter(|task| task.event_id == withdrawn.event_id)
        .map(|task| address_of(task))
        .collect();
    let why = "The sender withdrew the referral this task came from.".to_owned();
    let recall = |address: Address, action: &str| {
        let title = "A referral was withdrawn";
        let own = raising.own_duty(WITHDRAWAL_RULE, title, why.clone(), action, due.clone(), withdrawn);
        Wanted { address, why: Some(Why::Plain(why.clone())), ..own }
    };
    let anyone = !told.is_empty();
    let mut wanted: Vec<Wanted<'w>> = told.into_iter().map(|address| recall(address, RECALL_ACTION)).collect();
    if anyone && draft.book.rules.agencies.contains_key(PARTNERSHIP) {
        let partnership = Address { agency: PARTNERSHIP.to_owned(), unit: None, role: None, in_place_of: None };
        wanted.push(recall(partnership, BREACH_ACTION));
    }
    Ok(wanted)
}

fn address_of(task: &HeldTask) -> Address {
    Address { agency: task.agency.clone(), unit: task.unit.clone(), role: task.role.clone(), in_place_of: None }
}

fn original_of(draft: &Draft<'_>, original_event_id: &str, arriving: &Entry) -> Option<Arc<Entry>> {
    let index = history::find(&draft.history, original_event_id, &arriving.source.partner)?;
    draft.history.entries.get(index).cloned()
}

/// Kept until its original comes; after a working day a person is asked.
fn await_original(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original_event_id: &str,
    correction: Option<&EventCorrected>,
) -> Result<(), StepError> {
    draft.disposed(Disposition::AwaitingOriginal);
    draft.history.awaiting.push(Awaiting {
        event_id: arriving.event_id.clone(),
        original_event_id: original_event_id.to_owned(),
        source: arriving.source.clone(),
        received_at: draft.at,
        changes: correction.map(|correction| correction.changes.clone()),
        asked: false,
    });
    let due = due_at(&draft.book.rules.calendar, &OWN_DUTY, draft.at, None)?;
    draft.history.timers.push(Timer {
        due_at: due.at,
        rule: timer::AWAITING_ORIGINAL.to_owned(),
        event_id: arriving.event_id.clone(),
    });
    draft.history.timers.sort();
    let words = ["Received. The event it speaks of is not known yet; it is kept until that comes."];
    draft.tell_sender(&referral.event, &arriving, FeedbackStatus::Received, &words);
    history::insert(&mut draft.history, arriving);
    Ok(())
}

/// Applies what came before its original, in the order it came.
pub fn apply_awaiting(draft: &mut Draft<'_>, original: &mut Entry) {
    let (mine, others): (Vec<Awaiting>, Vec<Awaiting>) =
        std::mem::take(&mut draft.history.awaiting).into_iter().partition(|waiting| {
            waiting.original_event_id == original.event_id && waiting.source.partner == original.source.partner
        });
    draft.history.awaiting = others;
    for waiting in mine {
        draft.history.timers.retain(|timer| timer.event_id != waiting.event_id);
        let Some(changes) = waiting.changes else {
            original.withdrawn = true;
            continue;
        };
        let correction = EventCorrected { original_event_id: waiting.original_event_id, changes, reason: None };
        match history::corrected(original, &correction) {
            Ok(changed) => *original = changed,
            Err(names) => draft.decision.notes.push(format!(
                "A correction that came before this event was not applied: fields {}.",
                names.join(", ")
            )),
        }
    }
}
