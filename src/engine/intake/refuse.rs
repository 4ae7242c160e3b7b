//! A record that cannot be used: kept whole in quarantine, its sender told, social care asked to look.

use sha2::{Digest, Sha256};

use super::{Accepted, IncomingRecord, IntakeContext, content_digest};
use crate::engine::cloud_event;
use crate::engine::codec;
use crate::engine::danger;
use crate::engine::ids::derived;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::feedback::{Feedback, FeedbackStatus};
use crate::engine::model::inbox::{InboxBody, InboxRecord, Signal, UNREAD_RECORD};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::{Header, QuarantineReason, Quarantined};
use crate::engine::schema::read::is_uuid;
use crate::engine::schema::{Fault, counted, first_of};

/// How many faults are written down.
const FAULTS_KEPT_MAX: usize = 50;
/// How many faults the sender is told in one message.
const FAULTS_TOLD_MAX: usize = 10;
/// Longer than any unit is called.
const UNIT_CHARS_MAX: usize = 64;
/// The CloudEvents header that names an event whose value cannot be read.
const EVENT_ID_HEADER: &str = "ce_id";

/// What an event's attributes are called in headers, and those of them that say how it came, and may be others when it comes again.
const ATTRIBUTE_PREFIX: &str = "ce_";
const OF_THE_WAY: [&str; 2] = ["ce_traceparent", "ce_tracestate"];

/// Stamped by the gateway on bytes that it could not make a record of: the reason's symbol.
pub const REFUSED_HEADER: &str = "refused";
/// Beside it: the faults it told the sender, as JSON.
pub const FAULTS_HEADER: &str = "faults";

/// And that what was sent says immediate danger, where the bytes that are kept may not.
pub const DANGER_HEADER: &str = "danger";

/// And its sender's own reference, where that can be read.
pub const REFERENCE_HEADER: &str = "partner-reference";

/// Stamped by the gateway on an event that left `occurred_at` out: its attribute `time` says when it happened.
pub const DATED_BY_TIME_HEADER: &str = "dated-by-time";

/// Why a record is not accepted, with what of it could be read safely.
pub struct Refusal {
    reason: QuarantineReason,
    faults: Vec<Fault>,
    event_id: Option<String>,
    partner_reference: Option<String>,
    unit: Option<String>,
}

impl Refusal {
    pub fn new(reason: QuarantineReason, faults: Vec<Fault>) -> Self {
        Self { reason, faults, event_id: None, partner_reference: None, unit: None }
    }

    pub fn of(reason: QuarantineReason, path: &str, problem: &str) -> Self {
        Self::new(reason, vec![Fault::new(path, problem)])
    }

    /// What else the same record is refused for.
    pub fn join(&mut self, other: Self) {
        let Self { faults, .. } = other;
        self.faults.extend(faults);
    }

    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// What the gateway found wrong with bytes that are no record: nearer to the truth than that they are not Avro.
    pub fn by_gateway(incoming: &IncomingRecord<'_>) -> Option<Self> {
        if !incoming.by_gateway {
            return None;
        }
        let header = |name: &str| incoming.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let symbol = std::str::from_utf8(header(REFUSED_HEADER)?).ok()?;
        let reason = QuarantineReason::of_sender(symbol)?;
        let told: Vec<Fault> =
            header(FAULTS_HEADER).and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default();
        let reference = header(REFERENCE_HEADER).and_then(|value| std::str::from_utf8(value).ok());
        Some(Self { partner_reference: reference.map(str::to_owned), ..Self::new(reason, told) })
    }

    /// Notes which event it was, as far as that can be told.
    pub fn of_event(mut self, event: &ReferralEvent) -> Self {
        self.event_id = Some(event.event_id.clone()).filter(|id| is_uuid(id));
        self.partner_reference.clone_from(&event.partner_reference);
        self.unit = Some(event.source.unit.clone());
        self
    }

    /// The gateway's events came as CloudEvents: their faults are named where the sender wrote what is wrong, as in the reply.
    pub fn as_sent(mut self, incoming: &IncomingRecord<'_>) -> Self {
        if incoming.by_gateway {
            let is_dated_by_time = incoming.headers.iter().any(|(name, _)| name == DATED_BY_TIME_HEADER);
            self.faults = cloud_event::as_sent(self.faults, is_dated_by_time);
        }
        self
    }

    /// Notes which outcome it was.
    pub fn of_outcome(mut self, outcome: &Outcome) -> Self {
        self.event_id = Some(outcome.outcome_id.clone()).filter(|id| is_uuid(id));
        self
    }

