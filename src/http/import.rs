//! `POST /v1/import`: history from before go-live, in the name of the partners it came from. Makes no tasks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Gateway;
use super::answer::{self, Refusal, Verdict};
use super::body;
use super::caller::Operator;
use super::envelope::{self, Item, Mode};
use super::problem::Problem;
use super::publish::{header, keyed};
use crate::broker::Write;
use crate::engine::codec;
use crate::engine::schema::Fault;
use crate::runtime::topics::GATEWAY;

/// The handler. What cannot be used is refused and not kept: the operator holds the file it came from.
pub async fn post(
    State(gateway): State<Arc<Gateway>>,
    _caller: Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if Mode::of(&headers)? != Mode::Batch {
        return Err(Problem::unsupported_media_type("application/cloudevents-batch+json"));
    }
    gateway.must_be_ready()?;
    let bytes = body::read_whole(body, gateway.limits.body_bytes).await?;
    let mut writes = Vec::new();
    let mut verdicts = Vec::new();
    for item in envelope::split(Mode::Batch, &headers, bytes, gateway.limits.batch_events) {
        let id = item.id();
        let refusal = match read(&gateway, &item) {
            Ok(write) => {
                writes.push(write);
                None
            }
            Err(faults) => Some(Refusal { status: StatusCode::BAD_REQUEST, faults }),
        };
        verdicts.push(Verdict { id, immediate_danger: false, refusal });
    }
    if !writes.is_empty() {
        gateway.publish(writes).await?;
    }
    Ok(answer::of_batch(&gateway, verdicts))
}

fn read(gateway: &Gateway, item: &Item) -> Result<Write, Vec<Fault>> {
    let read = item.read(gateway.now()).map_err(|(_, faults)| faults)?;
    let mut event = read.event;
    let source = &event.source;
    let partner = gateway
        .partners
        .get(&source.partner)
        .ok_or_else(|| vec![Fault::new("source", "must name a partner of the configuration: give partner/unit")])?;
    if !partner.has_unit(&source.unit) || source.unit.is_empty() {
        return Err(vec![Fault::new("source", "must name a unit of the partner: give partner/unit")]);
    }
    event.backfill = true;
    let value =
        codec::encode(&event).map_err(|_| vec![Fault::new("", "does not follow schemas/referral-event.avsc")])?;
    let headers = vec![
        header("partner", event.source.partner.as_str()),
        header("unit", event.source.unit.as_str()),
        header("backfill", "true"),
    ];
    Ok(keyed(GATEWAY, event.event_id.as_bytes(), value, headers))
}
