//! The whole router in this process: broker, lanes and HTTP, started and stopped in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::CliError;
use super::local::config_error;
use super::rule_book::{self, counted, read_sound};
use super::waiting::Waiting;
use crate::broker::embedded::Expected;
use crate::broker::{Broker, BrokerError, Health, Publisher, Reader, system_clock};
use crate::config::fault::ConfigFaults;
use crate::config::{self, Config};
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::intake::standing::Agencies;
use crate::engine::rules::book::UnitKind;
use crate::engine::rules::fault::RuleFault;
use crate::engine::rules::{self, RuleBook};
use crate::http::{Gateway, server};
use crate::runtime::rule_books::{OwnBook, Publication};
use crate::runtime::{Beginning, CheckBooks, Service, ServiceOptions};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// How long lanes may take to finish their batch at a stop.
const LANES_STOP: Duration = Duration::from_secs(10);

/// How often a start tries to open a log that there is no room for.
const OPEN_EVERY: Duration = Duration::from_secs(1);

/// A router that runs.
pub struct RunningRouter {
    broker: Arc<dyn Broker>,
    service: Arc<Service>,
    server: server::Running,
    pub gateway: Arc<Gateway>,
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
}

impl RunningRouter {
    /// Opens the broker, starts the lanes, then listens. Needs a tokio runtime.
    pub async fn start(config: &Config, expected: Expected) -> Result<Self, CliError> {
        hide_what_panics_say();
        let Own { book, books, agencies, check } = Own::of(config, expected)?;
        let metrics = Arc::new(Metrics::new().map_err(CliError::failed)?);
        metrics.troubles.started(system_clock()());
        let readiness = Arc::new(Readiness::starting());
        let broker = opened(config, expected, &metrics, &readiness).await?;
        let options = ServiceOptions::from_config(config, broker.clone(), books, metrics.clone(), readiness.clone());
        let gateway = Gateway::new(
            config,
            agencies,
            broker.publisher(),
            broker.reader(),
            metrics.clone(),
            readiness.clone(),
            system_clock(),
        );
        // Listening first: while the broker is waited for, `/readyz` says so.
        let server = match server::start(gateway.clone(), &config.http).await {
            Ok(server) => server,
            Err(error) => {
                broker.close();
                return Err(CliError::failed(error));
            }
        };
        tracing::info!(address = url(config, server.address()), "listening");
        let (on_books, stop) = (gateway.clone(), StopWhenDropped::default());
        let beginning = Beginning {
            stop: stop.0.clone(),
            book: Some(book),
            on_books: Some(Box::new(move |books| {
                on_books.replace_agencies(Agencies::of(books.all().map(|book| &book.rules)));
            })),
            check,
            belongs_to: match config.broker {
                config::broker::Broker::Embedded { .. } => Vec::new(),
                config::broker::Broker::Kafka(_) => config.keys.fingerprints(),
            },
        };
        let begun = tokio::task::spawn_blocking(move || Service::begin(options, beginning)).await;
        match begun.map_err(CliError::failed)? {
            Ok(service) => {
                stop.keep();
                Ok(Self { broker, service: Arc::new(service), server, gateway, readiness, metrics })
            }
            Err(error) => {
                server.stop().await;
                broker.close();
                Err(CliError::failed(error))
            }
        }
    }

