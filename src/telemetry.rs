//! What operators see: the metrics catalogue and the logs.

pub mod logging;
pub mod metrics;
