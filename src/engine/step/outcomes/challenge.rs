//! A professional disagreement: until when a task may be challenged, and a sender who disagrees with what became of a referral.

use std::sync::Arc;

use super::answers::{self, Heard};
use super::outcome::{UNANSWERED_RULE, put_to_front_door, reason_given, refused};
use crate::engine::calendar::london_date;
use crate::engine::context::StepError;
use crate::engine::history::held_back_of;
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::decision::Disposition;
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::OutcomeReceived;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::RuleBook;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::deadlines::{ladder, overdue};
use crate::engine::step::draft::{Draft, address_of};
use crate::engine::step::{Effect, Step, by_the_hour};
use crate::engine::tasks::route::sender_held_back;

const CHALLENGED: &str = "challenged";
/// A disagreement starts above the practitioners who have it.
const FIRST_RUNG: usize = 1;
/// Time to hear of a decision and to talk it over with a manager; what is known later than that is a referral of its own.
const CHALLENGED_WITHIN_DAYS: i32 = 28;
pub const TOO_LATE: &str = "28 days after it was completed or decided it can no longer be challenged: send what is known now as an event of its own";
const WORDS: &str = "Received. Your disagreement is put to a person, and goes up the ladder until it is settled.";

/// Where the agency and its partner go by one name, only the history tells the two addresses apart.
pub const TO_FEEDBACK: &str = "its reply_to is that of the feedback on your own event, to which only a disagreement may be sent: challenged, \
with a reason. A task is answered with its own reply_to";

/// A disagreement goes up the ladder from when it began. Challenged once more before anybody decided, it goes on from where it is; after
/// a decision it begins again.
pub fn begin(history: &History, rules: &RuleBook, task: &mut HeldTask, at: Timestamp) {
    if task.state == CHALLENGED && !ladder::is_settled(history, task) {
        return;
    }
    (task.state, task.state_at, task.escalate_at) = (CHALLENGED.to_owned(), at, None);
    let top = ladder::steps(rules, task).len().saturating_sub(1);
    task.rungs = i32::try_from(FIRST_RUNG.min(top)).ok();
}

/// Whether a task was completed too long ago to be challenged.
pub fn is_too_late(task: &HeldTask, outcome: OutcomeKind, at: Timestamp) -> bool {
    task.state == "completed" && outcome == OutcomeKind::Challenged && !is_in_time(task.state_at, at)
}

/// To the end of the last day, in London.
fn is_in_time(since: Timestamp, at: Timestamp) -> bool {
    let days = london_date(since).until((jiff::Unit::Day, london_date(at)));
    days.is_ok_and(|days| days.get_days() <= CHALLENGED_WITHIN_DAYS)
}

/// Whether an answer goes to the feedback on an event that whoever answers sent or reported too.
pub fn is_of_feedback(draft: &Draft<'_>, received: &OutcomeReceived) -> bool {
    let mut reported = draft.history.entries.iter().flat_map(|entry| reports(entry));
    reported.any(|(source, event_id, _)| {
        is_theirs(draft, received, source) && address_of(source, event_id) == received.task_id
    })
}

/// What a sender disagrees with.
pub struct Disputed {
    pub entry: Arc<Entry>,
    /// By the address, which names the event. False: it names none that may be disputed, so their latest was taken.
    named: bool,
}

/// Of an answer that speaks of no task: the concern that its address names, or else the latest that stands, of those whoever
/// answers sent or reported too. None: they sent none, do not challenge, or are who decides.
pub fn of_sender(draft: &Draft<'_>, received: &OutcomeReceived) -> Option<Disputed> {
    if received.outcome.outcome != OutcomeKind::Challenged || received.agency == draft.book.rules.front_door {
        return None;
    }
    let concerns = || draft.history.entries.iter().rev().filter(|entry| is_concern(&entry.kind) && !entry.backfilled);
    let is_named = |entry: &&Arc<Entry>| {
        let mut theirs = reports(entry).filter(|(source, _, _)| is_theirs(draft, received, source));
        theirs.any(|(source, event_id, _)| address_of(source, event_id) == received.task_id)
    };
    if let Some(entry) = concerns().find(is_named) {
        return Some(Disputed { entry: Arc::clone(entry), named: true });
    }
    let sent = |entry: &&Arc<Entry>| {
        !entry.withdrawn && reports(entry).any(|(source, _, _)| is_theirs(draft, received, source))
    };
    concerns().find(sent).map(|entry| Disputed { entry: Arc::clone(entry), named: false })
}

/// Whoever told of it: with the id, and the reference, that each gave it.
fn reports(entry: &Entry) -> impl Iterator<Item = (&Source, &String, Option<&String>)> {
    let beside = entry.corroborated_by.iter().map(|report| (&report.source, &report.event_id, None));
    std::iter::once((&entry.source, &entry.event_id, entry.partner_reference.as_ref())).chain(beside)
}

