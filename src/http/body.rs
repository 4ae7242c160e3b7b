//! A request's body: no larger and no slower than allowed, in one of the media types a route takes.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::problem::Problem;

/// The time a sender has for its whole body.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What of a body is held without asking: nearly every event is smaller.
const SMALL_BYTES: usize = 64 << 10;
/// Bodies larger than that which are read at once; the others wait for their turn.
const LARGE_MAX: usize = 64;
/// What of a body that is only looked through is held from one piece to the next: more than what is looked for is long.
const OVERLAP_BYTES: usize = 256;

static LARGE: Semaphore = Semaphore::const_new(LARGE_MAX);

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

/// Whether what comes of a body within a time, and at most so much, holds what is looked for. Next to nothing of it is held,
/// for whoever sends it may be anybody.
pub async fn holds(body: Body, bytes_max: usize, wait: Duration, is_held: impl Fn(&[u8]) -> bool) -> bool {
    let search = async {
        let (mut chunks, mut read, mut window) = (body.into_data_stream(), 0usize, Vec::new());
        while let Some(Ok(chunk)) = chunks.next().await {
            read = read.saturating_add(chunk.len());
            window.extend_from_slice(&chunk);
            if is_held(&window) {
                return true;
            }
            if read >= bytes_max {
                return false;
            }
            window.drain(..window.len().saturating_sub(OVERLAP_BYTES));
        }
        false
    };
    tokio::time::timeout(wait, search).await.unwrap_or(false)
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
    let mut turn = None;
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk
            .map_err(|_| Problem::bad_request("broken-body", "The body ended early. Send it again.", Vec::new()))?;
        if turn.is_none() && bytes.len() + chunk.len() > SMALL_BYTES {
            turn = LARGE.acquire().await.ok();
        }
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
