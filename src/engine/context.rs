//! What every step is given beside state and record, and why a step may refuse.

use std::sync::Arc;

use super::calendar::CalendarError;
use super::facts::PreparedBook;
use super::identity::Keys;
use super::model::scalar::Timestamp;
use super::seal::Sealer;

/// Forwards along aliases end, for strength only rises; more hops than this are a fault.
pub const HOPS_MAX: i32 = 8;

/// What a step needs beside state and record. All of it is the same for every instance of the router.
#[derive(Clone, Debug)]
pub struct Context {
    pub books: RuleBooks,
    pub keys: Keys,
    pub sealer: Sealer,
    /// From when on histories are complete (go-live, or the start of what was backfilled); None: not said.
    pub covered_since: Option<Timestamp>,
    /// The front door's telephone number, for feedback.
    pub front_door_phone: Option<String>,
    /// For tests of isolation: an event with this id, a subject's clock (`escalation of` its key) or a tick makes the step panic.
    pub panic_on: Option<String>,
}

impl Context {
    /// ` on 0300 123 5012`, where the number is known.
    pub fn on_front_door_phone(&self) -> String {
        self.front_door_phone.as_ref().map_or(String::new(), |phone| format!(" on {phone}"))
    }
}

/// The rule books an instance holds, by when they take effect.
#[derive(Clone, Debug, Default)]
pub struct RuleBooks {
    books: Vec<Arc<PreparedBook>>,
    /// When books take effect that there are, and that this instance cannot read.
    gaps: Vec<Timestamp>,
}

impl RuleBooks {
    pub fn new(mut books: Vec<PreparedBook>) -> Self {
        books.sort_by_key(|book| book.rules.effective_from);
        Self { books: books.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// As published, in that order: of two that take effect at once the later counts. `gaps`: when books take effect
    /// that this instance cannot read.
    pub fn with_gaps(mut books: Vec<Arc<PreparedBook>>, gaps: Vec<Timestamp>) -> Self {
        books.sort_by_key(|book| book.rules.effective_from);
        Self { books, gaps }
    }

    /// Every book, the earliest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<PreparedBook>> {
        self.books.iter()
    }

    /// The first instant after `after` at which another book takes effect.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.books.iter().map(|book| book.rules.effective_from).find(|from| *from > after)
    }

    /// The book in force at an instant; before the first, that one: what came in before there was a book is judged all
    /// the same. None: this instance lacks it and must not decide by another.
    pub fn in_force(&self, at: Timestamp) -> Option<&Arc<PreparedBook>> {
        let from = |book: &Arc<PreparedBook>| book.rules.effective_from;
        let first = self.books.first().map(from).into_iter().chain(self.gaps.iter().copied()).min()?;
        let at = at.max(first);
        let earlier = self.books.iter().rev().find(|book| from(book) <= at);
        let replaces = |gap: &Timestamp| *gap <= at && earlier.is_none_or(|book| from(book) <= *gap);
        earlier.filter(|_| !self.gaps.iter().any(replaces))
    }
}

/// Why a record could not be judged at all. Nothing of it was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    /// The lane must stop: deciding by another book would be wrong.
    #[error("no rule book is in force at the record's receipt")]
    NoBookInForce,
    /// The record goes to quarantine.
    #[error("a record was forwarded along more than {HOPS_MAX} aliases")]
    TooManyHops,
    /// The record goes to quarantine.
    #[error("a deadline could not be worked out: {0}")]
    Calendar(CalendarError),
}
