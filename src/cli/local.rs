//! The file of a router that does not run, opened by a command: the same routes as over HTTP, without a network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use super::CliError;
use super::files::is_there;
use super::router::Answer;
use super::rule_book::read_sound;
use crate::broker::embedded::Expected;
use crate::broker::{self, Reader, system_clock};
use crate::config::Config;
use crate::config::broker::Broker;
use crate::config::fault::ConfigFaults;
use crate::config::tokens::{Caller, TokenBook, TokenEntry, hash_of, new_token};
use crate::engine::intake::standing::Agencies;
use crate::http::{self, Gateway};
use crate::runtime::rule_books::Shelf;
use crate::runtime::topics::RULE_BOOKS;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// A router's file, held by this command until it ends. What is written there is judged when the router runs again.
pub struct LocalRouter {
    routes: axum::Router,
    /// The operator's, for this command alone.
    token: String,
    runtime: Runtime,
    broker: Arc<dyn broker::Broker>,
}

impl LocalRouter {
    /// Refused while another process has the file.
    pub fn open(config_file: &Path) -> Result<Self, CliError> {
        if !is_there(config_file)? {
            let file = config_file.display();
            return Err(CliError::Usage(format!(
                "there is no {file}; name a running router with --to and --token-file, or a configuration with --config"
            )));
        }
        let mut config = load_config(config_file)?;
        if let Broker::Embedded { file } = &config.broker
            && !is_there(file)?
        {
            let file = file.display();
            return Err(CliError::Usage(format!("there is no {file}: start this router once, so that it is made")));
        }
        let broker = super::broker::open(&config, Expected::File)?;
        let token = new_token();
        let caller = Caller::Operator;
        let entry = TokenEntry { name: "command".to_owned(), sha256: hash_of(&token), caller, line: None };
        config.tokens = TokenBook::new(vec![entry]);
        // No lane runs: there is nothing to wait for.
        config.limits.long_poll = Duration::ZERO;
        let agencies = agencies(&*broker.reader(), &config.rules)?;
        let metrics = Arc::new(Metrics::new().map_err(CliError::failed)?);
        let readiness = Arc::new(Readiness::default());
        let gateway =
            Gateway::new(&config, agencies, broker.publisher(), broker.reader(), metrics, readiness, system_clock());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::failed)?;
        Ok(Self { routes: http::router(gateway), token, runtime, broker })
    }

    pub fn call(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, CliError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type)
            .body(Body::from(body.to_vec()))
            .map_err(CliError::failed)?;
        self.runtime.block_on(async {
            let response = self.routes.clone().oneshot(request).await.map_err(CliError::failed)?;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.map_err(CliError::failed)?;
            Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
        })
    }
}

impl Drop for LocalRouter {
    fn drop(&mut self) {
        self.broker.close();
    }
}

/// Those of the published books; of the folder's where nothing is published yet.
fn agencies(reader: &dyn Reader, folder: &Path) -> Result<Agencies, CliError> {
    let mut shelf = Shelf::default();
    if reader.topics().map_err(CliError::failed)?.iter().any(|topic| topic == RULE_BOOKS) {
        shelf.read(reader).map_err(CliError::failed)?;
    }
    match shelf.books.is_empty() {
        true => Ok(Agencies::of([&read_sound(folder)?])),
        false => Ok(Agencies::of(shelf.rule_books().all().map(|book| &book.rules))),
    }
}

/// A configuration; prints every fault of a wrong one.
pub fn load_config(file: &Path) -> Result<Config, CliError> {
    Config::load(file).map_err(|faults| config_error(&faults))
}

/// Prints all faults but the last, which is the error.
pub fn config_error(faults: &ConfigFaults) -> CliError {
    let mut reports = faults.reports();
    let last = reports.pop();
    for report in reports {
        eprintln!("{report:?}");
    }
    last.map_or_else(|| CliError::failed(faults), CliError::Failed)
}
