//! An event as it is remembered: coded facts, the child's age at the time, and the anchors of its clocks.

use std::collections::BTreeMap;

use jiff::{Span, Unit, civil};

use crate::engine::calendar::{instant, london_date};
use crate::engine::family::{is_parent, is_unclear};
use crate::engine::identity::expected::{due_date, is_unborn};
use crate::engine::identity::{Keys, is_keyed_name};
use crate::engine::model::codes::SuspectIs;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{Child, DoNotInform, ReferralEvent, Source};
use crate::engine::model::history::{Entry, HeldBack, History};
use crate::engine::model::inbox::{NamedWith, Referral};
use crate::engine::model::scalar::{Coded, FactType, FactValue, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Agency, UnitKind};
use crate::engine::rules::directory::as_meant;

const MONTHS_17_AND_A_HALF: i64 = 17 * 12 + 6;

/// A pregnancy lasts 40 weeks to the due date.
const PREGNANCY_DAYS: i32 = 40 * 7;
const WEEKS_28_DAYS_BEFORE: i32 = 12 * 7;

/// How long before the eighteenth birthday it is kept with an entry: longer than deadlines are.
const BIRTHDAY_KEPT_DAYS: i32 = 100;

/// The router made the event for a child whom another's referral names.
pub const NAMED_WITH_ANOTHER: &str = "named_with_another";
/// That other child is of another family.
pub const OF_ANOTHER_FAMILY: &str = "of_another_family";
/// Whether it is cannot be read from what was said.
pub const FAMILY_UNCLEAR: &str = "family_unclear";
pub const NAMED_AS_PARENT: &str = "named_as_parent";
pub const SIBLINGS_NAMED: &str = "siblings_named";
pub const DANGER: &str = "immediate_danger";
pub const EMERGENCY_CALL: &str = "emergency_call_made";
pub const AT_SCHOOL: &str = "child.at_school";

/// When an event that was sent under the wrong child before was received there: its clocks run from then.
pub const FIRST_RECEIPT: &str = "first_receipt";

/// Facts and anchors that are worked out, and worked out again by a correction.
pub const ANY_RISK_FACTOR: &str = "any_risk_factor";
pub const WEEKS_OF_PREGNANCY: &str = "child.weeks_of_pregnancy";
pub const WEEKS_28: &str = "pregnancy_28_weeks";
pub const TURNS_18: &str = "turns_18";

/// Coded facts of the envelope, kept beside the detail's own.
const ENVELOPE_FLAGS: [&str; 2] = [DANGER, EMERGENCY_CALL];

/// What else is kept with an entry beside the detail's own facts.
pub const ENTRY_FACTS: [&str; 16] = [
    DANGER,
    EMERGENCY_CALL,
    "agreement",
    "child.age_years",
    "child.from_17_and_a_half",
    "child.turns_18_within_30d",
    "child.unborn",
    "child.home_educated",
    AT_SCHOOL,
    WEEKS_OF_PREGNANCY,
    ANY_RISK_FACTOR,
    SIBLINGS_NAMED,
    NAMED_WITH_ANOTHER,
    OF_ANOTHER_FAMILY,
    FAMILY_UNCLEAR,
    NAMED_AS_PARENT,
];

/// The type of a fact that may be corrected though it is no field of the event's kind.
pub fn envelope_fact(name: &str) -> Option<FactType> {
    (ENVELOPE_FLAGS.contains(&name) || name == ANY_RISK_FACTOR).then_some(FactType::Bool)
}

/// Whether a value is one of a fact's type.
pub fn fits(fact: FactType, value: &FactValue) -> bool {
    match (fact, value) {
        (FactType::Bool, FactValue::Bool(_)) | (FactType::Int, FactValue::Int(_)) => true,
        (FactType::Code(symbols), FactValue::Code(symbol)) => symbols.contains(&symbol.as_str()),
        (FactType::Bool | FactType::Int | FactType::Code(_), _) => false,
    }
}

/// What is kept of a referral.
pub fn of(keys: &Keys, rules: &RuleBook, referral: &Referral, receipt: Timestamp) -> Entry {
    let event = &referral.event;
    Entry {
        event_id: event.event_id.clone(),
        source: event.source.clone(),
        kind: event.detail.kind().to_owned(),
        content_digest: referral.content_digest.clone(),
        partner_reference: event.partner_reference.clone(),
        police_reference: event.police_reference.clone(),
        episode_ref: episode_ref(&event.detail),
        occurred_at: happened_at(event),
        received_at: receipt,
        anchors: anchors(referral, receipt),
        date_only: event.date_only,
        facts: facts(referral, receipt),
        held_back: held_back(keys, rules, event).into_iter().chain(suspect_of_family(keys, rules, referral)).collect(),
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        backfilled: event.backfill,
        withdrawn: false,
        named: Vec::new(),
        known_as: None,
        traceparent: None,
        call_back: Some(event.practitioner.call_back.clone()).filter(|number| !number.is_empty()),
        taken_back: Vec::new(),
        lifted: Vec::new(),
        denied: Vec::new(),
    }
}

