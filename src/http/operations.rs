//! What operators and their machines ask: metrics, liveness, readiness.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Gateway;

/// `GET /metrics`.
pub async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    gateway.metrics.ready(gateway.readiness.is_ready());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], gateway.metrics.render()).into_response()
}

/// `GET /livez`: the process answers. Says nothing of its lanes.
pub async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

/// `GET /readyz`: 200 once every lane is restored, else 503 and why not; and what somebody must mend though it works.
pub async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let why_not = gateway.readiness.why_not();
    let status = if why_not.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let warnings = gateway.readiness.warnings();
    let answer = json!({ "ready": why_not.is_empty(), "waiting_for": why_not, "warnings": warnings });
    (status, Json(answer)).into_response()
}
