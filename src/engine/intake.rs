//! INTAKE: makes inbox records of what partners and agencies send. Stateless; the topic a record came on is its origin.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::codec::{self, CodecError};
use super::identity::{Identifiers, Keys, expected, keys_alone};
use super::ids::derived;
use super::model::codes::HumanDecision;
use super::model::detail::{DecisionRecorded, Detail};
use super::model::event::ReferralEvent;
use super::model::feedback::Feedback;
use super::model::inbox::{Alias, InboxBody, InboxRecord, Referral};
use super::model::quarantine::{QuarantineReason, Quarantined};
use super::model::scalar::Timestamp;
use super::model::subject::SubjectKey;
use super::schema::Fault;
use super::schema::Published;
use super::schema::inspect::{self, Findings};
use super::schema::limits::RECORD_BYTES_MAX;
use super::seal::{ReplyTo, Sealer};

pub mod answers;
mod attributes;
pub mod refuse;
pub mod standing;

use refuse::Refusal;
use standing::Agencies;

/// `keyed_by` of a record that was routed by its sealed address.
pub const KEYED_BY_REPLY: &str = "reply_to";
/// What INTAKE knows beside the record. The same for every instance of the router.
#[derive(Clone, Copy, Debug)]
pub struct IntakeContext<'a> {
    pub keys: &'a Keys,
    pub sealer: &'a Sealer,
    pub partners: &'a Partners,
    pub agencies: &'a Agencies,
    /// The front door's telephone number, for feedback.
    pub front_door_phone: Option<&'a str>,
}

/// Partners by name.
pub type Partners = BTreeMap<String, Partner>;

/// A partner as configured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partner {
    /// The partner's own agency in the rule book, if it is one.
    pub agency: Option<String>,
    /// Units it may send for; None: any.
    pub units: Option<BTreeSet<String>>,
}

/// A record of `referrals.<sender>` or `outcomes.<sender>`.
#[derive(Clone, Copy, Debug)]
pub struct IncomingRecord<'a> {
    pub topic: &'a str,
    pub partition: u32,
    pub offset: i64,
    /// When the broker appended it.
    pub receipt: Timestamp,
    /// The partner or agency whose topic it is: the authenticated origin.
    pub sender: &'a str,
    /// The gateway wrote it, on a topic that nobody else may write: what it stamped can be believed.
    pub by_gateway: bool,
    /// The unit whose token the gateway saw; None: not by the gateway.
    pub unit: Option<&'a str>,
    pub headers: &'a [(String, Vec<u8>)],
    /// Why the bytes could not be put into our schema on the way here, if somebody tried.
    pub fault: Option<&'a str>,
    /// Empty for a tombstone.
    pub value: &'a [u8],
    /// The topic is the router's own import: it may mark events as history only.
    pub allow_backfill: bool,
}

/// What became of a record: inbox records, or a quarantined one with the signal to triage it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Accepted {
    pub inbox: Vec<InboxRecord>,
    pub quarantined: Option<Quarantined>,
    /// To the sender: only when the record was not accepted.
    pub feedback: Option<Feedback>,
}

/// Takes in a record of `referrals.<partner>`.
pub fn referral(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Accepted {
    match accept_referral(context, incoming) {
        Ok(inbox) => Accepted { inbox: vec![inbox], quarantined: None, feedback: None },
        Err(refusal) => refusal.into_accepted(context, incoming, Some(incoming.sender)),
    }
}

/// What a record says, by who may say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// A partner's event.
    Event,
    /// An agency's answer.
    Answer,
    /// A partner's disagreement with what became of its own event.
    Disagreement,
}

/// Takes in a record by what it says.
pub fn take_in(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>, said: Said) -> Accepted {
    match said {
        Said::Event => referral(context, incoming),
        Said::Answer => outcome(context, incoming),
        Said::Disagreement => match answers::disagreement(context, incoming) {
            Ok(inbox) => Accepted { inbox: vec![inbox], quarantined: None, feedback: None },
            Err(refusal) => refusal.into_accepted(context, incoming, Some(incoming.sender)),
        },
    }
}

