//! What an alert watches besides the records: what an operator must mend, each at zero from the start.

use prometheus::{IntCounter, IntGauge, Registry};

use super::metrics::{counter, gauge};
use crate::engine::model::scalar::Timestamp;

pub struct Troubles {
    reload_failed: IntGauge,
    log_ahead: IntGauge,
    accepts_failed: IntCounter,
    passed_over: IntCounter,
    data_file_held: IntGauge,
    instance_shared: IntGauge,
    started: IntGauge,
    certificate_ends: IntGauge,
}

impl Troubles {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ahead = "By how much the newest record is ahead of this machine's clock";
        let held = "1 while another program holds the data file and nothing is accepted";
        let shared = "1 while another router runs under the same instance";
        let started = "When this process began, in seconds since 1970";
        let certificate = "When the TLS certificate ends, Unix time; 0 where there is none";
        Ok(Self {
            certificate_ends: gauge(registry, "tls_certificate_ends_seconds", certificate)?,
            started: gauge(registry, "start_time_seconds", started)?,
            instance_shared: gauge(registry, "instance_shared", shared)?,
            data_file_held: gauge(registry, "data_file_held", held)?,
            accepts_failed: counter(registry, "http_accepts_failed_total", "Connections that could not be let in")?,
            passed_over: counter(
                registry,
                "offsets_passed_over_total",
                "Offsets that were deleted before they were read",
            )?,
            log_ahead: gauge(registry, "log_ahead_seconds", ahead)?,
            reload_failed: gauge(registry, "reload_failed", "1 since a reload failed, until one succeeds")?,
        })
    }

    /// Partners and tokens could not be read again; false: they were.
    pub fn reload_failed(&self, failed: bool) {
        self.reload_failed.set(i64::from(failed));
    }

    /// An alert counts how often it changes.
    pub fn started(&self, at: Timestamp) {
        self.started.set(at.0.div_euclid(1_000));
    }

    /// The certificate that clients are shown.
    pub fn certificate_ends(&self, at: Timestamp) {
        self.certificate_ends.set(at.0.div_euclid(1_000));
    }

    pub fn data_file_held(&self, held: bool) {
        self.data_file_held.set(i64::from(held));
    }

    pub fn instance_shared(&self, shared: bool) {
        self.instance_shared.set(i64::from(shared));
    }

    pub fn log_ahead(&self, seconds: i64) {
        self.log_ahead.set(seconds);
    }

    /// So many since this process began.
    pub fn passed_over(&self, offsets: u64) {
        self.passed_over.inc_by(offsets.saturating_sub(self.passed_over.get()));
    }

    /// The machine let no further connection in: it has no file descriptor left, as a rule.
    pub fn accept_failed(&self) {
        self.accepts_failed.inc();
    }
}
