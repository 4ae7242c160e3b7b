//! From a request to the log: durable before it is answered.

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::problem::Problem;
use super::{Callers, Gateway};
use crate::broker::{BrokerError, Placement, Published, Write};
use crate::engine::cloud_event::CloudEvent;
use crate::engine::intake::refuse::{DATED_BY_TIME_HEADER, FAULTS_HEADER, REFUSED_HEADER, quarantine_id};
use crate::engine::intake::{self, IncomingRecord, IntakeContext, Said};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::schema::Fault;
use crate::runtime::topics::GATEWAY;

/// A record's header.
pub fn header(name: &str, value: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_owned(), value.into())
}

/// A record for a topic's only partition, or the one its key falls in.
pub fn keyed(topic: &str, key: &[u8], value: Vec<u8>, headers: Vec<(String, Vec<u8>)>) -> Write {
    let headers = headers.into();
    Write { topic: topic.into(), placement: Placement::ByKey, key: key.to_vec(), value: Some(value), headers }
}

/// That an event is dated by its attribute `time`, for INTAKE to name it where the sender wrote it.
pub fn dating(event: &CloudEvent) -> Option<(String, Vec<u8>)> {
    event.is_dated_by_time.then(|| header(DATED_BY_TIME_HEADER, "true"))
}

/// Why bytes were refused, for INTAKE to keep beside them.
pub fn refused(reason: QuarantineReason, faults: &[Fault]) -> [(String, Vec<u8>); 2] {
    let told = serde_json::to_vec(faults).unwrap_or_default();
    [header(REFUSED_HEADER, reason.symbol()), header(FAULTS_HEADER, told)]
}

/// What INTAKE will call a record that it does not accept.
pub fn quarantined_as(at: Published) -> String {
    quarantine_id(GATEWAY, at.partition, at.offset)
}

/// What the problem of a whole record begins with.
const OF_THE_WHOLE: [&str; 6] = ["the", "this", "is", "must", "does", "has"];

/// A fault as INTAKE writes it down: the field's path, unless it is of the whole record, and the problem.
fn as_fault(text: &str) -> Fault {
    match text.split_once(' ') {
        Some((path, problem)) if !OF_THE_WHOLE.contains(&path) => Fault::new(path, problem),
        Some(_) | None => Fault::new("", text),
    }
}

impl Gateway {
    /// Refuses work until every lane is restored.
    pub fn must_be_ready(&self) -> Result<(), Problem> {
        if self.readiness.is_ready() { Ok(()) } else { Err(Problem::not_ready(&self.readiness.why_not())) }
    }

    fn intake_context<'c>(&'c self, callers: &'c Callers) -> IntakeContext<'c> {
        IntakeContext {
            keys: &self.keys,
            sealer: &self.sealer,
            partners: &callers.intake_partners,
            agencies: &callers.agencies,
            front_door_phone: None,
        }
    }

    /// A record as INTAKE will have it of this sender, without any content.
    fn received<'r>(&self, sender: &'r str, unit: Option<&'r str>) -> IncomingRecord<'r> {
        IncomingRecord {
            topic: GATEWAY,
            partition: 0,
            offset: 0,
            receipt: self.now(),
            sender,
            by_gateway: true,
            unit,
            headers: &[],
            fault: None,
            value: &[],
            allow_backfill: false,
        }
    }

    /// Whether INTAKE would refuse a record stamped as this sender's, and why.
    pub fn intake_refusal(&self, sender: &str, unit: Option<&str>, said: Said, write: &Write) -> Option<Refusal> {
        let callers = self.callers();
        let context = self.intake_context(&callers);
        let headers = write.headers.to_vec();
        let incoming = IncomingRecord {
            topic: &write.topic,
            headers: &headers,
            value: write.value.as_deref().unwrap_or_default(),
            allow_backfill: headers.iter().any(|(name, value)| name == "backfill" && value == b"true"),
            ..self.received(sender, unit)
        };
        let accepted = intake::take_in(&context, &incoming, said);
        let quarantined = accepted.quarantined?;
        let status = match quarantined.reason {
            QuarantineReason::WrongSource => StatusCode::FORBIDDEN,
            QuarantineReason::Undecodable
            | QuarantineReason::UnknownSchema
            | QuarantineReason::InvalidField
            | QuarantineReason::FutureTime
            | QuarantineReason::TooLarge
            | QuarantineReason::BadReplyTo
            | QuarantineReason::RouterFault
            | QuarantineReason::Unknown => StatusCode::BAD_REQUEST,
        };
        let faults = quarantined.faults.iter().map(|fault| as_fault(fault)).collect();
        Some(Refusal { status, faults })
    }

    /// What else is wrong with an event that is refused already, as if this unit had sent it.
    pub fn beside_form(&self, partner: &str, unit: &str, mut read: CloudEvent) -> Vec<Fault> {
        let callers = self.callers();
        let context = self.intake_context(&callers);
        let incoming = IncomingRecord { allow_backfill: true, ..self.received(partner, Some(unit)) };
        partner.clone_into(&mut read.event.source.partner);
        intake::faults_beside_form(&context, &incoming, &read.event)
    }

    /// The same of an answer by this sender and unit.
    pub fn beside_answer(&self, (sender, unit, said): (&str, Option<&str>, Said), outcome: &Outcome) -> Vec<Fault> {
        let callers = self.callers();
        let incoming = self.received(sender, unit);
        intake::answers::faults_beside_form(&self.intake_context(&callers), &incoming, outcome, said)
    }

    /// Returns once all of the records are durable, or none will be.
    pub async fn publish(&self, writes: Vec<Write>) -> Result<Vec<Published>, Problem> {
        let (done, result) = oneshot::channel();
        self.publisher.publish(
            writes,
            Box::new(move |published| {
                // The caller may have gone: the records are durable all the same.
                let _ = done.send(published);
            }),
        );
        result.await.unwrap_or(Err(BrokerError::Stopping)).map_err(Problem::from)
    }
}
