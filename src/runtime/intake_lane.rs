//! INTAKE as a lane: partners' and agencies' records in, inbox records out, each under the topic's own authority.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::directory::Directory;
use super::lane::{LaneError, LaneWork};
use super::outputs::{OutputError, Outputs, UNIT, Unusable, header, trace_of};
use super::progress::IntakeProgress;
use super::topics::{GATEWAY, OUTCOMES_PREFIX, OutputTopics, REFERRALS_PREFIX};
use crate::broker::{BrokerError, PartitionOwner, Record, Write};
use crate::engine::context::Context;
use crate::engine::intake::standing::Agencies;
use crate::engine::intake::{self, Accepted, IncomingRecord, IntakeContext, Partners, Said};
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::metrics::{Disposition, Metrics, Stage};

/// Stamped by the gateway on what an operator imports: history only, no tasks.
const BACKFILL: &str = "backfill";
/// Stamped by the gateway: whose token it saw.
const PARTNER: &str = "partner";
const AGENCY: &str = "agency";
/// Stamped by the gateway on what a partner sends as the answer to its own feedback: no event.
pub const DISAGREEMENT: &str = "disagreement";

/// Who sent a record: the partner or agency whose topic it came on, or whom the gateway stamped on its own.
struct Origin<'a> {
    sender: &'a str,
    said: Said,
    by_gateway: bool,
}

impl<'a> Origin<'a> {
    fn of(record: &'a Record) -> Self {
        let topic = record.topic.as_ref();
        if topic == GATEWAY {
            let (partner, agency) = (stamp(record, PARTNER), stamp(record, AGENCY));
            let sender = partner.or(agency).unwrap_or(topic);
            let said = match (partner, agency) {
                (Some(_), _) if stamp(record, DISAGREEMENT).is_some() => Said::Disagreement,
                (None, Some(_)) => Said::Answer,
                (Some(_), _) | (None, None) => Said::Event,
            };
            return Self { sender, said, by_gateway: true };
        }
        let agency = topic.strip_prefix(OUTCOMES_PREFIX);
        let sender = agency.or_else(|| topic.strip_prefix(REFERRALS_PREFIX)).unwrap_or(topic);
        let said = if agency.is_some() { Said::Answer } else { Said::Event };
        Self { sender, said, by_gateway: false }
    }
}

fn stamp<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    header(record, name).and_then(|value| std::str::from_utf8(value).ok())
}

pub struct IntakeLane {
    pub context: Arc<Context>,
    pub partners: Arc<Partners>,
    pub topics: OutputTopics,
    pub metrics: Arc<Metrics>,
    pub progress: Arc<IntakeProgress>,
    pub number: usize,
    agencies: Agencies,
    notes: Vec<Note>,
    /// What changes while the lane runs; None: nothing does.
    directory: Option<Arc<Directory>>,
    seen: u64,
}

/// What to count once the batch is durable.
struct Note {
    sender: String,
    /// None: accepted.
    refused: Option<QuarantineReason>,
    feedback: Option<crate::engine::model::feedback::FeedbackStatus>,
}

impl IntakeLane {
    pub fn new(
        context: Arc<Context>,
        partners: Arc<Partners>,
        topics: OutputTopics,
        metrics: Arc<Metrics>,
        progress: Arc<IntakeProgress>,
        number: usize,
    ) -> Self {
        let agencies = Agencies::of(context.books.all().map(|book| &book.rules));
        let (notes, directory, seen) = (Vec::new(), None, 0);
        Self { context, partners, topics, metrics, progress, number, agencies, notes, directory, seen }
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
            (self.context, self.partners, self.topics) = (current.context, current.partners, current.topics);
            self.agencies = Agencies::of(self.context.books.all().map(|book| &book.rules));
        }
    }

    fn accept(&self, record: &Record, origin: &Origin<'_>) -> Accepted {
        let Origin { sender, said, by_gateway } = *origin;
        let context = IntakeContext {
            keys: &self.context.keys,
            sealer: &self.context.sealer,
            partners: &self.partners,
            agencies: &self.agencies,
            front_door_phone: self.context.front_door_phone.as_deref(),
        };
        let incoming = IncomingRecord {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            receipt: record.timestamp,
            sender,
            by_gateway,
            unit: stamp(record, UNIT).filter(|_| by_gateway),
            headers: &record.headers,
            fault: record.fault.as_deref(),
            value: record.value.as_deref().unwrap_or_default(),
            allow_backfill: by_gateway && header(record, BACKFILL) == Some(b"true"),
        };
        let accept = || intake::take_in(&context, &incoming, said);
        catch_unwind(AssertUnwindSafe(accept))
            .unwrap_or_else(|_| self.faulted(record, sender, "INTAKE failed on it".to_owned()))
    }

    /// A panic, or what cannot be written, costs this record only.
    fn faulted(&self, record: &Record, sender: &str, fault: String) -> Accepted {
        self.metrics.step_fault();
        let unusable = Unusable {
            record,
            reason: QuarantineReason::RouterFault,
            fault,
            part: "",
            partner: Some(sender.to_owned()),
            event_id: None,
            receipt: record.timestamp,
        };
        let quarantined = unusable.quarantined();
        let signal = unusable.signal(&self.context.keys, &quarantined);
        Accepted { inbox: vec![signal], quarantined: Some(quarantined), feedback: None }
    }
}

