//! What operators see: the metrics catalogue, readiness and the logs.

pub mod labels;
pub mod logging;
pub mod metrics;
pub mod readiness;
mod troubles;
pub mod waiting;
