//! The records the router reads and writes, as Rust types. `schemas/*.avsc` is their published form.

pub mod bytes;
pub mod codes;
pub mod decision;
pub mod detail;
pub mod event;
pub mod feedback;
pub mod field_name;
mod held_task;
pub mod history;
pub mod inbox;
pub mod optional;
pub mod outcome;
pub mod quarantine;
mod reports;
pub mod scalar;
pub mod subject;
pub mod task;
