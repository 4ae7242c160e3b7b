//! A task: what one agency (or unit) must do, by when, why, and the facts it may see.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codes::Sex;
use super::event::{Address, Carer, Practitioner, VoiceOfChild};
use super::field_name::FieldName;
use super::scalar::{Date, Level, Timestamp};

/// The `kind` of what is to be read with others of its day, and asks for nothing.
pub const DIGEST: &str = "digest";
/// The `kind` of word about what its recipient was asked or has answered: to be known, and owed no answer.
pub const WORD: &str = "word";

/// Published to `tasks.<agency>`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// UUIDv5 of source, event or timer, subject, rule book, agency, unit, role and action.
    pub task_id: String,
    pub agency: String,
    pub unit: Option<String>,
    /// `manager`, `allocated-worker`: who within the agency.
    pub role: Option<String>,
    /// What to do, as the rule book says it.
    pub action: String,
    /// The level this recipient needs to know; proposed until a named person decides.
    pub level: Option<Level>,
    pub level_is_proposed: bool,
    pub due_at: Timestamp,
    /// How the deadline came about: `5 wd from receipt`.
    pub due_reason: String,
    /// The clock had already run out on arrival.
    pub late_on_arrival: bool,
    /// Acknowledge by this time, if the rule asks for it.
    pub acknowledge_by: Option<Timestamp>,
    /// Why, in a practitioner's words: one entry a rule.
    pub reasons: Vec<Reason>,
    /// Why this may be shared: the bases' letters and their full statements.
    pub bases: Vec<Basis>,
    /// The service needs the family's agreement.
    pub needs_agreement: bool,
    /// The child, permitted fields only; none for a task raised by a timer.
    pub child: Option<ChildView>,
    /// Coded facts this agency may see.
    pub facts: BTreeMap<FieldName, Arc<str>>,
    pub narrative: Option<String>,
    pub voice_of_child: Option<VoiceOfChild>,
    pub carers: Vec<Carer>,
    /// The referrer to ring back.
    pub call_back: Option<Practitioner>,
    /// The referrer's own reference, to quote when ringing.
    pub partner_reference: Option<String>,
    /// The task of this agency that this one follows.
    pub follows: Option<String>,
    /// Things to weigh: held-back routes to confirm or lift, missing voice, uncovered windows.
    pub notes: Vec<String>,
    pub raised_at: Timestamp,
    /// Sealed address to answer to.
    pub reply_to: String,
    /// Of a task that asks whether two records are one child: the address of the other.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub other_reply_to: Option<String>,
    /// `digest`: for the daily digest of its `due_at`; `word`: about what its recipient was asked or has answered. Neither needs an
    /// answer. None: a task like any other.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub kind: Option<String>,
    /// Of a rung about several unanswered tasks of one event: those beside the one it follows.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub follows_also: Option<Vec<String>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reason {
    pub rule: String,
    pub title: String,
    pub why: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Basis {
    pub letter: String,
    pub statement: Arc<str>,
}

/// The child as one agency may see them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ChildView {
    pub nhs_number: Option<String>,
    pub upn: Option<String>,
    pub given_names: Option<String>,
    pub family_name: Option<String>,
    pub date_of_birth: Option<Date>,
    pub due_date: Option<Date>,
    pub school_urn: Option<String>,
    pub gp_ods: Option<String>,
    pub locality: Option<String>,
    pub addresses: Vec<Address>,
    pub address_withheld: bool,
    pub sex: Option<Sex>,
    pub ethnicity: Option<String>,
    pub disability_or_send: Option<String>,
    pub first_language: Option<String>,
    pub interpreter_needed: Option<bool>,
    /// Identifiers that failed their check digit: shown, but not to be matched on.
    pub unverified: Vec<String>,
}
