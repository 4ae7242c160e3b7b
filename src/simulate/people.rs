//! The children of the made-up partnership: families with schools, practices and identifiers that pass their checks.

use jiff::ToSpan;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::partners::{LOCALITIES, PRACTICE_CODES, SCHOOL_URNS};
use crate::engine::model::codes::{RiskRole, Sex};
use crate::engine::model::event::{Address, Carer, Child, Sibling};
use crate::engine::model::scalar::{Date, Timestamp};

const GIVEN: &[&str] = &[
    "Asha", "Bram", "Cleo", "Dion", "Elowen", "Farid", "Gwen", "Hamza", "Iris", "Jonty", "Keira", "Luca", "Mina",
    "Noor", "Oisin", "Priya", "Quin", "Rowan", "Sana", "Tomos", "Una", "Vikram", "Wren", "Yusuf",
];
const FAMILY: &[&str] = &[
    "Ashdown", "Birtles", "Cawley", "Dunmore", "Eastwell", "Farrant", "Garside", "Hollis", "Ibbot", "Jessop", "Kettle",
    "Lomas", "Marlow", "Nadin", "Okell", "Pimlott", "Quayle", "Rushby", "Swindell", "Tunnard", "Upton", "Venables",
    "Warrilow", "Yarwood",
];
const STREETS: &[&str] = &["Sample Street", "Specimen Road", "Example Close", "Placeholder Lane", "Invented Avenue"];
const LANGUAGES: &[&str] = &["Polish", "Urdu", "Romanian", "Arabic"];
/// Letters of a UPN's check, by remainder.
const UPN_LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRTUVWXYZ";
/// No authority has this number.
const UPN_AUTHORITY: &str = "999";

/// A child with their family.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    pub child: Child,
    pub age: i16,
    pub siblings: Vec<Sibling>,
    pub carers: Vec<Carer>,
}

/// Everyone there is, and the few who are heard of again and again.
pub struct Population {
    people: Vec<Person>,
    /// The first so many are known to services.
    known: usize,
}

impl Population {
    /// As many as `events` would concern; ages as of `today`.
    pub fn new(rng: &mut impl RngExt, events: usize, today: Timestamp) -> Self {
        let wanted = (events / 2).clamp(60, 40_000);
        let mut people = Vec::with_capacity(wanted + 4);
        while people.len() < wanted {
            people.extend(family(rng, today));
        }
        let known = (people.len() / 12).max(8);
        Self { people, known }
    }

    /// A child between these ages; two in five times one who is known already.
    pub fn child(&self, rng: &mut impl RngExt, youngest: i16, oldest: i16) -> &Person {
        let known = rng.random_bool(0.4);
        let within = if known { &self.people[..self.known] } else { &self.people[..] };
        for _ in 0..40 {
            if let Some(person) = within.choose(rng).filter(|person| (youngest..=oldest).contains(&person.age)) {
                return person;
            }
        }
        let fits = |person: &&Person| (youngest..=oldest).contains(&person.age);
        self.people.iter().find(fits).unwrap_or(&self.people[0])
    }
}

fn family(rng: &mut impl RngExt, today: Timestamp) -> Vec<Person> {
    let name = *FAMILY.choose(rng).unwrap_or(&"Example");
    let address = Address {
        lines: format!("{} {}", rng.random_range(1..200), STREETS.choose(rng).unwrap_or(&"Sample Street")),
        // ZZ is no postcode area.
        postcode: Some(format!("ZZ{} {}AA", rng.random_range(1..20), rng.random_range(1..10))),
        confidential: rng.random_bool(0.04),
    };
    let locality = LOCALITIES.choose(rng).map(|locality| (*locality).to_owned());
    let practice = PRACTICE_CODES.choose(rng).map(|code| (*code).to_owned());
    let language =
        rng.random_bool(0.08).then(|| LANGUAGES.choose(rng).map(|language| (*language).to_owned())).flatten();
    let carers = carers(rng, name);
    let count = rng.random_range(1..=4);
    let children: Vec<(Child, i16)> = (0..count)
        .map(|_| {
            let (mut child, age) = child(rng, name, today);
            child.addresses = vec![address.clone()];
            child.locality.clone_from(&locality);
            child.gp_ods.clone_from(&practice);
            child.interpreter_needed = language.as_ref().map(|_| true);
            child.first_language.clone_from(&language);
            (child, age)
        })
        .collect();
    let siblings = |index: usize| {
        let others = children.iter().enumerate().filter(|(other, _)| *other != index);
        others
            .map(|(_, (child, _))| Sibling { child: child.clone(), relationship: Some("sibling".to_owned()) })
            .collect()
    };
    children
        .iter()
        .enumerate()
        .map(|(index, (child, age))| Person {
            child: child.clone(),
            age: *age,
            siblings: siblings(index),
            carers: carers.clone(),
        })
        .collect()
}

