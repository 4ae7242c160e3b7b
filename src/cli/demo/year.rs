//! `demo --year`: a year of the simulated partnership on a clock of its own, with agencies that answer in time, late or never.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::fates::Fates;
use super::folder::DemoFolder;
use crate::broker::embedded::{Embedded, EmbeddedOptions};
use crate::broker::{Broker, BrokerError, Placement, Publisher, Reader, Write};
use crate::cli::rule_book::read_sound;
use crate::cli::{CliError, Ending, output};
use crate::config::Config;
use crate::engine::codec::{self, decode};
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::model::history::History;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::Task;
use crate::engine::rules::RuleBook;
use crate::engine::schema::Published;
use crate::runtime::topics::{DECIDE_GROUP, DECISIONS, GATEWAY, HISTORY, INBOX, INTAKE_GROUP, TASKS_PREFIX};
use crate::runtime::{Service, ServiceOptions};
use crate::simulate::{Payload, Simulated, agencies, generate};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// Time passes in steps of an hour; what happens within one is received at its end.
const STEP_MS: i64 = 60 * 60 * 1000;
/// After the last event: as long as the longest ladder and the latest answer take.
const AFTERMATH_MS: i64 = 20 * 24 * STEP_MS;
/// Within the aftermath nothing is sent that would wake a lane: it looks at its clock about this often.
const IDLE_WAIT: Duration = Duration::from_millis(250);
const IDLE_STEP_MS: i64 = 12 * STEP_MS;
const CHUNK_RECORDS: usize = 1000;
const LANES_STOP: Duration = Duration::from_secs(30);

/// Sends the events of as long a time as so many take, and says what happened to every task.
pub fn run(events: usize, seed: u64) -> Result<Ending, CliError> {
    let (folder, config) = DemoFolder::create(None)?;
    let book = read_sound(&config.rules)?;
    let end = Timestamp::from_jiff(jiff::Timestamp::now()).plus_millis(-AFTERMATH_MS);
    let sent = generate(seed, events, end);
    let start = sent.first().map_or(end, |first| first.at);
    let mut year = Year::start(&config, book, start, seed)?;
    let mut at = start;
    let mut waiting = sent.into_iter().peekable();
    while at <= end {
        at = at.plus_millis(STEP_MS);
        let mut due = Vec::new();
        while let Some(event) = waiting.next_if(|event| event.at <= at) {
            due.push(event);
        }
        year.pass(at, &due)?;
    }
    let last = at.plus_millis(AFTERMATH_MS);
    while at < last {
        at = at.plus_millis(IDLE_STEP_MS);
        year.pass(at, &[])?;
        std::thread::sleep(IDLE_WAIT);
        year.settle()?;
    }
    let (fates, stopped) = year.finish()?;
    drop(folder);
    output::line(format_args!("{}", fates.table()));
    Ok(if stopped && fates.all_accounted_for() { Ending::Clean } else { Ending::FoundSomething })
}

/// A router of this process, its clock in our hands.
struct Year {
    broker: Arc<Embedded>,
    service: Service,
    publisher: Arc<dyn Publisher>,
    reader: Arc<dyn Reader>,
    clock: Arc<AtomicI64>,
    rng: ChaCha8Rng,
    /// Agencies whose units answer for themselves.
    of_many_units: BTreeSet<String>,
    /// By when they are given; the number keeps those of one instant apart.
    answers: BTreeMap<(Timestamp, usize), Answer>,
    positions: BTreeMap<(String, u32), i64>,
    fates: Fates,
}

struct Answer {
    agency: String,
    unit: Option<String>,
    outcome: Outcome,
}

