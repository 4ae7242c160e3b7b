//! Rule books as they travel: on a compacted topic, ahead of the time they take effect, so that every lane has a book
//! before the first record that it judges by it.
//!
//! The first book on the topic is in force at once. Every later one must have been appended ten minutes before it takes
//! effect, else every instance passes it over. An instance that has read the topic to its end therefore knows every book
//! for the next ten minutes; it relies on five of them, as clocks differ, and stops deciding when it could not look for
//! so long, or when it cannot read a book that is in force.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::topics::RULE_BOOKS;
use crate::broker::headers::Headers;
use crate::broker::{Broker, BrokerError, Placement, Reader, Record, Write};
use crate::engine::calendar::london_date;
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::fault::{RuleFault, SourceFile, Span};
use crate::engine::rules::{self, RuleBook};
use crate::telemetry::readiness::Readiness;

/// How long before it takes effect a book must be on the topic.
pub const AHEAD_MS: i64 = 10 * 60 * 1000;
/// How long what was read counts.
pub const KNOWN_FOR_MS: i64 = AHEAD_MS / 2;
/// What a broker takes in one record, with room to spare.
pub const BYTES_MAX: usize = 900_000;
const RECORDS_MAX: usize = 100;
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What `/readyz` calls a book that cannot be read.
const UNREADABLE: &str = "rule book";

/// A book as it lies on the topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// The book's name: the hash of its content.
    pub hash: String,
    pub title: String,
    /// By receipt. Milliseconds since 1970.
    pub effective_from_ms: i64,
    pub files: Vec<PublishedFile>,
    /// Of the book that was just checked.
    #[serde(skip)]
    pub agencies: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublishedFile {
    pub name: String,
    pub text: String,
}

impl Publication {
    /// Of a folder's files; `effective_from`: else as its book.toml says.
    ///
    /// # Errors
    /// Everything that is wrong with the rules.
    pub fn of(files: &[SourceFile], effective_from: Option<Timestamp>) -> Result<Self, Vec<RuleFault>> {
        let book = rules::load_given(files)?;
        let effective_from = effective_from.unwrap_or(book.effective_from);
        let ((first, last), day) = (book.calendar.span(), london_date(effective_from));
        if day < first || last < day {
            return Err(vec![RuleFault {
                file: "calendar.toml".to_owned(),
                line: 1,
                column: 1,
                span: Span::default(),
                problem: format!(
                    "the bank holidays are listed from {first} to {last}, and the book would count from {day} on"
                ),
                write_instead: "list every bank holiday of that time, or publish it for a time within it".to_owned(),
            }]);
        }
        let published = |file: &SourceFile| PublishedFile { name: file.name.clone(), text: file.text.clone() };
        Ok(Self {
            effective_from_ms: effective_from.0,
            agencies: book.agencies.keys().cloned().collect(),
            hash: book.hash,
            title: book.title,
            files: files.iter().map(published).collect(),
        })
    }

    fn book(&self) -> Result<RuleBook, String> {
        let source = |file: &PublishedFile| SourceFile { name: file.name.clone(), text: file.text.clone() };
        let files: Vec<SourceFile> = self.files.iter().map(source).collect();
        let mut book = rules::load(&files).map_err(|faults| format!("{} faults", faults.len()))?;
        if book.hash != self.hash {
            return Err("its name is not that of its content".to_owned());
        }
        book.effective_from = Timestamp(self.effective_from_ms);
        Ok(book)
    }

    /// Each lies there for ever: the time it takes effect is part of the key.
    pub fn write(&self) -> Write {
        Write {
            topic: RULE_BOOKS.into(),
            placement: Placement::Partition(0),
            key: format!("{} {}", self.effective_from_ms, self.hash).into_bytes(),
            value: Some(serde_json::to_vec(self).unwrap_or_default()),
            headers: Headers::default(),
        }
    }
}

/// One book of the topic that counts.
pub struct Shelved {
    pub hash: String,
    pub title: String,
    pub effective_from: Timestamp,
    /// Err: there is such a book, and this router cannot read it.
    pub book: Result<Arc<PreparedBook>, String>,
}

