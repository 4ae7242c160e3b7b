//! What intake makes of a partner's record, and of one it cannot use.

use std::collections::BTreeMap;

use pathway_router::engine::codec::{decode, encode};
use pathway_router::engine::identity::{IdentifierKind, Keys};
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::intake::{self, Accepted, IncomingRecord, IntakeContext, Partner, Partners};
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::feedback::FeedbackStatus;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord, Referral};
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::quarantine::{QuarantineReason, Quarantined};
use pathway_router::engine::model::scalar::{FactValue, Timestamp};
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::schema::from_json;
use pathway_router::engine::seal::{ReplyTo, Sealer};
use serde_json::json;
use uuid::Uuid;

use crate::samples;

#[path = "outcomes.rs"]
mod outcomes;
#[path = "refused.rs"]
mod refused;

const HOUR_MS: i64 = 60 * 60 * 1000;
/// Two hours after the samples' events.
const RECEIPT: Timestamp = Timestamp(1_775_041_200_000);

struct World {
    keys: Keys,
    sealer: Sealer,
    partners: Partners,
    agencies: Agencies,
}

impl World {
    fn new() -> Self {
        let partner = |agency: Option<&str>, units: Option<&[&str]>| Partner {
            agency: agency.map(str::to_owned),
            units: units.map(|units| units.iter().map(|unit| (*unit).to_owned()).collect()),
        };
        let partners: BTreeMap<String, Partner> = [
            ("police", partner(Some("police"), Some(&["missing-from-home", "public-protection"]))),
            ("schools", partner(Some("school"), None)),
            ("council", partner(Some("social-care"), None)),
            ("leighton-hospital", partner(None, None)),
        ]
        .into_iter()
        .map(|(name, partner)| (name.to_owned(), partner))
        .collect();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let agencies = Agencies {
            units: Default::default(),
            names: named(&["social-care", "police", "school", "gp"]),
            meant: named(&["social-care", "police", "school", "gp"]),
            front_doors: named(&["social-care"]),
            stand_ins: named(&["lado", "partnership"]),
            of_many_units: named(&["school", "gp"]),
        };
        Self { keys: Keys::from_secret(&[1; 32]), sealer: Sealer::from_secret(&[2; 32]), partners, agencies }
    }

    fn context(&self) -> IntakeContext<'_> {
        IntakeContext {
            keys: &self.keys,
            sealer: &self.sealer,
            partners: &self.partners,
            agencies: &self.agencies,
            front_door_phone: Some("01632 960123"),
        }
    }

    /// Takes in these bytes from a partner, as stamped by the gateway.
    fn referral_bytes(&self, partner: &str, unit: Option<&str>, value: &[u8]) -> Accepted {
        let topic = format!("referrals.{partner}");
        intake::referral(
            &self.context(),
            &IncomingRecord { by_gateway: true, unit, ..incoming(&topic, partner, value) },
        )
    }

    /// Takes in an event that its partner wrote to its own topic.
    fn referral(&self, event: &ReferralEvent) -> Accepted {
        let (partner, value) = (&event.source.partner, encode(event).expect("an event"));
        intake::referral(&self.context(), &incoming(&format!("referrals.{partner}"), partner, &value))
    }

    fn outcome(&self, agency: &str, unit: Option<&str>, outcome: &Outcome) -> Accepted {
        let topic = format!("outcomes.{agency}");
        let value = encode(outcome).expect("an outcome");
        intake::outcome(&self.context(), &IncomingRecord { by_gateway: true, unit, ..incoming(&topic, agency, &value) })
    }

    fn seal(&self, agency: &str, unit: Option<&str>) -> String {
        self.sealer.seal(&ReplyTo {
            subject: SubjectKey([9; 32]),
            task_id: Uuid::from_u128(7),
            agency: agency.to_owned(),
            unit: unit.map(str::to_owned),
        })
    }
}

fn incoming<'a>(topic: &'a str, sender: &'a str, value: &'a [u8]) -> IncomingRecord<'a> {
    IncomingRecord {
        topic,
        partition: 0,
        offset: 41,
        receipt: RECEIPT,
        sender,
        by_gateway: false,
        unit: None,
        headers: &[],
        fault: None,
        value,
        allow_backfill: false,
    }
}