impl IntakeLane {
    fn write(&self, accepted: &Accepted, trace: Option<&[u8]>, writes: &mut Vec<Write>) -> Result<(), OutputError> {
        let outputs = Outputs { topics: &self.topics, keys: &self.context.keys };
        for inbox in &accepted.inbox {
            writes.push(outputs.inbox(inbox, trace)?);
            if self.topics.written_for_previous {
                for alias in intake::aliases_of(inbox) {
                    writes.push(outputs.inbox(&alias, trace)?);
                }
            }
        }
        if let Some(quarantined) = &accepted.quarantined {
            writes.push(outputs.quarantined(quarantined)?);
        }
        if let Some(feedback) = &accepted.feedback {
            writes.extend(outputs.feedback(feedback, trace)?);
        }
        Ok(())
    }
}

impl PartitionOwner for IntakeLane {
    fn restored(&mut self, _partition: u32, _record: Record) -> Result<(), BrokerError> {
        Ok(())
    }

    fn assigned(&mut self, _partition: u32) -> Result<(), BrokerError> {
        Ok(())
    }

    fn revoked(&mut self, _partition: u32) {}

    fn committed(&mut self) {
        for Note { sender, refused, feedback } in self.notes.drain(..) {
            let disposition = if refused.is_some() { Disposition::Quarantined } else { Disposition::Accepted };
            self.metrics.intake(&sender, disposition);
            if let Some(reason) = refused {
                self.metrics.quarantined(&sender, reason);
            }
            if let Some(status) = feedback {
                self.metrics.feedback(&sender, status);
            }
        }
    }

    fn aborted(&mut self) {
        self.notes.clear();
    }
}

impl LaneWork for IntakeLane {
    fn stage(&self) -> Stage {
        Stage::Intake
    }

    fn begin(&mut self) {
        self.look_up();
    }

    fn process(&mut self, record: Record, writes: &mut Vec<Write>) -> Result<(), LaneError> {
        let origin = Origin::of(&record);
        let sender = origin.sender;
        let mut accepted = self.accept(&record, &origin);
        let (trace, before) = (trace_of(&record), writes.len());
        if let Err(error) = self.write(&accepted, trace, writes) {
            writes.truncate(before);
            tracing::error!(%error, "what comes of a record cannot be written: it is in quarantine");
            accepted = self.faulted(&record, sender, error.to_string());
            self.write(&accepted, trace, writes)?;
        }
        self.notes.push(Note {
            sender: sender.to_owned(),
            refused: accepted.quarantined.map(|quarantined| quarantined.reason),
            feedback: accepted.feedback.map(|feedback| feedback.status),
        });
        Ok(())
    }

    fn conclude(&mut self, _now: Timestamp, _writes: &mut Vec<Write>) -> Result<(), LaneError> {
        Ok(())
    }

    fn progressed(&mut self, now: Timestamp, oldest_unread: Option<Timestamp>) {
        self.look_up();
        self.progress.read_up_to(self.number, oldest_unread.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(topic: &str, headers: &[(&str, &str)]) -> (String, Said, bool) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let (partition, offset, timestamp) = (0, 0, Timestamp(0));
        let (topic, key, value, fault) = (topic.into(), Vec::new(), None, None);
        let record = Record { topic, partition, offset, timestamp, key, value, headers, fault };
        let Origin { sender, said, by_gateway } = Origin::of(&record);
        (sender.to_owned(), said, by_gateway)
    }

    #[test]
    fn stamps_are_believed_on_the_gateways_topic_alone() {
        let forged = [
            ("partner", "council"),
            ("agency", "police"),
            ("unit", "case-system"),
            ("backfill", "true"),
            (DISAGREEMENT, "true"),
        ];
        let disagrees = [("partner", "council"), (DISAGREEMENT, "true")];
        assert_eq!(of("referrals.schools", &forged), ("schools".to_owned(), Said::Event, false));
        assert_eq!(of("outcomes.camhs", &forged), ("camhs".to_owned(), Said::Answer, false));
        assert_eq!(of("gateway.other", &disagrees), ("gateway.other".to_owned(), Said::Event, false));
        assert_eq!(of(GATEWAY, &[("partner", "council")]), ("council".to_owned(), Said::Event, true));
        assert_eq!(of(GATEWAY, &disagrees), ("council".to_owned(), Said::Disagreement, true));
        assert_eq!(of(GATEWAY, &[("agency", "police")]), ("police".to_owned(), Said::Answer, true));
        assert_eq!(of(GATEWAY, &[(DISAGREEMENT, "true")]), (GATEWAY.to_owned(), Said::Event, true));
        assert_eq!(of(GATEWAY, &[]), (GATEWAY.to_owned(), Said::Event, true));
    }
}
