//! `POST /v1/import`: history from before go-live, in the name of the partners it came from. Makes no tasks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Gateway;
use super::answer::{self, Known, Refusal, Verdict};
use super::body;
use super::caller::Operator;
use super::envelope::{self, Item, Mode};
use super::problem::Problem;
use super::publish::{self, header, keyed};
use crate::broker::Write;
use crate::engine::codec;
use crate::engine::intake::Said;
use crate::engine::model::decision::{Decision, Disposition, Trigger};
use crate::engine::schema::Fault;
use crate::runtime::topics::{DECISIONS, GATEWAY};

/// How long an import waits to hear what became of its events.
const JUDGED_WITHIN: Duration = Duration::from_secs(10);
const CHUNK_RECORDS: usize = 500;

/// The handler. What cannot be used is refused and not kept: the operator holds the file it came from.
pub async fn post(
    State(gateway): State<Arc<Gateway>>,
    operator: Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if Mode::of(&headers)? != Mode::Batch {
        return Err(Problem::unsupported_media_type("application/cloudevents-batch+json"));
    }
    gateway.must_be_ready()?;
    let bytes = body::read_whole(&gateway, &operator.token, body, gateway.limits.body_bytes).await?;
    let mut writes = Vec::new();
    let mut verdicts = Vec::new();
    for item in envelope::split(Mode::Batch, &headers, bytes, gateway.limits.batch_events) {
        let id = item.id();
        let refusal = match read(&gateway, &item) {
            Ok(write) => match gateway.import_refusal(&write) {
                None => {
                    writes.push(write);
                    None
                }
                refused => refused,
            },
            Err(faults) => Some(Refusal { status: StatusCode::BAD_REQUEST, faults }),
        };
        verdicts.push(Verdict { id, immediate_danger: false, refusal, quarantine_id: None, known: None });
    }
    if !writes.is_empty() {
        let from = gateway.reader.end_offset(DECISIONS, 0).ok();
        gateway.publish(writes).await?;
        if let Some(from) = from {
            tell_new_from_known(&gateway, &mut verdicts, from).await;
        }
    }
    Ok(answer::of_batch(&gateway, verdicts))
}

/// Waits for what became of each event, for a while: accepted as history, it is either new or known already.
async fn tell_new_from_known(gateway: &Arc<Gateway>, verdicts: &mut [Verdict], mut from: i64) {
    let accepted = |verdict: &&mut Verdict| verdict.refusal.is_none() && verdict.known.is_none();
    let until = tokio::time::Instant::now() + gateway.limits.long_poll.min(JUDGED_WITHIN);
    let mut changes = gateway.reader.changes();
    while verdicts.iter_mut().any(|verdict| accepted(&verdict)) {
        let reader = gateway.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(DECISIONS, 0, from, CHUNK_RECORDS)).await;
        let Ok(Ok(records)) = read else { return };
        for record in &records {
            from = record.offset + 1;
            let decision = record.value.as_deref().and_then(|value| codec::decode::<Decision>(value).ok());
            let Some((id, known)) = decision.as_ref().and_then(became) else { continue };
            for verdict in verdicts.iter_mut().filter(accepted) {
                if verdict.id.as_deref() == Some(id) {
                    verdict.known = Some(known);
                }
            }
        }
        let is_stopping = *gateway.stopping.borrow();
        let waited = records.is_empty() && tokio::time::timeout_at(until, changes.changed()).await.is_err();
        if waited || is_stopping || tokio::time::Instant::now() >= until {
            return;
        }
    }
}

/// Which event a decision was about, and whether it was known already.
fn became(decision: &Decision) -> Option<(&str, Known)> {
    let known = match decision.disposition {
        Disposition::Backfilled | Disposition::Judged => Known::New,
        Disposition::Retransmission => Known::Same,
        Disposition::Duplicate => Known::Otherwise,
        Disposition::Forwarded | Disposition::AwaitingOriginal | Disposition::Refused | Disposition::Unknown => {
            return None;
        }
    };
    decision.event_id.as_deref().filter(|_| decision.trigger == Trigger::Event).map(|id| (id, known))
}

impl Gateway {
    /// What INTAKE would not take in is refused here, where the operator hears of it.
    fn import_refusal(&self, write: &Write) -> Option<Refusal> {
        let stamped = |name: &str| {
            let found = write.headers.iter().find(|(known, _)| known == name);
            found.and_then(|(_, value)| std::str::from_utf8(value).ok())
        };
        self.intake_refusal(stamped("partner")?, stamped("unit"), Said::Event, write)
    }
}

fn read(gateway: &Gateway, item: &Item) -> Result<Write, Vec<Fault>> {
    let read = item.read(gateway.now()).map_err(|unusable| unusable.faults)?;
    let dating = publish::dating(&read);
    let mut event = read.event;
    let source = &event.source;
    let callers = gateway.callers();
    let partner = callers
        .partners
        .get(&source.partner)
        .ok_or_else(|| vec![Fault::new("source", "must name a partner of the configuration: give partner/unit")])?;
    if !partner.has_unit(&source.unit) || source.unit.is_empty() {
        return Err(vec![Fault::new("source", "must name a unit of the partner: give partner/unit")]);
    }
    event.backfill = true;
    let value =
        codec::encode(&event).map_err(|_| vec![Fault::new("", "does not follow schemas/referral-event.avsc")])?;
    let mut headers = vec![
        header("partner", event.source.partner.as_str()),
        header("unit", event.source.unit.as_str()),
        header("backfill", "true"),
    ];
    headers.extend(dating);
    Ok(keyed(GATEWAY, event.event_id.as_bytes(), value, headers))
}
