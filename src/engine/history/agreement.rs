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
        (Some(entry), Some((state, at))) if at >= entry.received_at => state == UNSAFE_TO_ASK,
        (Some(entry), _) => said(entry) == Some(UNSAFE_TO_ASK),
        (None, standing) => standing.is_some_and(|(state, _)| state == UNSAFE_TO_ASK),
    }
}

/// What was recorded last that settles it, and when: that the family is being asked again since takes nothing back.
fn settled(history: &History) -> Option<(&str, Timestamp)> {
    let standing = history.agreement.as_ref()?;
    if settles(&standing.state) {
        return Some((&standing.state, standing.at));
    }
    let words = history.entries.iter().filter(|entry| !entry.withdrawn && recorded(entry).is_some_and(settles));
    let last = words.max_by_key(|entry| (entry.holds_from(), entry.received_at))?;
    recorded(last).map(|state| (state, last.received_at))
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
    let recorded = settled(history).map(|(_, at)| at);
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

/// What stands for an entry: what was recorded, and when; and of a decision what an event said since then.
pub fn standing_for<'h>(
    history: &'h History,
    entry: &Entry,
    recorded: Option<(&'h str, Timestamp)>,
) -> Option<&'h str> {
    let decision = Some(entry).filter(|entry| entry.kind == decisions::DECISION && said(entry).is_none());
    let by_event = decision.and_then(|decision| said_before(history, decision));
    let by_event = by_event.filter(|by| recorded.is_none_or(|(_, at)| at < by.received_at));
    by_event.and_then(|by| said(by)).or(recorded.map(|(state, _)| state))
}

/// The last word on it, said or recorded, and when it came. Of two at once the one that warns.
pub fn last_word(history: &History) -> Option<(&str, Timestamp)> {
    let by_event = latest(history, None).and_then(|later| said(later).map(|state| (state, later.received_at)));
    let words = [settled(history), by_event].into_iter().flatten();
    words.max_by_key(|(state, at)| (*at, *state != GIVEN))
}

/// The same, where it came after an entry and is that the family does not agree, or that asking is unsafe: what was agreed to before begins
/// no more.
pub fn taken_back_since<'h>(history: &'h History, entry: &Entry) -> Option<&'h str> {
    let (state, at) = last_word(history)?;
    (at >= entry.received_at && state != GIVEN).then_some(state)
}

/// Whether the family's last word at an instant was that they agree, said or recorded. `stood`: whether what is withdrawn since stood then.
pub fn was_given_at(history: &History, at: Timestamp, stood: impl Fn(&Entry) -> bool) -> bool {
    let entries = history.entries.iter().filter(|entry| entry.received_at <= at && stood(entry));
    let words = entries.filter_map(|entry| Some((entry.received_at, said(entry).or_else(|| recorded(entry))?)));
    // The entry may be kept no longer that recorded it.
    let standing = settled(history).map(|(state, at)| (at, state));
    let words = words.chain(standing).filter(|(said_at, state)| *said_at <= at && settles(state));
    words.max_by_key(|(at, state)| (*at, *state != GIVEN)).is_some_and(|(_, state)| state == GIVEN)
}

/// Whether the family has agreed to what an event asks, whatever another referral says since, and though asking them was unsafe: that is no refusal.
pub fn had_agreed(history: &History, entry: &Entry) -> bool {
    let recorded = settled(history).filter(|(state, _)| *state != UNSAFE_TO_ASK);
    let state = match (said(entry), recorded) {
        (Some(said), Some((_, at))) if at <= entry.received_at => Some(said),
        (None, recorded) if entry.kind == decisions::DECISION => standing_for(history, entry, recorded),
        (_, Some((state, _))) => Some(state),
        (said, None) => said,
    };
    state == Some(GIVEN)
}

/// Whether a record says that they refuse, and nothing that was recorded since says otherwise.
pub fn is_refused(history: &History) -> bool {
    settled(history).is_some_and(|(state, _)| state == REFUSED)
}

/// The event that settles it now, if it was an event and no recorded agreement.
pub fn settled_by(history: &History) -> Option<&Arc<Entry>> {
    latest(history, None)
}

/// The events that said so since agreement was last settled by a record, that record among them.
pub fn unsafe_by(history: &History) -> impl Iterator<Item = &Arc<Entry>> {
    let standing = history.agreement.as_ref().filter(|standing| standing.state == UNSAFE_TO_ASK);
    let recorded = move |entry: &Entry| {
        standing.is_some_and(|standing| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), entry))
    };
    let since = settled(history).map(|(_, at)| at);
    let says =
        move |entry: &Entry| said(entry) == Some(UNSAFE_TO_ASK) && since.is_none_or(|since| entry.received_at > since);
    history.entries.iter().filter(move |entry| !entry.withdrawn && (recorded(entry) || says(entry)))
}
