//! Sent under the wrong child, taken back, and sent under the right one: there its clocks run from when it was first received,
//! whichever of the two is heard of first.

use std::sync::Arc;

use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::{Context, StepError};
use crate::engine::history::entry::FIRST_RECEIPT;
use crate::engine::history::{is_open, put};
use crate::engine::identity::{IdentifierKind, Identifiers, Keys};
use crate::engine::model::decision::Trigger;
use crate::engine::model::detail::EventWithdrawn;
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::history::{Entry, FirstReceipt, HeldTask, History, RightChild};
use crate::engine::model::inbox::{InboxRecord, Signal};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::expression::Truth;
use crate::engine::state::State;
use crate::engine::step::Step;
use crate::engine::step::deadlines::clocks::{due_already, start_timers};
use crate::engine::step::deadlines::recount::{Moved, tell};
use crate::engine::step::deadlines::{ladder, timer};
use crate::engine::step::draft::Draft;
use crate::engine::step::one_child::sighting::{pass_on, send};
use crate::engine::tasks::{Counted, due_at};

/// The signal to the right child.
pub const RIGHT_CHILD: &str = "right_child";

pub const FIRST_RECEIPT_RULE: &str = "first-receipt";
const TITLE: &str = "Received before, under the wrong child";

/// First receipts kept for events that are still to come: the oldest go first.
const FIRST_RECEIPTS_MAX: usize = 64;

/// The right child that a withdrawal names, by every key that its identifiers give. Where a wrong number is all, it is that of the
/// event that is sent instead: one that has no other is a subject of its own. None: it names none.
pub fn right_child(keys: &Keys, event: &ReferralEvent, withdrawn: &EventWithdrawn) -> Option<RightChild> {
    let child = withdrawn.right_child.as_deref()?;
    let right_event_id = withdrawn.right_event_id.as_ref().map(|id| id.to_ascii_lowercase());
    let about = right_event_id.as_ref().unwrap_or(&event.event_id);
    let identifiers = Identifiers::of(keys, child, &event.source, about);
    let (kind, strongest) = identifiers.strongest;
    if kind == IdentifierKind::None && (right_event_id.is_none() || identifiers.unverified.is_empty()) {
        return None;
    }
    let weaker = identifiers.weaker.into_iter().map(|(_, key)| key);
    let keys = std::iter::once(strongest).chain(weaker).chain(identifiers.sighting).collect();
    Some(RightChild { keys, event_id: right_event_id })
}

/// Tells the right child when the event that was taken back here had first been received.
pub fn tell_right_child(
    draft: &mut Draft<'_>,
    cause: &str,
    by: &Source,
    original: &Entry,
    received_at: Timestamp,
    right: &RightChild,
) {
    let first = FirstReceipt {
        kind: original.kind.clone(),
        occurred_at: original.occurred_at,
        received_at: original.anchors.get(FIRST_RECEIPT).copied().unwrap_or(received_at),
        partner: original.source.partner.clone(),
        withdrawn_by: by.partner.clone(),
        event_id: right.event_id.clone(),
    };
    for key in &right.keys {
        let (kind, cause) = (RIGHT_CHILD.to_owned(), cause.to_owned());
        let effect = send(*key, draft.at, Signal { kind, cause, first: Some(first.clone()), ..Signal::default() });
        draft.publish(effect);
    }
    draft.decision.notes.push("The right child's event keeps the time at which this one was received.".to_owned());
}

/// Whether an entry is the event that was sent instead.
fn is_of(first: &FirstReceipt, entry: &Entry) -> bool {
    let by_same = [&first.partner, &first.withdrawn_by].contains(&&entry.source.partner);
    let same_happening = match &first.event_id {
        Some(event_id) => *event_id == entry.event_id,
        None => first.kind == entry.kind && first.occurred_at == entry.occurred_at,
    };
    by_same && same_happening && !entry.withdrawn && !entry.backfilled
}

/// The right child's event arrives after the word of its first receipt.
pub fn take(draft: &mut Draft<'_>, arriving: &mut Entry) {
    let waiting = draft.history.first_receipts.iter_mut().flatten().position(|first| is_of(first, arriving));
    let (Some(place), Some(all)) = (waiting, draft.history.first_receipts.as_mut()) else { return };
    let first = all.remove(place);
    if all.is_empty() {
        draft.history.first_receipts = None;
    }
    if first.received_at < arriving.received_at {
        arriving.anchors.insert(FIRST_RECEIPT.to_owned(), first.received_at);
        note(draft, first.received_at);
    }
}

fn note(draft: &mut Draft<'_>, at: Timestamp) {
    let at = instant_in_words(at);
    draft.decision.notes.push(format!("First received on {at}, under the wrong child: its clocks run from then."));
}

