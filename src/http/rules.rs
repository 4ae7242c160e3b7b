//! `GET /v1/rules` and `POST /v1/rules`: which rule books there are, and another from some time on. For the operator.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Gateway;
use super::body;
use super::caller::Operator;
use super::problem::Problem;
use crate::config::tokens::Caller;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::fault::SourceFile;
use crate::engine::schema::{Fault, read};
use crate::runtime::rule_books::{AHEAD_MS, BYTES_MAX, Publication, PublishedFile, Shelf};

/// Between the answer and the broker's append some time passes.
const MARGIN_MS: i64 = 30_000;

/// What is posted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// RFC 3339; left out: as the book's own files say.
    effective_from: Option<String>,
    files: Vec<PublishedFile>,
}

/// The books on the topic, in the order they came.
pub async fn list(State(gateway): State<Arc<Gateway>>, _caller: Operator) -> Result<Json<Value>, Problem> {
    let shelf = shelf(&gateway).await?;
    let books = shelf.books.iter().zip(shelf.standings(gateway.now())).map(|(shelved, standing)| {
        json!({
            "standing": standing.label(),
            "hash": shelved.hash,
            "title": shelved.title,
            "effective_from": shelved.effective_from.to_jiff().to_string(),
            "readable": shelved.book.is_ok(),
        })
    });
    Ok(Json(json!({ "rule_books": books.collect::<Vec<_>>() })))
}

/// Checked whole, then published: in force from the time it names, by receipt.
pub async fn publish(
    State(gateway): State<Arc<Gateway>>,
    operator: Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    body::must_be_json(&headers)?;
    let bytes = body::read_whole(&gateway, &operator.token, body, BYTES_MAX).await?;
    let refused = |faults| Problem::bad_request("invalid-rules", "The rule book cannot be published.", faults);
    let asked: Asked = serde_json::from_slice(&bytes)
        .map_err(|_| refused(vec![Fault::new("", "must be an object with files, each a name and a text")]))?;
    let effective_from = match asked.effective_from.as_deref().map(|text| (text, read::time(text))) {
        None => None,
        Some((_, Some(instant))) => Some(instant),
        Some((_, None)) => {
            let problem = "must be a time with its offset, of this century, such as 2026-12-01T00:00:00Z";
            return Err(refused(vec![Fault::new("effective_from", problem)]));
        }
    };
    let files: Vec<SourceFile> =
        asked.files.into_iter().map(|file| SourceFile { name: file.name, text: file.text }).collect();
    let publication = Publication::of(&files, effective_from).map_err(|faults| {
        refused(faults.iter().map(|fault| Fault::new(fault.file.clone(), fault.problem.clone())).collect())
    })?;
    let earliest = gateway.now().plus_millis(AHEAD_MS + MARGIN_MS);
    let shelf = shelf(&gateway).await?;
    if !shelf.books.is_empty() && publication.effective_from_ms < earliest.0 {
        let earliest = earliest.to_jiff();
        let problem = format!(
            "is too soon: every router must have it 10 minutes ahead, and some seconds pass on the way; give {earliest} or later"
        );
        return Err(refused(vec![Fault::new("effective_from", problem)]));
    }
    let is_known = |from_ms: i64| move |known: &crate::runtime::rule_books::Shelved| known.effective_from.0 == from_ms;
    if shelf.books.iter().filter(|known| known.hash == publication.hash).any(is_known(publication.effective_from_ms)) {
        return Err(refused(vec![Fault::new("", "is published already, for the same time")]));
    }
    let warnings = no_longer_named(&gateway, &shelf, &publication);
    gateway.publish(vec![publication.write()]).await?;
    let answer = json!({
        "hash": publication.hash,
        "title": publication.title,
        "effective_from": Timestamp(publication.effective_from_ms).to_jiff().to_string(),
        "warnings": warnings,
    });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// What hangs on agencies that the book before names and this one does not, or no book: open tasks, tokens and partners.
fn no_longer_named(gateway: &Gateway, shelf: &Shelf, publication: &Publication) -> Vec<String> {
    let earlier = shelf.books.iter().filter(|known| known.effective_from.0 <= publication.effective_from_ms);
    let before = earlier.max_by_key(|known| known.effective_from).and_then(|known| known.book.as_ref().ok());
    let named = before.into_iter().flat_map(|book| book.rules.agencies.keys());
    let dropped = named.filter(|agency| !publication.agencies.contains(*agency)).map(|agency| {
        format!("agency {agency} is no longer named: what its open tasks bring from then on goes to the front door")
    });
    let callers = gateway.callers();
    let of_tokens = callers.tokens.entries().iter().filter_map(|token| match &token.caller {
        Caller::Agency { agency, .. } if !publication.agencies.contains(agency) => {
            Some(format!("token {} is for agency {agency}, which the book does not name", token.name))
        }
        Caller::Agency { .. } | Caller::Partner { .. } | Caller::Operator => None,
    });
    let of_partners = callers.partners.iter().filter_map(|(name, partner)| {
        let agency = partner.agency.as_ref().filter(|agency| !publication.agencies.contains(*agency))?;
        Some(format!("partner {name} is of agency {agency}, which the book does not name"))
    });
    dropped.chain(of_tokens).chain(of_partners).collect()
}

async fn shelf(gateway: &Arc<Gateway>) -> Result<Shelf, Problem> {
    let reader = gateway.reader.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut shelf = Shelf::default();
        shelf.read(&*reader).map(|_| shelf)
    });
    Ok(read.await.map_err(|_| Problem::internal("The rule books could not be read."))??)
}
