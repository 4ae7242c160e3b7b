//! DECIDE as a lane: inbox records in order, through `step`, over the state of each partition.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::decide_notes::Notes;
use super::directory::{Books, Directory};
use super::lane::{LaneError, LaneWork};
use super::outputs::{OutputError, Outputs, TRACE, Unusable, header};
use super::progress::IntakeProgress;
use super::ticks::Ticker;
use super::topics::OutputTopics;
use crate::broker::{BrokerError, PartitionOwner, Record, Write};
use crate::engine::codec;
use crate::engine::context::{Context, StepError};
use crate::engine::model::history::History;
use crate::engine::model::inbox::{InboxBody, InboxRecord};
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::{Delta, State};
use crate::engine::step::{Step, catch_up, notice_book, step};
use crate::telemetry::metrics::{Disposition, Metrics, RecordKind, Stage};

mod time;

pub use self::time::TIMERS_PER_TICK_MAX;

pub struct DecideLane {
    context: Arc<Context>,
    topics: OutputTopics,
    metrics: Arc<Metrics>,
    progress: Arc<IntakeProgress>,
    number: usize,
    partitions: BTreeMap<u32, Partition>,
    /// What is restored so far of partitions on their way.
    arriving: BTreeMap<u32, State>,
    notes: Notes,
    /// What changes while the lane runs; None: nothing does.
    directory: Option<Arc<Directory>>,
    seen: u64,
}

#[derive(Default)]
struct Partition {
    state: State,
    /// Of each subject that was touched since this was last asked.
    histories: BTreeMap<SubjectKey, Write>,
    ticker: Ticker,
    /// Books that took effect up to then have had their say on open deadlines.
    noticed: Timestamp,
}

/// Why one record gave no step.
enum Fault {
    /// The lane must stop.
    Fatal(StepError),
    /// The record goes to quarantine.
    OfRecord(String),
}

impl DecideLane {
    pub fn new(
        context: Arc<Context>,
        topics: OutputTopics,
        metrics: Arc<Metrics>,
        progress: Arc<IntakeProgress>,
        number: usize,
    ) -> Self {
        let (partitions, arriving, notes) = (BTreeMap::new(), BTreeMap::new(), Notes::default());
        let (directory, seen) = (None, 0);
        Self { context, topics, metrics, progress, number, partitions, arriving, notes, directory, seen }
    }

    /// Takes up what changes in the directory.
    #[must_use]
    pub fn following(mut self, directory: Arc<Directory>) -> Self {
        self.directory = Some(directory);
        self.seen = u64::MAX;
        self.look_up();
        self
    }

    fn look_up(&mut self) {
        if let Some(current) = self.directory.as_ref().and_then(|directory| directory.newer(&mut self.seen)) {
            (self.context, self.topics) = (current.context, current.topics);
        }
    }

    /// A topic that another instance made, for a partner that this one has not been told of, is looked for.
    fn learn_topics(&mut self, step: &Step) -> Result<(), BrokerError> {
        let missing: Vec<String> = step.effects.iter().filter_map(|effect| self.topics.missing(effect)).collect();
        if let Some(directory) = self.directory.as_ref().filter(|_| !missing.is_empty()) {
            missing.iter().try_for_each(|topic| directory.look_for(topic))?;
            self.topics = directory.current().topics;
        }
        Ok(())
    }

    fn must_know_book_at(&mut self, instant: Timestamp) -> Result<(), LaneError> {
        match self.directory.as_ref().map_or(Books::Known, |directory| directory.knows_books_at(instant)) {
            Books::Known => {}
            Books::KnownAnew => self.look_up(),
            Books::NotReadForTooLong => return Err(LaneError::BooksUnknown),
            Books::BehindTheLog => return Err(LaneError::BooksBehind),
        }
        Ok(())
    }

