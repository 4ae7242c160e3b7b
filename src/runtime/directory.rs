//! What may change while lanes run: partners, topics, rule books. Lanes look between batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::rule_books::KNOWN_FOR_MS;
use super::topics::OutputTopics;
use crate::broker::BrokerError;
use crate::engine::context::Context;
use crate::engine::intake::Partners;
use crate::engine::model::scalar::Timestamp;

/// A topic that is not there is asked for again after so long.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The rule books' topic is read every second.
const NEXT_LOOK_MAX: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(20);

/// Whether it is known which book is in force at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Books {
    Known,
    /// By a look that was waited for: what is current is to be taken up first.
    KnownAnew,
    NotReadForTooLong,
    /// Read just now, by a clock that the record's time is far ahead of.
    BehindTheLog,
}

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
    /// By a clock that nobody sets.
    books_read: Mutex<Option<Instant>>,
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
            books_read: Mutex::default(),
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

    /// The rule books' topic was just read to its end.
    pub fn know_books_until(&self, instant: Timestamp) {
        self.books_known_until.store(instant.0, Ordering::Release);
        *self.books_read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it is known which book is in force then. After a clock was set forward it is with the next look, which is waited for.
    pub fn knows_books_at(&self, instant: Timestamp) -> Books {
        let (until, mut known) = (Instant::now() + NEXT_LOOK_MAX, Books::Known);
        while instant.0 >= self.books_known_until.load(Ordering::Acquire) {
            if !self.read_books_lately() {
                return Books::NotReadForTooLong;
            }
            if Instant::now() >= until {
                return Books::BehindTheLog;
            }
            known = Books::KnownAnew;
            std::thread::sleep(GLANCE);
        }
        known
    }

    fn read_books_lately(&self) -> bool {
        let read = *self.books_read.lock().unwrap_or_else(PoisonError::into_inner);
        read.is_some_and(|at| at.elapsed() < Duration::from_millis(KNOWN_FOR_MS.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::context::RuleBooks;
    use crate::engine::identity::Keys;
    use crate::engine::seal::Sealer;

    fn directory() -> Directory {
        let topics = || OutputTopics::of([].into_iter());
        let current = Current {
            context: Arc::new(Context {
                books: RuleBooks::new(Vec::new()),
                keys: Keys::from_secret(&[7; 32]),
                sealer: Sealer::from_secret(&[8; 32]),
                covered_since: None,
                front_door_phone: None,
                panic_on: None,
            }),
            partners: Arc::default(),
            topics: topics(),
        };
        Directory::new(current, Box::new(move || Ok(topics())))
    }

    #[test]
    fn a_clock_that_is_set_forward_is_followed_by_the_next_look() {
        let directory = Arc::new(directory());
        directory.know_books_until(Timestamp(300_000));
        assert_eq!(directory.knows_books_at(Timestamp(299_999)), Books::Known);
        let looking = directory.clone();
        let next = std::thread::spawn(move || {
            std::thread::sleep(GLANCE * 5);
            looking.know_books_until(Timestamp(7_500_000));
        });
        assert_eq!(directory.knows_books_at(Timestamp(7_200_000)), Books::KnownAnew);
        next.join().unwrap();
        assert_eq!(directory.knows_books_at(Timestamp(7_500_000)), Books::BehindTheLog, "though it was read just now");
    }

    #[test]
    fn a_topic_that_was_not_read_for_too_long_is_not_waited_for() {
        let directory = directory();
        directory.know_books_until(Timestamp(300_000));
        let long_ago = Instant::now().checked_sub(Duration::from_millis(KNOWN_FOR_MS.unsigned_abs()));
        *directory.books_read.lock().unwrap() = long_ago;
        let began = Instant::now();
        assert_eq!(directory.knows_books_at(Timestamp(300_000)), Books::NotReadForTooLong);
        assert!(began.elapsed() < NEXT_LOOK_MAX);
    }
}
