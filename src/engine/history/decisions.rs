//! Recorded decisions about the level or the case: which stands when one is taken back, and the level it leaves.

use std::borrow::Cow;
use std::sync::Arc;

use super::entry::DANGER;
use super::episodes::is_since;
use super::known_as::are_two;
use crate::engine::calendar::london_date;
use crate::engine::model::history::{Entry, HeldTask, History, RecordedDecision, said_by};
use crate::engine::model::scalar::{FactValue, Level, Timestamp};

/// An entry keeps under this name, with a level, when what fired for it raised the case to that after it had come: by a clock, or by
/// what came later. It counts from then on, for a decision may have been made in between.
const RAISED_TO: &str = "raised_to_";

/// Events that a named person's decision is.
pub const DECISION: &str = "decision.recorded";

/// The fact of such an event that says what was decided.
pub const DECIDED: &str = "decision";

/// A closing that was corrected keeps under this name that it was one.
pub const HAD_CLOSED: &str = "had_closed";

const CLOSED: &str = "closed";
const ENQUIRY: &str = "s47_started";
const ASSESSMENT: &str = "assessment_started";
const DISCUSSED: &str = "strategy_held";
/// What starts something of its own, and says nothing else.
const STARTING: [&str; 3] = [ENQUIRY, DISCUSSED, ASSESSMENT];
/// What settles the level or the case.
const SETTLING: [&str; 4] = ["level_confirmed", "level_set", "stepped_down", CLOSED];

