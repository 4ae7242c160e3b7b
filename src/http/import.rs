//! `POST /v1/import`: history from before go-live, in the name of the partners it came from. Makes no tasks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Gateway;
use super::answer::{self, Known, Refusal, Verdict};
use super::beside::Faults;
use super::body;
use super::caller::Operator;
use super::envelope::{self, Item, Mode, Unusable};
use super::problem::Problem;
use super::publish::{self, header, keyed};
use crate::broker::Write;
use crate::engine::cloud_event::CloudEvent;
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
    let (judging, size) = (gateway.clone(), bytes.len());
    let judge_all = move || judge_all(&judging, &headers, bytes);
    let (writes, mut verdicts) = body::judged(&gateway, &operator.token, size, judge_all).await?;
    if !writes.is_empty() {
        let from = gateway.reader.end_offset(DECISIONS, 0).ok();
        gateway.publish(writes).await?;
        if let Some(from) = from {
            tell_new_from_known(&gateway, &mut verdicts, from).await;
        }
    }
    Ok(answer::of_import(&gateway, verdicts))
}

fn judge_all(gateway: &Gateway, headers: &HeaderMap, bytes: Vec<u8>) -> (Vec<Write>, Vec<Verdict>) {
    let mut writes = Vec::new();
    let mut verdicts = Vec::new();
    let items = envelope::split(Mode::Batch, headers, bytes, gateway.limits.batch_events);
    let events = items.len();
    for item in items {
        let id = item.id();
        let refusal = match read(gateway, &item) {
            Ok(write) => match gateway.import_refusal(&write) {
                None => {
                    writes.push(write);
                    None
                }
                refused => refused,
            },
            Err(faults) => Some(Refusal { status: StatusCode::BAD_REQUEST, faults: faults.told_of_one_of(events) }),
        };
        verdicts.push(Verdict { id, immediate_danger: false, refusal, quarantine_id: None, known: None });
    }
    (writes, verdicts)
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
            let found = write.headers.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| std::str::from_utf8(value).ok())
        };
        self.intake_refusal(stamped("partner")?, stamped("unit"), Said::Event, write)
    }
}

/// Everything that is wrong with it at once, or what to write.
fn read(gateway: &Gateway, item: &Item) -> Result<Write, Faults> {
    let (read, mut faults) = match item.read(gateway.now()) {
        Ok(read) => (read, Faults::default()),
        Err(Unusable { faults, partly: Some(partly), .. }) => (*partly, faults),
        Err(Unusable { faults, partly: None, .. }) => return Err(faults),
    };
    faults.add_others(of_nobody(gateway, &read).into_iter().collect());
    if !faults.is_empty() {
        let source = read.event.source.clone();
        let beside = gateway.beside_form(&source.partner, &source.unit, read);
        // Whose it is was said already.
        faults.add_judged(beside.into_iter().filter(|fault| !fault.path.is_empty()).collect());
        return Err(faults);
    }
    let dating = publish::dating(&read);
    let mut event = read.event;
    event.backfill = true;
    let unwritten = |_| Faults::of(vec![Fault::new("", "does not follow schemas/referral-event.avsc")]);
    let value = codec::encode(&event).map_err(unwritten)?;
    let mut headers = vec![
        header("partner", event.source.partner.as_str()),
        header("unit", event.source.unit.as_str()),
        header("backfill", "true"),
    ];
    headers.extend(dating);
    Ok(keyed(GATEWAY, event.event_id.as_bytes(), value, headers))
}

/// That an event names no unit of a partner that there is.
fn of_nobody(gateway: &Gateway, read: &CloudEvent) -> Option<Fault> {
    let (callers, source) = (gateway.callers(), &read.event.source);
    let Some(partner) = callers.partners.get(&source.partner) else {
        return Some(Fault::new("source", "must name a partner of the configuration: give partner/unit"));
    };
    let is_unit = partner.has_unit(&source.unit) && !source.unit.is_empty();
    (!is_unit).then(|| Fault::new("source", "must name a unit of the partner: give partner/unit"))
}
