//! How far behind INTAKE is in other processes: what its group has left unread, asked of the broker now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::progress::IntakeProgress;
use super::supervise::rest;
use super::topics::{INTAKE_GROUP, INTAKE_PREFIXES};
use crate::broker::{Broker, BrokerError};

/// Ticks wait for INTAKE that is a minute behind: so often is often enough.
const LOOK_EVERY: Duration = Duration::from_secs(10);

pub fn start(
    broker: &Arc<dyn Broker>,
    progress: &Arc<IntakeProgress>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, BrokerError> {
    let (broker, progress, stop) = (broker.clone(), progress.clone(), stop.clone());
    let thread = std::thread::Builder::new().name("intake-elsewhere".to_owned());
    let spawned = thread.spawn(move || run(&*broker, &progress, &stop));
    spawned.map_err(|error| BrokerError::Storage(format!("a thread could not be started: {error}")))
}

fn run(broker: &dyn Broker, progress: &IntakeProgress, stop: &AtomicBool) {
    let prefixes = INTAKE_PREFIXES.map(str::to_owned);
    while !stop.load(Ordering::Acquire) {
        match broker.left_unread(INTAKE_GROUP, &prefixes) {
            Ok(oldest) => progress.left_elsewhere(oldest),
            // What was last known stands: a broker that does not answer reads nothing either.
            Err(error) => tracing::debug!(%error, "what INTAKE has left unread is not known"),
        }
        rest(LOOK_EVERY, stop);
    }
}
