//! Effects as records: which topic, key and headers each kind of output has.

use std::sync::Arc;

use super::topics::OutputTopics;
use crate::broker::headers::Headers;
use crate::broker::{Placement, RECORD_BYTES_MAX, Record, Write};
use crate::engine::codec::{self, CodecError};
use crate::engine::danger;
use crate::engine::identity::Keys;
use crate::engine::ids::derived;
use crate::engine::model::decision::Decision;
use crate::engine::model::feedback::Feedback;
use crate::engine::model::history::History;
use crate::engine::model::inbox::{InboxBody, InboxRecord, Signal, UNREAD_RECORD};
use crate::engine::model::quarantine::{Header, QuarantineReason, Quarantined};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::model::task::Task;
use crate::engine::schema::Published;
use crate::engine::step::Effect;

/// The W3C trace context, passed from what came in to what goes out.
pub const TRACE: &str = "traceparent";
/// The same as an attribute of a CloudEvent.
const CLOUD_EVENT_TRACE: &str = "ce_traceparent";
/// The unit a record is for, or from.
pub const UNIT: &str = "unit";
/// The kind of a task that needs no answer: `digest`, `word`.
pub const TASK_KIND: &str = "kind";
/// `ce_source` of everything the router publishes.
const SOURCE: &str = "/pathway-router";

/// Why an output cannot be written. It is the record's fault, not the lane's.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("there is no topic for agency {0}")]
    NoTaskTopic(String),
    #[error("{what} of {bytes} bytes is more than a topic takes")]
    TooLarge { what: &'static str, bytes: usize },
}

/// Room for the headers of nearly every record.
const HEADERS_BYTES: usize = 256;

/// What a topic takes, with room for what a broker and a registry add.
pub const OUTPUT_BYTES_MAX: usize = RECORD_BYTES_MAX - (64 << 10);
/// How much is kept of a record that is too large for quarantine.
const CUT_BYTES: usize = 1 << 20;

/// Writes outputs of one lane.
pub struct Outputs<'a> {
    pub topics: &'a OutputTopics,
    pub keys: &'a Keys,
}

impl Outputs<'_> {
    /// None for feedback to a partner that has no topic any more.
    pub fn effect(&self, effect: &Effect, trace: Option<&[u8]>) -> Result<Option<Write>, OutputError> {
        match effect {
            Effect::Task(task, subject) => self.task(task, *subject, trace).map(Some),
            Effect::Decision(decision) => self.decision(decision, trace).map(Some),
            Effect::Feedback(feedback) => self.feedback(feedback, trace),
            Effect::Inbox(record) => self.inbox(record, trace).map(Some),
        }
    }

    fn task(&self, task: &Task, subject: SubjectKey, trace: Option<&[u8]>) -> Result<Write, OutputError> {
        let topic = self.topics.tasks.get(&task.agency);
        let topic = topic.ok_or_else(|| OutputError::NoTaskTopic(task.agency.clone()))?;
        let key = self.keys.task_topic_key(subject, &task.agency).0.to_vec();
        let mut headers = cloud_event(&task.task_id, "task.raised", task.raised_at, trace);
        let said = [(UNIT, &task.unit), (TASK_KIND, &task.kind)];
        let said = said.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        said.for_each(|(name, value)| headers.push(name, value.as_bytes()));
        fitting("a task", by_key(topic, key, codec::encode(task)?, headers))
    }

    fn decision(&self, decision: &Decision, trace: Option<&[u8]>) -> Result<Write, OutputError> {
        let key = decision.subject.0.to_vec();
        let headers = cloud_event(&decision.decision_id, "decision.made", decision.receipt, trace);
        fitting("a decision", by_key(&self.topics.decisions, key, codec::encode(decision)?, headers))
    }

    pub fn feedback(&self, feedback: &Feedback, trace: Option<&[u8]>) -> Result<Option<Write>, OutputError> {
        let Some(topic) = self.topics.feedback.get(&feedback.partner) else { return Ok(None) };
        let mut headers = cloud_event(&feedback.feedback_id, "feedback.given", feedback.at, trace);
        headers.push(UNIT, feedback.unit.as_bytes());
        let key = feedback.event_id.as_bytes().to_vec();
        fitting("feedback", by_key(topic, key, codec::encode(feedback)?, headers)).map(Some)
    }

    pub fn inbox(&self, record: &InboxRecord, trace: Option<&[u8]>) -> Result<Write, OutputError> {
        let write = by_key(&self.topics.inbox, record.subject.0.to_vec(), self.own(record)?, trace_only(trace));
        fitting("an inbox record", write)
    }

    /// What the router alone reads: as the release reads it that some instance still runs.
    fn own<T: Published>(&self, record: &T) -> Result<Vec<u8>, CodecError> {
        if self.topics.written_for_previous { codec::encode_for_released(record) } else { codec::encode(record) }
    }

    /// Into the same partition as the subject's inbox, whatever the number of partitions. One that holds nothing is a record without
    /// a value, so that compaction takes it out.
    pub fn history(&self, partition: u32, subject: SubjectKey, history: &History) -> Result<Write, OutputError> {
        let (key, placement) = (subject.0.to_vec(), Placement::Partition(partition));
        if history.holds_nothing() {
            let topic = self.topics.history.clone();
            return Ok(Write { topic, placement, key, value: None, headers: Headers::default() });
        }
        let write = by_key(&self.topics.history, key, self.own(history)?, Headers::default());
        fitting("a history", Write { placement, ..write })
    }

    /// Of a record that is too large the beginning is kept, and where the whole of it lies.
    pub fn quarantined(&self, quarantined: &Quarantined) -> Result<Write, OutputError> {
        match self.whole(quarantined) {
            Err(OutputError::TooLarge { .. }) => self.whole(&cut(quarantined)),
            written => written,
        }
    }

    fn whole(&self, quarantined: &Quarantined) -> Result<Write, OutputError> {
        let key = quarantined.quarantine_id.as_bytes().to_vec();
        let headers = cloud_event(&quarantined.quarantine_id, "record.quarantined", quarantined.receipt, None);
        fitting("a quarantined record", by_key(&self.topics.quarantine, key, codec::encode(quarantined)?, headers))
    }
}

