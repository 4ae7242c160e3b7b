//! What a sender may know of what became of their referral.

use serde::{Deserialize, Serialize};

use super::scalar::Timestamp;

/// Published to `feedback.<partner>`. Never a level, a recipient or an address.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Feedback {
    pub feedback_id: String,
    /// The sender's event.
    pub event_id: String,
    pub partner: String,
    pub unit: String,
    pub partner_reference: Option<String>,
    pub status: FeedbackStatus,
    /// In plain words, with who to ring.
    pub message: String,
    pub at: Timestamp,
    /// Sealed address for corrections and withdrawals; none when the record was not accepted.
    pub reply_to: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FeedbackStatus {
    #[serde(rename = "received")]
    Received,
    #[serde(rename = "already_known")]
    AlreadyKnown,
    #[serde(rename = "being_looked_at")]
    BeingLookedAt,
    #[serde(rename = "decided")]
    Decided,
    #[serde(rename = "not_accepted")]
    NotAccepted,
    #[serde(rename = "not_applied")]
    NotApplied,
    /// A symbol of a later schema.
    #[serde(other, rename = "unknown")]
    Unknown,
}
