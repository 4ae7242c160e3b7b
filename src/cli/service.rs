//! The whole router in this process: broker, lanes and HTTP, started and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::CliError;
use super::rule_book::read_sound;
use crate::broker::embedded::Expected;
use crate::broker::{Broker, Publisher, Reader, system_clock};
use crate::config::Config;
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::intake::standing::Agencies;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::UnitKind;
use crate::http::{Gateway, server};
use crate::runtime::{Service, ServiceOptions};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// How long lanes may take to finish their batch at a stop.
const LANES_STOP: Duration = Duration::from_secs(10);

/// A router that runs.
pub struct RunningRouter {
    broker: Arc<dyn Broker>,
    service: Service,
    server: server::Running,
    readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
}

impl RunningRouter {
    /// Opens the broker, starts the lanes, then listens. Needs a tokio runtime.
    pub async fn start(config: &Config, expected: Expected) -> Result<Self, CliError> {
        hide_what_panics_say();
        let book = read_sound(&config.rules)?;
        let agencies = check_against_rules(config, &book)?;
        let books = RuleBooks::new(vec![PreparedBook::new(book)]);
        if books.in_force(system_clock()()).is_none() {
            let rules = config.rules.display();
            return Err(CliError::failed(format!("{rules} is not in force yet: see effective_from in its book.toml")));
        }
        let broker = super::broker::open(config, expected)?;
        let metrics = Arc::new(Metrics::new().map_err(CliError::failed)?);
        let readiness = Arc::new(Readiness::starting());
        let options = ServiceOptions::from_config(config, broker.clone(), books, metrics.clone(), readiness.clone());
        let service = Service::start(options).map_err(CliError::failed)?;
        let gateway = Gateway::new(
            config,
            agencies,
            broker.publisher(),
            broker.reader(),
            metrics.clone(),
            readiness.clone(),
            system_clock(),
        );
        match server::start(gateway, &config.http).await {
            Ok(server) => Ok(Self { broker, service, server, readiness, metrics }),
            Err(error) => {
                service.stop(LANES_STOP);
                broker.close();
                Err(CliError::failed(error))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://` or `https://` and the address.
    pub fn url(&self, config: &Config) -> String {
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    pub fn reader(&self) -> Arc<dyn Reader> {
        self.broker.reader()
    }

    pub fn publisher(&self) -> Arc<dyn Publisher> {
        self.broker.publisher()
    }

    /// Returns once every lane has restored its partitions.
    pub async fn until_ready(&self) {
        while !self.readiness.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops listening, lets the lanes finish their batch, and closes the log. False: a lane had to be left.
    pub async fn stop(self) -> bool {
        self.server.stop().await;
        let (service, broker) = (self.service, self.broker);
        let stopped = tokio::task::spawn_blocking(move || {
            let clean = service.stop(LANES_STOP);
            broker.close();
            clean
        });
        stopped.await.unwrap_or(false)
    }
}

/// The rule book's agencies, once configuration and rule book agree.
fn check_against_rules(config: &Config, book: &RuleBook) -> Result<Agencies, CliError> {
    let has_many_units = |agency: &str| book.agencies.get(agency).map(|agency| agency.units != UnitKind::One);
    config.check_agencies(has_many_units).map_err(|faults| super::local::config_error(&faults))?;
    Ok(Agencies::of([book]))
}

/// A panic's message may carry what was being worked on: only its place is logged.
fn hide_what_panics_say() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault in the router");
    }));
}

/// Ctrl-C, or on Unix also SIGTERM.
pub async fn until_told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let terminated = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => signal.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! { _ = interrupted => {}, _ = terminated => {} }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupted.await;
    }
}
