//! Where a child who was expected and one who is born may be noticed to be one: by the mother's name or the address, with the month
//! of birth. Keys to notice by, for a person to be asked; nothing is ever merged by them.

use std::collections::BTreeSet;

use jiff::{Span, civil};

use super::{IdentifierKind, Keys, normalise_name};
use crate::engine::calendar::london_date;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{Child, ReferralEvent};
use crate::engine::model::scalar::{Date, Timestamp};
use crate::engine::model::subject::SubjectKey;

/// A child may be born so long before and after they are due: from 24 weeks of pregnancy, to 3 weeks over.
const EARLIEST_WEEKS: i64 = -16;
const LATEST_WEEKS: i64 = 3;
/// Whoever is older was born to be known otherwise.
const NEWBORN_YEARS: i64 = 1;
/// Mothers and addresses of one event that are looked at.
const PLACES_MAX: usize = 4;

/// As senders write who the mother is.
const MOTHER: [&str; 6] = ["mother", "mum", "birthmother", "biologicalmother", "expectantmother", "mothertobe"];

/// Whether an event is about a child who is not born yet.
pub fn is_unborn(event: &ReferralEvent) -> bool {
    matches!(event.detail, Detail::UnbornConcern(_))
        || (event.child.due_date.is_some() && event.child.date_of_birth.is_none())
}

/// When the unborn child of an event is due, by the event itself or by the child's own record.
pub fn due_date(event: &ReferralEvent) -> Option<civil::Date> {
    let of_event = if let Detail::UnbornConcern(concern) = &event.detail { concern.due_date } else { None };
    of_event.or(event.child.due_date.filter(|_| is_unborn(event))).map(Date::to_civil)
}

/// The keys of a child who is expected, or newly born. None: neither, or nothing to go by.
pub fn keys(keys: &Keys, event: &ReferralEvent, receipt: Timestamp) -> Option<Vec<SubjectKey>> {
    let months = if is_unborn(event) { may_be_born_in(due_date(event)?) } else { born_in(&event.child, receipt)? };
    let of_place = |place: &String| {
        let of_month = |(year, month): &(i16, i8)| {
            keys.subject_key(IdentifierKind::NameAndBirth, &format!("\0expected\0{place}\0{year}-{month}"))
        };
        months.iter().map(of_month).collect::<Vec<SubjectKey>>()
    };
    let found: Vec<SubjectKey> = places(event).iter().take(PLACES_MAX).flat_map(of_place).collect();
    (!found.is_empty()).then_some(found)
}

fn may_be_born_in(due: civil::Date) -> BTreeSet<(i16, i8)> {
    let weeks = (EARLIEST_WEEKS..=LATEST_WEEKS).filter_map(|weeks| {
        let day = due.checked_add(Span::new().try_weeks(weeks).ok()?).ok()?;
        Some((day.year(), day.month()))
    });
    weeks.collect()
}

fn born_in(child: &Child, receipt: Timestamp) -> Option<BTreeSet<(i16, i8)>> {
    let born = child.date_of_birth?.to_civil();
    let oldest = london_date(receipt).checked_sub(Span::new().years(NEWBORN_YEARS)).ok()?;
    (born > oldest).then(|| BTreeSet::from([(born.year(), born.month())]))
}

/// The mother's whole name, and where the child lives or will: a hidden address is nobody's to match by.
fn places(event: &ReferralEvent) -> BTreeSet<String> {
    let is_mother = |relationship: &str| MOTHER.contains(&normalise_name(relationship).as_str());
    let carers = event.carers.iter().filter(|carer| is_mother(&carer.relationship));
    let carers = carers.filter_map(|carer| carer.name.clone());
    let named = event.siblings.iter().filter(|other| other.relationship.as_deref().is_some_and(is_mother));
    let named = named.filter_map(|other| {
        Some(format!("{} {}", other.child.given_names.as_deref()?, other.child.family_name.as_deref()?))
    });
    let mothers = carers.chain(named).filter_map(|name| {
        let is_whole = name.split_whitespace().nth(1).is_some();
        is_whole.then(|| format!("mother\0{}", normalise_name(&name)))
    });
    let addresses = event.child.addresses.iter().filter(|address| !address.confidential).filter_map(|address| {
        let (lines, postcode) = (normalise_name(&address.lines), normalise_name(address.postcode.as_deref()?));
        (!lines.is_empty() && !postcode.is_empty()).then(|| format!("address\0{lines}\0{postcode}"))
    });
    mothers.chain(addresses).collect()
}