/// An entry that says of whose event it is, and nothing else.
pub fn bare(event_id: &str, source: Source, at: Timestamp) -> Entry {
    Entry {
        event_id: event_id.to_owned(),
        source,
        kind: String::new(),
        content_digest: String::new(),
        partner_reference: None,
        police_reference: None,
        episode_ref: None,
        occurred_at: at,
        received_at: at,
        anchors: BTreeMap::new(),
        date_only: false,
        facts: BTreeMap::new(),
        held_back: Vec::new(),
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        backfilled: false,
        withdrawn: false,
        named: Vec::new(),
        known_as: None,
        traceparent: None,
        call_back: None,
        taken_back: Vec::new(),
        lifted: Vec::new(),
        denied: Vec::new(),
    }
}

fn episode_ref(detail: &Detail) -> Option<String> {
    if let Detail::MissingStarted(started) = detail {
        started.episode_ref.clone()
    } else if let Detail::MissingRegraded(regraded) = detail {
        regraded.episode_ref.clone()
    } else if let Detail::MissingEnded(ended) = detail {
        ended.episode_ref.clone()
    } else if let Detail::ReturnInterviewCompleted(interview) = detail {
        interview.episode_ref.clone()
    } else {
        None
    }
}

/// When it happened: a return at its own time, all else as the sender says.
fn happened_at(event: &ReferralEvent) -> Timestamp {
    if let Detail::MissingEnded(ended) = &event.detail { ended.ended_at } else { event.occurred_at }
}

/// Instants that clocks of this event may run from.
fn anchors(referral: &Referral, receipt: Timestamp) -> BTreeMap<String, Timestamp> {
    let event = &referral.event;
    let mut anchors = BTreeMap::from([("occurred_at".to_owned(), event.occurred_at)]);
    let mut put = |name: &str, at: Option<Timestamp>| {
        if let Some(at) = at {
            anchors.insert(name.to_owned(), at);
        }
    };
    if let Detail::MissingStarted(started) = &event.detail {
        put("last_seen_at", started.last_seen_at);
    } else if let Detail::MissingEnded(ended) = &event.detail {
        put("ended_at", Some(ended.ended_at));
    } else if let Detail::ReturnInterviewCompleted(interview) = &event.detail {
        put("completed_at", interview.completed_at);
    }
    put(WEEKS_28, due_date(event).and_then(weeks_28));
    put("as_index", referral.named_with.as_ref().and_then(|named| named.due_at));
    put(TURNS_18, eighteenth_birthday_nearby(&event.child, receipt));
    anchors
}

/// When a pregnancy has lasted 28 weeks.
pub fn weeks_28(due: civil::Date) -> Option<Timestamp> {
    day_start(due, WEEKS_28_DAYS_BEFORE)
}

/// The start of the day so many days before a date.
fn day_start(date: civil::Date, days_before: i32) -> Option<Timestamp> {
    let day = date.checked_sub(Span::new().try_days(days_before).ok()?).ok()?;
    instant(day, civil::Time::midnight()).ok()
}

fn eighteenth_birthday(child: &Child) -> Option<civil::Date> {
    birthday(child.date_of_birth?.to_civil(), 18)
}

/// The day on which somebody is so many years old: for who was born on 29 February, in a common year 1 March.
pub fn birthday(born: civil::Date, years: i64) -> Option<civil::Date> {
    let day = born.checked_add(Span::new().try_years(years).ok()?).ok()?;
    if day.day() == born.day() { Some(day) } else { day.tomorrow().ok() }
}

/// The eighteenth birthday, once it is past or near: of a younger child it would only tell the date of birth.
pub fn eighteenth_birthday_nearby(child: &Child, receipt: Timestamp) -> Option<Timestamp> {
    let birthday = eighteenth_birthday(child)?;
    let days = london_date(receipt).until((Unit::Day, birthday)).ok()?.get_days();
    if days > BIRTHDAY_KEPT_DAYS { None } else { day_start(birthday, 0) }
}

