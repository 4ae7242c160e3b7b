//! A recorded decision is corrected: where that raises, it is a decision of its own from now; else it changes nothing, and is told.

use std::sync::Arc;

use super::taken_back::stands_again;
use super::unapplied::{Unapplied, tell_later};
use super::{closed, own_case};
use crate::engine::context::StepError;
use crate::engine::history::correction::corrected;
use crate::engine::history::decisions::{
    DECIDED, DECISION, HAD_CLOSED, closes, decided, highest, level_named, settles, starts,
};
use crate::engine::history::entry::DANGER;
use crate::engine::history::used_id::decided_again;
use crate::engine::history::{self, RECALLED, decisions, entry, forget, put};
use crate::engine::ids::derived;
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::detail::{DecisionRecorded, Detail, EventCorrected, ProposedLevel};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Level};
use crate::engine::step::arriving::arrival::arrive;
use crate::engine::step::arriving::awaiting;
use crate::engine::step::changed::correction::{IS_WITHDRAWN, not_of_its_kind};
use crate::engine::step::changed::refused::refuse;
use crate::engine::step::deadlines::ladder;
use crate::engine::step::draft::Draft;

const CORRECTION: &str = "event.corrected";
const NOT_UPWARD: &str = "a decision is corrected, or recorded again under its id, only where that raises the level, opens the case again \
or starts a clock; what you mean now is recorded as a decision of its own, under a new id";
const TOLD: &str = "Received. What you say now is a decision of its own, from now on.";
const TOLD_OPEN: &str = "Received. What you say now is a decision of its own, from now on: what the one before had ended runs again, \
and a person is asked to see to that.";
const TOLD_OPEN_ALONE: &str = "Received. What you say now is a decision of its own, from now on: the case is open again by it, and a person is \
asked to see that somebody holds each task.";

/// What is said anew of a decision keeps under this name which one that is.
const SAID_ANEW_OF: &str = "said_anew_of";

/// A correction of a decision.
pub fn by_correction(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    original: &Entry,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let event = &referral.event;
    history::insert(&mut draft.history, arriving.clone());
    let arriving = Arc::new(arriving);
    if original.withdrawn {
        return refuse(draft, referral, &arriving, IS_WITHDRAWN, None);
    }
    let said = match corrected(original, correction) {
        Ok(said) => said,
        Err(names) => return refuse(draft, referral, &arriving, &not_of_its_kind(&names, correction), None),
    };
    let who = &event.practitioner;
    let detail = Detail::DecisionRecorded(DecisionRecorded {
        decision: decided(&said).and_then(HumanDecision::of_symbol),
        level: level_of(&draft.history, &said),
        decided_by: who.name.clone().unwrap_or_default(),
        decided_by_role: who.role.clone(),
        reason: correction.reason.clone(),
        other_reply_to: None,
        agency: None,
        unit: None,
        held_back_for: None,
    });
    let mut own = referral.clone();
    own.event.detail = detail.clone();
    if let Some(about) = own_case::ended_by(draft, &own.event) {
        return own_case::put_to_others(draft, &own, &arriving, &about);
    }
    if raises(&draft.history, original, &said).is_none() {
        let unapplied = Unapplied::and_asked(NOT_UPWARD).at(rests_on(draft, original));
        return unapplied.tell(draft, event, Some(referral), &arriving);
    }
    decide(draft, referral, detail, original)
}

/// Whether another decision came under the id of one, and nothing else about it is to be acted on at once.
pub fn is_again(history: &History, index: usize, arriving: &Entry) -> bool {
    let Some(first) = history.entries.get(index) else { return false };
    let both = first.kind == DECISION && arriving.kind == DECISION;
    let in_danger = arriving.facts.get(DANGER) == Some(&FactValue::Bool(true));
    both && (!in_danger || raises(history, first, arriving).is_some())
}

/// The level of what rests on a decision: of the case, where it is about that, or says what was begun or held of it.
fn rests_on(draft: &Draft<'_>, original: &Entry) -> Option<Level> {
    decided(original).filter(|code| settles(code) || starts(code)).and(draft.history.case_level)
}

/// Another decision under a used id.
pub fn under_used_id(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    index: usize,
) -> Result<(), StepError> {
    let Some(first) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    let mut known = first.as_ref().clone();
    // Sent again, it is recognised by this.
    history::corroborate(&mut known, &arriving);
    let known = put(&mut draft.history, known);
    if let Some(about) = own_case::ended_by(draft, &referral.event) {
        return own_case::put_to_others(draft, referral, &Arc::new(arriving), &about);
    }
    if raises(&draft.history, &first, &arriving).is_none() {
        let unapplied = Unapplied::and_asked(NOT_UPWARD).at(rests_on(draft, &first));
        return unapplied.tell(draft, &referral.event, Some(referral), &Arc::new(arriving));
    }
    decide(draft, referral, referral.event.detail.clone(), &known)
}

