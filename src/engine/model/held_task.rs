//! A task as its subject's history holds it: to whom, by when, and what became of it. No names, no narrative.

use serde::{Deserialize, Serialize};

use super::history::{Entry, EventOf, belongs};
use super::scalar::{Level, Timestamp};

/// A task that was raised for this subject.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct HeldTask {
    pub task_id: String,
    pub event_id: String,
    pub agency: String,
    pub unit: Option<String>,
    pub role: Option<String>,
    pub action: String,
    pub due_at: Timestamp,
    pub raised_at: Timestamp,
    pub level: Option<Level>,
    pub rules: Vec<String>,
    /// `raised`, `acknowledged`, `accepted`, `declined`, `completed`, `challenged`, `recalled`, `readdressed`,
    /// `superseded`, `told` (it asks for nothing).
    pub state: String,
    pub state_at: Timestamp,
    /// Ids of the latest outcomes applied, each followed by a mark of what it said (`step/outcomes/answers.rs`), so that a repeat
    /// changes nothing and another answer under the same id is heard.
    pub outcomes: Vec<String>,
    /// The partner whose event it was raised for. None: raised by an earlier release.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
    /// When the next rung of its ladder is told, unless someone answers before.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub escalate_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub acknowledge_by: Option<Timestamp>,
    /// From when its recipient can answer (a school in its holidays cannot); None: from when it was raised.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub answer_from: Option<Timestamp>,
    /// How many rungs of its ladder have been told.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub rungs: Option<i32>,
    /// A service that needs the family's agreement.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub needs_agreement: Option<bool>,
    /// The unanswered task that this one is about.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub chases: Option<String>,
    /// The clock its deadline runs by, as the rule book writes it, where that depends on the calendar or waits for no office.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub clock: Option<String>,
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub clock_from: Option<Timestamp>,
    /// Whose sessions it counts.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub clock_school: Option<String>,
    /// Others of the same event that it is about, too.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub chases_also: Option<Vec<String>>,
    /// Must be completed by then, else who is above its recipient is told; None: they were, or nobody is.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub complete_by: Option<Timestamp>,
    /// A decision of another record of the child, from before the two became one, says nothing of this task: none up to then does.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub decided_apart: Option<Timestamp>,
    /// The agency in whose place its holder was given it, for that agency's unit was not known.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub in_place_of: Option<String>,
    /// The event that it was raised for, where that became a second report of another's when two records were joined.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub raised_for: Option<EventOf>,
}

impl HeldTask {
    /// Whether it was raised for this entry.
    pub fn is_of(&self, entry: &Entry) -> bool {
        belongs(&self.event_id, self.partner.as_deref(), entry)
    }

    /// The task, ended otherwise than by its recipient's answer.
    #[must_use]
    pub fn closed_as(&self, state: &str, at: Timestamp) -> Self {
        Self { state: state.to_owned(), state_at: at, escalate_at: None, ..self.clone() }
    }

    /// Whose task it is: the agency in whose place its holder has it, else the holder's own.
    pub fn meant_for(&self) -> &String {
        self.in_place_of.as_ref().unwrap_or(&self.agency)
    }

    /// The unanswered tasks that this one is about.
    pub fn chased(&self) -> impl Iterator<Item = &String> {
        self.chases.iter().chain(self.chases_also.iter().flatten())
    }
}
