//! Refusing a request before its body was read: the rest is read and dropped, so that the sender comes to read the
//! answer and may use the connection again. A body too long for that costs it the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::sync::Mutex;

/// How much is dropped at most.
const DROPPED_BYTES_MAX: usize = 16 << 20;
/// The time that is given to it.
pub const DROP_WAIT: Duration = Duration::from_secs(5);

/// The middleware.
pub async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(body.into_data_stream()));
    let shared = stream::unfold(rest.clone(), |rest| async move {
        let chunk = rest.lock().await.next().await?;
        Some((chunk, rest))
    });
    let mut response = next.run(Request::from_parts(parts, Body::from_stream(shared))).await;
    let status = response.status();
    if status == StatusCode::REQUEST_TIMEOUT {
        // It was waited for long enough.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if status.is_client_error() || status.is_server_error() {
        let dropped = tokio::time::timeout(DROP_WAIT, drop_rest(&rest)).await;
        if dropped != Ok(true) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

/// True: there is no more.
async fn drop_rest(rest: &Mutex<BodyDataStream>) -> bool {
    let mut rest = rest.lock().await;
    let mut dropped: usize = 0;
    while let Some(chunk) = rest.next().await {
        dropped = dropped.saturating_add(chunk.map_or(DROPPED_BYTES_MAX, |chunk| chunk.len()));
        if dropped >= DROPPED_BYTES_MAX {
            return false;
        }
    }
    true
}