/// What had closed the case, and is corrected, closes it no longer: the decision before it stands, until what is said now is heard.
fn take_back_closing(draft: &mut Draft<'_>, corrected: &Entry) {
    let standing = draft.history.last_decision.as_ref().filter(|last| last.closed);
    if !standing.is_some_and(|last| said_by(last.event_id.as_deref(), last.partner.as_deref(), corrected)) {
        return;
    }
    let mut silent = corrected.clone();
    if let Some(closing) = silent.facts.remove(DECIDED) {
        silent.facts.insert(HAD_CLOSED.to_owned(), closing);
    }
    let silent = put(&mut draft.history, silent);
    forget(&mut draft.history, &silent);
    let of_closing: Vec<Arc<HeldTask>> =
        draft.history.tasks.iter().filter(|task| task.is_of(&silent)).cloned().collect();
    closed::end_question(draft, &of_closing);
}

/// What is said anew of a decision is tied to it by this.
fn mark_of(original: &Entry) -> FactValue {
    FactValue::Code(derived(&["said anew", &original.source.partner, &original.event_id]))
}

/// All that was said of a decision since, by corrections or under its id, and stands.
pub fn said_anew(history: &History, original: &Entry) -> Vec<Arc<Entry>> {
    let mark = mark_of(original);
    let is_of_it = |entry: &&Arc<Entry>| !entry.withdrawn && entry.facts.get(SAID_ANEW_OF) == Some(&mark);
    history.entries.iter().filter(is_of_it).cloned().collect()
}

/// The decision that a correction brought about: what withdraws the correction withdraws that.
pub fn by_this(history: &History, correction: &Entry) -> Option<Arc<Entry>> {
    if correction.kind != CORRECTION {
        return None;
    }
    let id = decided_again(&correction.source.partner, &correction.event_id, &correction.content_digest);
    let is_it = |entry: &&Arc<Entry>| entry.event_id == id && entry.source == correction.source;
    history.entries.iter().find(is_it).cloned()
}

/// What a correction had said of a closing is withdrawn, and nothing else is said of it: it closes the case as it did, unless a later decision
/// stands. True: it does.
pub fn close_again(draft: &mut Draft<'_>, withdrawn: &Entry) -> bool {
    let Some(mark) = withdrawn.facts.get(SAID_ANEW_OF) else { return false };
    let had_closed = |entry: &&Arc<Entry>| !entry.withdrawn && entry.facts.contains_key(HAD_CLOSED);
    let mut closings = draft.history.entries.iter().filter(had_closed);
    let Some(silent) = closings.find(|entry| mark_of(entry) == *mark).cloned() else { return false };
    if !said_anew(&draft.history, &silent).is_empty() {
        return false;
    }
    let mut closing = silent.as_ref().clone();
    if let Some(closed) = closing.facts.remove(HAD_CLOSED) {
        closing.facts.insert(DECIDED.to_owned(), closed);
    }
    let closing = put(&mut draft.history, closing);
    let stands = decisions::recorded(&closing, decided(&closing).unwrap_or_default(), None);
    let is_later = |last: &RecordedDecision| last.at > stands.at;
    let is_older = decisions::latest(&draft.history).as_ref() != Some(&stands);
    if is_older || draft.history.last_decision.as_ref().is_some_and(is_later) {
        return false;
    }
    draft.history.last_decision = Some(stands);
    decisions::settle_level(&mut draft.history);
    let at = draft.at;
    let is_question = |task: &HeldTask| closed::is_question(task) && task.is_of(&closing) && task.state == RECALLED;
    for task in draft.history.tasks.iter_mut().filter(|task| is_question(task)) {
        ladder::begin_again(Arc::make_mut(task), at);
    }
    true
}