impl Year {
    fn start(config: &Config, book: RuleBook, start: Timestamp, seed: u64) -> Result<Self, CliError> {
        let clock = Arc::new(AtomicI64::new(start.0));
        let told = clock.clone();
        let clocked: crate::broker::Clock = Arc::new(move || Timestamp(told.load(Ordering::Acquire)));
        let path = match &config.broker {
            crate::config::broker::Broker::Embedded { file } => file.clone(),
            crate::config::broker::Broker::Kafka(_) => {
                return Err(CliError::failed("the year needs a log of its own clock"));
            }
        };
        let options = EmbeddedOptions { clock: clocked.clone(), ..EmbeddedOptions::new(path) };
        let broker = Arc::new(Embedded::open(options).map_err(CliError::failed)?);
        let of_many_units = book.agencies.keys().filter(|name| book.has_many_units(name)).cloned().collect();
        let books = RuleBooks::new(vec![PreparedBook::new(book)]);
        let metrics = Arc::new(Metrics::new().map_err(CliError::failed)?);
        let readiness = Arc::new(Readiness::starting());
        let from_config = ServiceOptions::from_config(config, broker.clone(), books, metrics, readiness.clone());
        let service = Service::start(ServiceOptions { clock: clocked, ..from_config }).map_err(CliError::failed)?;
        while !readiness.is_ready() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (publisher, reader) = (broker.publisher(), broker.reader());
        Ok(Self {
            broker,
            service,
            publisher,
            reader,
            clock,
            rng: ChaCha8Rng::seed_from_u64(seed),
            of_many_units,
            answers: BTreeMap::new(),
            positions: BTreeMap::new(),
            fates: Fates::default(),
        })
    }

    /// Lets time pass up to `at`: events and answers come, clocks run out, new tasks find someone to answer them.
    fn pass(&mut self, at: Timestamp, events: &[Simulated]) -> Result<(), CliError> {
        self.clock.store(at.0, Ordering::Release);
        let mut writes: Vec<Write> = events.iter().filter_map(of_event).collect();
        self.fates.sent(writes.len());
        let later = self.answers.split_off(&(at.plus_millis(1), 0));
        for ((_, _), answer) in std::mem::replace(&mut self.answers, later) {
            self.fates.answered(&answer.outcome);
            writes.extend(self.of_answer(&answer));
        }
        if !writes.is_empty() {
            self.publish(writes)?;
        }
        self.settle()
    }

    fn publish(&self, writes: Vec<Write>) -> Result<(), CliError> {
        let (answer, answered) = std::sync::mpsc::channel();
        self.publisher.publish(writes, Box::new(move |result| drop(answer.send(result))));
        answered.recv().unwrap_or(Err(BrokerError::Stopping)).map(drop).map_err(CliError::failed)
    }

    /// Waits until both stages have read all there is, and takes note of the tasks that came.
    fn settle(&mut self) -> Result<(), CliError> {
        let is_read = |group: &str, topic: &str, partition: u32| -> Result<bool, BrokerError> {
            let read = self.broker.position(group, topic, partition)?.unwrap_or(0);
            Ok(read >= self.reader.end_offset(topic, partition)?)
        };
        let partitions = self.reader.partitions(INBOX).map_err(CliError::failed)?;
        let all_read = || -> Result<bool, BrokerError> {
            let mut read = is_read(INTAKE_GROUP, GATEWAY, 0)?;
            for partition in 0..partitions {
                read = read && is_read(DECIDE_GROUP, INBOX, partition)?;
            }
            Ok(read)
        };
        while !all_read().map_err(CliError::failed)? {
            std::thread::sleep(Duration::from_micros(500));
        }
        self.read_published().map_err(CliError::failed)
    }

    /// All tasks, and then the decisions that say how they stand. Where these end is asked first: a decision lies there with
    /// the tasks that it raised.
    fn read_published(&mut self) -> Result<(), BrokerError> {
        let decided = self.ends_of(DECISIONS)?;
        for topic in self.reader.topics()?.into_iter().filter(|topic| topic.starts_with(TASKS_PREFIX)) {
            for (partition, end) in self.ends_of(&topic)? {
                self.read_to(&topic, partition, end, Year::plan_answers)?;
            }
        }
        for (partition, end) in decided {
            self.read_to(DECISIONS, partition, end, |year, decision| year.fates.decided(decision))?;
        }
        Ok(())
    }

