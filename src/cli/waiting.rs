//! A start that waits for room to open its log: whoever asks hears that it lives, that it is not ready, and why.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::CliError;
use crate::broker::{BrokerError, PublishDone, Publisher, Reader, Record, Write, system_clock};
use crate::config::Config;
use crate::engine::intake::standing::Agencies;
use crate::http::{Gateway, server};
use crate::runtime::DISK_FULL;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

/// As `/readyz` calls the log that is not there yet.
const HOLD: &str = "broker";
const SAY_EVERY: Duration = Duration::from_secs(60);

pub struct Waiting {
    server: server::Running,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    said_at: Option<Instant>,
}

impl Waiting {
    /// Listens where the router will. Needs a tokio runtime.
    pub async fn listen(
        config: &Config,
        file: &Path,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Result<Self, CliError> {
        let log = Arc::new(Unopened { file: file.display().to_string(), changes: watch::Sender::new(0) });
        readiness.hold(HOLD, DISK_FULL);
        metrics.disk_full(true);
        let (clock, agencies) = (system_clock(), Agencies::default());
        let gateway = Gateway::new(config, agencies, log.clone(), log, metrics.clone(), readiness.clone(), clock);
        let server = server::start(gateway, &config.http).await.map_err(CliError::failed)?;
        Ok(Self { server, metrics, readiness, said_at: None })
    }

    /// In the log, now and then.
    pub fn say(&mut self, problem: &str) {
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.said_at = Some(Instant::now());
            tracing::error!(problem, "the disk is full: the start waits for room, and goes on by itself");
        }
    }

    /// There is room, or something else is wrong.
    pub async fn end(self) {
        self.server.stop().await;
        self.readiness.release(HOLD);
        self.metrics.disk_full(false);
    }
}

/// A log that cannot be opened: it takes nothing, and shows nothing.
struct Unopened {
    file: String,
    changes: watch::Sender<u64>,
}

impl Unopened {
    fn refused<T>(&self) -> Result<T, BrokerError> {
        Err(BrokerError::DiskFull(self.file.clone()))
    }
}

impl Publisher for Unopened {
    fn publish(&self, _writes: Vec<Write>, done: PublishDone) {
        done(self.refused());
    }
}

impl Reader for Unopened {
    fn read(&self, _: &str, _: u32, _: i64, _: usize) -> Result<Vec<Record>, BrokerError> {
        self.refused()
    }

    fn end_offset(&self, _: &str, _: u32) -> Result<i64, BrokerError> {
        self.refused()
    }

    fn partitions(&self, _: &str) -> Result<u32, BrokerError> {
        self.refused()
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        self.refused()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