/// What a decision's event decided.
pub fn decided(entry: &Entry) -> Option<&str> {
    // The kind is asked first: it is the quicker question, and that of every entry there is.
    if entry.kind != DECISION {
        return None;
    }
    match entry.facts.get(DECIDED) {
        Some(FactValue::Code(code)) => Some(code),
        Some(FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// Whether it is about the level or the case.
pub fn settles(decided: &str) -> bool {
    SETTLING.contains(&decided)
}

pub fn closes(decided: &str) -> bool {
    decided == CLOSED
}

/// Whether it starts something of its own: a clock, an enquiry.
pub fn starts(decided: &str) -> bool {
    STARTING.contains(&decided)
}

/// Whether it is that a section 47 enquiry was started: significant harm is suspected, whatever level anybody names.
pub fn starts_enquiry(entry: &Entry) -> bool {
    decided(entry) == Some(ENQUIRY)
}

/// Notes with a decision that starts a section 47 enquiry when the strategy discussion was held that started it, for the clocks that run
/// from there.
pub fn note_discussion(history: &History, entry: &mut Entry) {
    if let Some(at) = strategy_discussion(history, entry) {
        entry.anchors.insert("strategy_discussion".to_owned(), at);
    }
}

/// The latest discussion recorded by then, unless an enquiry was started since; else the decision itself.
fn strategy_discussion(history: &History, enquiry: &Entry) -> Option<Timestamp> {
    if !starts_enquiry(enquiry) {
        return None;
    }
    let is_earlier = |entry: &&Arc<Entry>| {
        !entry.withdrawn && !entry.is_same_event(enquiry) && entry.occurred_at <= enquiry.occurred_at
    };
    let earlier = history.entries.iter().rev().filter(is_earlier);
    // One that was not applied, for a later decision had ended it, may be the same.
    let starts_one = |entry: &Entry| starts_enquiry(entry) && (entry.backfilled || !entry.fired.is_empty());
    let held = earlier.take_while(|entry| !starts_one(entry)).find(|entry| decided(entry) == Some(DISCUSSED));
    Some(held.map_or(enquiry.occurred_at, |held| held.occurred_at))
}

/// Whether it is that an enquiry or an assessment was begun, and a decision that was made later is on record which ended that: the case was
/// closed since, or set below what an enquiry means.
pub fn is_begun_before_it_ended(history: &History, entry: &Entry) -> bool {
    let code = decided(entry);
    let starts = code == Some(ENQUIRY) || code == Some(ASSESSMENT);
    let below = |level: Option<Level>| code == Some(ENQUIRY) && level < Some(Level::L4b);
    let ends = |stands: &&RecordedDecision| !is_since(entry, stands.at) && (stands.closed || below(stands.level));
    starts && history.last_decision.as_ref().is_some_and(|stands| ends(&stands))
}

/// Whether it is known by the day alone, and may have been on that day after an instant.
pub fn is_since_by_day(entry: &Entry, then: Timestamp) -> bool {
    entry.date_only && is_since(entry, then)
}

/// The level that an event came to, or that a decision means without naming one.
fn level_meant(entry: &Entry) -> Option<Level> {
    entry.level.max(starts_enquiry(entry).then_some(Level::L4b))
}

/// Whether it is under such a name that an instant is kept.
pub fn is_raised_to(name: &str) -> bool {
    name.starts_with(RAISED_TO)
}

/// Keeps from when on what fired for an entry raises the case to a level.
pub fn note_raised(entry: &mut Entry, level: Level, at: Timestamp) {
    entry.anchors.insert(format!("{RAISED_TO}{}", level.symbol()), at);
}

/// When what fired for an entry after it had come raised the case to a level.
pub fn raised_at(entry: &Entry, level: Level) -> Option<Timestamp> {
    let raised = || entry.anchors.iter().find(|(name, _)| name.strip_prefix(RAISED_TO) == Some(level.symbol()));
    // What was found not to hold since (a link that is undone) raises it no more.
    raised().filter(|_| entry.level >= Some(level)).map(|(_, at)| *at)
}

/// The highest level to which it did so after an instant.
fn raised_since(entry: &Entry, then: Option<Timestamp>) -> Option<Level> {
    Level::ALL.into_iter().filter(|level| raised_at(entry, *level).is_some_and(|at| Some(at) > then)).max()
}

/// The level that a decision names.
pub fn level_named(entry: &Entry) -> Option<Level> {
    match entry.facts.get("level") {
        Some(FactValue::Code(level)) => Level::parse(level),
        Some(FactValue::Bool(_) | FactValue::Int(_)) | None => None,
    }
}

/// What is kept of a decision about the level or the case. One that closes leaves no level.
pub fn recorded(entry: &Entry, code: &str, level: Option<Level>) -> RecordedDecision {
    let closed = closes(code);
    RecordedDecision {
        decision: code.to_owned(),
        level: level.filter(|_| !closed),
        at: known_until(entry),
        closed,
        event_id: Some(entry.event_id.clone()),
        partner: Some(entry.source.partner.clone()),
    }
}

/// The latest decision about the level or the case that was not taken back. One that confirms a level and names none confirms
/// what was known by then.
pub fn latest(history: &History) -> Option<RecordedDecision> {
    let in_danger = |entry: &Entry| entry.facts.get(DANGER) == Some(&FactValue::Bool(true));
    let stands = history.entries.iter().filter(|entry| !entry.withdrawn);
    // What closes the case of a child who is in danger was not applied.
    let stands = stands.filter(|entry| !(in_danger(entry) && decided(entry).is_some_and(closes)));
    let settling = stands.filter_map(|entry| Some((entry, decided(entry).filter(|code| settles(code))?)));
    settling.max_by_key(|(entry, _)| order(entry)).map(|(entry, code)| {
        let known = || highest(history, |other| other.received_at <= entry.received_at);
        recorded(entry, code, level_named(entry).or_else(known))
    })
}

/// Whether a decision was recorded by this entry.
fn is_of(decision: &RecordedDecision, entry: &Entry) -> bool {
    said_by(decision.event_id.as_deref(), decision.partner.as_deref(), entry)
}

/// Every closing, also one that was taken back since. There is none as a rule: gathered once, it need not be looked for by each task.
pub fn closings(history: &History) -> Vec<Arc<Entry>> {
    history.entries.iter().filter(|entry| decided(entry).is_some_and(closes)).cloned().collect()
}

/// When the case was last closed by a decision that was not taken back.
pub fn last_closed(history: &History) -> Option<Timestamp> {
    closings_that_stand(history).map(known_until).max()
}

pub fn closings_that_stand(history: &History) -> impl Iterator<Item = &Entry> {
    let entries = history.entries.iter().map(AsRef::as_ref);
    entries.filter(|entry| !entry.withdrawn && decided(entry).is_some_and(closes))
}

/// Whether a decision closes the case of a child who, it says, is in danger now.
pub fn closes_in_danger(entry: &Entry) -> bool {
    entry.facts.get(DANGER) == Some(&FactValue::Bool(true)) && decided(entry).is_some_and(closes)
}

/// Whether one of these closings that stands ended a task, also where another decision has opened the case since.
pub fn is_closed_by_any<'e>(history: &History, task: &HeldTask, mut closings: impl Iterator<Item = &'e Entry>) -> bool {
    let cause = history.entries.iter().find(|entry| task.is_of(entry));
    closings.any(|said| {
        !said.withdrawn
            && !closes_in_danger(said)
            && known_until(said) >= task.raised_at
            && task.decided_apart.is_none_or(|until| known_until(said) > until)
            && !cause.is_some_and(|cause| are_two(history, cause, said))
    })
}

/// From when a decision holds, and until when whoever made it may have known what was received: one that is known by the day alone may have
/// been made at any time until it was recorded, that day.
pub fn known_until(said: &Entry) -> Timestamp {
    let is_of_today = || london_date(said.occurred_at) == london_date(said.received_at);
    let is_known_by_day = said.date_only && said.kind == DECISION;
    if is_known_by_day && is_of_today() { said.received_at } else { said.holds_from() }
}

/// Whether something at a level was received after a decision was made, and before it was recorded: the decision lowered nothing of that.
pub fn is_recorded_over(history: &History, decision: &Entry, level: Level) -> bool {
    let since = known_until(decision);
    let between = |entry: &Entry| entry.received_at > since && entry.received_at < decision.received_at;
    let counts = |entry: &Entry| !entry.withdrawn || entry.kind != DECISION;
    let mut between = history.entries.iter().filter(|entry| counts(entry) && between(entry));
    between.any(|entry| level_meant(entry) >= Some(level))
}

/// Whether a decision closes the case, or names a level below this one.
fn lowers(entry: &Entry, level: Level) -> bool {
    match decided(entry).filter(|code| settles(code)) {
        Some(code) => closes(code) || level_named(entry).is_some_and(|named| named < level),
        None => false,
    }
}

/// When a named person last closed the case, or set a level below this one: what had been asked for at it was done with then.
pub fn last_below(history: &History, level: Level) -> Option<Timestamp> {
    let lowering = history.entries.iter().filter(|entry| !entry.withdrawn && lowers(entry, level));
    lowering.map(|entry| known_until(entry)).max()
}

/// A history without the enquiries that were recorded after the case was closed, or set below level 4b, since an instant, also where that was
/// taken back or corrected: by when an enquiry settled what somebody held from then, they had heard that.
pub fn without_enquiries_since_lowered(history: &History, then: Timestamp) -> Cow<'_, History> {
    let had_lowered = |entry: &Entry| lowers(entry, Level::L4b) || entry.facts.contains_key(HAD_CLOSED);
    let lowering = history.entries.iter().filter(|entry| entry.received_at >= then && had_lowered(entry));
    let Some(heard_at) = lowering.map(|entry| entry.received_at).min() else { return Cow::Borrowed(history) };
    let is_since = |entry: &Arc<Entry>| starts_enquiry(entry) && entry.received_at >= heard_at;
    if !history.entries.iter().any(is_since) {
        return Cow::Borrowed(history);
    }
    let mut known = history.clone();
    known.entries.retain(|entry| !is_since(entry));
    Cow::Owned(known)
}

/// Whether a decision that stands ended what was begun by the first, before the second began the same anew: the case was closed, or set
/// below what an enquiry means.
pub fn ended_between(history: &History, first: &Entry, second: &Entry) -> bool {
    let is_below = |entry: &Entry| level_named(entry).is_some_and(|level| level < Level::L4b);
    let lowers = |code: &str, entry: &Entry| starts_enquiry(first) && settles(code) && is_below(entry);
    let ends = |entry: &Entry| decided(entry).is_some_and(|code| closes(code) || lowers(code, entry));
    let is_between = |entry: &Entry| known_until(entry) >= known_until(first) && !is_since(entry, known_until(second));
    history.entries.iter().any(|entry| !entry.withdrawn && ends(entry) && is_between(entry))
}

/// Whether a named person has closed the case, or set it below this level, since an event came: what had fired for it then at this level
/// was done with by that.
pub fn is_put_to_rest(history: &History, entry: &Entry, level: Option<Level>) -> bool {
    let decided = history.last_decision.as_ref();
    decided.is_some_and(|decision| decision.at > entry.received_at && level > decision.level)
}

/// Of two decisions made at one time the one that came later stands.
pub type Order = (Timestamp, Timestamp);

pub fn order(entry: &Entry) -> Order {
    (known_until(entry), entry.received_at)
}

/// When a named person last set this level, or one above it, or started an enquiry: a decision that had lowered the case before that
/// lowers it no more.
pub fn last_raised(history: &History, level: Level) -> Option<Order> {
    raisings(history, level).map(order).max()
}

/// Whether one did in between.
pub fn is_raised_between(history: &History, level: Level, (from, to): (Timestamp, Timestamp)) -> bool {
    raisings(history, level).map(known_until).any(|at| at > from && at <= to)
}

fn raisings(history: &History, level: Level) -> impl Iterator<Item = &Entry> {
    let stands = history.entries.iter().map(AsRef::as_ref).filter(|entry| !entry.withdrawn);
    stands.filter(move |entry| raises(entry, level))
}

/// Whether a decision sets this level, or one above it, or starts an enquiry.
pub fn raises(entry: &Entry, level: Level) -> bool {
    decided(entry).is_some_and(|code| starts_enquiry(entry) || (settles(code) && level_named(entry) >= Some(level)))
}

/// Whether a person, or an enquiry, raised a case to where social care acts since it was last closed.
pub fn is_opened_since_closed(history: &History) -> bool {
    let closed = closings_that_stand(history).map(order).max();
    closed.is_some() && last_raised(history, Level::L4a) > closed
}

/// The highest level of what was not taken back.
pub fn highest(history: &History, of: impl Fn(&Entry) -> bool) -> Option<Level> {
    history.entries.iter().filter(|entry| !entry.withdrawn && of(entry)).map(|entry| level_meant(entry)).max().flatten()
}

/// The case level that a history's own entries give it, since the last decision about it. No withdrawal lowers it.
pub fn settle_level(history: &mut History) {
    let decided = history.last_decision.as_ref();
    let (at, level) = (decided.map(|decision| decision.at), decided.and_then(|decision| decision.level));
    let by = |entry: &Entry| decided.is_some_and(|stands| is_of(stands, entry));
    let decided_by = history.entries.iter().find(|entry| by(entry)).map(|entry| order(entry));
    let is_since = |entry: &Entry| match starts_enquiry(entry) {
        // Of two decisions made at one time the one that came later stands.
        true => {
            Some(order(entry)) > decided_by.or(at.map(|at| (at, at))) || at.is_some_and(|at| is_since_by_day(entry, at))
        }
        false => Some(entry.received_at) > at,
    };
    let counts = |entry: &Entry| !entry.withdrawn || entry.kind != DECISION;
    let level_since = |entry: &Entry| match is_since(entry) {
        true => level_meant(entry),
        false => raised_since(entry, at),
    };
    let known = history.entries.iter().filter(|entry| counts(entry));
    history.case_level = known.map(|entry| level_since(entry)).max().flatten().max(level);
}