/// The referral a record became, which must be the first and only one.
fn referral_of(accepted: &Accepted) -> (&InboxRecord, &Referral) {
    assert_eq!(accepted.quarantined, None);
    let mut referrals = accepted.inbox.iter().filter_map(|record| match &record.body {
        InboxBody::Referral(referral) => Some((record, referral)),
        InboxBody::Outcome(_)
        | InboxBody::Alias(_)
        | InboxBody::Forward(_)
        | InboxBody::Signal(_)
        | InboxBody::Tick(_) => None,
    });
    let referral = referrals.next().expect("a referral");
    assert!(referrals.next().is_none());
    referral
}

/// A record refused as it must be: kept whole, its sender told, the signal raised, nothing else.
fn refused<'a>(world: &World, accepted: &'a Accepted, reason: QuarantineReason, fault: &str) -> &'a Quarantined {
    let quarantined = accepted.quarantined.as_ref().expect("a quarantined record");
    assert_eq!(quarantined.reason, reason, "{:?}", quarantined.faults);
    assert!(quarantined.faults.iter().any(|one| one.contains(fault)), "{fault}: {:?}", quarantined.faults);
    assert_eq!(quarantined.receipt, RECEIPT);
    let [signal] = accepted.inbox.as_slice() else { panic!("one record: {:?}", accepted.inbox) };
    let InboxBody::Signal(body) = &signal.body else { panic!("a signal: {:?}", signal.body) };
    let sender = body.partner.as_deref().expect("who sent it");
    assert_eq!((body.kind.as_str(), body.cause.as_str()), ("unread_record", quarantined.quarantine_id.as_str()));
    assert_eq!(body.reason.as_deref(), Some(reason.symbol()));
    assert_eq!(signal.subject, world.keys.partner_subject(sender, body.unit.as_deref()));
    encode(quarantined).expect("a quarantined record that can be written");
    encode(signal).expect("a signal that can be written");
    quarantined
}

#[test]
fn every_kind_becomes_a_referral_about_its_child() {
    let mut world = World::new();
    world.partners.values_mut().for_each(|partner| partner.units = None);
    for kind in samples::kinds() {
        let mut event = samples::event(kind);
        if let Detail::DecisionRecorded(decision) = &mut event.detail {
            decision.other_reply_to = Some(world.seal("social-care", None));
        }
        let accepted = world.referral(&event);
        let (record, referral) = referral_of(&accepted);
        assert_eq!(record.receipt, RECEIPT);
        assert_eq!(referral.hops, 0);
        assert_eq!(referral.unverified, Vec::<String>::new(), "{kind}");
        let expected = if kind == "unborn.concern" { "local_id" } else { "nhs_number" };
        assert_eq!(referral.keyed_by, expected, "{kind}");
        let agency = world.partners.get(&event.source.partner).and_then(|partner| partner.agency.clone());
        event.source.agency = agency;
        assert_eq!(referral.event, event, "{kind}");
        let bytes = encode(record).expect("an inbox record");
        assert_eq!(decode::<InboxRecord>(&bytes).as_ref(), Ok(record), "{kind}");
    }
}

#[test]
fn weaker_identifiers_travel_with_the_strongest() {
    let world = World::new();
    let event = samples::event("missing.started");
    let accepted = world.referral(&event);
    let (record, referral) = referral_of(&accepted);
    let number = event.child.nhs_number.as_deref().expect("an NHS number");
    assert_eq!(record.subject, world.keys.subject_key(IdentifierKind::NhsNumber, number));
    let upn = world.keys.subject_key(IdentifierKind::Upn, event.child.upn.as_deref().expect("a UPN"));
    let weaker = referral.weaker.as_deref().unwrap_or_default();
    assert_eq!(weaker.len(), 2, "the UPN's and the sender's own id's");
    assert_eq!(weaker[0], upn);
    assert!(!weaker.contains(&record.subject));
    assert_eq!(world.referral(&event), accepted, "the same again gives the same records");
}

