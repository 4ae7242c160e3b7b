//! `POST /v1/outcomes`: what an agency answers to a task.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Gateway;
use super::answer::Refusal;
use super::body;
use super::caller::AgencyCaller;
use super::envelope::{self, text_header};
use super::problem::Problem;
use super::publish::{self, header, keyed};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::schema::Fault;
use crate::engine::{cloud_event, codec};
use crate::runtime::topics::GATEWAY;

/// The handler.
pub async fn post(
    State(gateway): State<Arc<Gateway>>,
    caller: AgencyCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    gateway.must_be_ready()?;
    body::must_be_json(&headers)?;
    let bytes = body::read_whole(body, gateway.limits.body_bytes).await?;
    let mut stamps = vec![header("agency", caller.agency.as_str())];
    stamps.extend(caller.unit.as_deref().map(|unit| header("unit", unit)));
    stamps.extend(text_header(&headers, "traceparent").map(|trace| header("traceparent", trace)));
    let outcome = match read(&bytes) {
        Ok(outcome) => outcome,
        Err(faults) => {
            stamps.extend(publish::refused(QuarantineReason::InvalidField, &faults));
            gateway.publish(vec![keyed(GATEWAY, &[], bytes, stamps)]).await?;
            return Err(Problem::invalid_outcome(StatusCode::BAD_REQUEST, faults));
        }
    };
    let value = codec::encode(&outcome).map_err(|_| Problem::internal("The outcome could not be written down."))?;
    let write = keyed(GATEWAY, outcome.outcome_id.as_bytes(), value, stamps);
    let refusal = gateway.intake_refusal(&caller.agency, caller.unit.as_deref(), true, &write);
    gateway.publish(vec![write]).await?;
    match refusal {
        None => {
            let answer = json!({ "id": outcome.outcome_id, "status": "accepted" });
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
        Some(Refusal { status, faults }) => Err(Problem::invalid_outcome(status, faults)),
    }
}

fn read(bytes: &[u8]) -> Result<Outcome, Vec<Fault>> {
    let json = envelope::parse(bytes).map_err(|fault| vec![fault])?;
    cloud_event::outcome(&json)
}
