//! What time brings to a lane: ticks where something is due, the timers that they fire, and rule books that take effect.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::lane::LaneError;
use super::super::outputs::{OutputError, Outputs, Unusable};
use super::{DecideLane, Fault, Partition, fatal, told_left};
use crate::broker::{Placement, Record, Write};
use crate::engine::calendar::start_of;
use crate::engine::context::Context;
use crate::engine::ids::derived;
use crate::engine::model::history::Timer;
use crate::engine::model::inbox::{InboxBody, InboxRecord, Tick};
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::step::{drop_timer, drop_timer_alone, inject_fault, notice_book, step_timer};
use crate::telemetry::metrics::{Disposition, RecordKind};

/// Timers one tick fires in one partition; the rest wait for the next, a second later.
pub const TIMERS_PER_TICK_MAX: usize = 500;
const TICK: &str = "tick";

impl DecideLane {
    /// Fires what is due, each timer as a step of its own.
    pub(super) fn tick(&mut self, record: &Record, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        let Some(partition) = self.partitions.get_mut(&record.partition) else { return Ok(()) };
        partition.ticker.arrived();
        let at = record.timestamp.max(partition.state.last_receipt());
        for (subject, timer) in partition.state.due_timers(at, TIMERS_PER_TICK_MAX) {
            let stepped =
                self.guarded(record.partition, |context, state| step_timer(context, state, subject, &timer, at));
            let taken = match stepped {
                Ok(stepped) => {
                    self.learn_topics(&stepped)?;
                    self.take(record, stepped, writes)
                }
                Err(Fault::OfRecord(fault)) => Err(fault),
                Err(Fault::Fatal(error)) => return Err(fatal(record, error)),
            };
            if let Err(fault) = taken {
                self.give_up_timer(record, subject, &timer, at, fault, writes)?;
            }
        }
        self.notes.disposed(RecordKind::Tick, Disposition::Applied);
        Ok(())
    }

    fn give_up_timer(
        &mut self,
        record: &Record,
        subject: SubjectKey,
        timer: &Timer,
        at: Timestamp,
        fault: String,
        writes: &mut Vec<Write>,
    ) -> Result<(), LaneError> {
        let dropped =
            self.guarded(record.partition, |context, state| Ok(drop_timer(context, state, subject, timer, at)));
        if !dropped.is_ok_and(|dropped| self.keep(record.partition, dropped.delta).is_ok())
            && let Some(partition) = self.partitions.get(&record.partition)
        {
            let dropped = drop_timer_alone(&partition.state, subject, timer, at);
            let partition = record.partition;
            if self.keep(partition, dropped.delta).is_err()
                && let Some(Partition { state, .. }) = self.partitions.get_mut(&partition)
            {
                // In memory alone: it comes back with a restart, and not every second.
                let dropped = drop_timer_alone(state, subject, timer, at);
                state.stage(dropped.delta);
            }
        }
        let part = derived(&[&timer.rule, &timer.event_id, &timer.due_at.0.to_string(), &subject.to_hex()]);
        let unusable = Unusable {
            record,
            reason: QuarantineReason::RouterFault,
            fault: format!("timer of {}: {fault}", timer.rule),
            part: &part,
            partner: None,
            event_id: Some(timer.event_id.clone()),
            receipt: at,
        };
        Ok(self.quarantine(&unusable, true, writes)?)
    }

    /// A book that took effect may have a corrected calendar: the next tick counts open deadlines again.
    pub(super) fn notice_books(&mut self, now: Timestamp) {
        if let Some(book) = self.context.books.in_force(now) {
            self.metrics.calendar_ends(start_of(book.rules.calendar.span().1));
        }
        for partition in self.partitions.values_mut() {
            let books = &self.context.books;
            while let Some(change) = books.next_change(partition.noticed).filter(|change| *change <= now) {
                let left = notice_book(&self.context, &mut partition.state, change);
                told_left(&self.metrics, left);
                partition.noticed = change;
            }
        }
    }

    /// A tick for each partition in which something is due. A panic over one costs that tick: the next is tried a second later.
    pub(super) fn append_ticks(&mut self, now: Timestamp, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        let behind = self.progress.behind_ms(now);
        let (context, outputs) = (&self.context, Outputs { topics: &self.topics, keys: &self.context.keys });
        for (number, partition) in &mut self.partitions {
            let made = catch_unwind(AssertUnwindSafe(|| {
                let is_due = partition.ticker.is_due(now, partition.state.next_timer(), behind);
                is_due.then(|| tick_of(context, &outputs, *number, now)).transpose()
            }));
            match made {
                Ok(made) => writes.extend(made?),
                Err(_) => {
                    partition.ticker.forget();
                    self.metrics.step_fault();
                    tracing::error!(
                        partition = number,
                        "DECIDE failed on what is due: no deadline fires there before a tick is made"
                    );
                }
            }
        }
        Ok(())
    }
}

fn tick_of(context: &Context, outputs: &Outputs<'_>, number: u32, now: Timestamp) -> Result<Write, OutputError> {
    inject_fault(context, TICK);
    let tick = InboxRecord {
        id: derived(&[TICK, &number.to_string(), &now.0.to_string()]),
        subject: SubjectKey([0; 32]),
        receipt: now,
        body: InboxBody::Tick(Tick { partition: i32::try_from(number).unwrap_or(i32::MAX) }),
    };
    let write = outputs.inbox(&tick, None)?;
    Ok(Write { placement: Placement::Partition(number), ..write })
}
