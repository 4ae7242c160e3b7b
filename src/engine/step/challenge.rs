//! A professional disagreement: until when a task may be challenged, and a sender who disagrees with what became of a referral.

use std::sync::Arc;

use super::answers::{self, Heard};
use super::draft::Draft;
use super::outcome::{UNANSWERED_RULE, put_to_front_door, reason_given, refused};
use super::{Effect, Step, escalation};
use crate::engine::calendar::london_date;
use crate::engine::context::StepError;
use crate::engine::history::held_back_of;
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::decision::Disposition;
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::inbox::OutcomeReceived;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::tasks::route::sender_held_back;

/// Time to hear of a decision and to talk it over with a manager; what is known later than that is a referral of its own.
const CHALLENGED_WITHIN_DAYS: i32 = 28;
pub const TOO_LATE: &str = "28 days after it was completed or decided it can no longer be challenged: send what is known now as an event of its own";
const WORDS: &str = "Received. Your disagreement is put to a person, and goes up the ladder until it is settled.";

/// Whether a task was completed too long ago to be challenged.
pub fn is_too_late(task: &HeldTask, outcome: OutcomeKind, at: Timestamp) -> bool {
    task.state == "completed" && outcome == OutcomeKind::Challenged && !is_in_time(task.state_at, at)
}

/// To the end of the last day, in London.
fn is_in_time(since: Timestamp, at: Timestamp) -> bool {
    let days = london_date(since).until((jiff::Unit::Day, london_date(at)));
    days.is_ok_and(|days| days.get_days() <= CHALLENGED_WITHIN_DAYS)
}

/// Of an answer that speaks of no task: the latest concern that whoever answers sent or reported too. None: they sent none, do
/// not challenge, or are who decides.
pub fn of_sender(draft: &Draft<'_>, received: &OutcomeReceived) -> Option<Arc<Entry>> {
    let rules = &draft.book.rules;
    if received.outcome.outcome != OutcomeKind::Challenged || received.agency == rules.front_door {
        return None;
    }
    let theirs = |source: &Source| is_theirs(draft, received, source);
    let sent = |entry: &&Arc<Entry>| {
        let reported = theirs(&entry.source) || entry.corroborated_by.iter().any(|report| theirs(&report.source));
        reported && is_concern(&entry.kind) && !entry.withdrawn && !entry.backfilled
    };
    draft.history.entries.iter().rev().find(sent).cloned()
}

fn is_theirs(draft: &Draft<'_>, received: &OutcomeReceived, source: &Source) -> bool {
    let many_units = draft.book.rules.has_many_units(&received.agency);
    source.agency.as_ref() == Some(&received.agency) && (!many_units || Some(&source.unit) == received.unit.as_ref())
}

/// The sender disagrees with what became of their referral: what the front door was asked for it climbs the ladder.
pub fn by_sender(
    mut draft: Draft<'_>,
    received: &OutcomeReceived,
    cause: &str,
    entry: &Arc<Entry>,
) -> Result<Step, StepError> {
    draft.decision.event_id = Some(entry.event_id.clone());
    let mut of_event = draft.history.tasks.iter().filter(|task| task.is_of(entry));
    if of_event.any(|task| answers::heard(task, received) == Heard::Already) {
        draft.disposed(Disposition::Retransmission);
        return draft.finish();
    }
    let asked = draft.history.tasks.iter().filter(|task| is_front_doors(&draft, task, entry));
    let disputed = asked.max_by_key(|task| (task.raised_at, task.due_at)).cloned();
    let decided = draft.history.last_decision.as_ref().map(|decision| decision.at);
    let since = [Some(entry.received_at), disputed.as_ref().map(|task| task.state_at), decided];
    if !is_in_time(since.into_iter().flatten().max().unwrap_or(entry.received_at), draft.at) {
        return refused(draft, received, cause, TOO_LATE);
    }
    let title =
        draft.book.rules.agencies.get(&received.agency).map_or(received.agency.as_str(), |agency| &agency.title);
    let unit = received.unit.as_ref().map_or(String::new(), |unit| format!(", unit {unit}"));
    let why = format!("{title}{unit}, who referred the child, challenged what became of it.{}", reason_given(received));
    draft.decision.notes.push("The sender of the referral challenged what became of it.".to_owned());
    let level = disputed.as_ref().and_then(|task| task.level).max(entry.level);
    put_to_front_door(&mut draft, entry, level, why, cause)?;
    let put_now = draft.decision.tasks.last().map(|task| task.task_id.clone());
    let disputed = disputed.map(|task| task.task_id.clone()).or(put_now);
    let at = draft.at;
    if let Some(task) = draft.history.tasks.iter_mut().find(|task| Some(&task.task_id) == disputed.as_ref()) {
        let task = Arc::make_mut(task);
        if task.state != "challenged" {
            (task.state, task.state_at) = ("challenged".to_owned(), at);
            escalation::challenge(&draft.book.rules, task);
        }
        answers::remember(task, received);
    }
    tell(&mut draft, received, entry);
    draft.finish()
}

/// What the front door was asked for this referral, and may have answered.
fn is_front_doors(draft: &Draft<'_>, task: &HeldTask, entry: &Entry) -> bool {
    let answerable = ["raised", "acknowledged", "accepted", "declined", "completed", "challenged"];
    let of_its_own = |rule: &String| rule == UNANSWERED_RULE || rule == escalation::ESCALATION_RULE;
    task.is_of(entry)
        && task.agency == draft.book.rules.front_door
        && answerable.contains(&task.state.as_str())
        && !task.rules.iter().any(of_its_own)
}

/// Whoever referred hears that it was taken up, unless they may hear nothing.
fn tell(draft: &mut Draft<'_>, received: &OutcomeReceived, entry: &Entry) {
    let reports = entry.corroborated_by.iter().map(|report| (&report.source, &report.event_id, None));
    let first = (&entry.source, &entry.event_id, entry.partner_reference.clone());
    let mut told = std::iter::once(first).chain(reports);
    let Some((source, event_id, reference)) = told.find(|(source, _, _)| is_theirs(draft, received, source)) else {
        return;
    };
    if sender_held_back(source.agency.as_deref(), &source.unit, &held_back_of(&draft.history)) {
        return;
    }
    let feedback = draft.feedback(source, event_id, reference, FeedbackStatus::Received, &[WORDS]);
    draft.publish(Effect::Feedback(feedback));
}
