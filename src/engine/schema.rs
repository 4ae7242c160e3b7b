//! The published Avro schemas, parsed once, and the walker that reads and writes JSON by them.

use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::codes::HumanDecision;
use super::model::decision::Decision;
use super::model::detail::Detail;
use super::model::event::ReferralEvent;
use super::model::feedback::{Feedback, FeedbackStatus};
use super::model::history::History;
use super::model::inbox::{InboxBody, InboxRecord};
use super::model::outcome::Outcome;
use super::model::quarantine::Quarantined;
use super::model::task::Task;

pub mod inspect;
pub mod limits;
pub mod names;
pub mod path;
pub mod read;
pub mod shape;
pub mod write;

use path::Path;
use shape::{Record, Shape};

/// Every published schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SchemaName {
    ReferralEvent,
    Outcome,
    Inbox,
    Task,
    Decision,
    History,
    Feedback,
    Quarantine,
}

impl SchemaName {
    pub const ALL: [SchemaName; 8] = [
        SchemaName::ReferralEvent,
        SchemaName::Outcome,
        SchemaName::Inbox,
        SchemaName::Task,
        SchemaName::Decision,
        SchemaName::History,
        SchemaName::Feedback,
        SchemaName::Quarantine,
    ];

    /// The file's name in `schemas/`, without its ending.
    pub fn file_stem(self) -> &'static str {
        match self {
            SchemaName::ReferralEvent => "referral-event",
            SchemaName::Outcome => "outcome",
            SchemaName::Inbox => "inbox",
            SchemaName::Task => "task",
            SchemaName::Decision => "decision",
            SchemaName::History => "history",
            SchemaName::Feedback => "feedback",
            SchemaName::Quarantine => "quarantine",
        }
    }

    /// The schema as published, in Avro's JSON form.
    pub fn text(self) -> &'static str {
        match self {
            SchemaName::ReferralEvent => include_str!("../../schemas/referral-event.avsc"),
            SchemaName::Outcome => include_str!("../../schemas/outcome.avsc"),
            SchemaName::Inbox => include_str!("../../schemas/inbox.avsc"),
            SchemaName::Task => include_str!("../../schemas/task.avsc"),
            SchemaName::Decision => include_str!("../../schemas/decision.avsc"),
            SchemaName::History => include_str!("../../schemas/history.avsc"),
            SchemaName::Feedback => include_str!("../../schemas/feedback.avsc"),
            SchemaName::Quarantine => include_str!("../../schemas/quarantine.avsc"),
        }
    }

    /// The schema as last released: what partners may still be writing.
    pub fn released_text(self) -> &'static str {
        match self {
            SchemaName::ReferralEvent => include_str!("../../schemas/released/referral-event.avsc"),
            SchemaName::Outcome => include_str!("../../schemas/released/outcome.avsc"),
            SchemaName::Inbox => include_str!("../../schemas/released/inbox.avsc"),
            SchemaName::Task => include_str!("../../schemas/released/task.avsc"),
            SchemaName::Decision => include_str!("../../schemas/released/decision.avsc"),
            SchemaName::History => include_str!("../../schemas/released/history.avsc"),
            SchemaName::Feedback => include_str!("../../schemas/released/feedback.avsc"),
            SchemaName::Quarantine => include_str!("../../schemas/released/quarantine.avsc"),
        }
    }

    /// The parsed schema. An error can only come of a schema file that was edited wrongly.
    pub fn published(self) -> Result<&'static PublishedSchema, SchemaError> {
        static PARSED: LazyLock<Result<Vec<PublishedSchema>, SchemaError>> =
            LazyLock::new(|| SchemaName::ALL.into_iter().map(PublishedSchema::parse).collect());
        match &*PARSED {
            Ok(schemas) => schemas.get(self as usize).ok_or(SchemaError::NotListed(self.file_stem())),
            Err(error) => Err(error.clone()),
        }
    }
}

/// A schema ready for use.
pub struct PublishedSchema {
    /// The schemas a record may have been written by, ours first. Older ones are added here.
    writers: Vec<(serde_avro_fast::Schema, Arc<Record>)>,
    root: Arc<Record>,
}

/// A schema to write a record by.
#[derive(Clone, Copy)]
pub struct Form<'s> {
    fingerprint: &'s [u8; 8],
    pub root: &'s Record,
}

impl<'s> Form<'s> {
    /// CRC-64-AVRO, little-endian.
    pub fn rabin_fingerprint(&self) -> &'s [u8; 8] {
        self.fingerprint
    }
}

