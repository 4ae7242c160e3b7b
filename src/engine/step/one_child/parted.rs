//! Two records that were joined are apart again: what the one had ended, closed or swallowed of the other is taken up again.

use std::sync::Arc;

use super::sighting::{pass_on, send};
use crate::engine::context::{Context, StepError};
use crate::engine::decide::{Moment, judge};
use crate::engine::history::decisions::{closes, decided, is_begun_before_it_ended, note_discussion};
use crate::engine::history::{TOLD, episodes, put};
use crate::engine::model::decision::Trigger;
use crate::engine::model::history::{Entry, EventOf, HeldTask, History, RecordedDecision};
use crate::engine::model::inbox::{InboxRecord, Signal};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::state::State;
use crate::engine::step::absences::still_missing::{After, tell_searching};
use crate::engine::step::deadlines::clocks::{due_already, start_timers};
use crate::engine::step::decisions::taken_back::stands_again;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, within_the_hour_at};
use crate::engine::step::findings::{as_it_stands, findings_of};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::{Effect, Step, about};
use crate::engine::tasks::Wanted;

/// What was taken back of another record stands alone: these of its events are looked at again.
pub const PARTED: &str = "parted";
/// In the signal: a decision that was recorded of the two together is no longer this one's.
const DECIDED_TOGETHER: &str = "decided_together";

const PARTED_RULE: &str = "unlinked";
const TITLE: &str = "A link of two records was undone";
const MISSING_ACTION: &str =
    "Find out at once whether the child is still missing, and make sure that they are looked for";
const SWALLOWED_ACTION: &str =
    "Read this report at once: it was taken for one about another child, and nobody was asked to act on it";
const HELD_ACTION: &str =
    "See that what was asked for this child goes on: their report was taken for one about another child";
const DECIDED_WHY: &str =
    "A decision was recorded while two records were counted as one child, and they are two: it is not this one's.";

/// What of a side is looked at again.
pub struct Alone {
    pub events: Vec<EventOf>,
    pub decided: Option<RecordedDecision>,
}

/// Compares a side as it stands alone with the two together.
pub fn alone(side: &History, together: &History) -> Alone {
    let ended_by_other = |entry: &Entry| {
        let was_there = together.entries.iter().any(|other| other.is_same_event(entry));
        was_there && episodes::back_at(together, entry).is_some() && episodes::back_at(side, entry).is_none()
    };
    let swallowed =
        |entry: &Entry| is_swallowed(entry) && !together.entries.iter().any(|other| other.is_same_event(entry));
    let looked_at = side.entries.iter().filter(|entry| {
        !entry.withdrawn
            && !entry.backfilled
            && (swallowed(entry)
                || (is_asked_of_nobody(side, entry) && !episodes::opens(together, entry))
                || has_lost_its_clock(side, together, entry)
                || (episodes::opens(side, entry) && ended_by_other(entry)))
    });
    let events = looked_at
        .map(|entry| EventOf { event_id: entry.event_id.clone(), partner: entry.source.partner.clone() })
        .collect();
    let decided = together.last_decision.clone().filter(|decision| side.last_decision.as_ref() != Some(decision));
    Alone { events, decided }
}

/// Whether what a decision started ran for one of the other side: a second decision started none anew, and has none of its own now.
fn has_lost_its_clock(side: &History, together: &History, entry: &Entry) -> bool {
    let of_rule = |task: &Arc<HeldTask>| task.rules.iter().any(|rule| entry.fired.contains(rule));
    decided(entry).is_some()
        && together.tasks.iter().any(of_rule)
        && !side.tasks.iter().any(of_rule)
        && !is_begun_before_it_ended(side, entry)
}

fn is_swallowed(entry: &Entry) -> bool {
    entry.fired.is_empty() && is_concern(&entry.kind)
}

/// A regrading asks nobody again for what the start had asked: here that is of the other's absence, and this is one of its own.
fn is_asked_of_nobody(side: &History, entry: &Entry) -> bool {
    entry.kind == episodes::REGRADED && episodes::opens(side, entry) && !side.tasks.iter().any(|task| task.is_of(entry))
}

/// Tells the other side, once it has its own again.
pub fn tell(to: SubjectKey, from: &Draft<'_>, cause: &str, alone: Alone) -> Option<Effect> {
    if alone.events.is_empty() && alone.decided.is_none() {
        return None;
    }
    let signal = Signal {
        kind: PARTED.to_owned(),
        cause: cause.to_owned(),
        other: Some(from.subject),
        events: Some(alone.events),
        reason: alone.decided.map(|decision| format!("{DECIDED_TOGETHER}:{}:{}", decision.decision, decision.at.0)),
        ..Signal::default()
    };
    Some(send(to, from.at, signal))
}