/// Whether this is about a person who is no child any more at an instant, as far as is known.
pub fn is_adult(entry: &Entry, at: Timestamp) -> bool {
    let grown = matches!(entry.facts.get("child.age_years"), Some(FactValue::Int(years)) if *years >= 18);
    grown || entry.anchors.get(TURNS_18).is_some_and(|birthday| *birthday <= at)
}

/// The same by the entry itself where it tells an age, else by the latest that does.
pub fn is_grown(history: &History, entry: &Entry, at: Timestamp) -> bool {
    let tells = |entry: &&Entry| entry.facts.contains_key("child.age_years") || entry.anchors.contains_key(TURNS_18);
    let known = || history.entries.iter().rev().map(AsRef::as_ref).filter(|entry: &&Entry| !entry.withdrawn);
    let telling = Some(entry).filter(tells).or_else(|| known().find(tells));
    telling.is_some_and(|entry| is_adult(entry, at))
}

/// Routes the sender asked to leave out, and the suspect's own.
pub fn held_back(keys: &Keys, rules: &RuleBook, event: &ReferralEvent) -> Vec<HeldBack> {
    let asked = event.do_not_inform.iter().flat_map(|wish| of_wish(rules, wish));
    let (agency, unit) = suspects_place(&event.detail).unwrap_or_default();
    let suspect = agency.map(|agency| suspects_routes(keys, rules, agency, unit));
    let address = is_address_confidential(&event.detail).then(confidential_address);
    asked.chain(suspect.into_iter().flatten()).chain(address).collect()
}

/// The suspect's own: of an agency of the book, else of a sender by the name that is said.
fn suspects_routes(keys: &Keys, rules: &RuleBook, agency: &str, unit: Option<&str>) -> Vec<HeldBack> {
    if rules.agency_meant(agency).is_some() {
        return routes(rules, agency, unit, SUSPECT);
    }
    let of_sender = |(agency, unit)| HeldBack { agency, unit, cause: SUSPECT_SENDER.to_owned() };
    suspects_sender(keys, agency, unit).map(of_sender).into_iter().collect()
}

/// A sender, and its unit, by the name that somebody wrote, as it is remembered: a tutor works under a name of their own. None: no
/// sender is called so.
pub fn suspects_sender(keys: &Keys, agency: &str, unit: Option<&str>) -> Option<(String, Option<String>)> {
    if is_keyed_name(agency) {
        return Some((agency.to_owned(), unit.map(str::to_owned)));
    }
    let agency = Some(as_meant(agency)).filter(|agency| is_sender_name(agency))?;
    // A unit in words of its own may be called otherwise: then it is all of them.
    let unit = unit.map(str::trim).filter(|unit| is_sender_name(unit));
    Some((keys.sender_name(&agency), unit.map(|unit| keys.sender_name(&as_meant(unit)))))
}

/// Whether it may be what a sender or its unit is called. Nothing else is made of what somebody wrote.
pub fn is_sender_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether the sender says that where the child lives must not get known.
pub fn is_address_confidential(detail: &Detail) -> bool {
    matches!(detail, Detail::DomesticAbuseAttended(attended) if attended.address_confidential == Some(true))
}

/// What is kept of that: no address. From then on every address of the child is, by whoever it comes.
pub fn confidential_address() -> HeldBack {
    HeldBack { agency: AN_ADDRESS.to_owned(), unit: None, cause: CONFIDENTIAL.to_owned() }
}

/// The routes that one wish holds back.
pub fn of_wish(rules: &RuleBook, wish: &DoNotInform) -> Vec<HeldBack> {
    match &wish.agency {
        Some(agency) => routes(rules, agency, wish.unit.as_deref(), "asked"),
        None => vec![HeldBack { agency: A_PERSON.to_owned(), unit: wish.unit.clone(), cause: "asked".to_owned() }],
    }
}

/// What is held back of an agency as somebody wrote it. A unit that is not known holds back all of them.
pub fn routes(rules: &RuleBook, agency: &str, unit: Option<&str>, cause: &str) -> Vec<HeldBack> {
    let Some(agency) = rules.agency_meant(agency) else { return Vec::new() };
    let of_unit = |unit| HeldBack { agency: agency.name.clone(), unit, cause: cause.to_owned() };
    let units = unit.map(|unit| rules.directory.units_meant(agency, unit)).unwrap_or_default();
    if units.is_empty() { vec![of_unit(None)] } else { units.into_iter().map(Some).map(of_unit).collect() }
}

