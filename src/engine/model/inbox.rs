//! The inbox: everything DECIDE reads, keyed by subject. Its order within a partition is the order of judgement.

use serde::{Deserialize, Serialize};

use super::event::ReferralEvent;
use super::history::{EventOf, FirstReceipt, History};
use super::outcome::Outcome;
use super::scalar::Timestamp;
use super::subject::SubjectKey;

/// One record of the inbox.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InboxRecord {
    /// Deterministic UUID of what caused the record, so that a repeat is recognised.
    pub id: String,
    pub subject: SubjectKey,
    /// When the broker appended the partner's record; for a tick, the tick's own append time is used instead.
    pub receipt: Timestamp,
    pub body: InboxBody,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "referrals are nearly all of the inbox; boxing them would cost each one an allocation"
)]
pub enum InboxBody {
    #[serde(rename = "pathway.Referral")]
    Referral(Referral),
    #[serde(rename = "pathway.OutcomeReceived")]
    Outcome(OutcomeReceived),
    #[serde(rename = "pathway.Alias")]
    Alias(Alias),
    #[serde(rename = "pathway.Forward")]
    Forward(Forward),
    #[serde(rename = "pathway.Signal")]
    Signal(Signal),
    #[serde(rename = "pathway.Tick")]
    Tick(Tick),
}

/// A referral event that INTAKE accepted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Referral {
    pub event: ReferralEvent,
    /// SHA-256 (first 16 bytes, hex) of the content as sent: tells a retransmission from other content under one id.
    pub content_digest: String,
    /// Which identifier made the subject key: `nhs_number`, `upn`, `local_id`, `name_and_birth`, `none`.
    pub keyed_by: String,
    /// Identifiers that failed their check and were not used to match: `nhs_number`, `upn`.
    pub unverified: Vec<String>,
    /// How often the record was forwarded along aliases.
    pub hops: i32,
    /// Weaker verified keys of the same child, strongest first: each is told of the stronger once.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub weaker: Option<Vec<SubjectKey>>,
    /// Set when the router itself made the event for a child whom another's referral names.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub named_with: Option<NamedWith>,
    /// The key by name and birth, where something stronger made the subject: it is told once that this one was seen.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub sighting: Option<SubjectKey>,
    /// Keys by mother or address, and month, of a child who is expected or newly born: each is told once that this one was seen.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub expected: Option<Vec<SubjectKey>>,
}

/// Whose referral names this child.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NamedWith {
    pub event_id: String,
    /// When social care must act for the child of that event.
    pub due_at: Option<Timestamp>,
    /// The suspect's own route, which holds for every child of the family.
    pub suspect_agency: Option<String>,
    /// None: the whole agency.
    pub suspect_unit: Option<String>,
    /// The child of that event is of another family, or nobody can tell by `relationship` whether they are of one.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub other_family: Option<bool>,
    /// What the sender says this child is to that one: who harmed whom, for those who may see it.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub relationship: Option<String>,
}

impl NamedWith {
    /// Nothing of the one child's family is for the other.
    pub fn is_apart(&self) -> bool {
        self.other_family == Some(true)
    }
}

/// An outcome whose `reply_to` opened: which task, and to whom it had been addressed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OutcomeReceived {
    pub task_id: String,
    /// Who answered, as authenticated.
    pub agency: String,
    pub unit: Option<String>,
    pub outcome: Outcome,
    pub hops: i32,
    /// The partner whose own disagreement this is, by the address of its feedback; `agency` is then what it is in the rule
    /// book, or empty. None: an agency answers.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
}

/// The subject of this record is the same child as `stronger`, by verified identifiers in one event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alias {
    pub stronger: SubjectKey,
    /// The event that carried both identifiers.
    pub event_id: String,
    pub partner: String,
    /// A weaker key that belongs to this one already: whether this one and `stronger` are one child is only checked.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub checked_for: Option<SubjectKey>,
}

/// The history of a weaker key, forwarded to the stronger one when the alias became known.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Forward {
    pub from: SubjectKey,
    pub history: History,
    pub hops: i32,
}

/// The signal that a partner's record went to quarantine.
pub const UNREAD_RECORD: &str = "unread_record";

/// Word from elsewhere in the router: of another subject, or of INTAKE's quarantine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Signal {
    /// `unread_record`: a partner's record went to quarantine. The others: `step/one_child/sighting.rs`, `step/one_child/link.rs`,
    /// `step/arriving/first_receipt.rs`.
    pub kind: String,
    /// What caused it (event id, quarantine id).
    pub cause: String,
    pub partner: Option<String>,
    pub unit: Option<String>,
    pub reason: Option<String>,
    /// The other subject it is about.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub other: Option<SubjectKey>,
    /// What made the other's key.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub keyed_by: Option<String>,
    /// The sender's own reference of the other's event.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub reference: Option<String>,
    /// What came under the other's own key.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub events: Option<Vec<EventOf>>,
    /// How often it was forwarded along aliases.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub hops: Option<i32>,
    /// The event that this subject's own was sent instead of.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub first: Option<FirstReceipt>,
    /// Where the sender of the other's event can be rung.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub call_back: Option<String>,
    /// What could not be read says that a child is in immediate danger.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub danger: Option<bool>,
}

/// Time passes: appended to each inbox partition by its owner.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tick {
    pub partition: i32,
}
