//! Two subjects who may be one child: seen under one name and date of birth, or both tied to one identifier. A person is
//! asked, once for each pair, and nothing is merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::context::{Context, HOPS_MAX, StepError};
use crate::engine::history::folding::note_when;
use crate::engine::history::keeping::Keeping;
use crate::engine::history::senders::numbers;
use crate::engine::identity::Keys;
use crate::engine::identity::expected::is_unborn;
use crate::engine::ids::derived;
use crate::engine::model::decision::Trigger;
use crate::engine::model::history::{Entry, History, Pair};
use crate::engine::model::inbox::{InboxBody, InboxRecord, Referral, Signal};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::{Delta, State};
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::{Effect, Step};
use crate::engine::tasks::{Relation, Wanted, Why};

/// `other` was seen under this key of a name and birth.
pub const SIGHTING: &str = "sighting";
/// `other` is expected, or was born, under this key of a mother or address and a month.
pub const EXPECTED: &str = "expected";
pub const BORN: &str = "born";
/// Whether this subject and `other` are one child: each hears of it first, for either may have been joined to the other.
pub const SAME_CHILD: &str = "same_child";
/// As `same_child`, and `other` is known to stand alone: this one asks, unless it is `other`.
pub const SAME_CHILD_CHECKED: &str = "same_child_checked";

pub const BY_NAME: &str = "name_and_birth";
pub const BY_IDENTIFIER: &str = "shared_identifier";
pub const BY_EXPECTED_BIRTH: &str = "expected_birth";

/// Where the question of a pair stands.
pub const TOLD: &str = "told";
pub const ASKED: &str = "asked";
pub const DIFFERENT: &str = "different";
pub const UNLINKED: &str = "unlinked";

pub const SAME_CHILD_RULE: &str = "same-child";
pub const SAME_CHILD_ACTION: &str = "Same child? Decide, and record the link or that there is none";

/// Subjects remembered as seen under one name and birth, and pairs of one subject that nobody has settled: the oldest go first.
const SEEN_MAX: usize = 16;
const PAIRS_MAX: usize = 64;
/// Pairs that a person has settled are remembered beyond that: more than people ever say of one child.
const SETTLED_PAIRS_MAX: usize = 4096;

/// Tells the key of the child's name and birth, and those under which one who was expected would be noticed, once, that this
/// subject was seen under it. What is told before go-live asks nobody anything, and so leaves nothing.
pub fn leave(draft: &mut Draft<'_>, referral: &Referral) {
    let event = &referral.event;
    let of_birth = if is_unborn(event) { EXPECTED } else { BORN };
    let by_name = referral.sighting.map(|key| (key, SIGHTING, None));
    let by_birth = referral.expected.iter().flatten().map(|key| (*key, of_birth, Some(BY_EXPECTED_BIRTH.to_owned())));
    let told = |history: &History, key| history.weaker.iter().flatten().any(|told| *told == key);
    for (key, kind, reason) in by_name.into_iter().chain(by_birth) {
        if key == draft.subject || event.backfill || told(&draft.history, key) {
            continue;
        }
        draft.history.weaker.get_or_insert_default().push(key);
        let (kind, cause) = (kind.to_owned(), event.event_id.clone());
        let signal = Signal { kind, cause, reason, other: Some(draft.subject), ..Signal::default() };
        let effect = send(key, draft.at, signal);
        draft.publish(effect);
    }
}

/// A signal as an inbox record: one for its kind, the two subjects and the cause.
pub fn send(to: SubjectKey, at: Timestamp, signal: Signal) -> Effect {
    let other = signal.other.map(SubjectKey::to_hex).unwrap_or_default();
    let hops = signal.hops.unwrap_or_default().to_string();
    Effect::Inbox(Box::new(InboxRecord {
        id: derived(&["signal", &signal.kind, &to.to_hex(), &other, &signal.cause, &hops]),
        subject: to,
        receipt: at,
        body: InboxBody::Signal(signal),
    }))
}

