//! The engine: pure. No clock, no IO, no tokio, no rdkafka, no prometheus. Everything it knows is handed to it.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub mod calendar;
pub mod cloud_event;
pub mod codec;
pub mod context;
pub mod danger;
pub mod decide;
pub mod disclose;
pub mod facts;
pub mod family;
pub mod history;
pub mod identity;
pub mod ids;
pub mod intake;
pub mod model;
pub mod rules;
pub mod schema;
pub mod seal;
pub mod state;
pub mod step;
pub mod tasks;