/// Takes in a record of `outcomes.<agency>`.
pub fn outcome(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Accepted {
    match answers::answer(context, incoming) {
        Ok(inbox) => Accepted { inbox: vec![inbox], quarantined: None, feedback: None },
        Err(refusal) => refusal.into_accepted(context, incoming, partner_of_agency(context.partners, incoming.sender)),
    }
}

fn accept_referral(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Result<InboxRecord, Refusal> {
    let event: ReferralEvent = decoded(incoming)?;
    let refused = |refusal: Refusal| refusal.of_event(&event).as_sent(incoming);
    let mut found = Found::default();
    found.unless_refused(attributes::of_event(incoming, &event));
    found.unless_refused(refuse_findings(inspect::event(&event, Some(incoming.receipt))));
    let (partner, replied) = standing_of(context, incoming, &event, &mut found);
    if let Some(refusal) = found.refusal {
        return Err(refused(refusal));
    }
    let content_digest = content_digest(&event)?;
    let mut event = event;
    event.source.agency = partner.and_then(|partner| partner.agency.clone());
    if let Some(unit) = incoming.unit {
        unit.clone_into(&mut event.source.unit);
    }
    Ok(inbox_record(context, incoming, event, content_digest, replied))
}

/// What is wrong with an event that is read in part beside its form: who sends it and whom it names. By its sender's paths, as
/// they know them of a CloudEvent.
pub fn faults_beside_form(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    event: &ReferralEvent,
) -> Vec<Fault> {
    let mut found = Found::default();
    standing_of(context, incoming, event, &mut found);
    found.refusal.map_or(Vec::new(), |refusal| refusal.as_sent(incoming).into_faults())
}

/// Everything that an event is refused for, under the first reason.
#[derive(Default)]
struct Found {
    refusal: Option<Refusal>,
}

impl Found {
    fn unless_refused<T>(&mut self, checked: Result<T, Refusal>) -> Option<T> {
        match (checked, &mut self.refusal) {
            (Ok(value), _) => Some(value),
            (Err(refusal), Some(first)) => {
                first.join(refusal);
                None
            }
            (Err(refusal), none) => {
                *none = Some(refusal);
                None
            }
        }
    }
}

/// Who sends an event, and the subject that its address names, where they can be told.
fn standing_of<'a>(
    context: &IntakeContext<'a>,
    incoming: &IncomingRecord<'_>,
    event: &ReferralEvent,
    found: &mut Found,
) -> (Option<&'a Partner>, Option<SubjectKey>) {
    let partner = found.unless_refused(authenticated(context, incoming, event));
    if let Some(partner) = partner {
        found.unless_refused(standing::may_send(context.agencies, partner, event));
    }
    found.unless_refused(standing::names(context.agencies, event, incoming.receipt));
    if event.backfill && !incoming.allow_backfill {
        let problem = "is for the router's own import: leave it out";
        found.unless_refused::<()>(Err(Refusal::of(QuarantineReason::InvalidField, "backfill", problem)));
    }
    if let (Some(partner), Detail::DecisionRecorded(decision)) = (partner, &event.detail) {
        found.unless_refused(other_reply(context, decision, &recipients(incoming, partner)));
    }
    let replied = partner.and_then(|partner| found.unless_refused(reply(context, incoming, event, partner)));
    if replied == Some(None) {
        found.unless_refused(standing::child_is_said(context.keys, event));
    }
    found.unless_refused(standing::right_child_is_said(context.keys, event));
    (partner, replied.flatten())
}

/// Who the record is about: under its strongest key, with the weaker ones that name the same child.
fn inbox_record(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    event: ReferralEvent,
    content_digest: String,
    replied: Option<SubjectKey>,
) -> InboxRecord {
    let about = event.detail.original_event_id().unwrap_or(&event.event_id);
    let identifiers = Identifiers::of(context.keys, &event.child, &event.source, about);
    let (strongest_kind, strongest) = identifiers.strongest;
    let expected = if replied.is_some() { None } else { expected::keys(context.keys, &event, incoming.receipt) };
    let (subject, keyed_by, weaker, sighting) = match replied {
        Some(subject) => (subject, KEYED_BY_REPLY, Vec::new(), None),
        None => (strongest, strongest_kind.symbol(), identifiers.weaker, identifiers.sighting),
    };
    InboxRecord {
        id: derived(&["referral", &subject.to_hex(), incoming.sender, &event.event_id, &content_digest]),
        subject,
        receipt: incoming.receipt,
        body: InboxBody::Referral(Referral {
            event,
            content_digest,
            keyed_by: keyed_by.to_owned(),
            unverified: identifiers.unverified,
            hops: 0,
            weaker: keys_alone(weaker),
            named_with: None,
            sighting,
            expected,
        }),
    }
}

/// The weaker keys of a referral as records of their own, for a release that does not tell them itself.
pub fn aliases_of(record: &InboxRecord) -> Vec<InboxRecord> {
    let InboxBody::Referral(referral) = &record.body else { return Vec::new() };
    let (event_id, partner) = (&referral.event.event_id, &referral.event.source.partner);
    let told = referral.weaker.iter().flatten().map(|key| InboxRecord {
        id: derived(&["alias", &key.to_hex(), &record.subject.to_hex(), partner, event_id]),
        subject: *key,
        receipt: record.receipt,
        body: InboxBody::Alias(Alias {
            stronger: record.subject,
            event_id: event_id.clone(),
            partner: partner.clone(),
            checked_for: None,
        }),
    });
    told.collect()
}

fn decoded<T: Published>(incoming: &IncomingRecord<'_>) -> Result<T, Refusal> {
    if incoming.value.len() > RECORD_BYTES_MAX {
        let problem = format!("the record is too large: send at most {RECORD_BYTES_MAX} bytes");
        return Err(Refusal::of(QuarantineReason::TooLarge, "", &problem));
    }
    if let Some(fault) = incoming.fault {
        return Err(Refusal::of(QuarantineReason::UnknownSchema, "", fault));
    }
    codec::decode(incoming.value).map_err(|error| Refusal::by_gateway(incoming).unwrap_or_else(|| undecoded(&error)))
}

fn undecoded(error: &CodecError) -> Refusal {
    let reason = match error {
        CodecError::Unframed | CodecError::Undecodable { .. } | CodecError::TrailingBytes => {
            QuarantineReason::Undecodable
        }
        CodecError::FramedForRegistry | CodecError::UnknownSchema => QuarantineReason::UnknownSchema,
        CodecError::Failed | CodecError::Unencodable { .. } | CodecError::Schema(_) => QuarantineReason::RouterFault,
    };
    Refusal::of(reason, "", &error.to_string())
}

fn refuse_findings(findings: Findings) -> Result<(), Refusal> {
    let Findings { mut faults, future } = findings;
    let reason = match (faults.is_empty(), future.is_empty()) {
        (true, true) => return Ok(()),
        (true, false) => QuarantineReason::FutureTime,
        (false, _) => QuarantineReason::InvalidField,
    };
    faults.extend(future);
    Err(Refusal::new(reason, faults))
}

/// The partner whose topic it is, unless the event claims to be someone else's.
fn authenticated<'a>(
    context: &IntakeContext<'a>,
    incoming: &IncomingRecord<'_>,
    event: &ReferralEvent,
) -> Result<&'a Partner, Refusal> {
    let wrong = |path: &str, problem: &str| Refusal::of(QuarantineReason::WrongSource, path, problem);
    let Some(partner) = context.partners.get(incoming.sender) else {
        return Err(wrong("", "this topic belongs to no configured partner"));
    };
    if event.source.partner != incoming.sender {
        return Err(wrong("source.partner", "must be the partner whose topic this is"));
    }
    let unit = incoming.unit.unwrap_or(&event.source.unit);
    if partner.units.as_ref().is_some_and(|units| !units.contains(unit)) {
        return Err(wrong("source.unit", "must be one of the partner's configured units"));
    }
    Ok(partner)
}

