//! `POST /v1/outcomes`: what an agency answers to a task.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Gateway;
use super::body;
use super::caller::AgencyCaller;
use super::envelope::text_header;
use super::problem::Problem;
use super::publish::{header, keyed};
use crate::engine::schema::{Fault, inspect};
use crate::engine::{cloud_event, codec};

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
    let topic = format!("outcomes.{}", caller.agency);
    let faults = match serde_json::from_slice::<Value>(&bytes) {
        Ok(json) => match cloud_event::outcome(&json) {
            Ok(outcome) => {
                let faults = inspect::outcome(&outcome, Some(gateway.now())).future;
                if faults.is_empty() {
                    let value = codec::encode(&outcome)
                        .map_err(|_| Problem::internal("The outcome could not be written down."))?;
                    gateway.publish(vec![keyed(topic, outcome.outcome_id.as_bytes(), value, stamps)]).await?;
                    let answer = json!({ "id": outcome.outcome_id, "status": "accepted" });
                    return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
                }
                faults
            }
            Err(faults) => faults,
        },
        Err(error) => {
            vec![Fault::new("", format!("must be JSON: it breaks off at line {}", error.line()))]
        }
    };
    stamps.push(header("refused", "invalid_field"));
    gateway.publish(vec![keyed(topic, &[], bytes, stamps)]).await?;
    Err(Problem::invalid_outcome(faults))
}
