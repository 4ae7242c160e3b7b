//! TLS: refused without it where others can reach, and served with it.

use std::sync::Arc;

use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{Broker, system_clock};
use pathway_router::config::Config;
use pathway_router::config::first_start::{config_file, first_start};
use pathway_router::http::Gateway;
use pathway_router::http::server::{HttpError, start};
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;

#[test]
fn an_address_others_can_reach_is_refused_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let mut config = Config::load(&config_file(folder.path())).unwrap();
    config.http.bind = "0.0.0.0:0".parse().unwrap();
    let broker = Memory::new(MemoryOptions::default());
    let metrics = Arc::new(Metrics::new().unwrap());
    let gateway = Gateway::new(
        &config,
        Default::default(),
        broker.publisher(),
        broker.reader(),
        metrics,
        Arc::new(Readiness::default()),
        system_clock(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = runtime.block_on(start(gateway, &config.http));
    assert!(matches!(started, Err(HttpError::NeedsTls { .. })));
}
