//! What may change while lanes run: partners, topics, rule books. Lanes look between batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::topics::OutputTopics;
use crate::broker::BrokerError;
use crate::engine::context::Context;
use crate::engine::intake::Partners;
use crate::engine::model::scalar::Timestamp;

/// A topic that is not there is asked for again after so long.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The topics there are now.
pub type Survey = Box<dyn Fn() -> Result<OutputTopics, BrokerError> + Send + Sync>;

/// All of it at one time.
#[derive(Clone)]
pub struct Current {
    pub context: Arc<Context>,
    pub partners: Arc<Partners>,
    pub topics: OutputTopics,
}

pub struct Directory {
    current: RwLock<Current>,
    version: AtomicU64,
    /// Which book is in force is known for records before this.
    books_known_until: AtomicI64,
    survey: Survey,
    /// By topic, when it was not there.
    missed: Mutex<BTreeMap<String, Instant>>,
}

impl Directory {
    /// With books that never change.
    pub fn new(current: Current, survey: Survey) -> Self {
        Self {
            current: RwLock::new(current),
            version: AtomicU64::new(0),
            books_known_until: AtomicI64::new(i64::MAX),
            survey,
            missed: Mutex::default(),
        }
    }

    pub fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn update(&self, change: impl FnOnce(&mut Current)) {
        change(&mut self.current.write().unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// What is current, if it is not what was `seen`.
    pub fn newer(&self, seen: &mut u64) -> Option<Current> {
        let version = self.version.load(Ordering::Acquire);
        if *seen == version {
            return None;
        }
        *seen = version;
        Some(self.current())
    }

    /// Looks for a topic that this instance was not told of: what another made for a partner that joined there.
    pub fn look_for(&self, topic: &str) -> Result<(), BrokerError> {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.get(topic).is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return Ok(());
        }
        let topics = (self.survey)()?;
        if topics.has(topic) {
            missed.remove(topic);
            self.update(|current| current.topics = topics);
        } else {
            missed.insert(topic.to_owned(), Instant::now());
        }
        Ok(())
    }

    pub fn know_books_until(&self, instant: Timestamp) {
        self.books_known_until.store(instant.0, Ordering::Release);
    }

    /// Whether it is known which book is in force then.
    pub fn knows_books_at(&self, instant: Timestamp) -> bool {
        instant.0 < self.books_known_until.load(Ordering::Acquire)
    }
}