/// Whether a book counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    InForce,
    ToCome,
    Over,
    /// Another was published for the same time: it never counts.
    Replaced,
}

impl Standing {
    pub fn label(self) -> &'static str {
        match self {
            Standing::InForce => "in_force",
            Standing::ToCome => "to_come",
            Standing::Over => "over",
            Standing::Replaced => "replaced",
        }
    }
}

/// How a publication is made ready to decide by.
type Load = fn(&Publication) -> Result<PreparedBook, String>;

/// Every book read so far.
pub struct Shelf {
    next_offset: i64,
    pub books: Vec<Shelved>,
    /// What it reads is said in the log. Else at DEBUG alone: somebody else says it.
    tells: bool,
    load: Load,
}

impl Default for Shelf {
    fn default() -> Self {
        let load: Load = |publication| publication.book().map(PreparedBook::new);
        Self { next_offset: 0, books: Vec::new(), tells: false, load }
    }
}

/// At a level, and at DEBUG where another shelf has told.
macro_rules! tell {
    ($shelf:expr, $level:ident, $($what:tt)*) => {
        match $shelf.tells {
            true => tracing::$level!($($what)*),
            false => tracing::debug!($($what)*),
        }
    };
}

impl Shelf {
    /// One that says in the log what it reads: the router's own.
    pub fn telling() -> Self {
        Self { tells: true, ..Self::default() }
    }

    /// Reads on to the topic's end. True: there are more books than before.
    pub fn read(&mut self, reader: &dyn Reader) -> Result<bool, BrokerError> {
        let before = self.books.len();
        loop {
            let records = reader.read(RULE_BOOKS, 0, self.next_offset, RECORDS_MAX)?;
            let Some(last) = records.last() else { return Ok(self.books.len() > before) };
            self.next_offset = last.offset + 1;
            records.iter().for_each(|record| self.take(record));
        }
    }

    fn take(&mut self, record: &Record) {
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(publication) = serde_json::from_slice::<Publication>(value) else {
            tell!(self, warn, offset = record.offset, "a record on the rule books' topic is no rule book: passed over");
            return;
        };
        let effective_from = Timestamp(publication.effective_from_ms);
        let ahead_ms = effective_from.0.saturating_sub(record.timestamp.0);
        let Publication { hash, title, .. } = &publication;
        let first_of_another =
            || self.books.first().is_some_and(|first| first.hash == *hash && first.effective_from == effective_from);
        if first_of_another() {
            tracing::debug!(book = hash, "routers that started together each brought the first rule book");
            return;
        }
        if !self.books.is_empty() && ahead_ms < AHEAD_MS {
            tell!(self, warn, book = hash, "a rule book came too late for the time it was to take effect: passed over");
            return;
        }
        let book = self.loaded(&publication);
        match &book {
            Ok(_) => {
                let from = effective_from.to_jiff();
                tell!(self, info, book = hash, title, effective_from = %from, "a rule book is known");
            }
            Err(problem) => tell!(self, error, book = hash, problem, "a published rule book cannot be read here"),
        }
        self.books.push(Shelved { hash: hash.clone(), title: title.clone(), effective_from, book });
    }

    /// A panic over a book is a book that cannot be read: it lies there for ever, and would end each start anew.
    fn loaded(&self, publication: &Publication) -> Result<Arc<PreparedBook>, String> {
        let loaded = catch_unwind(AssertUnwindSafe(|| (self.load)(publication)));
        loaded.unwrap_or_else(|_| Err("this release fails on it".to_owned())).map(Arc::new)
    }

    /// Tells in `/readyz` of each book that cannot be read here and counts, or will: the time is short to do something about it.
    pub fn warn(&self, readiness: &Readiness, now: Timestamp) {
        let is_past = |gap: &Shelved| {
            let mut readable = self.books.iter().filter(|other| other.book.is_ok());
            readable.any(|other| other.effective_from > gap.effective_from && other.effective_from <= now)
        };
        let unreadable = self.books.iter().filter(|shelved| !is_past(shelved)).filter_map(|shelved| {
            let problem = shelved.book.as_ref().err()?;
            let (hash, from) = (&shelved.hash, shelved.effective_from.to_jiff());
            Some(format!(
                "the published book {hash} cannot be read here ({problem}): from {from} on nothing is decided. Start a release that \
                 reads it, or publish one that this release reads, for a later time"
            ))
        });
        match unreadable.collect::<Vec<_>>() {
            unreadable if unreadable.is_empty() => readiness.no_warning(UNREADABLE),
            // The log has told each already.
            unreadable => drop(readiness.warn(UNREADABLE, &unreadable.join("; "))),
        }
    }

