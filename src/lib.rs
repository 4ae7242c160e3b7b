//! The pathway router: consumes referral events, applies a partnership's threshold-of-need rules, publishes tasks.
//!
//! The house, from the top floor down: `cli` → `http`, `runtime`, `replay`, `simulate`, `import` → `broker`,
//! `wire`, `telemetry`, `config` → `engine`. Nothing imports upwards.

pub mod broker;
pub mod cli;
pub mod config;
pub mod engine;
pub mod http;
pub mod import;
pub mod replay;
pub mod runtime;
pub mod simulate;
pub mod telemetry;
pub mod wire;