/// Refuses what no broker would take: it would be tried again for ever.
fn fitting(what: &'static str, write: Write) -> Result<Write, OutputError> {
    let bytes = write.key.len() + write.value.as_ref().map_or(0, Vec::len) + write.headers.bytes();
    if bytes > OUTPUT_BYTES_MAX { Err(OutputError::TooLarge { what, bytes }) } else { Ok(write) }
}

fn cut(quarantined: &Quarantined) -> Quarantined {
    let mut kept = Quarantined { headers: Vec::new(), ..quarantined.clone() };
    let Quarantined { topic, partition, offset, original, .. } = &mut kept;
    let bytes = original.len();
    original.truncate(CUT_BYTES);
    let fault = format!(
        "kept: the first {} of its {bytes} bytes, no headers; {topic}/{partition}/{offset} is the whole",
        original.len()
    );
    kept.faults.push(fault);
    kept
}

fn by_key(topic: &Arc<str>, key: Vec<u8>, value: Vec<u8>, headers: Headers) -> Write {
    Write { topic: topic.clone(), placement: Placement::ByKey, key, value: Some(value), headers }
}

fn trace_only(trace: Option<&[u8]>) -> Headers {
    trace.map(|trace| (TRACE, trace)).into_iter().collect()
}

/// The CloudEvents attributes as headers.
fn cloud_event(id: &str, kind: &str, time: Timestamp, trace: Option<&[u8]>) -> Headers {
    let mut headers = Headers::with_capacity(HEADERS_BYTES);
    headers.push("ce_specversion", b"1.0");
    headers.push("ce_id", id.as_bytes());
    headers.push("ce_source", SOURCE.as_bytes());
    headers.push("ce_type", kind.as_bytes());
    headers.push("ce_time", time.to_jiff().to_string().as_bytes());
    trace.into_iter().for_each(|trace| headers.push(TRACE, trace));
    headers
}

/// The trace a sender's record belongs to, unless it is none: what goes on to every agency is of this form alone.
pub fn trace_of(record: &Record) -> Option<&[u8]> {
    let sent = header(record, TRACE).or_else(|| header(record, CLOUD_EVENT_TRACE))?;
    let parts: Vec<&[u8]> = sent.split(|byte| *byte == b'-').collect();
    let is_hex = |part: &&[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    (lengths == [2, 32, 16, 2] && parts.iter().all(is_hex)).then_some(sent)
}

/// A record's header.
pub fn header<'a>(record: &'a Record, name: &str) -> Option<&'a [u8]> {
    record.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
}

/// A record that the router could not use, with what is known of where it came from.
pub struct Unusable<'a> {
    pub record: &'a Record,
    pub reason: QuarantineReason,
    /// What went wrong, without any of its content.
    pub fault: String,
    /// Tells several faults of one record apart (the timers of a tick); empty for the record itself.
    pub part: &'a str,
    pub partner: Option<String>,
    pub event_id: Option<String>,
    /// When the record was received, which is when its triage is due from.
    pub receipt: Timestamp,
}

impl Unusable<'_> {
    pub fn quarantined(&self) -> Quarantined {
        let Record { topic, partition, offset, .. } = self.record;
        let unit = header(self.record, UNIT).map(|unit| String::from_utf8_lossy(unit).into_owned());
        let headers = self.record.headers.iter();
        Quarantined {
            quarantine_id: derived(&["quarantine", topic, &partition.to_string(), &offset.to_string(), self.part]),
            reason: self.reason,
            faults: vec![self.fault.clone()],
            topic: topic.to_string(),
            partition: i32::try_from(*partition).unwrap_or(i32::MAX),
            offset: *offset,
            partner: self.partner.clone(),
            unit,
            event_id: self.event_id.clone(),
            receipt: self.receipt,
            original: self.record.value.clone().unwrap_or_default(),
            headers: headers.map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect(),
        }
    }

    /// Asks social care, once a partner's unit and hour, to find out what it was about.
    pub fn signal(&self, keys: &Keys, quarantined: &Quarantined) -> InboxRecord {
        let partner = self.partner.clone().unwrap_or_else(|| "router".to_owned());
        InboxRecord {
            id: derived(&[UNREAD_RECORD, &quarantined.quarantine_id]),
            subject: keys.partner_subject(&partner, quarantined.unit.as_deref()),
            receipt: self.receipt,
            body: InboxBody::Signal(Signal {
                kind: UNREAD_RECORD.to_owned(),
                cause: quarantined.quarantine_id.clone(),
                partner: Some(partner),
                unit: quarantined.unit.clone(),
                reason: Some(self.reason.symbol().to_owned()),
                danger: danger::is_said_in(&quarantined.original).then_some(true),
                ..Signal::default()
            }),
        }
    }
}
