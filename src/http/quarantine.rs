//! What could not be used: listed, shown, tried again. For the operator alone: the bytes may name a child.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Gateway;
use super::caller::Operator;
use super::cursor::Cursor;
use super::problem::Problem;
use super::query::{Asked, Names, page_size};
use super::retried;
use super::retry::{self, RETRY_OF};
use crate::broker::{BrokerError, Reader};
use crate::engine::codec;
use crate::engine::model::quarantine::Quarantined;
use crate::engine::schema::{Fault, to_json};

/// The topic read here.
pub const TOPIC: &str = "quarantine";
const ITEMS_MAX: usize = 500;
const ITEMS_USUAL: usize = 100;
const CHUNK_RECORDS: usize = 500;

/// `?after=CURSOR&limit=N`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// `?dry_run=true`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RetryQuery {
    #[serde(default)]
    dry_run: bool,
}

impl Names for ListQuery {
    const NAMES: &'static str = "after (a cursor), limit (a number)";
}

impl Names for RetryQuery {
    const NAMES: &'static str = "dry_run (true or false)";
}

/// `GET /v1/quarantine`: oldest first, without the bytes; `retried_at`: when it was last sent again.
pub async fn list(
    State(gateway): State<Arc<Gateway>>,
    _caller: Operator,
    query: Asked<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let cursor = match query.0.after.as_deref() {
        None => Cursor::start(TOPIC, gateway.reader.partitions(TOPIC)?),
        Some(text) => Cursor::parse(text, TOPIC, TOPIC, &*gateway.reader)?.ok_or_else(|| {
            Problem::bad_request("bad-cursor", "`after` must be a cursor this list gave, unchanged.", Vec::new())
        })?,
    };
    let items_max = page_size(query.0.limit, ITEMS_USUAL, ITEMS_MAX)?;
    read_retried(&gateway).await?;
    let marks = gateway.clone();
    let walked = walk(&gateway, cursor, move |items: &mut Vec<Value>, kept| {
        items.push(with_retry(summary(&kept), &kept, &marks));
        items.len() < items_max
    });
    let (items, cursor, is_at_end) = walked.await?;
    Ok(Json(json!({ "quarantine": items, "cursor": cursor.to_string(), "more": !is_at_end })))
}

/// `GET /v1/quarantine/{id}`: with the bytes, in base64 and, where they are text, as text.
pub async fn show(
    State(gateway): State<Arc<Gateway>>,
    _caller: Operator,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let kept = find(&gateway, id).await?;
    let shown = to_json(&kept).map_err(|_| Problem::internal("The record could not be written as JSON."))?;
    read_retried(&gateway).await?;
    let mut shown = with_retry(shown, &kept, &gateway);
    if let Ok(text) = String::from_utf8(kept.original) {
        shown["original_text"] = Value::String(text);
    }
    Ok(Json(shown))
}

/// `POST /v1/quarantine/{id}/retry`: publishes it again where it came from, if it would be accepted now.
pub async fn retry(
    State(gateway): State<Arc<Gateway>>,
    _caller: Operator,
    Path(id): Path<String>,
    query: Asked<RetryQuery>,
) -> Result<Response, Problem> {
    let kept = find(&gateway, id.clone()).await?;
    let checked = as_read(&gateway, kept).await?.and_then(|kept| {
        let write = retry::check(&kept, gateway.now())?;
        retry::refusal(&gateway, &kept, &write).map_or(Ok(write), Err)
    });
    match (checked, query.0.dry_run) {
        (Ok(_), true) => Ok(Json(json!({ "id": id, "dry_run": true, "would_be": "accepted" })).into_response()),
        (Err(faults), true) => {
            let answer = json!({ "id": id, "dry_run": true, "would_be": "refused", "problems": faults });
            Ok(Json(answer).into_response())
        }
        (Ok(write), false) => {
            gateway.must_be_ready()?;
            let settled = retries_of(&gateway, id.clone()).await?;
            gateway.publish(vec![write]).await?;
            // Afterwards: what is listed though it was sent does no harm, what is not listed and was not sent would.
            gateway.publish(settled.iter().chain([&id]).map(|id| retried::mark(id)).collect()).await?;
            Ok((StatusCode::ACCEPTED, Json(json!({ "id": id, "status": "accepted" }))).into_response())
        }
        (Err(faults), false) => Err(Problem::retry_refused(faults)),
    }
}

