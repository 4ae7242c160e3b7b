//! Problems as RFC 9457 `application/problem+json`: what is wrong and what to do, never a value that was sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::broker::BrokerError;
use crate::engine::schema::Fault;

/// One problem, ready to be an answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// The last part of its type: `invalid-event`. Documented in docs/http.md.
    kind: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<Fault>,
    /// Seconds until it is worth another try.
    retry_after: Option<u32>,
    more: Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), faults: Vec::new(), retry_after: None, more: Map::new() }
    }

    pub fn invalid_event(faults: Vec<Fault>) -> Self {
        let detail = "Correct the fields named in `problems` and send it again. It was kept for a person to look at.";
        let problem = Self::new(StatusCode::BAD_REQUEST, "invalid-event", "The event cannot be used", detail);
        Self { faults, ..problem }
    }

    pub fn not_imported(status: StatusCode) -> Self {
        let detail = "Correct what `results` names in the file and import it again: nothing of it was kept.";
        Self::new(status, "invalid-event", "No event can be used", detail)
    }

    pub fn invalid_outcome(status: StatusCode, faults: Vec<Fault>) -> Self {
        let detail = match status {
            StatusCode::FORBIDDEN => {
                "This token may not give that answer: `problems` says why. An answer is given with the token of the agency, or of its unit, \
                 whose task it is; a partner's may challenge what became of its own events, and nothing else. It was kept for a person to \
                 look at: send it again only with the token whose task it is."
            }
            _ => "Correct the fields named in `problems` and send it again. It was kept for a person to look at.",
        };
        let problem = Self::new(status, "invalid-outcome", "The outcome cannot be used", detail);
        Self { faults, ..problem }
    }

    pub fn retry_refused(faults: Vec<Fault>) -> Self {
        let detail = "It would be refused again, so it was not sent. The sender must send a corrected event.";
        let problem = Self::new(StatusCode::CONFLICT, "retry-refused", "The record still cannot be used", detail);
        Self { faults, ..problem }
    }

    pub fn wrong_source(faults: Vec<Fault>) -> Self {
        let detail = "A token speaks for one partner and unit alone, and some things are for one agency to say: `problems` says which. Correct \
                      what is named there, or send it with the token of whose it is, under the same id. It was kept for a person to look at.";
        let problem = Self::new(StatusCode::FORBIDDEN, "wrong-source", "The event is another sender's to send", detail);
        Self { faults, ..problem }
    }

    pub fn bad_request(kind: &'static str, detail: impl Into<String>, faults: Vec<Fault>) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, kind, "The request cannot be used", detail);
        Self { faults, ..problem }
    }

    pub fn without_token() -> Self {
        let detail =
            "No token came with it, and nothing of it was kept. Send the header `Authorization: Bearer …`, with yours.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No token", detail)
    }

    pub fn without_bearer() -> Self {
        let detail = "What came under `Authorization` is not in the form `Bearer TOKEN` (the word, one space, the token), and nothing of what came with \
                      it was kept. Send the header `Authorization: Bearer …`, with your token.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No token in its form", detail)
    }

    pub fn unauthenticated() -> Self {
        let detail = "This router does not know the token, and nothing of what came with it was kept: it was revoked, or another was given in \
                      its place, or it is another router's, or not whole. Ask the router's operator for one that is known, and send it \
                      again with that, under the same id.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No valid token", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This token may not do that", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
    }

    pub fn method_not_allowed() -> Self {
        let detail = "This address answers to another method: see the list of routes.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Wrong method", detail)
    }

    pub fn body_timeout() -> Self {
        let detail = "The body did not arrive in time, and nothing of it was kept. Send it again, under the same id.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The request was too slow", detail)
    }

    /// `kept`: what became of its bytes.
    pub fn too_large(bytes_max: usize, kept: &str) -> Self {
        let detail =
            format!("At most {bytes_max} bytes a request: send fewer events at a time, or a shorter narrative. {kept}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    pub fn unsupported_media_type(expected: &str) -> Self {
        let detail = format!("Send the header Content-Type: {expected}.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Wrong content type", detail)
    }

    /// One token has more than its share.
    pub fn too_many_requests(requests_max: usize) -> Self {
        let detail = format!(
            "{requests_max} requests with this token are being answered, as many as there may be: nothing was accepted. \
             Read each list by one long poll or stream, and send it again."
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests at once", detail)
            .retry_after(5)
    }

    /// One token sends more large bodies than its share.
    pub fn too_many_large(most: usize) -> Self {
        let detail = format!(
            "{most} large bodies with this token are being read, as many as there may be: nothing of this one was accepted. \
             Send fewer at a time, and this one again."
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many large bodies at once", detail)
            .retry_after(5)
    }

    /// One list has as many streams as it may.
    pub fn too_many_streams(most: usize) -> Self {
        let detail = format!(
            "{most} streams of this list are open, as many as there may be. Close those that nobody reads, or read one and \
             share it."
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", "Too many streams at once", detail).retry_after(30)
    }

    /// The router cannot take work now: nothing was accepted.
    pub fn not_ready(why: &[String]) -> Self {
        let detail = format!("Nothing was accepted; send it again. (What its operator is told: {}.)", why.join("; "));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail).retry_after(5)
    }

    /// A fault of the router's own.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "router-fault", "The router failed", detail)
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member to the body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, as it will be sent.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:pathway-router:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            if !self.faults.is_empty() {
                members.insert("problems".to_owned(), json!(self.faults));
            }
            members.extend(self.more.clone());
        }
        body
    }
}

impl From<BrokerError> for Problem {
    /// What the broker said, without its words: paths and file names are the operator's alone.
    fn from(error: BrokerError) -> Self {
        let unavailable = |detail: &str, seconds| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Nothing was accepted", detail)
                .retry_after(seconds)
        };
        match error {
            BrokerError::Busy => {
                let detail = "Nothing was accepted: too many events are waiting. Send it again.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Too many events at once", detail).retry_after(1)
            }
            BrokerError::DiskFull(_) => unavailable("The router's disk is full. Send it again later.", 30),
            BrokerError::HeldByAnother(_) => {
                unavailable("Another program holds the router's data file. Send it again later.", 10)
            }
            BrokerError::Stopping => unavailable("The router is stopping. Send it again.", 5),
            BrokerError::Storage(_)
            | BrokerError::Unreachable(_)
            | BrokerError::Denied(_)
            | BrokerError::InUse(_)
            | BrokerError::Mismatch(_)
            | BrokerError::Gone(_)
            | BrokerError::Fenced => unavailable("The router cannot store it now. Send it again.", 10),
            BrokerError::UnknownTopic(_) => Self::internal("A topic of the configuration does not exist."),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
