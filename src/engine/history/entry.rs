//! An event as it is remembered: coded facts, the child's age at the time, and the anchors of its clocks.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Span, Unit};

use crate::engine::model::detail::Detail;
use crate::engine::model::event::{Child, ReferralEvent};
use crate::engine::model::history::{Entry, HeldBack};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{Coded, FactType, FactValue, Timestamp};

const MONTHS_17_AND_A_HALF: i64 = 17 * 12 + 6;

/// Coded facts of the envelope, kept beside the detail's own.
const ENVELOPE_FLAGS: [&str; 2] = ["immediate_danger", "emergency_call_made"];

/// The type of an envelope fact that may be corrected.
pub fn envelope_fact(name: &str) -> Option<FactType> {
    ENVELOPE_FLAGS.contains(&name).then_some(FactType::Bool)
}

/// Whether a value is one of a fact's type.
pub fn fits(fact: FactType, value: &FactValue) -> bool {
    match (fact, value) {
        (FactType::Bool, FactValue::Bool(_)) | (FactType::Int, FactValue::Int(_)) => true,
        (FactType::Code(symbols), FactValue::Code(symbol)) => symbols.contains(&symbol.as_str()),
        (FactType::Bool | FactType::Int | FactType::Code(_), _) => false,
    }
}

/// What is kept of a referral. `zone`: where the child's age is counted.
pub fn of(referral: &Referral, receipt: Timestamp, zone: &TimeZone) -> Entry {
    let event = &referral.event;
    Entry {
        event_id: event.event_id.clone(),
        source: event.source.clone(),
        kind: event.detail.kind().to_owned(),
        content_digest: referral.content_digest.clone(),
        partner_reference: event.partner_reference.clone(),
        police_reference: super::police_reference(event),
        episode_ref: episode_ref(&event.detail),
        occurred_at: happened_at(event),
        received_at: receipt,
        anchors: anchors(event),
        date_only: event.date_only,
        facts: facts(event, receipt, zone),
        held_back: held_back(event),
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        backfilled: event.backfill,
        withdrawn: false,
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
fn anchors(event: &ReferralEvent) -> BTreeMap<String, Timestamp> {
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
    anchors
}

/// Routes the sender asked to leave out, and the suspect's own.
pub fn held_back(event: &ReferralEvent) -> Vec<HeldBack> {
    let asked = event.do_not_inform.iter().filter_map(|wish| {
        let agency = wish.agency.clone()?;
        Some(HeldBack { agency, unit: wish.unit.clone(), cause: "asked".to_owned() })
    });
    let suspect = if let Detail::SexualAbuseAlleged(alleged) = &event.detail {
        alleged.suspect_agency.clone().zip(Some(alleged.suspect_unit.clone()))
    } else if let Detail::PositionOfTrustAlleged(alleged) = &event.detail {
        alleged.employer_agency.clone().zip(Some(alleged.employer_unit.clone()))
    } else {
        None
    };
    let suspect = suspect.map(|(agency, unit)| HeldBack { agency, unit, cause: "suspect".to_owned() });
    asked.chain(suspect).collect()
}

fn facts(event: &ReferralEvent, receipt: Timestamp, zone: &TimeZone) -> BTreeMap<String, FactValue> {
    let mut facts = BTreeMap::new();
    event.detail.coded_facts(&mut |name, value| {
        facts.insert(name.to_owned(), value);
    });
    let mut put = |name: &str, value: Option<FactValue>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    put("immediate_danger", event.immediate_danger.fact());
    put("emergency_call_made", event.emergency_call_made.fact());
    put("agreement", event.agreement.as_ref().and_then(|agreement| agreement.state.fact()));
    for (name, value) in age_facts(&event.child, happened_at(event).min(receipt), receipt, zone) {
        put(name, value);
    }
    put("child.unborn", Some(FactValue::Bool(is_unborn(event))));
    put("child.home_educated", event.child.home_educated.fact());
    facts
}

fn is_unborn(event: &ReferralEvent) -> bool {
    matches!(event.detail, Detail::UnbornConcern(_))
        || (event.child.due_date.is_some() && event.child.date_of_birth.is_none())
}

/// The facts that a date of birth gives: completed years when it happened, and how near eighteen is at receipt.
pub fn age_facts(
    child: &Child,
    at: Timestamp,
    receipt: Timestamp,
    zone: &TimeZone,
) -> [(&'static str, Option<FactValue>); 3] {
    let months = age_months(child, at, zone);
    [
        ("child.age_years", months.and_then(|months| months.checked_div(12)).map(FactValue::Int)),
        ("child.from_17_and_a_half", months.map(|months| FactValue::Bool(months >= MONTHS_17_AND_A_HALF))),
        ("child.turns_18_within_30d", turns_18_within_30d(child, receipt, zone).map(FactValue::Bool)),
    ]
}

fn age_months(child: &Child, at: Timestamp, zone: &TimeZone) -> Option<i64> {
    let born = child.date_of_birth?.to_civil();
    let span = born.until((Unit::Month, at.date_in(zone))).ok()?;
    (!span.is_negative()).then_some(i64::from(span.get_months()))
}

fn turns_18_within_30d(child: &Child, at: Timestamp, zone: &TimeZone) -> Option<bool> {
    let born = child.date_of_birth?.to_civil();
    let birthday = born.checked_add(Span::new().try_years(18).ok()?).ok()?;
    let days = at.date_in(zone).until((Unit::Day, birthday)).ok()?.get_days();
    Some((0..=30).contains(&days))
}
