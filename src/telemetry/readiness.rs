//! Whether the router may take work yet, and if not, why: shared by those who hold it up and those who ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everyone who holds readiness up, by name, each with a sentence for the operator. Ready when nobody does.
#[derive(Debug, Default)]
pub struct Readiness {
    holds: Sentences,
    warnings: Sentences,
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
        locked(&self.holds).insert(name.to_owned(), why.to_owned());
    }

    pub fn release(&self, name: &str) {
        locked(&self.holds).remove(name);
    }

    pub fn is_ready(&self) -> bool {
        locked(&self.holds).is_empty()
    }

    /// One sentence a hold, in order of their names.
    pub fn why_not(&self) -> Vec<String> {
        sentences(&self.holds)
    }

    /// Something is wrong that somebody must mend, though work is taken. True: it was not so before.
    pub fn warn(&self, name: &str, problem: &str) -> bool {
        locked(&self.warnings).insert(name.to_owned(), problem.to_owned()).is_none()
    }

    /// It was mended.
    pub fn no_warning(&self, name: &str) {
        locked(&self.warnings).remove(name);
    }

    /// One sentence a warning, in order of their names.
    pub fn warnings(&self) -> Vec<String> {
        sentences(&self.warnings)
    }
}

type Sentences = Mutex<BTreeMap<String, String>>;

fn locked(sentences: &Sentences) -> MutexGuard<'_, BTreeMap<String, String>> {
    sentences.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sentences(of: &Sentences) -> Vec<String> {
    locked(of).iter().map(|(name, why)| format!("{name}: {why}")).collect()
}
