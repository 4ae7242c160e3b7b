//! HTTP: partners' gateway, agencies' inbox, operations. All routes, and who may call them:
//!
//! | route | who | |
//! |---|---|---|
//! | `POST /v1/events` | partner's unit | publish CloudEvents |
//! | `GET /v1/partners/{partner}/feedback` | partner's unit | what became of them, by long poll |
//! | `GET /v1/partners/{partner}/feedback/stream` | partner's unit | the same as server-sent events |
//! | `GET /v1/agencies/{agency}/tasks` | agency, or its unit | tasks, by long poll |
//! | `GET /v1/agencies/{agency}/tasks/stream` | agency, or its unit | the same as server-sent events |
//! | `POST /v1/outcomes` | agency, or its unit; partner's unit | answer a task; challenge what became of a referral |
//! | `POST /v1/import` | operator | backfill: history, no tasks |
//! | `GET /v1/quarantine` | operator | what could not be used |
//! | `GET /v1/quarantine/{id}` | operator | one of them, with its bytes |
//! | `POST /v1/quarantine/{id}/retry` | operator | try one again (`?dry_run=true`: only say what would happen) |
//! | `GET /v1/rules` | operator | the rule books there are |
//! | `POST /v1/rules` | operator | another, from some time on |
//! | `GET /metrics` | anyone who can connect | Prometheus |
//! | `GET /livez`, `GET /readyz` | anyone who can connect | is it alive, may it take work |
//!
//! docs/http.md is the same for callers. Handlers know the broker's port and the engine's codecs, not the lanes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::broker::{Clock, Publisher, Reader};
use crate::config::tokens::{Caller, TokenBook, TokenEntry};
use crate::config::{Config, FrontDoor, Limits, Partner};
use crate::engine::identity::Keys;
use crate::engine::intake;
use crate::engine::intake::standing::Agencies;
use crate::engine::model::scalar::Timestamp;
use crate::engine::seal::Sealer;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use body::LargeBodies;
use problem::Problem;
use retried::Retried;
use streams::Streams;

mod answer;
mod beside;
mod body;
mod caller;
mod certificate;
mod cursor;
mod drain;
mod envelope;
mod events;
mod house;
mod import;
mod inbox;
mod json;
mod operations;
mod outcomes;
mod problem;
mod publish;
mod quarantine;
mod query;
mod retried;
mod retry;
mod rules;
pub mod server;
mod share;
mod streams;

/// The name of a warning.
const UNLISTED_UNITS: &str = "unlisted units";

/// What the handlers need. Built once, shared by all.
pub struct Gateway {
    pub publisher: Arc<dyn Publisher>,
    pub reader: Arc<dyn Reader>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    clock: Clock,
    keys: Keys,
    sealer: Sealer,
    callers: RwLock<Arc<Callers>>,
    /// Wakes long polls and streams when these were replaced: their tokens may be gone.
    callers_replaced: watch::Sender<()>,
    front_door: FrontDoor,
    limits: Limits,
    /// For saying where to change a setting.
    config_file: PathBuf,
    /// Of the quarantine.
    retried: Mutex<Retried>,
    /// For how long its records are kept.
    quarantine_kept: Duration,
    streams: Arc<Streams>,
    large_bodies: LargeBodies,
    /// True once the router stops: long polls and streams end.
    stopping: watch::Sender<bool>,
}

/// Who may call, and what there is to name. Replaced as a whole.
#[derive(Clone)]
pub struct Callers {
    tokens: TokenBook,
    partners: BTreeMap<String, Partner>,
    /// The same, as INTAKE knows them.
    intake_partners: intake::Partners,
    agencies: Agencies,
}

impl Gateway {
    /// `agencies`: of the rule book INTAKE uses, so that both refuse the same; `clock`: the broker's, likewise.
    pub fn new(
        config: &Config,
        agencies: Agencies,
        publisher: Arc<dyn Publisher>,
        reader: Arc<dyn Reader>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        clock: Clock,
    ) -> Arc<Self> {
        tell_who_sends_seldom(&metrics, config);
        let gateway = Arc::new(Self {
            publisher,
            reader,
            metrics,
            readiness,
            clock,
            keys: Keys::from_secret(config.keys.subject.bytes()),
            sealer: Sealer::from_secret(config.keys.sealing.bytes()),
            callers: RwLock::new(Arc::new(Callers {
                tokens: config.tokens.clone(),
                intake_partners: config.intake_partners(),
                partners: config.partners.clone(),
                agencies,
            })),
            callers_replaced: watch::Sender::new(()),
            front_door: config.front_door.clone(),
            limits: config.limits,
            config_file: config.file.clone(),
            retried: Mutex::default(),
            quarantine_kept: config.retention.quarantine,
            streams: Arc::default(),
            large_bodies: LargeBodies::default(),
            stopping: watch::Sender::new(false),
        });
        gateway.warn_of_unlisted_units();
        gateway
    }