    fn ends_of(&self, topic: &str) -> Result<Vec<(u32, i64)>, BrokerError> {
        let partitions = 0..self.reader.partitions(topic)?;
        partitions.map(|partition| Ok((partition, self.reader.end_offset(topic, partition)?))).collect()
    }

    fn read_to<T: Published>(
        &mut self,
        topic: &str,
        partition: u32,
        end: i64,
        take: impl Fn(&mut Self, &T),
    ) -> Result<(), BrokerError> {
        let place = (topic.to_owned(), partition);
        let mut next = self.positions.get(&place).copied().unwrap_or(0);
        while next < end {
            let records = self.reader.read(topic, partition, next, CHUNK_RECORDS)?;
            next = records.last().map_or(end, |last| last.offset + 1);
            for record in records {
                match decode::<T>(record.value.as_deref().unwrap_or_default()) {
                    Ok(record) => take(self, &record),
                    Err(_) => self.fates.unreadable(),
                }
            }
        }
        self.positions.insert(place, next);
        Ok(())
    }

    fn plan_answers(&mut self, task: &Task) {
        if !self.fates.published(task) {
            return;
        }
        let answer_by = task.acknowledge_by.unwrap_or(task.due_at);
        for outcome in agencies::answers(&mut self.rng, &task.reply_to, task.raised_at, answer_by) {
            self.fates.will_answer(&outcome.outcome_id, &task.task_id);
            let number = self.answers.len();
            let (agency, unit) = (task.agency.clone(), task.unit.clone());
            self.answers.insert((outcome.at, number), Answer { agency, unit, outcome });
        }
    }

    fn of_answer(&self, answer: &Answer) -> Option<Write> {
        let unit = answer.unit.as_ref().filter(|_| self.of_many_units.contains(&answer.agency));
        let mut headers = vec![("agency".to_owned(), answer.agency.clone().into_bytes())];
        headers.extend(unit.map(|unit| ("unit".to_owned(), unit.clone().into_bytes())));
        Some(stamped(answer.outcome.outcome_id.as_bytes(), codec::encode(&answer.outcome).ok()?, headers))
    }

    /// What the newest history of each child remembers.
    fn histories(&mut self) -> Result<Vec<History>, BrokerError> {
        let mut newest: BTreeMap<Vec<u8>, History> = BTreeMap::new();
        for (partition, end) in self.ends_of(HISTORY)? {
            let mut next = 0;
            while next < end {
                let records = self.reader.read(HISTORY, partition, next, CHUNK_RECORDS)?;
                next = records.last().map_or(end, |last| last.offset + 1);
                for record in records {
                    match decode(record.value.as_deref().unwrap_or_default()) {
                        Ok(history) => drop(newest.insert(record.key, history)),
                        Err(_) => self.fates.unreadable(),
                    }
                }
            }
        }
        Ok(newest.into_values().collect())
    }

    /// Stops the router first, so that nothing is published that is not counted.
    fn finish(mut self) -> Result<(Fates, bool), CliError> {
        let stopped = self.service.stop(LANES_STOP);
        self.read_published().map_err(CliError::failed)?;
        let histories = self.histories().map_err(CliError::failed)?;
        self.fates.compare(histories.iter());
        self.broker.close();
        Ok((self.fates, stopped))
    }
}

/// An event as the gateway writes it down; bodies that it would refuse are not sent.
fn of_event(event: &Simulated) -> Option<Write> {
    let (key, value) = match &event.payload {
        Payload::Event(event) => (event.event_id.clone().into_bytes(), codec::encode(event.as_ref()).ok()?),
        Payload::Refused(_) => return None,
        Payload::Unreadable(bytes) => (Vec::new(), bytes.clone()),
    };
    let partner = ("partner".to_owned(), event.partner.as_bytes().to_vec());
    Some(stamped(&key, value, vec![partner, ("unit".to_owned(), event.unit.clone().into_bytes())]))
}

fn stamped(key: &[u8], value: Vec<u8>, headers: Vec<(String, Vec<u8>)>) -> Write {
    let headers = headers.into();
    Write { topic: GATEWAY.into(), placement: Placement::ByKey, key: key.to_vec(), value: Some(value), headers }
}