    /// What to publish instead. `told`: the partner that gets feedback, if there is one.
    pub fn into_accepted(
        self,
        context: &IntakeContext<'_>,
        incoming: &IncomingRecord<'_>,
        told: Option<&str>,
    ) -> Accepted {
        let quarantine_id = quarantine_id(incoming.topic, incoming.partition, incoming.offset);
        let event_id = self.event_id.clone().or_else(|| header_event_id(incoming));
        let feedback =
            told.map(|partner| self.feedback(context, incoming, partner, (&quarantine_id, event_id.as_deref())));
        let unit = incoming.unit.map(str::to_owned);
        let endangered = !incoming.allow_backfill && says_danger(incoming);
        let asked_of = unit.clone().or_else(|| self.unit_of_partner(context, incoming));
        let said = self.said(incoming).unwrap_or_else(|| quarantine_id.clone());
        let signal = InboxRecord {
            id: derived(&[UNREAD_RECORD, incoming.sender, asked_of.as_deref().unwrap_or_default(), &said]),
            subject: context.keys.partner_subject(incoming.sender, asked_of.as_deref()),
            receipt: incoming.receipt,
            body: InboxBody::Signal(Signal {
                kind: UNREAD_RECORD.to_owned(),
                cause: quarantine_id.clone(),
                partner: Some(incoming.sender.to_owned()),
                unit: asked_of,
                reason: Some(self.reason.symbol().to_owned()),
                danger: endangered.then_some(true),
                ..Signal::default()
            }),
        };
        let quarantined = Quarantined {
            quarantine_id,
            reason: self.reason,
            faults: first_of(self.faults.clone(), FAULTS_KEPT_MAX).iter().map(ToString::to_string).collect(),
            topic: incoming.topic.to_owned(),
            partition: i32::try_from(incoming.partition).unwrap_or(i32::MAX),
            offset: incoming.offset,
            partner: Some(incoming.sender.to_owned()),
            unit,
            event_id,
            receipt: incoming.receipt,
            original: incoming.value.to_vec(),
            headers: incoming
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.clone(), value: value.clone() })
                .collect(),
        };
        Accepted { inbox: vec![signal], quarantined: Some(quarantined), feedback }
    }

    /// The same for a repeat of it alone: of an event its content, of other bytes they and their attributes. None: that cannot
    /// be told, since not all of it is kept.
    fn said(&self, incoming: &IncomingRecord<'_>) -> Option<String> {
        if self.reason == QuarantineReason::TooLarge && incoming.by_gateway {
            return None;
        }
        let by_content = codec::decode::<ReferralEvent>(incoming.value).ok();
        if let Some(digest) = by_content.and_then(|event| content_digest(&event).ok()) {
            return Some(digest);
        }
        let is_said = |name: &str| name.starts_with(ATTRIBUTE_PREFIX) && !OF_THE_WAY.contains(&name);
        let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let attributes = incoming.headers.iter().filter(|(name, _)| is_said(name));
        let mut parts: Vec<String> = attributes.map(|(name, value)| format!("{name}\0{}", digest(value))).collect();
        parts.sort();
        parts.push(digest(incoming.value));
        Some(derived(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// The unit that the record names, where it is one of its partner's.
    fn unit_of_partner(&self, context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Option<String> {
        let units = &context.partners.get(incoming.sender)?.units;
        let is_theirs = |unit: &&String| {
            let is_usable = !unit.is_empty() && unit.chars().count() <= UNIT_CHARS_MAX;
            is_usable && units.as_ref().is_none_or(|units| units.contains(*unit))
        };
        self.unit.as_ref().filter(is_theirs).cloned()
    }

    fn feedback(
        &self,
        context: &IntakeContext<'_>,
        incoming: &IncomingRecord<'_>,
        partner: &str,
        (quarantine_id, event_id): (&str, Option<&str>),
    ) -> Feedback {
        Feedback {
            feedback_id: derived(&["feedback", quarantine_id]),
            event_id: event_id.unwrap_or(quarantine_id).to_owned(),
            partner: partner.to_owned(),
            unit: incoming.unit.map(str::to_owned).or_else(|| self.unit.clone()).unwrap_or_default(),
            partner_reference: self.partner_reference.clone(),
            status: FeedbackStatus::NotAccepted,
            message: self.message(context, incoming, quarantine_id),
            at: incoming.receipt,
            reply_to: None,
        }
    }

    fn message(&self, context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>, quarantine_id: &str) -> String {
        let phone = context.front_door_phone.map_or(String::new(), |phone| format!(" on {phone}"));
        let (told, untold) = counted(&self.faults, FAULTS_TOLD_MAX);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        let more = if untold > 0 { format!("; and {untold} more") } else { String::new() };
        let told = told.join("; ") + &more;
        let stop = if told.ends_with('?') { "" } else { "." };
        // Whoever writes a topic knows its places; of the gateway's nobody but the router does.
        let place = match incoming.by_gateway {
            true => format!("kept as {quarantine_id}"),
            false => format!("{}, partition {}, offset {}", incoming.topic, incoming.partition, incoming.offset),
        };
        format!(
            "Not accepted, nobody has acted on it: {told}{stop} ({place}.) Send it again, corrected. If a child may be at risk do not \
             wait: ring the front door{phone}, in danger 999.",
        )
    }
}

/// What a record at this place is called in quarantine; in feedback, too, where it names no event.
pub fn quarantine_id(topic: &str, partition: u32, offset: i64) -> String {
    derived(&["quarantine", topic, &partition.to_string(), &offset.to_string()])
}

fn says_danger(incoming: &IncomingRecord<'_>) -> bool {
    let is_stamped = incoming.by_gateway && incoming.headers.iter().any(|(name, _)| name == DANGER_HEADER);
    is_stamped || danger::is_said_in(incoming.value)
}

/// None: it is not said, or two are.
fn header_event_id(incoming: &IncomingRecord<'_>) -> Option<String> {
    let mut said = incoming.headers.iter().filter(|(name, _)| name == EVENT_ID_HEADER).map(|(_, value)| value);
    let id = said.next().filter(|id| said.all(|other| other == *id))?;
    std::str::from_utf8(id).ok().filter(|id| is_uuid(id)).map(str::to_owned)
}
