//! Whether asking the family for agreement was said to be unsafe, by a recorded agreement or by any event, and stands.

use std::sync::Arc;

use super::decisions;
use crate::engine::model::history::{AgreementStanding, Entry, History, said_by};
use crate::engine::model::scalar::{FactValue, Timestamp};

pub const UNSAFE_TO_ASK: &str = "unsafe_to_ask";
pub const GIVEN: &str = "given";
pub const REFUSED: &str = "refused";
pub const AGREEMENT_RECORDED: &str = "agreement.recorded";
/// An agreement is put to what was judged in the last 90 days, and to what is decided within 90 days.
pub const REACHES_BACK_MS: i64 = 90 * 24 * 60 * 60 * 1000;

const SETTLED: [&str; 3] = [GIVEN, REFUSED, UNSAFE_TO_ASK];

/// What an event itself says of agreement, where that settles anything: that nobody asked yet, or that it is being asked, does not
/// make asking safe.
pub fn said(entry: &Entry) -> Option<&str> {
    match entry.facts.get("agreement") {
        Some(FactValue::Code(state)) if settles(state) => Some(state),
        Some(FactValue::Code(_) | FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// Whether a word on agreement settles anything: that nobody asked, or that the family is being asked, makes asking no safer.
pub fn settles(state: &str) -> bool {
    SETTLED.contains(&state)
}

/// What a recorded agreement says.
pub fn recorded(entry: &Entry) -> Option<&str> {
    match entry.facts.get("state") {
        Some(FactValue::Code(state)) if entry.kind == AGREEMENT_RECORDED => Some(state),
        Some(FactValue::Code(_) | FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// Until it is recorded that the family agreed or refused, or a later event says so, unsafe stands. `until`: by what was received
/// up to then.
pub fn is_unsafe(history: &History, until: Option<Timestamp>) -> bool {
    let standing = settled(history);
    match (latest(history, until), standing) {
        (Some(entry), Some(standing)) if standing.at >= entry.received_at => standing.state == UNSAFE_TO_ASK,
        (Some(entry), _) => said(entry) == Some(UNSAFE_TO_ASK),
        (None, standing) => standing.is_some_and(|standing| standing.state == UNSAFE_TO_ASK),
    }
}

/// Since when asking has stood as unsafe, by the latest word on it. None: it does not.
pub fn unsafe_since(history: &History) -> Option<Timestamp> {
    let recorded = history.agreement.as_ref().filter(|standing| standing.state == UNSAFE_TO_ASK);
    let said = latest(history, None).filter(|entry| said(entry) == Some(UNSAFE_TO_ASK));
    let since = recorded.map(|standing| standing.at).max(said.map(|entry| entry.received_at));
    since.filter(|_| is_unsafe(history, None))
}

/// What was recorded last, where that settles it.
fn settled(history: &History) -> Option<&AgreementStanding> {
    history.agreement.as_ref().filter(|standing| settles(&standing.state))
}

/// Of what two joined histories hold: the later, save that only what settles it takes the place of a warning.
pub fn supersedes(one: Option<&AgreementStanding>, other: Option<&AgreementStanding>) -> bool {
    let warns = |standing: &AgreementStanding| standing.state == UNSAFE_TO_ASK;
    match (one, other) {
        (Some(one), Some(other)) if warns(one) && !settles(&other.state) => true,
        (Some(one), Some(other)) if warns(other) && !settles(&one.state) => false,
        (one, other) => one.map(|standing| standing.at) > other.map(|standing| standing.at),
    }
}

/// The events that said so at any time, whatever was said or recorded since.
pub fn ever_unsafe(history: &History) -> impl Iterator<Item = &Arc<Entry>> {
    let says = |entry: &Entry| said(entry).or_else(|| recorded(entry)) == Some(UNSAFE_TO_ASK);
    history.entries.iter().filter(move |entry| !entry.withdrawn && says(entry))
}

/// When it was last settled, one way or another.
pub fn settled_at(history: &History) -> Option<Timestamp> {
    let recorded = settled(history).map(|standing| standing.at);
    recorded.max(latest(history, None).map(|entry| entry.received_at))
}

/// The latest event that settles it; of two at once the one that warns.
fn latest(history: &History, until: Option<Timestamp>) -> Option<&Arc<Entry>> {
    let known = |entry: &&Arc<Entry>| !entry.withdrawn && until.is_none_or(|until| entry.received_at <= until);
    let words = history.entries.iter().filter(known).filter(|entry| said(entry).is_some());
    words.max_by_key(|entry| (entry.received_at, said(entry) == Some(UNSAFE_TO_ASK)))
}

/// What an event said of it not long before a person decided, if the case was not closed between: the family that agreed to help then
/// has agreed to the help that is decided on.
pub fn said_before<'h>(history: &'h History, decision: &Entry) -> Option<&'h Arc<Entry>> {
    let said = latest(history, Some(decision.received_at)).filter(|said| !said.is_same_event(decision))?;
    let recent = said.received_at.plus_millis(REACHES_BACK_MS) >= decision.received_at;
    let closes = |entry: &Arc<Entry>| {
        let between = entry.received_at >= said.received_at && entry.received_at < decision.received_at;
        between && !entry.withdrawn && decisions::decided(entry).is_some_and(decisions::closes)
    };
    (recent && !history.entries.iter().any(closes)).then_some(said)
}

/// What stands for an entry: what was recorded, and of a decision what an event said since then.
pub fn standing_for<'h>(
    history: &'h History,
    entry: &Entry,
    recorded: Option<&'h AgreementStanding>,
) -> Option<&'h str> {
    let decision = Some(entry).filter(|entry| entry.kind == decisions::DECISION && said(entry).is_none());
    let by_event = decision.and_then(|decision| said_before(history, decision));
    let by_event = by_event.filter(|by| recorded.is_none_or(|standing| standing.at < by.received_at));
    by_event.and_then(|by| said(by)).or_else(|| recorded.map(|standing| standing.state.as_str()))
}

/// The last word on it, said or recorded, where that came after an entry and is that the family does not agree, or that asking is unsafe:
/// what was agreed to before begins no more. Of two at once the one that warns.
pub fn taken_back_since<'h>(history: &'h History, entry: &Entry) -> Option<&'h str> {
    let recorded = settled(history).map(|standing| (standing.at, standing.state.as_str()));
    let by_event = latest(history, None).and_then(|later| said(later).map(|state| (later.received_at, state)));
    let words = [recorded, by_event].into_iter().flatten();
    let (at, state) = words.max_by_key(|(at, state)| (*at, *state != GIVEN))?;
    (at >= entry.received_at && state != GIVEN).then_some(state)
}