fn is_theirs(draft: &Draft<'_>, received: &OutcomeReceived, source: &Source) -> bool {
    if let Some(partner) = &received.partner {
        return source.partner == *partner && Some(&source.unit) == received.unit.as_ref();
    }
    let many_units = draft.book.rules.has_many_units(&received.agency);
    source.agency.as_ref() == Some(&received.agency) && (!many_units || Some(&source.unit) == received.unit.as_ref())
}

/// The sender disagrees with what became of their referral: what the front door was asked for it climbs the ladder.
pub fn by_sender(
    mut draft: Draft<'_>,
    received: &OutcomeReceived,
    cause: &str,
    disagreed: &Disputed,
) -> Result<Step, StepError> {
    let entry = &disagreed.entry;
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
    let who = who(&draft, received);
    let which =
        if disagreed.named { "" } else { " Which referral was not said: it was taken for their latest that stands." };
    let why = format!("{who}, who referred the child, challenged what became of it.{which}{}", reason_given(received));
    draft.decision.notes.push("The sender of the referral challenged what became of it.".to_owned());
    let level = disputed.as_ref().and_then(|task| task.level).max(entry.level);
    let asked = draft.history.tasks.iter().map(Arc::as_ref);
    let asked = asked.filter(|task| task.is_of(entry) && by_the_hour::still_matters(task, draft.at));
    let clock = by_the_hour::decided_by(&draft, level, asked)?;
    put_to_front_door(&mut draft, entry, clock, why, cause)?;
    let put_now = draft.decision.tasks.last().map(|task| task.task_id.clone());
    let disputed = disputed.map(|task| task.task_id.clone()).or(put_now);
    let place = draft.history.tasks.iter().position(|task| Some(&task.task_id) == disputed.as_ref());
    if let Some((place, mut task)) = place.and_then(|place| Some((place, draft.history.tasks.get(place)?.clone()))) {
        let challenged = Arc::make_mut(&mut task);
        begin(&draft.history, &draft.book.rules, challenged, draft.at);
        answers::remember(challenged, received);
        if let Some(present) = draft.history.tasks.get_mut(place) {
            *present = task;
        }
    }
    tell(&mut draft, received, entry);
    draft.finish()
}

/// What the front door was asked for this referral, and may have answered.
fn is_front_doors(draft: &Draft<'_>, task: &HeldTask, entry: &Entry) -> bool {
    let answerable = ["raised", "acknowledged", "accepted", "declined", "completed", "challenged"];
    let of_its_own =
        |rule: &String| rule == UNANSWERED_RULE || rule == ladder::ESCALATION_RULE || rule == overdue::OVERDUE_RULE;
    task.is_of(entry)
        && task.agency == draft.book.rules.front_door
        && answerable.contains(&task.state.as_str())
        && !task.rules.iter().any(of_its_own)
}

/// Whoever answers, with the name of their unit where the book's directory has it.
pub fn who(draft: &Draft<'_>, received: &OutcomeReceived) -> String {
    let agency = draft.book.rules.agencies.get(&received.agency).map(|agency| agency.title.as_str());
    let title = agency.or(received.partner.as_deref()).unwrap_or(&received.agency);
    let Some(unit) = &received.unit else { return title.to_owned() };
    let name = draft.book.rules.directory.name_of(unit).map_or(String::new(), |name| format!(" ({name})"));
    format!("{title}, unit {unit}{name}")
}

/// Whoever referred hears that it was taken up, unless they may hear nothing.
fn tell(draft: &mut Draft<'_>, received: &OutcomeReceived, entry: &Entry) {
    let Some((source, event_id, reference)) = reports(entry).find(|(source, _, _)| is_theirs(draft, received, source))
    else {
        return;
    };
    let (event_id, reference) = (event_id.as_str(), reference.cloned());
    tell_source(draft, source, event_id, reference, FeedbackStatus::Received, WORDS);
}

/// A partner has no inbox that could say that its disagreement was not applied: its feedback does.
pub fn tell_partner(draft: &mut Draft<'_>, received: &OutcomeReceived, partner: &str, words: &str) {
    let (unit, agency) = (received.unit.clone().unwrap_or_default(), Some(received.agency.clone()));
    let agency = agency.filter(|agency| !agency.is_empty());
    let source = Source { partner: partner.to_owned(), unit, agency };
    let disputed = of_sender(draft, received).map(|disputed| disputed.entry);
    let named = disputed.as_ref().and_then(|entry| reports(entry).find(|(by, _, _)| is_theirs(draft, received, by)));
    let event_id = named.map_or(received.outcome.outcome_id.clone(), |(_, event_id, _)| event_id.clone());
    let reference = named.and_then(|(_, _, reference)| reference.cloned());
    tell_source(draft, &source, &event_id, reference, FeedbackStatus::NotApplied, words);
}

fn tell_source(
    draft: &mut Draft<'_>,
    source: &Source,
    event_id: &str,
    reference: Option<String>,
    status: FeedbackStatus,
    words: &str,
) {
    if sender_held_back(&draft.context.keys, source, &held_back_of(&draft.history)) {
        return;
    }
    let feedback = draft.feedback(source, event_id, reference, status, &[words]);
    draft.publish(Effect::Feedback(feedback));
}