fn carers(rng: &mut impl RngExt, family: &str) -> Vec<Carer> {
    let relationships = ["mother", "father", "grandmother", "foster carer"];
    (0..rng.random_range(1..=2))
        .map(|index| Carer {
            name: GIVEN.choose(rng).map(|given| format!("{given} {family}")),
            relationship: relationships[if rng.random_bool(0.9) { index } else { index + 2 }].to_owned(),
            parental_responsibility: Some(rng.random_bool(0.9)),
            risk_role: rng.random_bool(0.1).then_some(RiskRole::Suspected),
            told: Some(rng.random_bool(0.7)),
            not_told_because: None,
            safe_contact: rng.random_bool(0.5).then(|| format!("01632 960{:03}", rng.random_range(0..1000))),
        })
        .collect()
}

fn child(rng: &mut impl RngExt, family: &str, today: Timestamp) -> (Child, i16) {
    let age = rng.random_range(0..18_i16);
    let days = i32::from(age) * 365 + rng.random_range(5..360);
    let born = today.date_in(&TimeZone::UTC).saturating_sub(days.days());
    let at_school = (4..=16).contains(&age);
    let home_educated = at_school && rng.random_bool(0.02);
    let serial = rng.random_range(0..1_000_000_u32);
    let child = Child {
        nhs_number: rng.random_bool(0.7).then(|| nhs_number(serial)),
        upn: (at_school && rng.random_bool(0.8)).then(|| upn(rng.random_range(0..1_000_000_000))),
        local_id: Some(format!("P{:07}", rng.random_range(0..10_000_000))),
        given_names: GIVEN.choose(rng).map(|given| (*given).to_owned()),
        family_name: Some(family.to_owned()),
        date_of_birth: Some(Date::from_civil(born)),
        school_urn: (at_school && !home_educated)
            .then(|| SCHOOL_URNS.choose(rng).map(|urn| (*urn).to_owned()))
            .flatten(),
        sex: Some(if rng.random_bool(0.5) { Sex::Female } else { Sex::Male }),
        disability_or_send: rng.random_bool(0.12).then(|| "EHC plan".to_owned()),
        home_educated: home_educated.then_some(true),
        ..Child::default()
    };
    (child, age)
}

/// The test number with this serial, or the next one that has a check digit.
pub fn nhs_number(serial: u32) -> String {
    let mut serial = serial % 1_000_000;
    loop {
        let digits = format!("999{serial:06}");
        let sum: u32 = digits.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        match 11 - sum % 11 {
            10 => serial = (serial + 1) % 1_000_000,
            11 => return format!("{digits}0"),
            check => return format!("{digits}{check}"),
        }
    }
}

/// A UPN of an authority that does not exist, with its check letter.
pub fn upn(serial: u64) -> String {
    let digits = format!("{UPN_AUTHORITY}{:09}", serial % 1_000_000_000);
    let sum: usize = digits.bytes().zip(2..).map(|(digit, weight)| usize::from(digit - b'0') * weight).sum();
    format!("{}{digits}", char::from(UPN_LETTERS[sum % UPN_LETTERS.len()]))
}
