//! A client of a schema registry with Confluent's API. Asks once; who waits and asks again is the caller's affair.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config;
use crate::config::tls::trusting;

const TIMEOUT: Duration = Duration::from_secs(5);
/// No schema is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The registry's own codes: no such subject, version, schema.
const NOT_FOUND: [i64; 3] = [40_401, 40_402, 40_403];

pub struct Registry {
    agent: ureq::Agent,
    url: String,
    authorization: Option<Zeroizing<String>>,
}

/// Why a registry did not give what it was asked for. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nobody answers, or not as a registry would, or it refuses us: the same may succeed later.
    #[error("the schema registry {0}")]
    Unavailable(String),
    #[error("the schema registry does not know it")]
    Unknown,
    /// It answered, and the answer will stay.
    #[error("{0}")]
    Refused(String),
}

impl Registry {
    /// # Errors
    /// What is wrong with the authorities' file.
    pub fn new(settings: &config::registry::Registry) -> Result<Self, String> {
        let mut agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        if settings.url.starts_with("https:") {
            agent = agent.tls_config(trusting(settings.authority.as_deref())?);
        }
        let authorization = settings.credentials.as_ref().map(|credentials| {
            let encoded = Zeroizing::new(STANDARD.encode(credentials.expose()));
            Zeroizing::new(format!("Basic {}", *encoded))
        });
        Ok(Self { agent: agent.proxy(None).build().new_agent(), url: settings.url.clone(), authorization })
    }

    /// The text of a schema. `Refused` if it is not Avro or needs others.
    pub fn schema(&self, id: u32) -> Result<String, RegistryError> {
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        let kind = answer.get("schemaType").and_then(Value::as_str).unwrap_or("AVRO");
        if kind != "AVRO" {
            return Err(RegistryError::Refused(format!("is not Avro but {}", kind.to_lowercase())));
        }
        if answer.get("references").and_then(Value::as_array).is_some_and(|named| !named.is_empty()) {
            return Err(RegistryError::Refused("refers to other schemas: register it in one piece".to_owned()));
        }
        text(&answer, "schema").ok_or_else(|| unlike("its answer holds no schema"))
    }

    /// The id that a subject's schema of this text has; None: it has none like it.
    pub fn id(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        match self.post(&format!("/subjects/{subject}"), schema) {
            Ok(answer) => number(&answer).map(Some),
            Err(RegistryError::Unknown) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Registers it; the same again changes nothing.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        match self.post(&format!("/subjects/{subject}/versions"), schema) {
            Ok(answer) => number(&answer),
            Err(RegistryError::Unknown) => Err(unlike("it knows no subjects")),
            Err(other) => Err(other),
        }
    }

    /// What new versions of a subject are held to; None: the registry's own default.
    pub fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        match self.get(&format!("/config/{subject}")) {
            Ok(answer) => Ok(text(&answer, "compatibilityLevel")),
            Err(RegistryError::Unknown) => Ok(None),
            Err(other) => Err(other),
        }
    }

    pub fn hold_to(&self, subject: &str, compatibility: &str) -> Result<(), RegistryError> {
        let url = format!("{}/config/{subject}", self.url);
        let body = json!({ "compatibility": compatibility }).to_string();
        let request = self.authorised(self.agent.put(url)).header("content-type", CONTENT_TYPE);
        read(request.send(body.as_bytes())).map(drop)
    }

    fn get(&self, path: &str) -> Result<Value, RegistryError> {
        read(self.authorised(self.agent.get(format!("{}{path}", self.url))).call())
    }

    fn post(&self, path: &str, schema: &str) -> Result<Value, RegistryError> {
        let body = json!({ "schema": schema }).to_string();
        let request = self.authorised(self.agent.post(format!("{}{path}", self.url)));
        read(request.header("content-type", CONTENT_TYPE).send(body.as_bytes()))
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization.as_str()),
            None => request,
        }
    }
}

/// What came back, sorted by whether asking again may help.
fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, RegistryError> {
    let mut response = response.map_err(|error| RegistryError::Unavailable(format!("does not answer: {error}")))?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.map_err(|error| RegistryError::Unavailable(format!("does not answer: {error}")))?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let code = answer.as_ref().and_then(|answer| answer.get("error_code")).and_then(Value::as_i64);
    match (status, answer, code) {
        (200..300, Some(answer), _) => Ok(answer),
        (200..300, None, _) => Err(unlike("its answer is not JSON")),
        (404, _, Some(code)) if NOT_FOUND.contains(&code) => Err(RegistryError::Unknown),
        (401 | 403, _, _) => Err(RegistryError::Unavailable(format!("refuses our credentials (status {status})"))),
        (409, _, _) => {
            let problem = "the schema registry has another schema there, with which ours is not compatible";
            Err(RegistryError::Refused(problem.to_owned()))
        }
        (422, _, _) => Err(RegistryError::Refused("the schema registry finds the schema invalid".to_owned())),
        (404, _, _) => Err(unlike("it knows no such path: is the address right?")),
        (_, _, _) => Err(RegistryError::Unavailable(format!("answers with status {status}"))),
    }
}

fn unlike(problem: &str) -> RegistryError {
    RegistryError::Unavailable(format!("does not answer as a schema registry would: {problem}"))
}

fn text(answer: &Value, name: &str) -> Option<String> {
    answer.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(answer: &Value) -> Result<u32, RegistryError> {
    let id = answer.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| unlike("its answer holds no id"))
}