/// With its bytes as the lanes would be given them now: a schema that was missing then may be registered since.
async fn as_read(gateway: &Arc<Gateway>, mut kept: Quarantined) -> Result<Result<Quarantined, Vec<Fault>>, Problem> {
    let (reader, topic) = (gateway.reader.clone(), kept.topic.clone());
    let original = std::mem::take(&mut kept.original);
    let read = tokio::task::spawn_blocking(move || reader.as_read(&topic, original));
    let read = read.await.map_err(|_| Problem::internal("The record could not be read."))??;
    Ok(match read {
        Ok(original) => Ok(Quarantined { original, ..kept }),
        Err(problem) => Err(vec![Fault::new("", problem)]),
    })
}

/// Records that are here because an earlier retry of this one failed.
async fn retries_of(gateway: &Arc<Gateway>, id: String) -> Result<Vec<String>, Problem> {
    let start = Cursor::start(TOPIC, gateway.reader.partitions(TOPIC)?);
    let walked = walk(gateway, start, move |found: &mut Vec<String>, kept| {
        if kept.headers.iter().any(|one| one.name == RETRY_OF && one.value == id.as_bytes()) {
            found.push(kept.quarantine_id);
        }
        true
    });
    Ok(walked.await?.0)
}

async fn read_retried(gateway: &Arc<Gateway>) -> Result<(), Problem> {
    let gateway = gateway.clone();
    let read = tokio::task::spawn_blocking(move || gateway.read_retried());
    Ok(read.await.map_err(|_| Problem::internal("The list could not be read."))??)
}

fn with_retry(mut shown: Value, kept: &Quarantined, gateway: &Gateway) -> Value {
    let at = gateway.retried_at(&kept.quarantine_id).map(|at| at.to_jiff().to_string());
    if let Value::Object(members) = &mut shown {
        members.insert("retried_at".to_owned(), json!(at));
    }
    shown
}

async fn find(gateway: &Arc<Gateway>, id: String) -> Result<Quarantined, Problem> {
    let start = Cursor::start(TOPIC, gateway.reader.partitions(TOPIC)?);
    let walked = walk(gateway, start, move |found: &mut Option<Quarantined>, kept| {
        if kept.quarantine_id == id {
            *found = Some(kept);
        }
        found.is_none()
    });
    walked.await?.0.ok_or_else(|| Problem::not_found("No record in quarantine has this id."))
}

/// Hands each record from the cursor on to `visit` until that says stop. What was gathered, where it stopped, and
/// whether that was the end.
async fn walk<G: Default + Send + 'static>(
    gateway: &Arc<Gateway>,
    mut cursor: Cursor,
    mut visit: impl FnMut(&mut G, Quarantined) -> bool + Send + 'static,
) -> Result<(G, Cursor, bool), Problem> {
    let reader = gateway.reader.clone();
    let walked = tokio::task::spawn_blocking(move || {
        let mut gathered = G::default();
        let is_at_end = walk_all(&*reader, &mut cursor, &mut |kept| visit(&mut gathered, kept))?;
        Ok::<_, BrokerError>((gathered, cursor, is_at_end))
    });
    Ok(walked.await.map_err(|_| Problem::internal("The quarantine could not be read."))??)
}

fn walk_all(
    reader: &dyn Reader,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(Quarantined) -> bool,
) -> Result<bool, BrokerError> {
    for partition in 0..reader.partitions(TOPIC)? {
        loop {
            let records = reader.read(TOPIC, partition, cursor.next(partition), CHUNK_RECORDS)?;
            let is_last = records.len() < CHUNK_RECORDS;
            for record in records {
                cursor.advance(partition, record.offset);
                let kept = record.value.as_deref().and_then(|value| codec::decode::<Quarantined>(value).ok());
                if kept.is_some_and(|kept| !visit(kept)) {
                    return Ok(false);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(true)
}

/// All but the bytes and headers.
fn summary(kept: &Quarantined) -> Value {
    let mut json = to_json(kept).unwrap_or_default();
    if let Value::Object(members) = &mut json {
        members.shift_remove("original");
        members.shift_remove("headers");
        members.insert("bytes".to_owned(), json!(kept.original.len()));
    }
    json
}