impl PublishedSchema {
    fn parse(name: SchemaName) -> Result<Self, SchemaError> {
        let malformed = |problem: String| SchemaError::Malformed(name.file_stem(), problem);
        let parse = |text: &str| -> Result<(serde_avro_fast::Schema, Arc<Record>), SchemaError> {
            let schema: serde_avro_fast::Schema = text.parse().map_err(|error| malformed(format!("{error}")))?;
            Ok((schema, shape::parse(text).map_err(malformed)?))
        };
        let own = parse(name.text())?;
        let root = own.1.clone();
        let mut writers = vec![own];
        let released = parse(name.released_text())?;
        if writers.iter().all(|(writer, _)| writer.rabin_fingerprint() != released.0.rabin_fingerprint()) {
            writers.push(released);
        }
        Ok(Self { writers, root })
    }

    /// The schema we write by.
    pub fn own(&self) -> Result<Form<'_>, SchemaError> {
        self.form(0).ok_or(SchemaError::NotListed("writer"))
    }

    /// The last released schema, where ours has grown since.
    pub fn released(&self) -> Option<Form<'_>> {
        self.form(1)
    }

    fn form(&self, place: usize) -> Option<Form<'_>> {
        let (schema, root) = self.writers.get(place)?;
        Some(Form { fingerprint: schema.rabin_fingerprint(), root })
    }

    /// The schema with this fingerprint (CRC-64-AVRO, little-endian), if it is one we can read.
    pub fn writer(&self, fingerprint: &[u8]) -> Option<&serde_avro_fast::Schema> {
        let mut schemas = self.writers.iter().map(|(schema, _)| schema);
        schemas.find(|schema| schema.rabin_fingerprint().as_slice() == fingerprint)
    }

    /// The record the schema describes.
    pub fn root(&self) -> &Arc<Record> {
        &self.root
    }
}

/// Why a published schema cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("schemas/{0}.avsc: {1}")]
    Malformed(&'static str, String),
    #[error("no schema is listed for {0}")]
    NotListed(&'static str),
}

/// A record with a published schema.
pub trait Published: Clone + Serialize + DeserializeOwned {
    const SCHEMA: SchemaName;
    /// The record without what the last released schema cannot say.
    fn as_released(&self) -> Self {
        self.clone()
    }
}

impl Published for ReferralEvent {
    const SCHEMA: SchemaName = SchemaName::ReferralEvent;

    fn as_released(&self) -> Self {
        let mut event = self.clone();
        if let Detail::DecisionRecorded(decision) = &mut event.detail {
            decision.unit = None;
            decision.held_back_for = None;
            let is_new = |code: &HumanDecision| {
                matches!(code, HumanDecision::AssessmentStarted | HumanDecision::TaskReaddressed)
            };
            if decision.decision.as_ref().is_some_and(is_new) {
                decision.decision = Some(HumanDecision::Unknown);
            }
        } else if let Detail::EventWithdrawn(withdrawn) = &mut event.detail {
            (withdrawn.right_child, withdrawn.right_event_id) = (None, None);
        }
        event
    }
}
impl Published for Outcome {
    const SCHEMA: SchemaName = SchemaName::Outcome;
}
impl Published for InboxRecord {
    const SCHEMA: SchemaName = SchemaName::Inbox;

    fn as_released(&self) -> Self {
        let mut record = self.clone();
        match &mut record.body {
            InboxBody::Forward(forward) => forward.history = forward.history.as_released(),
            InboxBody::Referral(referral) => {
                referral.event = referral.event.as_released();
                (referral.weaker, referral.named_with) = (None, None);
                (referral.sighting, referral.expected) = (None, None);
            }
            InboxBody::Alias(alias) => alias.checked_for = None,
            InboxBody::Signal(signal) => {
                (signal.other, signal.keyed_by, signal.reference) = (None, None, None);
                (signal.events, signal.hops, signal.first, signal.call_back) = (None, None, None, None);
                signal.danger = None;
            }
            InboxBody::Outcome(outcome) => outcome.partner = None,
            InboxBody::Tick(_) => {}
        }
        record
    }
}
impl Published for Task {
    const SCHEMA: SchemaName = SchemaName::Task;

    fn as_released(&self) -> Self {
        Self { other_reply_to: None, kind: None, follows_also: None, ..self.clone() }
    }
}
impl Published for Decision {
    const SCHEMA: SchemaName = SchemaName::Decision;

    fn as_released(&self) -> Self {
        Self { task_changes: Vec::new(), ..self.clone() }
    }
}
impl Published for History {
    const SCHEMA: SchemaName = SchemaName::History;

    fn as_released(&self) -> Self {
        self.without_what_is_new()
    }
}
impl Published for Feedback {
    const SCHEMA: SchemaName = SchemaName::Feedback;

    fn as_released(&self) -> Self {
        let status = match self.status {
            FeedbackStatus::Decided => FeedbackStatus::Unknown,
            FeedbackStatus::Received
            | FeedbackStatus::AlreadyKnown
            | FeedbackStatus::BeingLookedAt
            | FeedbackStatus::NotAccepted
            | FeedbackStatus::NotApplied
            | FeedbackStatus::Unknown => self.status,
        };
        Self { status, ..self.clone() }
    }
}
impl Published for Quarantined {
    const SCHEMA: SchemaName = SchemaName::Quarantine;
}

/// One thing wrong with what was sent. Names the field and what to send instead, never the value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Where: `data.child.nhs_number`; empty for the whole.
    pub path: String,
    /// What to send instead, to follow the path: `is required: give text`.
    pub problem: String,
}