/// The other side has its own again.
pub fn received(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    if let Some(stronger) = state.history(record.subject).and_then(|history| history.alias_of) {
        return pass_on(record, signal, stronger);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    draft.decision.event_id = Some(signal.cause.clone());
    let decided = signal.reason.as_deref().and_then(decided_in);
    let alone = Alone { events: signal.events.clone().unwrap_or_default(), decided };
    take_up(&mut draft, &record.id, &signal.cause, &alone)?;
    draft.finish()
}

fn decided_in(reason: &str) -> Option<RecordedDecision> {
    let (decision, at) = reason.strip_prefix(DECIDED_TOGETHER)?.strip_prefix(':')?.split_once(':')?;
    let (at, closed) = (Timestamp(at.parse().ok()?), closes(decision));
    Some(RecordedDecision { decision: decision.to_owned(), level: None, at, closed, event_id: None, partner: None })
}

/// Judges again what was swallowed, lets the clocks of an absence run on, and asks a person; so, too, of what a decision about
/// the other had closed.
pub fn take_up(draft: &mut Draft<'_>, cause: &str, parted_by: &str, alone: &Alone) -> Result<(), StepError> {
    let is_meant =
        |entry: &&Arc<Entry>| alone.events.iter().any(|event| event.is(&entry.event_id, &entry.source.partner));
    for entry in draft.history.entries.iter().filter(is_meant).cloned().collect::<Vec<_>>() {
        look_again(draft, cause, &entry)?;
    }
    if let Some(decided) = alone.decided.as_ref().filter(|decided| decided.closed || draft.history.case_level.is_some())
    {
        let about = Arc::new(stand_in_entry(parted_by, "", draft.at));
        stands_again(draft, cause, &about, Some(decided), DECIDED_WHY)?;
    }
    Ok(())
}

fn look_again(draft: &mut Draft<'_>, cause: &str, entry: &Arc<Entry>) -> Result<(), StepError> {
    if decided(entry).is_some() {
        return begin_its_clock(draft, cause, entry);
    }
    let swallowed = is_swallowed(entry) || is_asked_of_nobody(&draft.history, entry);
    let is_missing = episodes::opens(&draft.history, entry) && episodes::still_missing(&draft.history, entry, draft.at);
    let mut findings = Vec::new();
    let mut level = entry.level;
    // What was recorded of this child while the two were one counts for an absence of theirs that goes on.
    let judged = || judge(draft.book, &draft.history, entry, as_it_stands(draft, entry), Moment::Arrival);
    if swallowed && let Some(verdict) = judged().map(Arc::new) {
        level = verdict.level;
        findings.extend(findings_of(entry, &verdict, &[]));
    }
    if is_missing {
        findings.extend(due_already(draft, entry)?);
        draft.history.timers.retain(|timer| !timer.is_of(entry));
        start_timers(draft, entry)?;
    }
    if !is_missing && !swallowed {
        return Ok(());
    }
    let after = after(draft, entry, level, is_missing);
    let wanted = if is_missing {
        tell_searching(draft, entry, &after)?
    } else {
        let raising = draft.raising(None, cause);
        let due = raising.deadline_from_now(&after.clock)?;
        let own = raising.own_duty(after.rule, after.title, after.why, after.action, due, entry);
        vec![Wanted { level: level.max(draft.history.case_level), ..own }]
    };
    draft.raise(None, cause, &findings, wanted).map(drop)
}

/// What a decision starts is asked for it, from the discussion of this child that it rests on.
fn begin_its_clock(draft: &mut Draft<'_>, cause: &str, entry: &Arc<Entry>) -> Result<(), StepError> {
    let mut alone = entry.as_ref().clone();
    note_discussion(&draft.history, &mut alone);
    let alone = put(&mut draft.history, alone);
    let Some(verdict) = draft.judge(&alone).map(Arc::new) else { return Ok(()) };
    draft.raise(None, cause, &findings_of(&alone, &verdict, &[]), Vec::new()).map(drop)
}

/// What a person is asked of a report that stands alone again.
fn after(draft: &Draft<'_>, entry: &Arc<Entry>, level: Option<Level>, is_missing: bool) -> After<'static> {
    let was_asked = draft.history.tasks.iter().any(|task| task.is_of(entry) && task.state != TOLD);
    let (action, clock, so) = if is_missing {
        let so = "Nobody has said that this child is back: what was said was of the other.";
        (MISSING_ACTION, AT_HIGHEST_LEVEL, so)
    } else if was_asked {
        (HELD_ACTION, within_the_hour_at(level), "What was asked for this report is of this child alone again.")
    } else {
        let so =
            "This report was taken for one of the same happening; by its facts it is judged now as one of its own.";
        (SWALLOWED_ACTION, within_the_hour_at(level), so)
    };
    let why = about::in_words(
        &draft.context.keys,
        &format!("Two records were counted as one child, and are two. {so}"),
        &[Arc::clone(entry)],
    );
    After { rule: PARTED_RULE, title: TITLE, action, why, clock }
}