/// A subject was seen under this key: with each other who was, a person is asked. Nothing is decided here. Of children who are born
/// none is remembered where one was expected: two of them are twins.
pub fn seen(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Step {
    let Some(here) = signal.other else { return Step::default() };
    let mut history = state.history(record.subject).map(|history| history.as_ref().clone()).unwrap_or_default();
    let mut seen = history.seen.take().unwrap_or_default();
    if seen.contains(&here) {
        return Step::default();
    }
    let mut others = seen.clone();
    if history.alias_of.is_some() || !history.entries.is_empty() {
        others.push(record.subject);
    }
    let ask = |other: SubjectKey| {
        let reason = signal.reason.clone().unwrap_or_else(|| BY_NAME.to_owned());
        let asks = Signal { kind: SAME_CHILD.to_owned(), reason: Some(reason), ..signal.clone() };
        send(other, record.receipt, asks)
    };
    let effects = others.into_iter().map(ask).collect();
    if signal.kind == BORN {
        return Step { effects, ..Step::default() };
    }
    seen.push(here);
    let over = seen.len().saturating_sub(SEEN_MAX);
    seen.drain(..over);
    history.seen = Some(seen);
    history.updated_at = history.updated_at.max(record.receipt);
    if let Some(book) = context.books.in_force(record.receipt) {
        note_when(&mut history, &Keeping::by(&book.rules));
    }
    let delta = Delta { histories: BTreeMap::from([(record.subject, history)]) };
    Step { delta, effects }
}

/// Something came under this name and birth alone: whether that is one of those seen under it, a person is asked.
pub fn own_event(draft: &mut Draft<'_>, referral: &Referral) {
    for other in draft.history.seen.clone().unwrap_or_default() {
        if standing(&draft.history, other).is_some() {
            continue;
        }
        stand(&mut draft.history, other, TOLD, None);
        let signal = Signal {
            kind: SAME_CHILD.to_owned(),
            cause: referral.event.event_id.clone(),
            reason: Some(BY_NAME.to_owned()),
            other: Some(draft.subject),
            ..Signal::default()
        };
        let effect = send(other, draft.at, signal);
        draft.publish(effect);
    }
}

/// Passes a signal on to whom this key was joined to.
pub fn pass_on(record: &InboxRecord, signal: &Signal, stronger: SubjectKey) -> Result<Step, StepError> {
    let hops = signal.hops.unwrap_or_default().saturating_add(1);
    if hops > HOPS_MAX {
        return Err(StepError::TooManyHops);
    }
    let effects = vec![send(stronger, record.receipt, Signal { hops: Some(hops), ..signal.clone() })];
    Ok(Step { effects, ..Step::default() })
}

/// What a question about a pair comes to under this key.
enum Heard<'s> {
    /// It is this key's, and was neither asked nor settled before.
    Here { other: SubjectKey, reason: &'s str },
    /// It is another's, or nobody's any more.
    Elsewhere(Step),
}

/// Either of a pair hears of the question: whoever was joined to another passes it on, and one child is no pair.
fn heard<'s>(state: &State, record: &InboxRecord, signal: &'s Signal) -> Result<Heard<'s>, StepError> {
    let Some(other) = signal.other else { return Ok(Heard::Elsewhere(Step::default())) };
    let history = state.history(record.subject);
    let stronger = history.and_then(|history| history.alias_of);
    if other == record.subject || stronger == Some(other) {
        return Ok(Heard::Elsewhere(Step::default()));
    }
    if let Some(stronger) = stronger {
        return pass_on(record, signal, stronger).map(Heard::Elsewhere);
    }
    let reason = signal.reason.as_deref().unwrap_or(BY_NAME);
    if history.is_some_and(|history| is_settled(history, other, reason)) {
        return Ok(Heard::Elsewhere(Step::default()));
    }
    Ok(Heard::Here { other, reason })
}

/// The first of a pair hears of the question: it puts it to the second, with what tells the two apart.
pub fn check(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let (other, reason) = match heard(state, record, signal)? {
        Heard::Here { other, reason } => (other, reason),
        Heard::Elsewhere(step) => return Ok(step),
    };
    let known = state.history(record.subject).and_then(|history| latest(history));
    let effects =
        vec![put_to(&context.keys, (other, record.subject), record.receipt, &signal.cause, reason, known.as_deref())];
    Ok(Step { effects, ..Step::default() })
}

/// Puts the question to the second of a pair.
pub fn put_to(
    keys: &Keys,
    (second, first): (SubjectKey, SubjectKey),
    at: Timestamp,
    cause: &str,
    reason: &str,
    known: Option<&Entry>,
) -> Effect {
    let signal = Signal {
        kind: SAME_CHILD_CHECKED.to_owned(),
        cause: known.map_or(cause, |entry| &entry.event_id).to_owned(),
        partner: known.map(|entry| entry.source.partner.clone()),
        unit: known.map(|entry| entry.source.unit.clone()),
        reference: known.and_then(|entry| entry.partner_reference.clone()),
        call_back: known.and_then(|entry| numbers(keys, entry)),
        reason: Some(reason.to_owned()),
        other: Some(first),
        ..Signal::default()
    };
    send(second, at, signal)
}

/// The second of a pair asks a person, unless it is the first, or the question was asked or settled before.
pub fn ask(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let (other, reason) = match heard(state, record, signal)? {
        Heard::Here { other, reason } => (other, reason),
        Heard::Elsewhere(step) => return Ok(step),
    };
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    let partner = signal.partner.as_deref().unwrap_or_default();
    let entry =
        latest(&draft.history).unwrap_or_else(|| Arc::new(stand_in_entry(&signal.cause, partner, record.receipt)));
    draft.decision.event_id = Some(entry.event_id.clone());
    let raising = draft.raising(None, &record.id);
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let title = "Possibly the same child";
    let why = why(reason, &Sighted::of(&context.keys, &entry), &Sighted::told(signal));
    let own = raising.own_duty(SAME_CHILD_RULE, title, why, SAME_CHILD_ACTION, due, &entry);
    let wanted = Wanted { relation: Relation::Besides(other), level: None, ..own };
    draft.raise(None, &record.id, &[], vec![wanted])?;
    let task_id = draft.decision.tasks.last().map(|task| task.task_id.clone());
    stand(&mut draft.history, other, ASKED, task_id);
    draft.finish()
}

