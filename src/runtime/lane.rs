//! A lane: poll, process each record, stage, commit. One thread, shared-nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::broker::{BatchLimit, BrokerError, Clock, Commit, Consumed, LaneBroker, PartitionOwner, Record, Write};
use crate::engine::context::StepError;
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::{Metrics, Stage};
use crate::telemetry::waiting::LaneWaiting;

/// A batch grows to this under load, and starts at the least.
const BATCH_RECORDS_MAX: usize = 4096;
const BATCH_RECORDS_MIN: usize = 256;
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Batches grow while one takes less than this, and shrink when one takes four times as long.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// The longest wait for records: how soon a stop or a timer is noticed.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// The same until the partitions' state is there.
const RESTORE_WAIT: Duration = Duration::from_millis(20);
/// INTAKE gathers for this part of the time that DECIDE is behind: far less than DECIDE has to do yet.
const SPARE_PART: u64 = 4;
const SPARE_MAX: Duration = Duration::from_millis(250);
/// A lane that failed works again once all there is was read, or it has gone on for so long: what made it fail comes with the same records.
const PROVEN_AFTER: Duration = Duration::from_secs(10);
/// A stop is noticed so soon meanwhile.
const SPARE_POLL: Duration = Duration::from_millis(5);

/// Why a lane stopped. The supervisor starts it again.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the record at {topic}/{partition}/{offset} cannot be judged: {error}")]
    Step { topic: Arc<str>, partition: u32, offset: i64, error: StepError },
    #[error("which rule book is in force is not known: the rule books' topic could not be read for too long")]
    BooksUnknown,
    #[error("which rule book is in force is not known: records bear times far ahead of this machine's clock")]
    BooksBehind,
    /// Not even its quarantine.
    #[error("an output could not be written: {0}")]
    Output(#[from] super::outputs::OutputError),
}

/// What one stage does with records. Told of its partitions, commits and aborts as their owner.
pub trait LaneWork: PartitionOwner {
    fn stage(&self) -> Stage;

    /// Before the first record of a batch: takes up what changed while it was waited for.
    fn begin(&mut self);

    /// Adds what comes of one record to `writes`. A fault of the record's is an output like any other; an error
    /// stops the lane.
    fn process(&mut self, record: Record, writes: &mut Vec<Write>) -> Result<(), LaneError>;

    /// After the last record of a batch: what is written once for all of them, and what time itself brings.
    fn conclude(&mut self, now: Timestamp, writes: &mut Vec<Write>) -> Result<(), LaneError>;

    /// Told after every batch and every idle wait. `oldest_unread`: None when all is read.
    fn progressed(&mut self, now: Timestamp, oldest_unread: Option<Timestamp>);
}

/// What a lane shares with its supervisor.
pub struct LaneControl {
    pub stop: Arc<AtomicBool>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub number: usize,
}

/// Runs until told to stop. `works` is called once: when the partitions' state is there, and, of a lane that is `doubted` as it failed before,
/// once it has shown that it does not fail again, and what is asked then is mended.
pub fn run(
    lane: &mut dyn LaneBroker,
    work: &mut dyn LaneWork,
    control: &LaneControl,
    doubted: Option<&dyn Fn() -> bool>,
    works: &dyn Fn(),
) -> Result<(), LaneError> {
    let mut limit = first_limit();
    let mut restored_at: Option<Instant> = None;
    let mut is_told = false;
    while !control.stop.load(Ordering::Acquire) {
        turn(lane, work, control, &mut limit)?;
        if restored_at.is_none() {
            restored_at = lane.is_restored().then(Instant::now);
            limit.wait = if restored_at.is_some() { POLL_WAIT } else { RESTORE_WAIT };
        }
        if let Some(at) = restored_at.filter(|_| !is_told) {
            // What it failed over may be another lane's to read by now.
            let is_proven = || at.elapsed() >= PROVEN_AFTER || control.metrics.waiting().is_all_read(work.stage());
            is_told = doubted.is_none_or(|is_mended| is_proven() && is_mended());
            if is_told {
                works();
            }
        }
    }
    Ok(())
}

/// The limit of a lane's first turn: few records, no waiting.
pub fn first_limit() -> BatchLimit {
    BatchLimit { records_max: BATCH_RECORDS_MIN, bytes_max: BATCH_BYTES_MAX, wait: Duration::ZERO }
}