    fn outputs(&self) -> Outputs<'_> {
        Outputs { topics: &self.topics, keys: &self.context.keys }
    }

    /// Stages a step's changes and adds its outputs; when one of them cannot be written, nothing of it is kept, and that
    /// costs one record.
    fn take(&mut self, record: &Record, step: Step, writes: &mut Vec<Write>) -> Result<(), String> {
        let before = writes.len();
        let taken = catch_unwind(AssertUnwindSafe(|| self.write_and_stage(record, step, writes)));
        taken.unwrap_or_else(|_| {
            writes.truncate(before);
            self.metrics.step_fault();
            Err("DECIDE failed on what comes of it".to_owned())
        })
    }

    /// Nothing is staged before all of it is written.
    fn write_and_stage(&mut self, record: &Record, step: Step, writes: &mut Vec<Write>) -> Result<(), String> {
        let before = writes.len();
        for effect in &step.effects {
            let trace = header(record, TRACE).or_else(|| step.trace_of(effect).map(str::as_bytes));
            match self.outputs().effect(effect, trace) {
                Ok(write) => writes.extend(write),
                Err(error) => {
                    writes.truncate(before);
                    return Err(self.unwritable(&error));
                }
            }
        }
        if let Err(error) = self.keep(record.partition, step.delta) {
            writes.truncate(before);
            return Err(self.unwritable(&error));
        }
        self.notes.effects(&step.effects);
        Ok(())
    }

    /// Stages changes of histories that can be written; else none of them.
    fn keep(&mut self, number: u32, delta: Delta) -> Result<(), OutputError> {
        let write = |(subject, history): (&SubjectKey, &History)| {
            Ok((*subject, self.outputs().history(number, *subject, history)?))
        };
        let written = delta.histories.iter().map(write).collect::<Result<Vec<_>, OutputError>>()?;
        if let Some(partition) = self.partitions.get_mut(&number) {
            self.notes.windows_cut(delta.windows_cut(&partition.state));
            partition.state.stage(delta);
            partition.histories.extend(written);
        }
        Ok(())
    }

    fn unwritable(&self, error: &OutputError) -> String {
        self.metrics.step_fault();
        tracing::error!(%error, "what comes of a record cannot be written: it is in quarantine");
        error.to_string()
    }

    fn judge(&mut self, record: &Record, inbox: &InboxRecord, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        let kind = kind_of(&inbox.body);
        let timing = self.metrics.step_histogram(Stage::Decide).start_timer();
        let stepped = self.guarded(record.partition, |context, state| step(context, state, inbox));
        timing.observe_duration();
        let taken = match stepped {
            Ok(mut stepped) => {
                self.learn_topics(&stepped)?;
                let disposition = Notes::disposition(&stepped);
                if let Some(trace) = header(record, TRACE).and_then(|trace| std::str::from_utf8(trace).ok()) {
                    stepped.keep_trace(inbox, trace);
                }
                self.take(record, stepped, writes).map(|()| disposition)
            }
            Err(Fault::OfRecord(fault)) => Err(fault),
            Err(Fault::Fatal(error)) => return Err(fatal(record, error)),
        };
        match taken {
            Ok(disposition) => {
                self.notes.disposed(kind, disposition);
                if let InboxBody::Referral(referral) = &inbox.body {
                    self.notes.referral(&referral.event, disposition);
                }
            }
            Err(fault) => {
                self.notes.disposed(kind, Disposition::Faulted);
                let unusable = Unusable {
                    record,
                    reason: QuarantineReason::RouterFault,
                    fault,
                    part: "",
                    partner: partner_of(&inbox.body),
                    event_id: event_of(&inbox.body),
                    receipt: inbox.receipt,
                };
                // A signal that fails raises none: it would fail too.
                self.quarantine(&unusable, kind != RecordKind::Signal, writes)?;
            }
        }
        Ok(())
    }

    /// Runs a step so that a panic in it costs one record.
    fn guarded(
        &self,
        partition: u32,
        run: impl FnOnce(&Context, &State) -> Result<Step, StepError>,
    ) -> Result<Step, Fault> {
        let Some(partition) = self.partitions.get(&partition) else {
            return Err(Fault::OfRecord("its partition is not held".to_owned()));
        };
        match catch_unwind(AssertUnwindSafe(|| run(&self.context, &partition.state))) {
            Ok(Ok(stepped)) => Ok(stepped),
            Ok(Err(error @ StepError::NoBookInForce)) => Err(Fault::Fatal(error)),
            Ok(Err(error @ (StepError::TooManyHops | StepError::Calendar(_)))) => {
                Err(Fault::OfRecord(error.to_string()))
            }
            Err(_) => {
                self.metrics.step_fault();
                Err(Fault::OfRecord("DECIDE failed on it".to_owned()))
            }
        }
    }

    fn quarantine(
        &mut self,
        unusable: &Unusable<'_>,
        signal: bool,
        writes: &mut Vec<Write>,
    ) -> Result<(), OutputError> {
        let quarantined = unusable.quarantined();
        writes.push(self.outputs().quarantined(&quarantined)?);
        if signal {
            let signal = unusable.signal(&self.context.keys, &quarantined);
            writes.push(self.outputs().inbox(&signal, None)?);
        }
        self.notes.quarantined(unusable.partner.clone().unwrap_or_default(), unusable.reason);
        Ok(())
    }

    fn undecodable(&mut self, record: &Record, fault: String, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        self.notes.consumed(RecordKind::Undecodable);
        self.notes.disposed(RecordKind::Undecodable, Disposition::Quarantined);
        let unusable = Unusable {
            record,
            reason: QuarantineReason::Undecodable,
            fault,
            part: "",
            partner: None,
            event_id: None,
            receipt: record.timestamp,
        };
        Ok(self.quarantine(&unusable, true, writes)?)
    }
}

fn fatal(record: &Record, error: StepError) -> LaneError {
    let Record { topic, partition, offset, .. } = record;
    LaneError::Step { topic: topic.clone(), partition: *partition, offset: *offset, error }
}

