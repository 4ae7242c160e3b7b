//! A record that could not be used, kept whole with the reason.

use serde::{Deserialize, Serialize};

use super::scalar::Timestamp;

/// Published to `quarantine`. The original bytes may name a child: the topic is for operators alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// UUIDv5 of topic, partition and offset.
    pub quarantine_id: String,
    pub reason: QuarantineReason,
    /// Field paths and what was expected; never a value.
    pub faults: Vec<String>,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Which partner's topic, if it was one.
    pub partner: Option<String>,
    pub unit: Option<String>,
    pub event_id: Option<String>,
    pub receipt: Timestamp,
    #[serde(with = "super::bytes")]
    pub original: Vec<u8>,
    pub headers: Vec<Header>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    pub name: String,
    #[serde(with = "super::bytes")]
    pub value: Vec<u8>,
}

/// Also the value of the metric's `reason` label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum QuarantineReason {
    #[serde(rename = "undecodable")]
    Undecodable,
    #[serde(rename = "unknown_schema")]
    UnknownSchema,
    #[serde(rename = "wrong_source")]
    WrongSource,
    #[serde(rename = "invalid_field")]
    InvalidField,
    #[serde(rename = "future_time")]
    FutureTime,
    #[serde(rename = "too_large")]
    TooLarge,
    #[serde(rename = "bad_reply_to")]
    BadReplyTo,
    #[serde(rename = "router_fault")]
    RouterFault,
    /// A symbol of a later schema.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl QuarantineReason {
    /// The reason of this symbol, if it is one that lies with the sender.
    pub fn of_sender(symbol: &str) -> Option<Self> {
        use QuarantineReason::{
            BadReplyTo, FutureTime, InvalidField, TooLarge, Undecodable, UnknownSchema, WrongSource,
        };
        let reasons = [Undecodable, UnknownSchema, WrongSource, InvalidField, FutureTime, TooLarge, BadReplyTo];
        reasons.into_iter().find(|reason| reason.symbol() == symbol)
    }

    /// The reason as it is sent: `wrong_source`.
    pub fn symbol(self) -> &'static str {
        match self {
            QuarantineReason::Undecodable => "undecodable",
            QuarantineReason::UnknownSchema => "unknown_schema",
            QuarantineReason::WrongSource => "wrong_source",
            QuarantineReason::InvalidField => "invalid_field",
            QuarantineReason::FutureTime => "future_time",
            QuarantineReason::TooLarge => "too_large",
            QuarantineReason::BadReplyTo => "bad_reply_to",
            QuarantineReason::RouterFault => "router_fault",
            QuarantineReason::Unknown => "unknown",
        }
    }
}
