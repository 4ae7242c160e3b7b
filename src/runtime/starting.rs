//! Before the lanes run, and beside them: waiting for the broker, making topics, reading rule books and watching for more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::directory::{Current, Directory};
use super::rule_books::{self, KNOWN_FOR_MS, Shelf};
use super::supervise::rest;
use super::topics::{OutputTopics, TopicPlan};
use super::{Beginning, OnBooks, ServiceOptions, identity};
use crate::broker::{Broker, BrokerError, Clock, vital};
use crate::engine::context::{Context, RuleBooks};
use crate::engine::facts::PreparedBook;
use crate::engine::intake::Partners;
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

const TRY_EVERY: Duration = Duration::from_secs(1);
/// How soon a new rule book is known.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What waits for the broker.
const HOLD: &str = "broker";
/// Why, where the disk is full.
pub const DISK_FULL: &str = "the disk is full: make room, it goes on by itself";
/// What is wrong though the router works.
const RULES_FOLDER: &str = "rules folder";

/// A plan with the agencies of these books and these partners.
pub fn topic_plan(plan: &TopicPlan, partners: &Partners, books: &RuleBooks) -> TopicPlan {
    let mut plan = plan.clone();
    plan.agencies.extend(books.all().flat_map(|book| book.rules.agencies.keys().cloned()));
    plan.agencies.extend(partners.values().filter_map(|partner| partner.agency.clone()));
    plan.partners = partners.keys().cloned().collect::<BTreeSet<_>>();
    plan
}

pub fn topics(broker: &dyn Broker, written_for_previous: bool) -> Result<OutputTopics, BrokerError> {
    let names = broker.reader().topics()?;
    Ok(OutputTopics { written_for_previous, ..OutputTopics::of(names.iter().map(String::as_str)) })
}

/// Topics made, keys compared, books read: the options' context has them afterwards.
pub fn prepare(
    options: &mut ServiceOptions,
    plan: &TopicPlan,
    beginning: &Beginning,
) -> Result<Option<Shelf>, BrokerError> {
    let broker = options.broker.clone();
    let needed = |context: &Context| topic_plan(plan, &options.partners, &context.books).specs();
    let specs = needed(&options.context);
    let shelf = waited_for(options, &beginning.stop, || {
        if let Some(check) = &beginning.check {
            check(&rule_books::published(&*broker)?)?;
        }
        broker.ensure_topics(&specs)?;
        identity::check(&*broker, &beginning.belongs_to)?;
        beginning.book.as_ref().map(|own| rule_books::begin(&*broker, own, (options.clock)())).transpose()
    })?;
    if let Some(shelf) = &shelf {
        options.context.books = shelf.rule_books();
        let now = (options.clock)();
        if options.context.books.in_force(now).is_none() {
            let problem =
                "no published rule book that this router can read is in force: see effective_from in book.toml";
            return Err(BrokerError::Mismatch(problem.to_owned()));
        }
        let needed = needed(&options.context);
        waited_for(options, &beginning.stop, || broker.ensure_topics(&needed))?;
        if let Some(Err(problem)) = &beginning.book {
            tracing::error!(
                problem,
                "decisions are by the published rule books; the folder of the configuration is not read"
            );
            options.readiness.warn(RULES_FOLDER, problem);
            options.metrics.rules_folder_unreadable(true);
        }
    }
    Ok(shelf)
}

/// Tries again for as long as nobody answers, the disk is full, or another program holds the data file: ended over it, a router would be started
/// again and again, and no alert would see why.
fn waited_for<T>(
    options: &ServiceOptions,
    stop: &AtomicBool,
    attempt: impl Fn() -> Result<T, BrokerError>,
) -> Result<T, BrokerError> {
    let (readiness, metrics) = (&options.readiness, &options.metrics);
    let mut said = String::new();
    loop {
        match attempt() {
            Err(BrokerError::Unreachable(problem)) => {
                if problem != said {
                    tracing::warn!(problem, "nothing is accepted until it answers; it is tried again");
                }
                readiness.hold(HOLD, &problem);
                metrics.log_unreachable(true);
                said = problem;
            }
            Err(BrokerError::HeldByAnother(file)) => {
                if file != said {
                    tracing::error!(file, "another program holds the data file: the start waits until it lets go");
                }
                readiness.hold(HOLD, "another program holds the data file: end it, it goes on by itself");
                metrics.troubles.data_file_held(true);
                said = file;
            }
            // The log has said so.
            Err(BrokerError::DiskFull(_)) => {
                readiness.hold(HOLD, DISK_FULL);
                metrics.disk_full(true);
            }
            answer => {
                readiness.release(HOLD);
                metrics.log_unreachable(false);
                metrics.disk_full(false);
                metrics.troubles.data_file_held(false);
                return answer;
            }
        }
        rest(TRY_EVERY, stop);
        if stop.load(Ordering::Acquire) {
            return Err(BrokerError::Stopping);
        }
    }
}

