//! A request's body: no larger and no slower than allowed, in one of the media types a route takes.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

use super::problem::Problem;

/// The time a sender has for its whole body.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What was read of a body.
pub enum Read {
    Whole(Vec<u8>),
    /// Larger than allowed: its first bytes.
    TooLarge(Vec<u8>),
}

/// Reads a body of at most `bytes_max`.
pub async fn read(body: Body, bytes_max: usize) -> Result<Read, Problem> {
    let mut bytes = Vec::new();
    match tokio::time::timeout(BODY_WAIT, collect(body, bytes_max, &mut bytes)).await {
        Ok(Ok(true)) => Ok(Read::Whole(bytes)),
        Ok(Ok(false)) => Ok(Read::TooLarge(bytes)),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::body_timeout()),
    }
}

/// What comes of a body within a time, and at most so much.
pub async fn read_start(body: Body, bytes_max: usize, wait: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came until then is kept.
    let _ = tokio::time::timeout(wait, collect(body, bytes_max, &mut bytes)).await;
    bytes
}

/// As `read`, for routes that keep nothing of what is too large.
pub async fn read_whole(body: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    match read(body, bytes_max).await? {
        Read::Whole(bytes) => Ok(bytes),
        Read::TooLarge(_) => Err(Problem::too_large(bytes_max, "Nothing of it was kept.")),
    }
}

/// True: that is all of it.
async fn collect(body: Body, bytes_max: usize, bytes: &mut Vec<u8>) -> Result<bool, Problem> {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk
            .map_err(|_| Problem::bad_request("broken-body", "The body ended early. Send it again.", Vec::new()))?;
        let room = bytes_max.saturating_sub(bytes.len()).min(chunk.len());
        let (kept, rest) = chunk.split_at(room);
        bytes.extend_from_slice(kept);
        if !rest.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The media type without its parameters, in small letters; empty if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses what is not JSON.
pub fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = media_type(headers);
    if media_type == "application/json" || media_type.ends_with("+json") {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type("application/json"))
    }
}