/// Whose addresses a partner may echo.
fn recipients<'a>(incoming: &IncomingRecord<'a>, partner: &'a Partner) -> [Option<&'a str>; 2] {
    [Some(incoming.sender), partner.agency.as_deref()]
}

/// The subject a sealed address names, for the kinds that answer an earlier task or feedback.
fn reply(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    event: &ReferralEvent,
    partner: &Partner,
) -> Result<Option<SubjectKey>, Refusal> {
    let answers = matches!(
        event.detail,
        Detail::EventCorrected(_)
            | Detail::EventWithdrawn(_)
            | Detail::DecisionRecorded(_)
            | Detail::AgreementRecorded(_)
    );
    let Some(sealed) = event.reply_to.as_deref().filter(|_| answers) else { return Ok(None) };
    let reply = opened(context, "reply_to", sealed)?;
    if !recipients(incoming, partner).contains(&Some(reply.agency.as_str())) {
        let problem = "was sealed for another recipient: echo the address of your own task or feedback";
        return Err(Refusal::of(QuarantineReason::WrongSource, "reply_to", problem));
    }
    Ok(Some(reply.subject))
}

/// A decision about two children names the other by an address that its sender was given.
fn other_reply(
    context: &IntakeContext<'_>,
    decision: &DecisionRecorded,
    recipients: &[Option<&str>],
) -> Result<(), Refusal> {
    let path = "detail.other_reply_to";
    let Some(other) = &decision.other_reply_to else {
        let of_two = [HumanDecision::SubjectsLinked, HumanDecision::SubjectsUnlinked];
        if decision.decision.is_some_and(|decided| of_two.contains(&decided)) {
            let problem = "is required: echo the address of the other child's task or feedback";
            return Err(Refusal::of(QuarantineReason::InvalidField, path, problem));
        }
        return Ok(());
    };
    let reply = opened(context, path, other)?;
    if !recipients.contains(&Some(reply.agency.as_str())) {
        let problem = "was sealed for another recipient: echo the address of your own task or feedback";
        return Err(Refusal::of(QuarantineReason::WrongSource, path, problem));
    }
    Ok(())
}