    /// Takes up partners and tokens of a configuration that was read again. The rest of it waits for a restart.
    pub async fn reload(&self, config: &Config) -> Result<(), BrokerError> {
        let (service, partners) = (self.service.clone(), config.intake_partners());
        let replaced = tokio::task::spawn_blocking(move || service.replace_partners(partners)).await;
        replaced.unwrap_or(Err(BrokerError::Stopping))?;
        self.gateway.replace_callers(config);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://` or `https://` and the address.
    pub fn url(&self, config: &Config) -> String {
        url(config, self.address())
    }

    /// The published rule books.
    pub fn books(&self) -> RuleBooks {
        self.service.books()
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

    /// Stops listening, lets the lanes finish their batch, and closes the log. Err: what did not end well.
    pub async fn stop(self) -> Result<(), String> {
        self.server.stop().await;
        let (service, broker) = (self.service, self.broker);
        let stopped = tokio::task::spawn_blocking(move || {
            let health = broker.health();
            let clean = service.stop(LANES_STOP);
            broker.close();
            match health {
                Health::Failed(problem) => Err(format!("{problem}; nothing was accepted from then on")),
                _ if clean => Ok(()),
                Health::Ready
                | Health::CatchingUp
                | Health::DiskFull
                | Health::HeldByAnother
                | Health::Unreachable(_)
                | Health::Stopped => {
                    Err("stopped before every lane had finished; nothing acknowledged is lost".to_owned())
                }
            }
        });
        stopped.await.unwrap_or_else(|_| Err("the router could not be stopped in order".to_owned()))
    }
}

/// Opens the log, once there is room to: ended over a full disk, the router would be started again and again. Meanwhile whoever asks is told.
async fn opened(
    config: &Config,
    expected: Expected,
    metrics: &Arc<Metrics>,
    readiness: &Arc<Readiness>,
) -> Result<Arc<dyn Broker>, CliError> {
    let config::broker::Broker::Embedded { file } = &config.broker else {
        return super::broker::open(config, expected);
    };
    let mut waiting = None;
    loop {
        match super::broker::embedded(config, file, expected) {
            Err(BrokerError::DiskFull(problem)) => {
                let waiting = match &mut waiting {
                    Some(waiting) => waiting,
                    None => waiting.insert(Waiting::listen(config, file, metrics.clone(), readiness.clone()).await?),
                };
                waiting.say(&problem);
                tokio::time::sleep(OPEN_EVERY).await;
            }
            opened => {
                if let Some(waiting) = waiting {
                    waiting.end().await;
                }
                return Ok(Arc::new(opened.map_err(CliError::failed)?));
            }
        }
    }
}

fn url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Ends the wait for a broker when nobody waits for the router any more.
#[derive(Default)]
struct StopWhenDropped(Arc<AtomicBool>);

impl StopWhenDropped {
    /// The router runs: it is the service's flag now.
    fn keep(mut self) {
        self.0 = Arc::default();
    }
}

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The folder's rule book as it is published, and as it is read; else what is wrong with the folder, and what to do.
pub fn own_book(folder: &Path) -> Result<(Publication, RuleBook), String> {
    let shown = folder.display();
    let remedy = format!("mend it (`pathway-router rules check {shown}` names every fault) and start again");
    let files = rule_book::files(folder).map_err(|error| format!("{error}: {remedy}"))?;
    let faulty = |faults: Vec<RuleFault>| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        format!("{shown} has {}, the first in {first}: {remedy}", counted(faults.len(), "fault"))
    };
    let own = Publication::of(&files, None).map_err(faulty)?;
    rules::load(&files).map(|book| (own, book)).map_err(faulty)
}

/// What a start has of the folder of `[rules]`.
struct Own {
    book: OwnBook,
    books: RuleBooks,
    agencies: Agencies,
    /// Where the folder's book lacks what the configuration names: a published one may have it.
    check: Option<CheckBooks>,
}

impl Own {
    fn of(config: &Config, expected: Expected) -> Result<Self, CliError> {
        let is_new = expected == Expected::Nothing;
        if is_new {
            must_be_in_force(&config.rules)?;
        }
        let (own, book) = match own_book(&config.rules) {
            Ok(own_book) => own_book,
            // Without a book of its own it knows no agency until it has read the published ones.
            Err(problem) => {
                let (books, agencies) = (RuleBooks::default(), Agencies::default());
                return Ok(Self { book: Err(problem), books, agencies, check: None });
            }
        };
        let check = match check_agencies(config, Some(&book), &RuleBooks::default()) {
            Ok(()) => None,
            Err(faults) if is_new => return Err(config_error(&faults)),
            Err(_) => Some(against_published(config, book.clone())),
        };
        let agencies = Agencies::of([&book]);
        Ok(Self { book: Ok(own), books: RuleBooks::new(vec![PreparedBook::new(book)]), agencies, check })
    }
}

/// What the next start would refuse of a configuration that was read again: it is checked against the folder's rule book, where
/// that can be read, and what that lacks against the published ones.
pub fn check_again(config: &Config, published: &RuleBooks) -> Result<(), ConfigFaults> {
    let Ok((_, book)) = own_book(&config.rules) else { return Ok(()) };
    check_agencies(config, Some(&book), &RuleBooks::default())
        .or_else(|_| check_agencies(config, Some(&book), published))
}

/// The same of a start, once it can read them; the topics that the configuration needs are made afterwards.
fn against_published(config: &Config, book: RuleBook) -> CheckBooks {
    let config = config.clone();
    Box::new(move |published| {
        check_agencies(&config, Some(&book), published).map_err(|faults| BrokerError::Mismatch(faults.to_string()))
    })
}

/// Where nothing can be published yet the folder's book is the only one: refused before a data file is made.
fn must_be_in_force(folder: &Path) -> Result<(), CliError> {
    if read_sound(folder)?.effective_from > system_clock()() {
        let rules = folder.display();
        return Err(CliError::failed(format!("{rules} is not in force yet: see effective_from in its book.toml")));
    }
    Ok(())
}

/// An agency is as the published books have it, whichever is in force; where none of them has it, as the folder's: it may be published yet.
pub fn check_agencies(config: &Config, folder: Option<&RuleBook>, published: &RuleBooks) -> Result<(), ConfigFaults> {
    let agencies = Agencies::of(published.all().map(|book| &book.rules));
    let published_has = |agency: &str| agencies.names.contains(agency).then(|| agencies.of_many_units.contains(agency));
    let folder_has = |agency: &str| folder?.agencies.get(agency).map(|agency| agency.units != UnitKind::One);
    let own = called(&config.rules);
    let books = match agencies.names.is_empty() {
        true => own,
        false => format!("no published rule book (`pathway-router rules list`) has it, and {own}"),
    };
    config.check_agencies(&books, |agency| published_has(agency).or_else(|| folder_has(agency)))
}

/// The folder's rule book, as a message names it.
pub fn called(folder: &Path) -> String {
    format!("the rule book in {}", folder.display())
}

/// A panic's message may carry what was being worked on: only its place is logged.
fn hide_what_panics_say() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault in the router");
    }));
}

/// Ctrl-C, or on Unix also SIGTERM: from when this is called, also if it comes before it is waited for. Needs a tokio runtime.
pub fn told_to_stop() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listened = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok());
        let [interrupted, terminated] = listened.map(|listened| async move {
            match listened {
                Some(mut signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        });
        async move {
            tokio::select! { _ = interrupted => {}, _ = terminated => {} }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// SIGHUP, as often as it comes, from when this is called: what comes before it is waited for is kept. Elsewhere than on Unix: never.
pub fn reloads() -> Reloads {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        Reloads(signal(SignalKind::hangup()).ok())
    }
    #[cfg(not(unix))]
    Reloads()
}

#[cfg(unix)]
pub struct Reloads(Option<tokio::signal::unix::Signal>);

#[cfg(not(unix))]
pub struct Reloads();

impl Reloads {
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
