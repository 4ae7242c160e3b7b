//! Whether a record from quarantine would be accepted now, and what is published then.
//!
//! No loops: only what passes is published, and what was itself a retry is not retried; the first record is.

use super::Gateway;
use super::envelope::Item;
use super::publish::{header, keyed};
use crate::broker::Write;
use crate::engine::intake::Said;
use crate::engine::intake::refuse::{FAULTS_HEADER, REFERENCE_HEADER, REFUSED_HEADER};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::inbox::{InboxBody, InboxRecord};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::Quarantined;
use crate::engine::model::scalar::Timestamp;
use crate::engine::schema::{Fault, inspect};
use crate::engine::{cloud_event, codec};
use crate::runtime::intake_lane::DISAGREEMENT;
use crate::runtime::topics::GATEWAY;

/// Names the record that a retry came from.
pub const RETRY_OF: &str = "retry_of";

/// What to publish, or why it would be refused again.
pub fn check(kept: &Quarantined, now: Timestamp) -> Result<Write, Vec<Fault>> {
    if kept.headers.iter().any(|one| one.name == RETRY_OF) {
        let problem = "was itself a retry: retry the record that its header retry_of names";
        return Err(vec![Fault::new("", problem)]);
    }
    let (key, value) = match kept.topic.split_once('.') {
        _ if kept.topic == GATEWAY && by_gateway(kept) != Said::Event => outcome(kept, now)?,
        _ if kept.topic == GATEWAY => referral(kept, kept.partner.as_deref().unwrap_or_default(), now)?,
        Some(("referrals", partner)) => referral(kept, partner, now)?,
        Some(("outcomes", _)) => outcome(kept, now)?,
        _ if kept.topic == "inbox" => inbox(kept)?,
        _ => return Err(vec![Fault::new("topic", "is not one that records can be sent to again")]),
    };
    let mut headers: Vec<(String, Vec<u8>)> = kept
        .headers
        .iter()
        .filter(|one| {
            ![REFUSED_HEADER, FAULTS_HEADER, REFERENCE_HEADER].contains(&one.name.as_str())
                && !one.name.starts_with("ce_")
        })
        .map(|one| (one.name.clone(), one.value.clone()))
        .collect();
    headers.push(header(RETRY_OF, kept.quarantine_id.as_str()));
    Ok(keyed(&kept.topic, &key, value, headers))
}

/// What INTAKE itself would refuse it for, if anything. A record of the inbox is past INTAKE.
pub fn refusal(gateway: &Gateway, kept: &Quarantined, write: &Write) -> Option<Vec<Fault>> {
    let (sender, said) = match kept.topic.split_once('.') {
        _ if kept.topic == GATEWAY => (kept.partner.as_deref().unwrap_or_default(), by_gateway(kept)),
        Some(("referrals", partner)) => (partner, Said::Event),
        Some(("outcomes", agency)) => (agency, Said::Answer),
        Some(_) | None => return None,
    };
    gateway.intake_refusal(sender, kept.unit.as_deref(), said, write).map(|refusal| refusal.faults)
}

/// What the gateway stamped it as.
fn by_gateway(kept: &Quarantined) -> Said {
    let is_stamped = |name: &str| kept.headers.iter().any(|one| one.name == name);
    match (is_stamped("agency"), is_stamped(DISAGREEMENT)) {
        (true, _) => Said::Answer,
        (false, true) => Said::Disagreement,
        (false, false) => Said::Event,
    }
}

/// A referral event in Avro, or in JSON as it came over HTTP.
fn referral(kept: &Quarantined, partner: &str, now: Timestamp) -> Result<(Vec<u8>, Vec<u8>), Vec<Fault>> {
    let mut event = match codec::decode::<ReferralEvent>(&kept.original) {
        Ok(event) => {
            let findings = inspect::event(&event, Some(now));
            let faults: Vec<Fault> = findings.faults.into_iter().chain(findings.future).collect();
            if !faults.is_empty() {
                return Err(faults);
            }
            event
        }
        Err(error) if error == codec::CodecError::FramedForRegistry || kept.original.starts_with(&[0xC3, 0x01]) => {
            return Err(told(error));
        }
        Err(_) => {
            let item = Item::from_kept(kept.original.clone(), attributes(kept));
            item.read(now).map_err(|unusable| unusable.faults.told_of_one_of(1))?.event
        }
    };
    if event.source.partner != partner {
        return Err(vec![Fault::new("source", "is not the partner that sent it")]);
    }
    match &kept.unit {
        Some(unit) if event.source.unit.is_empty() => event.source.unit.clone_from(unit),
        Some(unit) if *unit != event.source.unit => {
            return Err(vec![Fault::new("source", "is not the unit that sent it")]);
        }
        Some(_) | None => {}
    }
    Ok((event.event_id.clone().into_bytes(), codec::encode(&event).map_err(told)?))
}

/// The CloudEvents attributes that a binary-mode request had in its headers.
fn attributes(kept: &Quarantined) -> Vec<(String, String)> {
    kept.headers
        .iter()
        .filter_map(|one| {
            let name = one.name.strip_prefix("ce_")?;
            Some((name.to_owned(), String::from_utf8_lossy(&one.value).into_owned()))
        })
        .collect()
}

fn outcome(kept: &Quarantined, now: Timestamp) -> Result<(Vec<u8>, Vec<u8>), Vec<Fault>> {
    let outcome = match codec::decode::<Outcome>(&kept.original) {
        Ok(outcome) => outcome,
        Err(error) => match serde_json::from_slice(&kept.original) {
            Ok(json) => cloud_event::outcome(&json)?,
            Err(_) => return Err(told(error)),
        },
    };
    let findings = inspect::outcome(&outcome, Some(now));
    let faults: Vec<Fault> = findings.faults.into_iter().chain(findings.future).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok((outcome.outcome_id.clone().into_bytes(), codec::encode(&outcome).map_err(told)?))
}

/// A record that made a step fault: the same bytes again, for a router that has been mended.
fn inbox(kept: &Quarantined) -> Result<(Vec<u8>, Vec<u8>), Vec<Fault>> {
    let record = codec::decode::<InboxRecord>(&kept.original).map_err(told)?;
    if let InboxBody::Tick(_) = record.body {
        let problem = "is a clock that could not be judged, and cannot be started again: see its triage task";
        return Err(vec![Fault::new("", problem)]);
    }
    Ok((record.subject.0.to_vec(), kept.original.clone()))
}

fn told(error: codec::CodecError) -> Vec<Fault> {
    vec![Fault::new("", error.to_string())]
}