/// Where an event says that a suspect works: agency and unit. None: it is about no suspect.
pub fn suspects_place(detail: &Detail) -> Option<(Option<&str>, Option<&str>)> {
    fn said(text: &Option<String>) -> Option<&str> {
        text.as_deref().filter(|text| !text.trim().is_empty())
    }
    if let Detail::SexualAbuseAlleged(alleged) = detail {
        Some((said(&alleged.suspect_agency), said(&alleged.suspect_unit)))
    } else if let Detail::PositionOfTrustAlleged(alleged) = detail {
        Some((said(&alleged.employer_agency), said(&alleged.employer_unit)))
    } else {
        None
    }
}

/// What an event says of whom to hold back that names no agency or unit of the book, and what is held back instead, in words.
pub fn not_understood(rules: &RuleBook, event: &ReferralEvent) -> Vec<String> {
    let mut words = Vec::new();
    let mut look = |what: &str, agency: Option<&str>, unit: Option<&str>, instead: &str| {
        let meant = agency.and_then(|agency| rules.agency_meant(agency));
        let is_unit = |unit: &str| meant.is_none_or(|agency| !rules.directory.units_meant(agency, unit).is_empty());
        let is_addressed = |agency: &Agency| agency.units != UnitKind::One || agency.unit.is_some();
        if agency.is_some() && meant.is_none() {
            words.push(format!("The agency of {what} is not known here: {instead}."));
        } else if meant.is_some_and(is_addressed) && unit.is_some_and(|unit| !is_unit(unit)) {
            words.push(format!("The unit of {what} is not known here: every unit of that agency is held back."));
        }
    };
    for wish in &event.do_not_inform {
        look("a wish not to inform", wish.agency.as_deref(), wish.unit.as_deref(), "a person is asked which is meant");
    }
    let (agency, unit) = suspects_place(&event.detail).unwrap_or_default();
    look("the suspect", agency, unit, "all who work with children are held back until a person says");
    words
}

/// Whether a wish is to an agency that the book does not know.
pub fn wishes_unknown_agency(rules: &RuleBook, event: &ReferralEvent) -> bool {
    let mut named = event.do_not_inform.iter().filter_map(|wish| wish.agency.as_deref());
    named.any(|agency| rules.agency_meant(agency).is_none())
}

/// Held back because a suspect is there.
pub const SUSPECT: &str = "suspect";

/// Held back because a suspect is there: a sender who is no agency of the book, and is told nothing of what they send. Agency and unit
/// are keyed hashes.
pub const SUSPECT_SENDER: &str = "suspect_sender";

/// In the place of an agency: a person must not learn of it. Kept so that who acts later is told that there is one; who it is
/// stays in the sender's words alone.
pub const A_PERSON: &str = "person";

/// In the place of an agency: where the child lives must not get known.
pub const AN_ADDRESS: &str = "address";

/// Whether it stands in the place of an agency: what is kept in mind, and holds no route back.
pub fn is_marker(agency: &str) -> bool {
    [A_PERSON, AN_ADDRESS].contains(&agency)
}

/// Held back because it is confidential, until a person says that it is not.
pub const CONFIDENTIAL: &str = "confidential";

/// The fact of an event that says so.
pub const ADDRESS_CONFIDENTIAL: &str = "address_confidential";

/// Held back because a suspect may be there: nobody has said where they work.
pub const UNKNOWN_SUSPECT: &str = "unknown_suspect";

/// In the place of an agency: nobody has said which.
pub const ANY_AGENCY: &str = "*";

/// Whether an event is about a suspect who works with children, and does not say for whom, or names no agency of the book.
pub fn is_suspect_unknown(rules: &RuleBook, detail: &Detail) -> bool {
    match suspects_place(detail) {
        None => false,
        Some((Some(agency), _)) => rules.agency_meant(agency).is_none(),
        Some((None, Some(_))) => true,
        Some((None, None)) => {
            let Detail::SexualAbuseAlleged(alleged) = detail else { return true };
            alleged.suspect_is == Some(SuspectIs::Professional)
        }
    }
}

/// The suspect's route that came with a child of the same family.
fn suspect_of_family(keys: &Keys, rules: &RuleBook, referral: &Referral) -> Vec<HeldBack> {
    let Some(named) = &referral.named_with else { return Vec::new() };
    let agency = named.suspect_agency.as_ref().filter(|agency| *agency != ANY_AGENCY);
    agency.map(|agency| suspects_routes(keys, rules, agency, named.suspect_unit.as_deref())).unwrap_or_default()
}