#[test]
fn a_wrong_check_digit_is_kept_marked_and_not_matched_on() {
    let world = World::new();
    let mut event = samples::event("missing.started");
    let right = event.child.nhs_number.clone().expect("an NHS number");
    let wrong = format!("{}{}", &right[..9], (right[9..].parse::<u8>().expect("a digit") + 1) % 10);
    event.child.nhs_number = Some(wrong.clone());
    event.child.upn = None;
    event.child.local_id = None;
    let accepted = world.referral(&event);
    let (record, referral) = referral_of(&accepted);
    assert_eq!(referral.unverified, ["nhs_number"]);
    assert_eq!(referral.event.child.nhs_number, Some(wrong.clone()));
    assert_eq!(referral.keyed_by, "name_and_birth");
    assert_ne!(record.subject, world.keys.subject_key(IdentifierKind::NhsNumber, &wrong));
    assert_eq!(accepted.inbox.len(), 1, "name and birth is never an alias");
}

#[test]
fn a_child_without_identifiers_is_a_subject_of_its_own() {
    let world = World::new();
    let mut event = samples::event("concern.reported");
    event.child = from_json::<ReferralEvent>(&samples::bare(pathway_router::engine::schema::SchemaName::ReferralEvent))
        .expect("a bare event")
        .child;
    let first = world.referral(&event);
    event.event_id = "00000000-0000-4000-8000-00000000ffff".to_owned();
    let second = world.referral(&event);
    assert_eq!(referral_of(&first).1.keyed_by, "none");
    assert_ne!(referral_of(&first).0.subject, referral_of(&second).0.subject);
}

#[test]
fn the_topic_is_the_origin_whatever_the_record_says() {
    let world = World::new();
    let mut event = samples::event("missing.started");
    let value = encode(&event).expect("an event");
    let refuse = |accepted: Accepted, fault: &str| {
        let quarantined = refused(&world, &accepted, QuarantineReason::WrongSource, fault);
        assert_eq!(quarantined.original, value);
        let feedback = accepted.feedback.as_ref().expect("the sender is told");
        assert_eq!(feedback.status, FeedbackStatus::NotAccepted);
        assert_eq!(Some(feedback.partner.as_str()), quarantined.partner.as_deref());
        assert_eq!(feedback.event_id, event.event_id);
        assert!(
            feedback.message.contains("ring the front door on 01632 960123, in danger 999"),
            "{}",
            feedback.message
        );
    };
    refuse(world.referral_bytes("schools", None, &value), "source must be the partner");
    refuse(world.referral_bytes("nobody", None, &value), "no configured partner");
    refuse(world.referral_bytes("police", Some("canteen"), &value), "source must be one of");

    // The unit is the gateway's to say, the agency the configuration's.
    event.source.agency = Some("social-care".to_owned());
    let accepted = world.referral_bytes("police", Some("public-protection"), &encode(&event).expect("an event"));
    let source = &referral_of(&accepted).1.event.source;
    assert_eq!((source.agency.as_deref(), source.unit.as_str()), (Some("police"), "public-protection"));
}

#[test]
fn the_digest_tells_other_content_from_the_same() {
    let world = World::new();
    let event = samples::event("missing.started");
    let digest = |event: &ReferralEvent| referral_of(&world.referral(event)).1.content_digest.clone();
    let first = digest(&event);
    assert_eq!(first.len(), 32);
    let mut claimed = event.clone();
    claimed.source.agency = Some("made-up".to_owned());
    assert_eq!(digest(&claimed), first, "an agency is never part of what was sent");
    let mut other = event.clone();
    other.narrative = Some("Another account.".to_owned());
    assert_ne!(digest(&other), first);
}

#[test]
fn a_time_too_far_ahead_is_refused_and_one_a_little_ahead_is_not() {
    let world = World::new();
    let mut event = samples::event("missing.started");
    event.occurred_at = RECEIPT.plus_millis(24 * HOUR_MS);
    referral_of(&world.referral(&event));
    event.occurred_at = RECEIPT.plus_millis(24 * HOUR_MS + 1);
    refused(&world, &world.referral(&event), QuarantineReason::FutureTime, "occurred_at lies more than 24 hours ahead");
    event.occurred_at = RECEIPT;
    if let Detail::MissingStarted(missing) = &mut event.detail {
        missing.last_seen_at = Some(RECEIPT.plus_millis(25 * HOUR_MS));
    }
    refused(&world, &world.referral(&event), QuarantineReason::FutureTime, "detail.last_seen_at");
}

