//! The audit record: why a child was or was not referred, with all that is needed to make the decision again.

use serde::{Deserialize, Serialize};

use super::event::Source;
use super::field_name::FieldName;
use super::scalar::{FactValue, Level, Timestamp};
use super::subject::SubjectKey;

/// Published to `decisions`, one for every inbox record that was judged.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    pub decision_id: String,
    pub subject: SubjectKey,
    pub trigger: Trigger,
    /// What became of the record; exactly one for each.
    pub disposition: Disposition,
    /// The event judged, or the one a timer or outcome belongs to.
    pub event_id: Option<String>,
    pub event_kind: Option<String>,
    pub source: Option<Source>,
    pub receipt: Timestamp,
    pub occurred_at: Option<Timestamp>,
    /// Hash of the rule book in force at receipt.
    pub rule_book: String,
    /// Every fact the rules could read, as it was judged.
    pub facts: Vec<FactUsed>,
    pub fired: Vec<RuleFired>,
    pub unknown: Vec<RuleUnknown>,
    /// The highest level of the rules that fired for this event.
    pub event_level: Option<Level>,
    /// The highest event level since the last human decision.
    pub case_level: Option<Level>,
    /// Always true: only a named person's recorded decision settles a level.
    pub proposed: bool,
    pub tasks: Vec<TaskRaised>,
    pub suppressed: Vec<Suppressed>,
    pub disclosures: Vec<Disclosure>,
    pub notes: Vec<String>,
    /// Tasks that stand otherwise than they did. One that was raised stands as raised until a decision says otherwise.
    #[serde(default, with = "super::optional::list", skip_serializing_if = "super::optional::empty_left_out")]
    pub task_changes: Vec<TaskChanged>,
}

/// A task that stands otherwise than it did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskChanged {
    pub task_id: String,
    /// The state of a held task; or `forgotten`: it was open, and is remembered no longer.
    pub state: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trigger {
    #[serde(rename = "event")]
    Event,
    #[serde(rename = "timer")]
    Timer,
    #[serde(rename = "outcome")]
    Outcome,
    #[serde(rename = "alias")]
    Alias,
    #[serde(rename = "forward")]
    Forward,
    #[serde(rename = "signal")]
    Signal,
    /// A symbol of a later schema.
    #[serde(other, rename = "unknown")]
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Disposition {
    /// Judged and recorded; tasks as listed.
    #[serde(rename = "judged")]
    Judged,
    /// The same id and content again: no effect.
    #[serde(rename = "retransmission")]
    Retransmission,
    /// The same happening by other means: kept as corroboration.
    #[serde(rename = "duplicate")]
    Duplicate,
    /// Passed on to the stronger key.
    #[serde(rename = "forwarded")]
    Forwarded,
    /// History only (before go-live).
    #[serde(rename = "backfilled")]
    Backfilled,
    /// A correction or withdrawal kept until its original comes.
    #[serde(rename = "awaiting_original")]
    AwaitingOriginal,
    /// An outcome or correction that does not apply; nothing changed.
    #[serde(rename = "refused")]
    Refused,
    /// A symbol of a later schema.
    #[serde(other, rename = "unknown")]
    Unknown,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FactUsed {
    pub name: String,
    /// None: missing.
    pub value: Option<FactValue>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleFired {
    pub rule: String,
    pub level: Option<Level>,
    pub why: String,
    /// The event this rule fired for, when it is an earlier one that was judged again.
    pub event_id: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleUnknown {
    pub rule: String,
    pub missing: Vec<String>,
    /// Knowing them could add a level, a recipient or a shorter deadline.
    pub could_matter: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskRaised {
    pub task_id: String,
    pub agency: String,
    pub unit: Option<String>,
    pub role: Option<String>,
    pub action: String,
    pub due_at: Timestamp,
    pub rules: Vec<String>,
}

/// A route that was held back: a decision not to share, with its reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Suppressed {
    pub agency: String,
    pub unit: Option<String>,
    pub action: String,
    pub rules: Vec<String>,
    pub reason: String,
}

/// Who was told what, on which basis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Disclosure {
    pub agency: String,
    pub unit: Option<String>,
    pub task_id: String,
    pub fields: Vec<FieldName>,
    pub bases: Vec<String>,
}
