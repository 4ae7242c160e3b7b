//! What a sender is told of each event: accepted, or every fault; and whom to ring when a child is in danger.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Gateway;
use super::problem::Problem;
use crate::engine::schema::Fault;

const QUARANTINE_ID: &str = "quarantine_id";

/// What is to be said of one event.
pub struct Verdict {
    /// Its id, if it has a usable one.
    pub id: Option<String>,
    pub immediate_danger: bool,
    pub refusal: Option<Refusal>,
    /// What it is called in quarantine, if it was refused.
    pub quarantine_id: Option<String>,
    /// Of history that was imported; None: not asked, or not judged yet.
    pub known: Option<Known>,
}

/// Whether the router had what was imported already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    New,
    Same,
    /// With something else, which stands.
    Otherwise,
}

/// Why an event was refused.
pub struct Refusal {
    pub status: StatusCode,
    pub faults: Vec<Fault>,
}

/// Answers a request that carried one event.
pub fn of_one(gateway: &Gateway, verdicts: Vec<Verdict>) -> Response {
    let Some(verdict) = verdicts.into_iter().next() else {
        return Problem::internal("The request was read as no event at all.").into_response();
    };
    let danger = verdict.immediate_danger;
    match verdict.refusal {
        None => {
            let mut body = json!({ "id": verdict.id, "status": "accepted" });
            if danger {
                body["ring"] = Value::String(gateway.ring());
            }
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        Some(refusal) => {
            let problem = kept_as(verdict.quarantine_id, problem(refusal.status, refusal.faults));
            ringing(gateway, danger, problem).into_response()
        }
    }
}

/// Answers a batch of partners' events: what is refused of it is kept.
pub fn of_batch(gateway: &Gateway, verdicts: Vec<Verdict>) -> Response {
    of_all(gateway, verdicts, |status| problem(status, Vec::new()))
}

/// Answers an import, of which nothing that is refused is kept.
pub fn of_import(gateway: &Gateway, verdicts: Vec<Verdict>) -> Response {
    of_all(gateway, verdicts, Problem::not_imported)
}

/// 202 when all were accepted, 207 when some were, else the status they share.
fn of_all(gateway: &Gateway, verdicts: Vec<Verdict>, none_accepted: impl Fn(StatusCode) -> Problem) -> Response {
    let danger = verdicts.iter().any(|verdict| verdict.immediate_danger);
    let refusals: Vec<StatusCode> =
        verdicts.iter().filter_map(|verdict| verdict.refusal.as_ref().map(|refusal| refusal.status)).collect();
    let refused = refusals.len();
    let accepted = verdicts.len() - refused;
    let results: Vec<Value> = verdicts.into_iter().enumerate().map(|(index, one)| result_of(index, one)).collect();
    if accepted == 0 {
        let all_forbidden = refusals.iter().all(|status| *status == StatusCode::FORBIDDEN);
        let status = if all_forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        let problem = none_accepted(status).with("accepted", 0).with("refused", refused).with("results", results);
        return ringing(gateway, danger, problem).into_response();
    }
    let mut body = json!({ "accepted": accepted, "refused": refused, "results": results });
    if danger {
        body["ring"] = Value::String(gateway.ring());
    }
    let status = if refused == 0 { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    (status, Json(body)).into_response()
}

/// Says whom to ring beside whatever else is wrong.
pub fn ringing(gateway: &Gateway, danger: bool, problem: Problem) -> Problem {
    if danger { problem.with("ring", gateway.ring()) } else { problem }
}

/// Names what was kept: the feedback on an event whose id cannot be read bears it.
pub fn kept_as(quarantine_id: Option<String>, problem: Problem) -> Problem {
    match quarantine_id {
        Some(id) => problem.with(QUARANTINE_ID, id),
        None => problem,
    }
}

fn problem(status: StatusCode, faults: Vec<Fault>) -> Problem {
    if status == StatusCode::FORBIDDEN { Problem::wrong_source(faults) } else { Problem::invalid_event(faults) }
}

fn result_of(index: usize, verdict: Verdict) -> Value {
    let mut result = match verdict.refusal {
        None => json!({ "index": index, "id": verdict.id, "status": "accepted" }),
        Some(Refusal { status, faults }) => {
            json!({ "index": index, "id": verdict.id, "status": "refused", "code": status.as_u16(), "problems": faults })
        }
    };
    if let Some(quarantine_id) = verdict.quarantine_id {
        result[QUARANTINE_ID] = Value::String(quarantine_id);
    }
    if let Some(known) = verdict.known {
        result["history"] = Value::String(if known == Known::New { "new" } else { "known" }.to_owned());
        if known == Known::Otherwise {
            result["differs"] = Value::Bool(true);
        }
    }
    if verdict.immediate_danger {
        result["immediate_danger"] = Value::Bool(true);
    }
    result
}