fn facts(referral: &Referral, receipt: Timestamp) -> BTreeMap<String, FactValue> {
    let event = &referral.event;
    let mut facts = BTreeMap::new();
    event.detail.coded_facts(&mut |name, value| {
        facts.insert(name.to_owned(), value);
    });
    let mut put = |name: &str, value: Option<FactValue>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    put(DANGER, event.immediate_danger.fact());
    put(EMERGENCY_CALL, event.emergency_call_made.fact());
    put("agreement", event.agreement.as_ref().and_then(|agreement| agreement.state.fact()));
    let unborn = is_unborn(event);
    let ages = if unborn { UNBORN_AGES } else { age_facts(&event.child, happened_at(event).min(receipt), receipt) };
    for (name, value) in ages {
        put(name, value);
    }
    put("child.unborn", Some(FactValue::Bool(unborn)));
    put(AT_SCHOOL, Some(FactValue::Bool(is_at_school(&event.child))));
    put(WEEKS_OF_PREGNANCY, due_date(event).and_then(|due| weeks_of_pregnancy(due, receipt)));
    put(ANY_RISK_FACTOR, any_risk_factor(&event.detail).map(FactValue::Bool));
    put(SIBLINGS_NAMED, Some(FactValue::Bool(!event.siblings.is_empty())));
    put(NAMED_WITH_ANOTHER, Some(FactValue::Bool(referral.named_with.is_some())));
    let named = referral.named_with.as_ref();
    let apart = named.is_some_and(NamedWith::is_apart);
    let unclear = named.is_some_and(|named| apart && is_unclear(named.relationship.as_deref(), &event.detail));
    put(OF_ANOTHER_FAMILY, Some(FactValue::Bool(apart && !unclear)));
    put(FAMILY_UNCLEAR, Some(FactValue::Bool(unclear)));
    let named_as_parent = named.is_some_and(|named| is_parent(named.relationship.as_deref()));
    put(NAMED_AS_PARENT, Some(FactValue::Bool(named_as_parent)));
    put("child.home_educated", event.child.home_educated.fact());
    facts
}

/// Of a child who is not born yet.
const UNBORN_AGES: [(&str, Option<FactValue>); 3] = [
    ("child.age_years", Some(FactValue::Int(0))),
    ("child.from_17_and_a_half", Some(FactValue::Bool(false))),
    ("child.turns_18_within_30d", Some(FactValue::Bool(false))),
];

fn is_at_school(child: &Child) -> bool {
    child.school_urn.is_some() && child.home_educated != Some(true)
}

/// Completed weeks, counted from 40 weeks before the due date.
pub fn weeks_of_pregnancy(due: civil::Date, receipt: Timestamp) -> Option<FactValue> {
    let left = london_date(receipt).until((Unit::Day, due)).ok()?.get_days();
    let weeks = PREGNANCY_DAYS.saturating_sub(left).div_euclid(7);
    Some(FactValue::Int(i64::from(weeks)))
}

/// Whether any risk factor is named; None: nothing is said either way.
fn any_risk_factor(detail: &Detail) -> Option<bool> {
    let Detail::UnbornConcern(concern) = detail else { return None };
    let named = !concern.risk_factors.is_empty();
    if named { Some(true) } else { concern.earlier_child_removed }
}

/// The facts that a date of birth gives: completed years when it happened, and how near eighteen is at receipt.
pub fn age_facts(child: &Child, at: Timestamp, receipt: Timestamp) -> [(&'static str, Option<FactValue>); 3] {
    let months = age_months(child, at);
    [
        ("child.age_years", months.and_then(|months| months.checked_div(12)).map(FactValue::Int)),
        ("child.from_17_and_a_half", months.map(|months| FactValue::Bool(months >= MONTHS_17_AND_A_HALF))),
        ("child.turns_18_within_30d", turns_18_within_30d(child, receipt).map(FactValue::Bool)),
    ]
}

pub fn is_under_one(child: &Child, at: Timestamp) -> bool {
    age_months(child, at).is_some_and(|months| months < 12)
}

fn age_months(child: &Child, at: Timestamp) -> Option<i64> {
    let born = child.date_of_birth?.to_civil();
    let span = born.until((Unit::Month, london_date(at))).ok()?;
    (!span.is_negative()).then_some(i64::from(span.get_months()))
}

fn turns_18_within_30d(child: &Child, at: Timestamp) -> Option<bool> {
    let birthday = eighteenth_birthday(child)?;
    let days = london_date(at).until((Unit::Day, birthday)).ok()?.get_days();
    Some((0..=30).contains(&days))
}