    /// How each stands at a time, in the order they came.
    pub fn standings(&self, now: Timestamp) -> Vec<Standing> {
        let from = |at: usize| self.books.get(at).map(|shelved| shelved.effective_from);
        let is_replaced =
            |at: usize| self.books.iter().skip(at + 1).any(|later| Some(later.effective_from) == from(at));
        // Before any has taken effect the first counts.
        let first = self.books.iter().map(|shelved| shelved.effective_from).min().unwrap_or(now);
        let begun = self.books.iter().map(|shelved| shelved.effective_from).filter(|from| *from <= now.max(first));
        let in_force = begun.max();
        let standing = |at: usize| match from(at) {
            _ if is_replaced(at) => Standing::Replaced,
            from if from == in_force => Standing::InForce,
            from if from > in_force => Standing::ToCome,
            _ => Standing::Over,
        };
        (0..self.books.len()).map(standing).collect()
    }

    /// As lanes decide by them.
    pub fn rule_books(&self) -> RuleBooks {
        let readable = self.books.iter().filter_map(|shelved| shelved.book.as_ref().ok().cloned()).collect();
        let gaps = self.books.iter().filter(|shelved| shelved.book.is_err()).map(|shelved| shelved.effective_from);
        RuleBooks::with_gaps(readable, gaps.collect())
    }

    pub fn has(&self, hash: &str) -> bool {
        self.books.iter().any(|shelved| shelved.hash == hash)
    }
}

/// The book of the configuration's folder. Err: why there is none to be had from it, and what to do.
pub type OwnBook = Result<Publication, String>;

/// Those that are published, if there is a topic of them.
pub fn published(broker: &dyn Broker) -> Result<RuleBooks, BrokerError> {
    let (mut shelf, reader) = (Shelf::default(), broker.reader());
    if reader.topics()?.iter().any(|topic| topic == RULE_BOOKS) {
        shelf.read(&*reader)?;
    }
    Ok(shelf.rule_books())
}

/// Every book of the topic; the first is put there when it is empty. Once there is one the folder's is not needed.
pub fn begin(broker: &dyn Broker, own: &OwnBook, now: Timestamp) -> Result<Shelf, BrokerError> {
    let (mut shelf, reader) = (Shelf::telling(), broker.reader());
    shelf.read(&*reader)?;
    if shelf.books.is_empty() {
        let refused = |problem: &str| BrokerError::Mismatch(format!("no rule book is published yet, and {problem}"));
        let own = own.as_ref().map_err(|problem| refused(problem))?;
        if own.effective_from_ms > now.0 {
            return Err(refused("the configuration's is not in force yet: see effective_from in its book.toml"));
        }
        let (done, answer) = channel();
        broker.publisher().publish(vec![own.write()], Box::new(move |result| drop(done.send(result))));
        answer.recv().unwrap_or(Err(BrokerError::Stopping))?;
    }
    let deadline = Instant::now() + SHOWN_WITHIN;
    while shelf.books.is_empty() {
        if Instant::now() >= deadline {
            return Err(BrokerError::Unreachable("the first rule book could not be read back".to_owned()));
        }
        std::thread::sleep(LOOK_EVERY);
        shelf.read(&*reader)?;
    }
    if let Ok(own) = own
        && !shelf.has(&own.hash)
    {
        tracing::warn!(
            book = own.hash,
            "the rule book of the configuration is not published: decisions are by those that are (`rules list`). To put it into force: \
             `pathway-router rules publish DIR --effective-from TIME`, 10 minutes ahead"
        );
    }
    Ok(shelf)
}

#[cfg(test)]
mod tests;