/// Word of a first receipt comes to the right child: kept for the event, or applied to the one that came already.
pub fn received(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let Some(first) = signal.first.clone() else { return Ok(Step::default()) };
    if let Some(stronger) = state.history(record.subject).and_then(|history| history.alias_of) {
        return pass_on(record, signal, stronger);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    match find(&draft.history, &first) {
        Some(entry) => apply(&mut draft, &entry, &first, &signal.cause)?,
        None => {
            draft.decision.notes.push("An event about this child was received before, under the wrong one.".to_owned());
            let all = draft.history.first_receipts.get_or_insert_default();
            if !all.contains(&first) {
                all.push(first);
            }
            let over = all.len().saturating_sub(FIRST_RECEIPTS_MAX);
            all.drain(..over);
        }
    }
    draft.finish()
}

fn find(history: &History, first: &FirstReceipt) -> Option<Arc<Entry>> {
    history.entries.iter().find(|entry| is_of(first, entry)).cloned()
}

/// Joined histories may hold the event of one and the first receipt of the other.
pub fn apply_to_known(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    for first in draft.history.first_receipts.clone().unwrap_or_default() {
        let Some(entry) = find(&draft.history, &first) else { continue };
        apply(draft, &entry, &first, cause)?;
        let all = draft.history.first_receipts.take().unwrap_or_default();
        let left: Vec<FirstReceipt> = all.into_iter().filter(|present| *present != first).collect();
        draft.history.first_receipts = (!left.is_empty()).then_some(left);
    }
    Ok(())
}

/// What was raised when the event came is due as if it had come then; what has run out since is due now.
fn apply(draft: &mut Draft<'_>, entry: &Arc<Entry>, first: &FirstReceipt, cause: &str) -> Result<(), StepError> {
    draft.about(entry);
    let known = entry.anchors.get(FIRST_RECEIPT).copied().unwrap_or(entry.received_at);
    if first.received_at >= known {
        return Ok(());
    }
    let mut changed = entry.as_ref().clone();
    changed.anchors.insert(FIRST_RECEIPT.to_owned(), first.received_at);
    let changed = put(&mut draft.history, changed);
    note(draft, first.received_at);
    let rules = &draft.book.rules;
    for (task, counted, clock) in sooner(draft, &changed, first.received_at)? {
        let due_at = counted.max(draft.at);
        let words = "counted from when it was first received, under the wrong child";
        let why = format!(
            "\"{}\" was due {}; the event behind it was first received on {}: it is due {}.",
            task.action,
            instant_in_words(task.due_at),
            instant_in_words(first.received_at),
            instant_in_words(due_at)
        );
        tell(draft, &task, Moved { rule: FIRST_RECEIPT_RULE, title: TITLE, words, why, due_at })?;
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            let changed = Arc::make_mut(present);
            // As its clock has it, so that no calendar moves it that is the same.
            changed.due_at = counted;
            changed.complete_by = changed.complete_by.map(|_| due_at);
            changed.answer_from = changed.answer_from.map(|from| if from == task.due_at { due_at } else { from });
            let counted = Counted::of(&clock, first.received_at, changed.clock_school.as_deref());
            changed.clock = counted.as_ref().map(|counted| counted.clock.to_string());
            changed.clock_from = counted.map(|counted| counted.from);
            ladder::count_again(present, rules);
        }
    }
    let is_own =
        |timer: &crate::engine::model::history::Timer| timer.is_of(&changed) && timer.rule != timer::AWAITING_ORIGINAL;
    draft.history.timers.retain(|timer| !is_own(timer));
    let findings = due_already(draft, &changed)?;
    start_timers(draft, &changed)?;
    draft.raise(None, cause, &findings, Vec::new()).map(drop)
}

/// Open tasks, raised when the event came, that are due sooner by its first receipt; when, and by which clock.
fn sooner(
    draft: &Draft<'_>,
    entry: &Arc<Entry>,
    first: Timestamp,
) -> Result<Vec<(Arc<HeldTask>, Timestamp, Clock)>, StepError> {
    let Some(verdict) = draft.judge(entry) else { return Ok(Vec::new()) };
    let raised_then =
        |task: &&Arc<HeldTask>| task.is_of(entry) && task.raised_at == entry.received_at && is_open(&task.state);
    let mut found = Vec::new();
    for task in draft.history.tasks.iter().filter(raised_then) {
        let mut soonest: Option<(Timestamp, Clock)> = None;
        let rules = verdict.fired.iter().filter(|rule| task.rules.contains(&rule.id));
        for asked in rules.flat_map(|rule| &rule.tasks) {
            let of_task = asked.action == task.action && asked.to.iter().any(|to| to.agency == task.agency);
            let by_receipt = !entry.anchors.contains_key(asked.from);
            if of_task && by_receipt && asked.applies(&verdict.table) == Truth::True {
                let school = task.clock_school.as_deref();
                // What had run out by the time it was raised was due then.
                let due = due_at(&draft.book.rules.calendar, &asked.by, first, school)?.at.max(task.raised_at);
                if soonest.is_none_or(|(soonest, _)| due < soonest) {
                    soonest = Some((due, asked.by));
                }
            }
        }
        if let Some((due, clock)) = soonest.filter(|(due, _)| *due < task.due_at) {
            found.push((Arc::clone(task), due, clock));
        }
    }
    Ok(found)
}
