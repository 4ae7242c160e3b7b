//! What operators see: the metrics catalogue, readiness and the logs.

pub mod logging;
pub mod metrics;
pub mod readiness;
