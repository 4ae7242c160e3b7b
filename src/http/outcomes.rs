//! `POST /v1/outcomes`: what an agency answers to a task, or a partner that disagrees to the feedback on its own event.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Gateway;
use super::answer::{self, Refusal};
use super::beside::Faults;
use super::body;
use super::caller::{AgencyCaller, Answerer, PartnerCaller};
use super::envelope::{self, text_header};
use super::problem::Problem;
use super::publish::{self, header, keyed};
use crate::broker::Published;
use crate::engine::intake::Said;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::schema::{Fault, inspect};
use crate::engine::{cloud_event, codec};
use crate::runtime::intake_lane::DISAGREEMENT;
use crate::runtime::topics::GATEWAY;

/// The handler.
pub async fn post(
    State(gateway): State<Arc<Gateway>>,
    caller: Answerer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    gateway.must_be_ready()?;
    body::must_be_json(&headers)?;
    let bytes = body::read_whole(&gateway, caller.token(), body, gateway.limits.body_bytes).await?;
    let (sender, unit, said, mut stamps) = match &caller {
        Answerer::Agency(AgencyCaller { agency, unit, .. }) => {
            (agency, unit.as_deref(), Said::Answer, vec![header("agency", agency.as_str())])
        }
        Answerer::Partner(PartnerCaller { partner, unit, .. }) => {
            let stamps = vec![header("partner", partner.as_str()), header(DISAGREEMENT, "true")];
            (partner, Some(unit.as_str()), Said::Disagreement, stamps)
        }
    };
    stamps.extend(unit.map(|unit| header("unit", unit)));
    stamps.extend(text_header(&headers, "traceparent").map(|trace| header("traceparent", trace)));
    let (by, judging, size) = ((sender.clone(), unit.map(str::to_owned)), gateway.clone(), bytes.len());
    let read_it = move || (read(&judging, (&by.0, by.1.as_deref(), said), &bytes), bytes);
    let (outcome, bytes) = body::judged(&gateway, caller.token(), size, read_it).await?;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(faults) => {
            stamps.extend(publish::refused(QuarantineReason::InvalidField, &faults));
            let published = gateway.publish(vec![keyed(GATEWAY, &[], bytes, stamps)]).await?;
            return Err(kept(published, Problem::invalid_outcome(StatusCode::BAD_REQUEST, faults)));
        }
    };
    let value = codec::encode(&outcome).map_err(|_| Problem::internal("The outcome could not be written down."))?;
    let write = keyed(GATEWAY, outcome.outcome_id.as_bytes(), value, stamps);
    let refusal = gateway.intake_refusal(sender, unit, said, &write);
    let published = gateway.publish(vec![write]).await?;
    match refusal {
        None => {
            let answer = json!({ "id": outcome.outcome_id, "status": "accepted" });
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
        Some(Refusal { status, faults }) => Err(kept(published, Problem::invalid_outcome(status, faults))),
    }
}

/// A refusal names what was kept: the feedback on it may bear that, too.
fn kept(published: Vec<Published>, problem: Problem) -> Problem {
    answer::kept_as(published.into_iter().next().map(publish::quarantined_as), problem)
}

/// An answer of usable form, whose standing INTAKE judges; else everything that is wrong with it at once.
fn read(gateway: &Gateway, by: (&str, Option<&str>, Said), bytes: &[u8]) -> Result<Outcome, Vec<Fault>> {
    let json = envelope::parse(bytes).map_err(|fault| vec![fault])?;
    let (outcome, faults) = cloud_event::outcome_partly(&json);
    let mut faults = Faults::of(faults);
    let Some(outcome) = outcome else { return Err(faults.told_of_one_of(1)) };
    if faults.is_empty() {
        return Ok(outcome);
    }
    faults.add_others(inspect::outcome(&outcome, Some(gateway.now())).future);
    faults.add_judged(gateway.beside_answer(by, &outcome));
    Err(faults.told_of_one_of(1))
}
