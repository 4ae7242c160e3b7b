//! Whether the child has died, by what was notified: then nobody is chased to see them, or sent to the family unasked.

use std::sync::Arc;

use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::scalar::{FactValue, Timestamp};

pub const SERIOUS_INCIDENT: &str = "serious_incident.notified";

/// Whether an entry is the notice of a death.
pub fn is_notice(entry: &Entry) -> bool {
    let of_death = || matches!(entry.facts.get("incident"), Some(FactValue::Code(incident)) if incident == "death");
    // Asked of every entry again and again: what is cheap comes first.
    entry.kind == SERIOUS_INCIDENT && !entry.withdrawn && of_death()
}

/// The first notice of it. None: nobody has notified any.
pub fn notice(history: &History) -> Option<&Arc<Entry>> {
    history.entries.iter().filter(|entry| is_notice(entry)).min_by_key(|entry| entry.received_at)
}

/// Whether it was notified by then.
pub fn is_known(history: &History, at: Timestamp) -> bool {
    notice(history).is_some_and(|notice| notice.received_at <= at)
}

/// Whether what a task asks was overtaken by the death: it was asked before, and of something else.
pub fn overtook(history: &History, task: &HeldTask) -> bool {
    notice(history).is_some_and(|notice| task.raised_at <= notice.received_at && !task.is_of(notice))
}