impl Fault {
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// What stands for the faults that are not told one by one, around their number.
const REST: (&str, &str) = ("has ", " more faults than are told here");

/// The first of these faults, and how many more there are: nobody corrects thousands of them one by one.
pub fn first_of(mut faults: Vec<Fault>, most: usize) -> Vec<Fault> {
    let (first, untold) = counted(&faults, most);
    let told = first.len();
    faults.truncate(told);
    if untold > 0 {
        faults.push(Fault::new("", format!("{}{untold}{}", REST.0, REST.1)));
    }
    faults
}

/// The same, with the number of the others beside them; those that an earlier count stands for are among these.
pub fn counted(faults: &[Fault], most: usize) -> (&[Fault], usize) {
    let rest = |last: &Fault| last.problem.strip_prefix(REST.0)?.strip_suffix(REST.1)?.parse::<usize>().ok();
    let untold = faults.last().filter(|last| last.path.is_empty()).and_then(rest);
    let named = faults.len().saturating_sub(usize::from(untold.is_some()));
    let told = faults.get(..named.min(most)).unwrap_or_default();
    (told, untold.unwrap_or(0).saturating_add(named.saturating_sub(told.len())))
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            formatter.write_str(&self.problem)
        } else {
            write!(formatter, "{} {}", self.path, self.problem)
        }
    }
}

/// Why a record of ours could not be put into JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("the record does not follow schemas/{0}.avsc")]
    Mismatch(&'static str),
}

/// The record in JSON: times in RFC 3339 UTC, dates as YYYY-MM-DD, bytes in base64, a branch of a union of records as
/// an object with one member named after the branch (`{"missing.started": {…}}`, `{"referral": {…}}`).
pub fn to_json<T: Published>(record: &T) -> Result<Value, JsonError> {
    let mismatch = JsonError::Mismatch(T::SCHEMA.file_stem());
    let root = T::SCHEMA.published()?.root();
    let Ok(raw) = serde_json::to_value(record) else { return Err(mismatch) };
    write::record(root, raw).ok_or(mismatch)
}

/// A record from JSON as `to_json` writes it; fields with a default may be left out or null.
///
/// # Errors
/// Everything that is wrong, unknown fields included.
pub fn from_json<T: Published>(json: &Value) -> Result<T, Vec<Fault>> {
    unless_faulty(from_json_checked(json, |_| Vec::new()))
}

/// As `from_json`, with checks of the whole record whose faults are reported in the same go; beside faults, what could be read, with
/// stand-ins where they are: it is never handed on.
pub(super) fn from_json_checked<T: Published>(
    json: &Value,
    check: impl FnOnce(&T) -> Vec<Fault>,
) -> (Option<T>, Vec<Fault>) {
    let schema = match T::SCHEMA.published() {
        Ok(schema) => schema,
        Err(error) => return (None, vec![Fault::new("", error.to_string())]),
    };
    let mut faults = Vec::new();
    let raw = read::record(schema.root(), json, &Path::root(), &mut faults);
    checked(&Shape::Record(schema.root().clone()), raw, faults, check)
}

/// What was read, unless anything is wrong with it.
pub(super) fn unless_faulty<T>((read, faults): (Option<T>, Vec<Fault>)) -> Result<T, Vec<Fault>> {
    read.filter(|_| faults.is_empty()).ok_or(faults)
}

/// The Rust value of a raw tree that `read` made, and its faults: where there are any it holds stand-ins, and is never handed on. Of
/// several faults of one field the first is kept.
pub(super) fn checked<T: DeserializeOwned>(
    shape: &Shape,
    raw: Value,
    mut faults: Vec<Fault>,
    check: impl FnOnce(&T) -> Vec<Fault>,
) -> (Option<T>, Vec<Fault>) {
    match serde_path_to_error::deserialize(raw) {
        Ok(record) => {
            for fault in check(&record) {
                if faults.iter().all(|known| !names::is_of_one_place(known, &fault)) {
                    faults.push(fault);
                }
            }
            (Some(record), faults)
        }
        Err(error) => {
            if faults.is_empty() {
                let problem = "does not have the form its schema asks for";
                faults.push(Fault::new(path::redacted(error.path(), shape), problem));
            }
            (None, faults)
        }
    }
}