/// Begins at zero what an alert watches, of every partner and of every agency that may answer. What was counted of those that are none any more
/// goes.
pub fn expect(metrics: &Metrics, current: &Current, now: Timestamp) {
    let (partners, agencies) = known(current, now);
    metrics.keep_only(&partners, &agencies);
    metrics.expect(current.partners.keys().map(String::as_str));
    let books = &current.context.books;
    counting(books, now)
        .flat_map(|book| book.rules.agencies.keys())
        .for_each(|agency| metrics.expect_quarantine(agency));
}

/// The books in force, now or later.
fn counting(books: &RuleBooks, now: Timestamp) -> impl Iterator<Item = &Arc<PreparedBook>> {
    let since = books.in_force(now).map(|book| book.rules.effective_from);
    books.all().filter(move |book| since.is_none_or(|since| book.rules.effective_from >= since))
}

/// The partners of the configuration; the agencies of these, and of the books that count, now or later.
fn known(current: &Current, now: Timestamp) -> (BTreeSet<String>, BTreeSet<String>) {
    let agencies = counting(&current.context.books, now).flat_map(|book| book.rules.agencies.keys().cloned());
    let own = current.partners.values().filter_map(|partner| partner.agency.clone());
    (current.partners.keys().cloned().collect(), agencies.chain(own).collect())
}

/// Looks for new rule books, on a thread of its own.
pub struct BookWatch {
    pub broker: Arc<dyn Broker>,
    pub directory: Arc<Directory>,
    /// Without partners.
    pub plan: TopicPlan,
    pub on_books: OnBooks,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub clock: Clock,
}

impl BookWatch {
    /// Every book that takes effect soon is known now: the topic was read to its end.
    pub fn confirm(&self, shelf: &Shelf) -> Result<(), BrokerError> {
        if shelf.books.is_empty() {
            return Err(BrokerError::Mismatch("there is no rule book".to_owned()));
        }
        let now = (self.clock)();
        shelf.warn(&self.readiness, now);
        self.know_from(now);
        Ok(())
    }

    pub fn start(self, mut shelf: Shelf, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>, BrokerError> {
        vital::spawn("rule-books", move || {
            let mut known = Default::default();
            while !stop.load(Ordering::Acquire) {
                self.forget(&mut known);
                if let Err(error) = self.look(&mut shelf) {
                    tracing::debug!(%error, "rule books could not be looked for");
                }
                rest(LOOK_EVERY, &stop);
            }
        })
    }

    /// A book that takes effect ends agencies that it has no longer.
    fn forget(&self, before: &mut (BTreeSet<String>, BTreeSet<String>)) {
        let now = (self.clock)();
        let known = known(&self.directory.current(), now);
        if *before != known {
            expect(&self.metrics, &self.directory.current(), now);
            *before = known;
        }
    }

    fn look(&self, shelf: &mut Shelf) -> Result<(), BrokerError> {
        // Of before the look: what comes meanwhile is not in it.
        let looked_at = (self.clock)();
        if shelf.read(&*self.broker.reader())? {
            self.take(shelf.rule_books());
        }
        shelf.warn(&self.readiness, looked_at);
        self.know_from(looked_at);
        Ok(())
    }

    /// After a clock was set back the log's time runs on from where it was, and that is the time records are judged at.
    fn know_from(&self, looked_at: Timestamp) {
        let ahead_ms = self.metrics.waiting().ahead_ms(looked_at);
        self.directory.know_books_until(looked_at.plus_millis(KNOWN_FOR_MS.saturating_add(ahead_ms)));
    }

    /// Lanes have a new book before its agencies have topics only if those could not be made: then it says so.
    fn take(&self, books: RuleBooks) {
        let current = self.directory.current();
        let made = self
            .broker
            .ensure_topics(&topic_plan(&self.plan, &current.partners, &books).specs())
            .and_then(|()| topics(&*self.broker, current.topics.written_for_previous));
        (self.on_books)(&books);
        self.directory.update(|current| {
            current.context = Arc::new(Context { books, ..(*current.context).clone() });
            match made {
                Ok(topics) => current.topics = topics,
                Err(error) => tracing::error!(%error, "topics that the new rule book needs could not be made"),
            }
        });
    }
}