/// Histories that could not be taken up as they should: their clocks run on as they are.
fn told_left(metrics: &Metrics, left: usize) {
    (0..left).for_each(|_| metrics.step_fault());
    if left > 0 {
        tracing::error!(histories = left, "histories could not be brought up to date: they stand as they were read");
    }
}

fn kind_of(body: &InboxBody) -> RecordKind {
    match body {
        InboxBody::Referral(_) => RecordKind::Referral,
        InboxBody::Outcome(_) => RecordKind::Outcome,
        InboxBody::Alias(_) => RecordKind::Alias,
        InboxBody::Forward(_) => RecordKind::Forward,
        InboxBody::Signal(_) => RecordKind::Signal,
        InboxBody::Tick(_) => RecordKind::Tick,
    }
}

fn partner_of(body: &InboxBody) -> Option<String> {
    match body {
        InboxBody::Referral(referral) => Some(referral.event.source.partner.clone()),
        InboxBody::Outcome(outcome) => Some(outcome.partner.as_ref().unwrap_or(&outcome.agency).clone()),
        InboxBody::Alias(alias) => Some(alias.partner.clone()),
        InboxBody::Signal(signal) => signal.partner.clone(),
        InboxBody::Forward(_) | InboxBody::Tick(_) => None,
    }
}

fn event_of(body: &InboxBody) -> Option<String> {
    match body {
        InboxBody::Referral(referral) => Some(referral.event.event_id.clone()),
        InboxBody::Outcome(outcome) => Some(outcome.outcome.outcome_id.clone()),
        InboxBody::Alias(alias) => Some(alias.event_id.clone()),
        InboxBody::Signal(_) | InboxBody::Forward(_) | InboxBody::Tick(_) => None,
    }
}

impl PartitionOwner for DecideLane {
    fn restored(&mut self, partition: u32, record: Record) -> Result<(), BrokerError> {
        let unreadable = |problem: &str| {
            BrokerError::Storage(format!(
                "the history at partition {partition}, offset {} cannot be read: {problem}",
                record.offset
            ))
        };
        let key = record.key.as_slice().try_into().map_err(|_| unreadable("its key is not a subject's"))?;
        let history: History = match &record.value {
            Some(value) => codec::decode(value).map_err(|error| unreadable(&error.to_string()))?,
            None => History::default(),
        };
        // How far the log's time has come is known before anything new is read.
        self.metrics.waiting().read(record.timestamp);
        self.arriving.entry(partition).or_default().restore(SubjectKey(key), history);
        Ok(())
    }

    fn assigned(&mut self, partition: u32) -> Result<(), BrokerError> {
        let mut state = self.arriving.remove(&partition).unwrap_or_default();
        let left = catch_up(&self.context, &mut state);
        let at = state.last_receipt();
        told_left(&self.metrics, left.saturating_add(notice_book(&self.context, &mut state, at)));
        self.partitions.insert(partition, Partition { state, noticed: at, ..Partition::default() });
        Ok(())
    }

    fn revoked(&mut self, partition: u32) {
        self.arriving.remove(&partition);
        self.partitions.remove(&partition);
    }

    fn committed(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.state.commit());
        self.notes.count(&self.metrics);
    }

    fn aborted(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.state.abort();
            partition.histories.clear();
            partition.ticker.forget();
        }
        self.notes = Notes::default();
    }
}

impl LaneWork for DecideLane {
    fn stage(&self) -> Stage {
        Stage::Decide
    }

    fn begin(&mut self) {
        self.look_up();
    }

    fn process(&mut self, record: Record, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        let decoded: Result<InboxRecord, _> = codec::decode(record.value.as_deref().unwrap_or_default());
        let inbox = match decoded {
            Ok(inbox) => inbox,
            Err(error) => return self.undecodable(&record, error.to_string(), writes),
        };
        self.must_know_book_at(inbox.receipt.max(record.timestamp))?;
        self.notes.consumed(kind_of(&inbox.body));
        match &inbox.body {
            InboxBody::Tick(_) => self.tick(&record, writes),
            InboxBody::Referral(_)
            | InboxBody::Outcome(_)
            | InboxBody::Alias(_)
            | InboxBody::Forward(_)
            | InboxBody::Signal(_) => self.judge(&record, &inbox, writes),
        }
    }

    fn conclude(&mut self, now: Timestamp, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        for partition in self.partitions.values_mut() {
            writes.extend(std::mem::take(&mut partition.histories).into_values());
        }
        self.append_ticks(now, writes)
    }

    fn progressed(&mut self, now: Timestamp, _oldest_unread: Option<Timestamp>) {
        self.look_up();
        self.notice_books(now);
        let states = || self.partitions.values().map(|partition| &partition.state);
        let subjects = states().map(State::len).sum();
        let timers = states().map(State::timers_pending).sum();
        self.metrics.held(self.number, subjects, timers);
    }
}