/// A decision whose correction came first is judged as it was corrected, where that is upward. None: nothing of it waits, or it would
/// take something away.
pub fn corrected_before_it_came(draft: &mut Draft<'_>, referral: &Referral, arriving: &mut Entry) -> Option<Referral> {
    let Detail::DecisionRecorded(recorded) = &referral.event.detail else { return None };
    let mut as_corrected = None;
    for waiting in awaiting::corrections_of(draft, arriving) {
        let changes = waiting.changes.clone().unwrap_or_default();
        let original_event_id = waiting.original_event_id.clone();
        let correction = EventCorrected { original_event_id, changes, reason: None };
        let Ok(said) = corrected(arriving, &correction) else { continue };
        let Some(decision) = raises_what_was_said(&draft.history, arriving, &said) else { continue };
        let level = level_of(&draft.history, &said);
        let detail = DecisionRecorded { decision: Some(decision), level, ..recorded.clone() };
        let mut own = referral.clone();
        own.event.detail = Detail::DecisionRecorded(detail);
        as_corrected = Some(own);
        *arriving = said;
        awaiting::is_done(draft, &waiting);
        draft.decision.notes.push("A correction came before this decision: it is judged as corrected.".to_owned());
    }
    as_corrected
}

/// What is decided by a correction, where that is more than the decision it corrects says by itself.
fn raises_what_was_said(history: &History, first: &Entry, said: &Entry) -> Option<HumanDecision> {
    let was_level = decided(first).filter(|code| settles(code) && !closes(code)).and_then(|_| level_of(history, first));
    is_more(history, first, said, |level| level > was_level.and_then(ProposedLevel::level))
}

/// A correction came before a decision, and would take something away: it changes nothing, and both its sender and a person hear.
pub fn waited_in_vain(draft: &mut Draft<'_>, waiting: &Awaiting, original: &Arc<Entry>) -> Result<(), StepError> {
    let of = (&waiting.source, waiting.event_id.as_str(), None);
    tell_later(draft, original, &waiting.event_id, of, (NOT_UPWARD, rests_on(draft, original)))
}

/// Judged as a decision of its own, made when it was received.
fn decide(draft: &mut Draft<'_>, referral: &Referral, detail: Detail, corrected: &Entry) -> Result<(), StepError> {
    let event = &referral.event;
    let before = draft.history.last_decision.clone();
    take_back_closing(draft, corrected);
    let mut own = referral.clone();
    own.event.event_id = decided_again(&event.source.partner, &event.event_id, &referral.content_digest);
    own.event.occurred_at = draft.at;
    own.event.detail = detail;
    let mut arriving = entry::of(&draft.context.keys, &draft.book.rules, &own, draft.at);
    arriving.facts.insert(SAID_ANEW_OF.to_owned(), mark_of(corrected));
    let sender_knows = std::mem::replace(&mut draft.sender_knows, true);
    arrive(draft, &own, arriving.clone())?;
    draft.sender_knows = sender_knows;
    let was_closed = before.as_ref().filter(|decision| decision.closed);
    let is_open = draft.history.last_decision.as_ref().is_none_or(|decision| !decision.closed);
    let opened = was_closed.filter(|_| is_open);
    let mut words = vec![TOLD];
    if opened.is_some() {
        let why = "The decision that had closed the case was corrected by those who had recorded it.";
        let runs_again = stands_again(draft, &own.event.event_id, &Arc::new(arriving), opened, why)?;
        words = vec![if runs_again { TOLD_OPEN } else { TOLD_OPEN_ALONE }];
    }
    draft.decision.notes.push("A decision was corrected: it is judged as a decision of its own.".to_owned());
    words.extend(&draft.sender_words);
    draft.tell_sender(event, FeedbackStatus::Received, &words);
    Ok(())
}

/// What is decided now, where that raises the level, opens the case again, or starts a clock. What was received since a closing may have raised
/// the case: it is not lowered below that.
fn raises(history: &History, first: &Entry, said: &Entry) -> Option<HumanDecision> {
    let is_closed = history.last_decision.as_ref().is_some_and(|last| last.closed);
    is_more(history, first, said, |level| {
        level > history.case_level || (is_closed && level.is_some() && level >= history.case_level)
    })
}

/// What is decided now, where that starts a clock that the first did not, or sets a level that is more.
fn is_more(
    history: &History,
    first: &Entry,
    said: &Entry,
    is_higher: impl FnOnce(Option<Level>) -> bool,
) -> Option<HumanDecision> {
    let code = decided(said)?;
    let decision = HumanDecision::of_symbol(code)?;
    if starts(code) {
        return (decided(first) != Some(code)).then_some(decision);
    }
    if !settles(code) || closes(code) {
        return None;
    }
    is_higher(level_of(history, said).and_then(ProposedLevel::level)).then_some(decision)
}

/// The level that it sets; one that confirms a level and names none confirms what is known.
fn level_of(history: &History, said: &Entry) -> Option<ProposedLevel> {
    let level: Option<Level> = level_named(said).or_else(|| highest(history, |_| true));
    level.map(ProposedLevel::from)
}