#[test]
fn a_correction_to_a_time_too_far_ahead_is_refused_as_the_event_would_be() {
    let world = World::new();
    let mut event = samples::event("event.corrected");
    let mut to = |ahead_ms: i64| {
        if let Detail::EventCorrected(corrected) = &mut event.detail {
            let time = RECEIPT.plus_millis(ahead_ms).to_jiff().to_string();
            corrected.changes = [("last_seen_at".to_owned(), FactValue::Code(time))].into();
        }
        event.clone()
    };
    referral_of(&world.referral(&to(24 * HOUR_MS)));
    let later = to(24 * HOUR_MS + 1000);
    refused(
        &world,
        &world.referral(&later),
        QuarantineReason::FutureTime,
        "detail.changes.last_seen_at lies more than 24 hours ahead",
    );
}

#[test]
fn fields_are_checked_however_the_event_was_encoded() {
    let world = World::new();
    let invalid = |change: &dyn Fn(&mut ReferralEvent), fault: &str| {
        let mut event = samples::event("neglect.assessed");
        change(&mut event);
        let accepted = world.referral(&event);
        refused(&world, &accepted, QuarantineReason::InvalidField, fault);
    };
    invalid(&|event| event.event_id = "17".to_owned(), "event_id is not usable: give a UUID");
    invalid(&|event| event.practitioner.call_back = String::new(), "practitioner.call_back is required");
    invalid(&|event| event.narrative = Some("x".repeat(50_001)), "narrative is too long");
    invalid(&|event| event.narrative = Some("lost\0".to_owned()), "narrative holds the character U+0000");
    invalid(&|event| event.factors = vec!["15A".to_owned(); 201], "factors is too long");
    invalid(&|event| event.occurred_at = Timestamp(i64::MIN), "occurred_at is not usable");
    invalid(
        &|event| {
            event.child.date_of_birth =
                event.child.date_of_birth.map(|_| pathway_router::engine::model::scalar::Date(i32::MAX));
        },
        "child.date_of_birth",
    );
    invalid(&|event| event.backfill = true, "backfill is for the router's own import");
    let event = samples::event("neglect.assessed");
    let mut unnamed = event.clone();
    unnamed.event_id = "17".to_owned();
    let accepted = world.referral(&unnamed);
    let quarantined = accepted.quarantined.expect("quarantined");
    assert_eq!(quarantined.event_id, None, "it is no UUID");
    assert_eq!(accepted.feedback.map(|feedback| feedback.event_id), Some(quarantined.quarantine_id));
}

#[test]
fn a_fault_is_named_where_the_sender_wrote_it() {
    let world = World::new();
    let mut event = samples::event("neglect.assessed");
    event.occurred_at = Timestamp(i64::MIN);
    event.practitioner.call_back = String::new();
    let value = encode(&event).expect("an event");
    let message = |accepted: Accepted| accepted.feedback.expect("feedback").message;
    let by_record = message(world.referral(&event));
    assert!(by_record.contains(": occurred_at is not usable") && by_record.contains("; practitioner.call_back is"));
    // The gateway's reply names the same fields.
    let by_gateway = |headers: &[(String, Vec<u8>)]| {
        let (partner, unit) = (&event.source.partner, Some(event.source.unit.as_str()));
        let incoming = IncomingRecord { by_gateway: true, unit, headers, ..incoming("gateway.http", partner, &value) };
        message(intake::referral(&world.context(), &incoming))
    };
    let told = by_gateway(&[]);
    assert!(told.contains(": data.occurred_at is not usable") && told.contains("; data.practitioner.call_back is"));
    let told = by_gateway(&[("dated-by-time".to_owned(), b"true".to_vec())]);
    assert!(told.contains(": time is not usable") && told.contains("; data.practitioner.call_back is"), "{told}");
}

#[test]
fn only_the_routers_own_import_may_mark_backfill() {
    let world = World::new();
    let mut event = samples::event("missing.started");
    event.backfill = true;
    let value = encode(&event).expect("an event");
    let record = incoming("referrals.police", "police", &value);
    let accepted = intake::referral(&world.context(), &IncomingRecord { allow_backfill: true, ..record });
    assert!(referral_of(&accepted).1.event.backfill);
}