/// What a person needs to tell two records apart: who sent each, what they call it, and where to ring them.
fn why(reason: &str, own: &Sighted<'_>, other: &Sighted<'_>) -> Why<'static> {
    let shared = match reason {
        BY_IDENTIFIER => "An identifier is tied to two records",
        BY_EXPECTED_BIRTH => {
            "A child was expected, and two records name that mother or address and a birth at about that time"
        }
        _ => "Two records bear the same name and date of birth",
    };
    let after = "Then record decision subjects_linked, or subjects_unlinked if they are two children, with both addresses of this task.";
    ask_senders(&format!("{shared}, and nothing was joined."), own, other, after)
}

/// The reason of a task that asks a person to ring the senders of two events.
pub fn ask_senders(before: &str, one: &Sighted<'_>, other: &Sighted<'_>, after: &str) -> Why<'static> {
    let words = |with_number| {
        let (one, other) = (one.in_words(with_number), other.in_words(with_number));
        format!("{before} One: {one}. The other: {other}. Ask their senders. {after}")
    };
    Why::Numbers { told: words(true), without: words(false) }
}

/// An event as its sender knows it.
pub struct Sighted<'e> {
    event_id: &'e str,
    partner: Option<&'e str>,
    unit: Option<&'e str>,
    reference: Option<&'e str>,
    /// Where each who sent or reported it can be rung.
    call_back: Option<String>,
}

impl<'e> Sighted<'e> {
    pub fn of(keys: &Keys, entry: &'e Entry) -> Self {
        Self {
            event_id: &entry.event_id,
            partner: Some(&entry.source.partner),
            unit: Some(&entry.source.unit),
            reference: entry.partner_reference.as_deref(),
            call_back: numbers(keys, entry),
        }
    }

    fn told(signal: &'e Signal) -> Self {
        Self {
            event_id: &signal.cause,
            partner: signal.partner.as_deref(),
            unit: signal.unit.as_deref(),
            reference: signal.reference.as_deref(),
            call_back: signal.call_back.clone(),
        }
    }

    pub fn in_words(&self, with_number: bool) -> String {
        let unit = self.unit.filter(|unit| !unit.is_empty()).map_or(String::new(), |unit| format!(", {unit}"));
        let sender = self.partner.filter(|partner| !partner.is_empty());
        let sender = sender.map_or(String::new(), |partner| format!(" of {partner}{unit}"));
        let reference = self.reference.map(|reference| format!("their reference: {reference}"));
        let number = self.call_back.as_ref().filter(|_| with_number).map(|number| format!("call back: {number}"));
        let known: Vec<String> = reference.into_iter().chain(number).collect();
        let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join("; ")) };
        format!("event {}{sender}{known}", self.event_id)
    }
}

/// The latest thing known of a subject: what a person can ask about.
pub fn latest(history: &History) -> Option<Arc<Entry>> {
    history.entries.iter().rev().find(|entry| !entry.withdrawn).cloned()
}

/// Where the question of this pair stands.
pub fn standing(history: &History, other: SubjectKey) -> Option<&str> {
    let pair = history.pairs.iter().flatten().find(|pair| pair.subject == other)?;
    Some(pair.standing.as_str())
}

/// A name alone raises no question that was asked before. What ties identifiers together does, once, after a link was undone.
fn is_settled(history: &History, other: SubjectKey, reason: &str) -> bool {
    match standing(history, other) {
        Some(ASKED | DIFFERENT) => true,
        Some(UNLINKED) => reason != BY_IDENTIFIER,
        _ => false,
    }
}

/// Notes where the question of a pair stands; the task that asks is kept where none is given.
pub fn stand(history: &mut History, other: SubjectKey, standing: &str, task_id: Option<String>) {
    let pairs = history.pairs.get_or_insert_default();
    let known = pairs.iter().position(|pair| pair.subject == other).map(|place| pairs.remove(place));
    let task_id = task_id.or_else(|| known.and_then(|pair| pair.task_id));
    pairs.push(Pair { subject: other, standing: standing.to_owned(), task_id });
    let is_open = |pair: &Pair| matches!(pair.standing.as_str(), TOLD | ASKED);
    let mut over = pairs.iter().filter(|pair| is_open(pair)).count().saturating_sub(PAIRS_MAX);
    pairs.retain(|pair| {
        let goes = over > 0 && is_open(pair);
        over = over.saturating_sub(usize::from(goes));
        !goes
    });
    let over = pairs.len().saturating_sub(SETTLED_PAIRS_MAX);
    pairs.drain(..over);
}
