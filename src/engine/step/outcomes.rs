//! What agencies answer, and to whom a task is passed.

pub mod answers;
mod asked_sooner;
pub mod challenge;
pub mod kept;
pub mod outcome;
pub mod readdressed;
pub mod responsible;
