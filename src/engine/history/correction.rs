//! What a correction changes in an entry: coded facts, the times its clocks run from, and the child's age.

use jiff::civil;

use super::entry::{
    ADDRESS_CONFIDENTIAL, ANY_RISK_FACTOR, TURNS_18, WEEKS_28, WEEKS_OF_PREGNANCY, age_facts, confidential_address,
    eighteenth_birthday_nearby, envelope_fact, fits, weeks_28, weeks_of_pregnancy,
};
use crate::engine::calendar::london_datetime;
use crate::engine::model::detail::{self, EventCorrected};
use crate::engine::model::event::Child;
use crate::engine::model::history::Entry;
use crate::engine::model::scalar::{Date, FactValue, Timestamp};
use crate::engine::schema::read;

const UNBORN: &str = "unborn.concern";
const EARLIER_CHILD_REMOVED: &str = "earlier_child_removed";

/// Times that may be corrected, as RFC 3339 text.
pub const TIMES: [&str; 4] = ["occurred_at", "last_seen_at", "ended_at", "completed_at"];
/// The child's date of birth, as an ISO date: kept only as the ages it gives.
pub const DATE_OF_BIRTH: &str = "date_of_birth";

/// When an unborn child is due, as an ISO date: kept only as what it gives.
pub const DUE_DATE: &str = "due_date";

/// As `false`: the sender's wishes not to inform are taken back. They are no facts; a person settles what becomes of them.
pub const DO_NOT_INFORM: &str = "do_not_inform";

/// The entry after a correction; what is not of its kind, or not of its type, is refused by name.
pub fn corrected(entry: &Entry, correction: &EventCorrected) -> Result<Entry, Vec<String>> {
    let (after, refused) = as_far_as_it_fits(entry, correction);
    if refused.is_empty() { Ok(after) } else { Err(refused) }
}

/// The entry after as much of a correction as is of its kind and type, and the names of the rest.
pub fn as_far_as_it_fits(entry: &Entry, correction: &EventCorrected) -> (Entry, Vec<String>) {
    let mut after = entry.clone();
    let mut refused = Vec::new();
    for (name, value) in &correction.changes {
        let applied = if TIMES.contains(&name.as_str()) {
            apply_time(&mut after, name, value)
        } else if name == DATE_OF_BIRTH {
            apply_birth(&mut after, value)
        } else if name == DUE_DATE {
            apply_due_date(&mut after, value)
        } else if name == DO_NOT_INFORM {
            (*value == FactValue::Bool(false)).then_some(())
        } else {
            apply_fact(&mut after, name, value)
        };
        if applied.is_none() {
            refused.push(name.clone());
        }
    }
    (after, refused)
}

fn apply_fact(entry: &mut Entry, name: &str, value: &FactValue) -> Option<()> {
    let fields = detail::fields(&entry.kind)?;
    let declared = fields.iter().find(|(field, _)| *field == name).and_then(|(_, fact)| *fact);
    let declared = declared.or_else(|| envelope_fact(name)).filter(|fact| fits(*fact, value));
    declared.filter(|_| name != ANY_RISK_FACTOR || entry.kind == UNBORN)?;
    entry.facts.insert(name.to_owned(), value.clone());
    if name == ADDRESS_CONFIDENTIAL && *value == FactValue::Bool(true) {
        entry.held_back.push(confidential_address());
    }
    let none_known = entry.facts.get(ANY_RISK_FACTOR) != Some(&FactValue::Bool(true));
    if name == EARLIER_CHILD_REMOVED && none_known {
        entry.facts.insert(ANY_RISK_FACTOR.to_owned(), value.clone());
    }
    Some(())
}

fn apply_due_date(entry: &mut Entry, value: &FactValue) -> Option<()> {
    let due = date_of(value).filter(|_| entry.kind == UNBORN)?.to_civil();
    entry.anchors.insert(WEEKS_28.to_owned(), weeks_28(due)?);
    let weeks = weeks_of_pregnancy(due, entry.received_at)?;
    entry.facts.insert(WEEKS_OF_PREGNANCY.to_owned(), weeks);
    Some(())
}

/// A return happened when it ended: its own time moves with `ended_at`.
fn apply_time(entry: &mut Entry, name: &str, value: &FactValue) -> Option<()> {
    let fields = detail::fields(&entry.kind)?;
    let of_kind = name == "occurred_at" || fields.iter().any(|(field, _)| *field == name);
    let at = time_of(value).filter(|_| of_kind)?;
    entry.anchors.insert(name.to_owned(), at);
    let happened = if fields.iter().any(|(field, _)| *field == "ended_at") { "ended_at" } else { "occurred_at" };
    if name == happened {
        entry.occurred_at = at;
        // The hour is known now; whoever means another day gives its midnight.
        entry.date_only &= london_datetime(at).time() == civil::Time::midnight();
    }
    Some(())
}

fn apply_birth(entry: &mut Entry, value: &FactValue) -> Option<()> {
    let child = Child { date_of_birth: Some(date_of(value)?), ..Child::default() };
    match eighteenth_birthday_nearby(&child, entry.received_at) {
        Some(birthday) => entry.anchors.insert(TURNS_18.to_owned(), birthday),
        None => entry.anchors.remove(TURNS_18),
    };
    for (name, value) in age_facts(&child, entry.occurred_at.min(entry.received_at), entry.received_at) {
        match value {
            Some(value) => entry.facts.insert(name.to_owned(), value),
            None => entry.facts.remove(name),
        };
    }
    Some(())
}

/// The instant in a correction's value.
pub fn time_of(value: &FactValue) -> Option<Timestamp> {
    let FactValue::Code(text) = value else { return None };
    read::time(text)
}

/// The date in a correction's value.
pub fn date_of(value: &FactValue) -> Option<Date> {
    let FactValue::Code(text) = value else { return None };
    text.parse::<jiff::civil::Date>().ok().map(Date::from_civil)
}
