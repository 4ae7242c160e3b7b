//! What an agency answers to a task.

use serde::{Deserialize, Serialize};

use super::codes::OutcomeKind;
use super::scalar::Timestamp;

/// Published by an agency, echoing the task's `reply_to`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// UUID, chosen by the agency.
    pub outcome_id: String,
    /// The task's sealed address, unchanged.
    pub reply_to: String,
    pub outcome: OutcomeKind,
    /// The named person who answers.
    pub by_name: String,
    pub by_role: String,
    pub at: Timestamp,
    /// Required for `declined` and `challenged`.
    pub reason: Option<String>,
    /// What was done, for `completed`: coded by the agency's own list.
    pub result: Option<String>,
}