fn opened(context: &IntakeContext<'_>, path: &str, sealed: &str) -> Result<ReplyTo, Refusal> {
    context
        .sealer
        .open(sealed)
        .map_err(|error| Refusal::of(QuarantineReason::BadReplyTo, path, &format!("is not usable: {error}")))
}

/// The partner that is this agency, if there is exactly one: whom to tell of a refused outcome.
fn partner_of_agency<'a>(partners: &'a Partners, agency: &str) -> Option<&'a str> {
    let mut named = partners.iter().filter(|(_, partner)| partner.agency.as_deref() == Some(agency));
    let (name, _) = named.next()?;
    named.next().is_none().then_some(name.as_str())
}

/// SHA-256 of the event as its sender encoded it, first 16 bytes in hex. Encoded again by us, so that two encodings of
/// the same content count as the same.
fn content_digest(event: &ReferralEvent) -> Result<String, Refusal> {
    let fault = |error: CodecError| Refusal::of(QuarantineReason::RouterFault, "", &error.to_string());
    let encoded = if event.source.agency.is_some() {
        let mut event = event.clone();
        event.source.agency = None;
        codec::encode_stably(&event).map_err(fault)?
    } else {
        codec::encode_stably(event).map_err(fault)?
    };
    let digest: [u8; 32] = Sha256::digest(&encoded).into();
    Ok(digest.first_chunk::<16>().map(hex::encode).unwrap_or_default())
}