/// One batch: polled until the lane is idle or its transaction has lasted long enough, processed, committed. Answers how
/// many records it had, committed or not.
pub fn turn(
    lane: &mut dyn LaneBroker,
    work: &mut dyn LaneWork,
    control: &LaneControl,
    limit: &mut BatchLimit,
) -> Result<usize, LaneError> {
    let (mut count, mut staged) = part(lane, work, control, limit)?;
    let since = Instant::now();
    let mut last = count;
    let stops = || control.stop.load(Ordering::Acquire);
    let spare = if count > 0 { spare_time(work.stage(), control) } else { Duration::ZERO };
    while count < limit.records_max && !stops() && lane.gathers_on(since, spare) {
        // All there is was read: committed at once, unless nobody would come to it yet.
        let wait = match spare.saturating_sub(since.elapsed()) {
            _ if last > 0 => Duration::ZERO,
            Duration::ZERO => break,
            left => left.min(SPARE_POLL),
        };
        let left = BatchLimit { records_max: limit.records_max - count, wait, ..*limit };
        let more = part(lane, work, control, &left)?;
        (last, staged) = (more.0, staged | more.1);
        count += last;
    }
    if staged {
        commit(lane, work, control, count)?;
    }
    adapt(limit, count, since.elapsed().saturating_sub(spare));
    let oldest = lane.oldest_unread()?;
    control.metrics.waiting().lane(work.stage(), control.number, LaneWaiting { oldest, records: 0 });
    work.progressed((control.clock)(), oldest);
    Ok(count)
}

/// How long INTAKE may gather while DECIDE has not come to what it wrote before: what it commits sooner only waits there, and
/// each commit costs the log.
fn spare_time(stage: Stage, control: &LaneControl) -> Duration {
    match stage {
        Stage::Intake => {
            let behind = control.metrics.waiting().behind_ms(Stage::Decide, (control.clock)());
            Duration::from_millis(behind.unsigned_abs() / SPARE_PART).min(SPARE_MAX)
        }
        Stage::Decide => Duration::ZERO,
    }
}

/// What is there, polled, processed and staged: how many records, and whether anything is to be committed.
fn part(
    lane: &mut dyn LaneBroker,
    work: &mut dyn LaneWork,
    control: &LaneControl,
    limit: &BatchLimit,
) -> Result<(usize, bool), LaneError> {
    let records = lane.poll(work, limit)?;
    let count = records.len();
    if let Some(newest) = records.iter().map(|record| record.timestamp).max() {
        let waiting = control.metrics.waiting();
        waiting.read(newest);
        let oldest = records.iter().map(|record| record.timestamp).min();
        waiting.lane(work.stage(), control.number, LaneWaiting { oldest, records: count });
    }
    let consumed = consumed(&records);
    let mut writes = Vec::with_capacity(count.saturating_mul(4));
    if count > 0 {
        work.begin();
    }
    for record in records {
        work.process(record, &mut writes)?;
    }
    work.conclude((control.clock)(), &mut writes)?;
    let staged = !(consumed.is_empty() && writes.is_empty());
    if staged {
        lane.stage(writes, consumed)?;
    }
    Ok((count, staged))
}

fn commit(
    lane: &mut dyn LaneBroker,
    work: &mut dyn LaneWork,
    control: &LaneControl,
    count: usize,
) -> Result<(), LaneError> {
    let started = Instant::now();
    match lane.commit(work)? {
        Commit::Committed => control.metrics.committed(work.stage(), started.elapsed(), count),
        Commit::Aborted => control.metrics.aborted(work.stage()),
    }
    Ok(())
}

/// The next offset of every partition that the batch read from.
fn consumed(records: &[Record]) -> Vec<Consumed> {
    let mut next: BTreeMap<(&Arc<str>, u32), i64> = BTreeMap::new();
    for record in records {
        next.insert((&record.topic, record.partition), record.offset + 1);
    }
    let consumed = |((topic, partition), next_offset): ((&Arc<str>, u32), i64)| {
        let topic = Arc::clone(topic);
        Consumed { topic, partition, next_offset }
    };
    next.into_iter().map(consumed).collect()
}

/// Full batches that were quick grow; slow ones shrink: a commit's price is shared by many, and no one waits long.
fn adapt(limit: &mut BatchLimit, count: usize, took: Duration) {
    if took > BATCH_TIME * 4 {
        limit.records_max = (limit.records_max / 2).max(BATCH_RECORDS_MIN);
    } else if count >= limit.records_max && took < BATCH_TIME {
        limit.records_max = (limit.records_max * 2).min(BATCH_RECORDS_MAX);
    }
}