/// Whether the family's last word at an instant was that they agree, said or recorded. `stood`: whether what is withdrawn since stood then.
pub fn was_given_at(history: &History, at: Timestamp, stood: impl Fn(&Entry) -> bool) -> bool {
    let entries = history.entries.iter().filter(|entry| entry.received_at <= at && stood(entry));
    let words = entries.filter_map(|entry| Some((entry.received_at, said(entry).or_else(|| recorded(entry))?)));
    // The entry may be kept no longer that recorded it.
    let standing = settled(history).map(|standing| (standing.at, standing.state.as_str()));
    let words = words.chain(standing).filter(|(said_at, state)| *said_at <= at && settles(state));
    words.max_by_key(|(at, state)| (*at, *state != GIVEN)).is_some_and(|(_, state)| state == GIVEN)
}

/// The event that settles it now, if it was an event and no recorded agreement.
pub fn settled_by(history: &History) -> Option<&Arc<Entry>> {
    latest(history, None)
}

/// The events that said so since agreement was last settled by a record, that record among them.
pub fn unsafe_by(history: &History) -> impl Iterator<Item = &Arc<Entry>> {
    let standing = settled(history);
    let recorded = move |entry: &Entry| {
        let of =
            |standing: &AgreementStanding| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), entry);
        standing.is_some_and(|standing| standing.state == UNSAFE_TO_ASK && of(standing))
    };
    let since = standing.map(|standing| standing.at);
    let says =
        move |entry: &Entry| said(entry) == Some(UNSAFE_TO_ASK) && since.is_none_or(|since| entry.received_at > since);
    history.entries.iter().filter(move |entry| !entry.withdrawn && (recorded(entry) || says(entry)))
}