#[test]
fn what_cannot_be_read_is_kept_whole_and_told() {
    let world = World::new();
    let event = samples::event("missing.started");
    let whole = encode(&event).expect("an event");
    let refuse = |value: &[u8], reason: QuarantineReason, fault: &str| {
        let accepted = world.referral_bytes("police", Some("missing-from-home"), value);
        let quarantined = refused(&world, &accepted, reason, fault);
        assert_eq!(quarantined.original, value);
        assert_eq!((quarantined.topic.as_str(), quarantined.offset), ("referrals.police", 41));
        let feedback = accepted.feedback.as_ref().expect("the sender is told");
        assert_eq!(feedback.event_id, quarantined.quarantine_id, "the event's own id is not known");
        assert_eq!((feedback.unit.as_str(), feedback.reply_to.as_deref()), ("missing-from-home", None));
        encode(feedback).expect("feedback that can be written");
    };
    refuse(b"", QuarantineReason::Undecodable, "single-object encoding");
    refuse(b"{\"specversion\":\"1.0\"}", QuarantineReason::Undecodable, "single-object encoding");
    refuse(&whole[..whole.len() - 1], QuarantineReason::Undecodable, "does not follow its schema at detail");
    refuse(&[&whole[..], &[0]].concat(), QuarantineReason::Undecodable, "followed by other bytes");
    let mut other = whole.clone();
    other[5] ^= 1;
    refuse(&other, QuarantineReason::UnknownSchema, "use the published one");
    refuse(&vec![0xC3; 1024 * 1024 + 1], QuarantineReason::TooLarge, "at most 1048576 bytes");

    let header = [("ce_id".to_owned(), event.event_id.clone().into_bytes())];
    let record = incoming("referrals.police", "police", b"?");
    let accepted = intake::referral(&world.context(), &IncomingRecord { headers: &header, ..record });
    assert_eq!(accepted.feedback.map(|feedback| feedback.event_id), Some(event.event_id));
    assert_eq!(accepted.quarantined.map(|quarantined| quarantined.headers.len()), Some(1));
}

#[test]
fn an_echoed_address_routes_to_its_subject_and_a_forged_one_nowhere() {
    let world = World::new();
    for kind in ["event.corrected", "event.withdrawn"] {
        let mut event = samples::event(kind);
        event.reply_to = Some(world.seal("police", Some("missing-from-home")));
        let accepted = world.referral(&event);
        let (record, referral) = referral_of(&accepted);
        assert_eq!((record.subject, referral.keyed_by.as_str()), (SubjectKey([9; 32]), "reply_to"), "{kind}");
        assert_eq!(accepted.inbox.len(), 1, "no aliases: the subject is not of these identifiers");

        event.reply_to = Some(world.seal("leighton-hospital", None));
        refused(&world, &world.referral(&event), QuarantineReason::WrongSource, "reply_to was sealed for another");
        event.reply_to = Some("AAAA".to_owned());
        refused(&world, &world.referral(&event), QuarantineReason::BadReplyTo, "reply_to is not usable");
        event.reply_to = None;
        assert_eq!(referral_of(&world.referral(&event)).1.keyed_by, "nhs_number", "{kind}");
    }
    let mut agreement = samples::event("agreement.recorded");
    agreement.reply_to = Some(world.seal("social-care", None));
    assert_eq!(referral_of(&world.referral(&agreement)).0.subject, SubjectKey([9; 32]), "of the partner's own agency");
    let mut decision = samples::event("decision.recorded");
    refused(&world, &world.referral(&decision), QuarantineReason::BadReplyTo, "detail.other_reply_to");
    if let Detail::DecisionRecorded(detail) = &mut decision.detail {
        detail.other_reply_to = None;
    }
    referral_of(&world.referral(&decision));
}

#[test]
fn another_kind_of_event_is_never_routed_by_an_address() {
    let world = World::new();
    let mut event = samples::event("missing.started");
    event.reply_to = Some("AAAA".to_owned());
    assert_eq!(referral_of(&world.referral(&event)).1.keyed_by, "nhs_number");
}
