//! Whether the router may take work yet, and if not, why: shared by those who hold it up and those who ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Everyone who holds readiness up, by name, each with a sentence for the operator. Ready when nobody does.
#[derive(Debug, Default)]
pub struct Readiness {
    holds: Mutex<BTreeMap<String, String>>,
}

impl Readiness {
    /// Not ready until `start` is let go: a router that has not begun to restore is not ready either.
    pub fn starting() -> Self {
        let readiness = Self::default();
        readiness.hold("start", "the router is starting");
        readiness
    }

    /// Not ready until `release` with the same name: `readiness.hold("lane 2", "restoring partitions 4 to 7")`.
    pub fn hold(&self, name: &str, why: &str) {
        self.locked().insert(name.to_owned(), why.to_owned());
    }

    pub fn release(&self, name: &str) {
        self.locked().remove(name);
    }

    pub fn is_ready(&self) -> bool {
        self.locked().is_empty()
    }

    /// One sentence a hold, in order of their names.
    pub fn why_not(&self) -> Vec<String> {
        self.locked().iter().map(|(name, why)| format!("{name}: {why}")).collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