    fn callers(&self) -> Arc<Callers> {
        self.callers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, change: impl FnOnce(&mut Callers)) {
        let mut callers = self.callers.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut callers));
        drop(callers);
        self.warn_of_unlisted_units();
        self.callers_replaced.send_replace(());
    }

    /// Partners and tokens of a configuration that was read again.
    pub fn replace_callers(&self, config: &Config) {
        tell_who_sends_seldom(&self.metrics, config);
        self.replace(|callers| {
            callers.tokens = config.tokens.clone();
            callers.intake_partners = config.intake_partners();
            callers.partners = config.partners.clone();
        });
    }

    /// Of a configuration that could not be taken up: what its tokens file no longer has is good no longer. Answers the names of these.
    pub fn revoke_tokens(&self, tokens: &TokenBook) -> Vec<String> {
        let (kept, revoked) = self.callers().tokens.revoked_by(tokens);
        if !revoked.is_empty() {
            self.replace(|callers| callers.tokens = kept);
        }
        revoked
    }

    /// Where the tokens were read from.
    pub fn tokens_file(&self) -> Option<PathBuf> {
        self.callers().tokens.file().map(Path::to_owned)
    }

    /// Those of the rule books in use.
    pub fn replace_agencies(&self, agencies: Agencies) {
        self.replace(|callers| callers.agencies = agencies);
    }

    /// A token of a unit that the rule book's directory does not list reads a list that stays empty.
    fn warn_of_unlisted_units(&self) {
        let callers = self.callers();
        let unlisted = |entry: &TokenEntry| match &entry.caller {
            Caller::Agency { agency, unit: Some(unit) } if callers.agencies.is_unlisted(agency, unit) => Some(format!(
                "token `{}`: the rule book's directory lists no such unit of {agency}, so it is given no tasks",
                entry.name
            )),
            Caller::Agency { .. } | Caller::Partner { .. } | Caller::Operator => None,
        };
        let unlisted: Vec<String> = callers.tokens.entries().iter().filter_map(unlisted).collect();
        if unlisted.is_empty() {
            self.readiness.no_warning(UNLISTED_UNITS);
            return;
        }
        let problem = unlisted.join("; ");
        self.readiness.warn(UNLISTED_UNITS, &problem);
        tracing::warn!(problem, "list the unit in directory.toml, or give the token one that is listed");
    }

    /// What a sender is told who says that a child is in danger now.
    fn ring(&self) -> String {
        let FrontDoor { name, telephone, out_of_hours } = &self.front_door;
        format!("Ring 999 now if you have not. Then ring {name}: {telephone}, or {out_of_hours} out of hours.")
    }

    /// For telling a sender at once that a time is in the future. Receipt is the broker's.
    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

fn tell_who_sends_seldom(metrics: &Metrics, config: &Config) {
    config.partners.iter().for_each(|(name, partner)| metrics.seldom(name, partner.seldom));
}

/// Every route, by its pattern.
fn routes() -> [(&'static str, MethodRouter<Arc<Gateway>>); 14] {
    [
        ("/v1/events", post(events::post).fallback(events::by_another_method)),
        ("/v1/partners/{partner}/feedback", get(inbox::list_feedback)),
        ("/v1/partners/{partner}/feedback/stream", get(inbox::stream_feedback)),
        ("/v1/agencies/{agency}/tasks", get(inbox::list_tasks)),
        ("/v1/agencies/{agency}/tasks/stream", get(inbox::stream_tasks)),
        ("/v1/outcomes", post(outcomes::post)),
        ("/v1/import", post(import::post)),
        ("/v1/quarantine", get(quarantine::list)),
        ("/v1/quarantine/{id}", get(quarantine::show)),
        ("/v1/quarantine/{id}/retry", post(quarantine::retry)),
        ("/v1/rules", get(rules::list).post(rules::publish)),
        ("/metrics", get(operations::metrics)),
        ("/livez", get(operations::live)),
        ("/readyz", get(operations::ready)),
    ]
}

/// What is answered where. Refusals that an alert watches begin at zero.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let metrics = &gateway.metrics;
    let routes = routes().into_iter().fold(Router::new(), |router, (pattern, handlers)| {
        metrics.expect_refusals(pattern);
        router.route(pattern, handlers)
    });
    routes
        .fallback(|| async { Problem::not_found("See docs/http.md for the routes.") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal("The request could not be answered.").into_response()
        }))
        .layer(middleware::from_fn(drain::drain))
        .layer(middleware::from_fn_with_state(gateway.clone(), observe))
        .with_state(gateway)
}

/// Counts and times every answer by its route's pattern, never by the path as sent.
async fn observe(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.as_deref().unwrap_or("unknown");
    let started = Instant::now();
    let response = next.run(request).await;
    let (status, time) = (response.status().as_u16(), started.elapsed());
    gateway.metrics.http_request(route, status, time);
    tracing::debug!(route, status, time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX), "answered");
    response
}
