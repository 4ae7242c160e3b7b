//! What goes wrong in real life: sent twice, sent late, corrected, taken back, told by two, or not to be read at all.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::incidents::{Sent, late, uuid};
use super::partners::{PARTNERS, SCHOOLS};
use super::{HOUR_MS, MINUTE_MS, Payload, Simulated};
use crate::engine::model::detail::{Detail, EventCorrected, EventWithdrawn};
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::scalar::{FactValue, Timestamp};

/// The incident as the router gets it.
pub fn spoil(rng: &mut ChaCha8Rng, incident: Vec<Sent>) -> Vec<Simulated> {
    let mut sent = Vec::with_capacity(incident.len() + 1);
    for one in incident {
        let one = if rng.random_bool(0.03) { late(rng, one) } else { one };
        match rng.random_range(0..1000) {
            0..20 => sent.extend([event(one.clone()), event(again(rng, one))]),
            20..32 => {
                let corrected = correction(rng, &one);
                sent.push(event(one));
                sent.extend(corrected.map(event));
            }
            32..36 => {
                let taken_back = withdrawal(rng, &one);
                sent.extend([event(one), event(taken_back)]);
            }
            36..42 => {
                let corroboration = by_school(rng, &one);
                sent.push(event(one));
                sent.extend(corroboration.map(event));
            }
            42..54 => sent.push(refused(rng, &one)),
            54..60 => sent.push(unreadable(rng, &one)),
            _ => sent.push(event(one)),
        }
    }
    sent
}

fn event((at, event): Sent) -> Simulated {
    simulated(at, &event.source.clone(), Payload::Event(Box::new(event)))
}

fn simulated(at: Timestamp, source: &Source, payload: Payload) -> Simulated {
    let partner =
        PARTNERS.iter().find(|partner| partner.name == source.partner).map_or("police", |partner| partner.name);
    Simulated { at, partner, unit: source.unit.clone(), payload }
}

/// The same event once more: the sender did not see the answer.
fn again(rng: &mut ChaCha8Rng, (at, event): Sent) -> Sent {
    (at.plus_millis(rng.random_range(1..10) * MINUTE_MS), event)
}

/// The sender got a coded field wrong. None where there is nothing to correct.
fn correction(rng: &mut ChaCha8Rng, (at, original): &Sent) -> Option<Sent> {
    let change = match &original.detail {
        Detail::MissingStarted(_) => ("grade", "high"),
        Detail::ExploitationScreened(_) => ("score", "high"),
        Detail::DomesticAbuseAttended(_) => ("police_risk", "medium"),
        _ => return None,
    };
    let changes = BTreeMap::from([(change.0.to_owned(), FactValue::Code(change.1.to_owned()))]);
    let detail = Detail::EventCorrected(EventCorrected {
        original_event_id: original.event_id.clone(),
        changes,
        reason: Some("Keyed wrongly.".to_owned()),
    });
    Some(follow_up(rng, *at, original, detail))
}

fn withdrawal(rng: &mut ChaCha8Rng, (at, original): &Sent) -> Sent {
    let reason = Some("Wrong child selected.".to_owned());
    let original_event_id = original.event_id.clone();
    let withdrawn = EventWithdrawn { original_event_id, reason, right_child: None, right_event_id: None };
    let detail = Detail::EventWithdrawn(withdrawn);
    follow_up(rng, *at, original, detail)
}

fn follow_up(rng: &mut ChaCha8Rng, at: Timestamp, original: &ReferralEvent, detail: Detail) -> Sent {
    let at = at.plus_millis(rng.random_range(5..300) * MINUTE_MS);
    let event = ReferralEvent {
        event_id: uuid(rng),
        occurred_at: at,
        reported_at: None,
        narrative: None,
        factors: Vec::new(),
        immediate_danger: None,
        emergency_call_made: None,
        detail,
        ..original.clone()
    };
    (at, event)
}

/// The school reports the same missing episode, under the same police reference.
fn by_school(rng: &mut ChaCha8Rng, (at, original): &Sent) -> Option<Sent> {
    let urn = original.child.school_urn.clone()?;
    if !matches!(original.detail, Detail::MissingStarted(_)) || original.source.partner == SCHOOLS.name {
        return None;
    }
    let (role, call_back) = SCHOOLS.practitioner(rng);
    let mut event = ReferralEvent { event_id: uuid(rng), ..original.clone() };
    event.source = Source { partner: SCHOOLS.name.to_owned(), agency: None, unit: urn };
    event.practitioner.role = role.to_owned();
    event.practitioner.call_back = call_back;
    Some((at.plus_millis(rng.random_range(1..12) * HOUR_MS), event))
}

/// A body no gateway may take: wrong in one of the usual ways.
fn refused(rng: &mut ChaCha8Rng, (at, original): &Sent) -> Simulated {
    let id = uuid(rng);
    let source = format!("{}/{}", original.source.partner, original.source.unit);
    let body = match rng.random_range(0..5) {
        0 => format!(r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"missing.started""#),
        1 => format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"missing.began","time":"2026-01-01T00:00:00Z","data":{{}}}}"#
        ),
        2 => format!(
            r#"{{"specversion":"1.0","id":"not-a-uuid","source":"{source}","type":"concern.reported","time":"yesterday","data":{{"child":{{}},"detail":{{}}}}}}"#
        ),
        3 => format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"someone-else/unit","type":"concern.reported","time":"2026-01-01T00:00:00Z","data":{{"practitioner":{{"role":"x","call_back":"y"}},"child":{{}},"detail":{{"concern":"other"}}}}}}"#
        ),
        _ => format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"neglect.assessed","time":"2099-01-01T00:00:00Z","data":{{"practitioner":{{"role":"x","call_back":"y"}},"child":{{}},"detail":{{"gcp2_grade":3}}}}}}"#
        ),
    };
    simulated(*at, &original.source, Payload::Refused(body.into_bytes()))
}

/// Bytes that are no record: a schema nobody knows, or none at all.
fn unreadable(rng: &mut ChaCha8Rng, (at, original): &Sent) -> Simulated {
    let mut bytes = vec![0_u8; rng.random_range(1..60)];
    rng.fill(&mut bytes[..]);
    if rng.random_bool(0.5) {
        bytes.splice(0..0, [0xc3, 0x01]);
    }
    simulated(*at, &original.source, Payload::Unreadable(bytes))
}
