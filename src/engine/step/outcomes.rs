//! What agencies answer, and to whom a task is passed.

pub mod answers;
pub mod challenge;
pub mod kept;
pub mod outcome;
pub mod readdressed;
pub mod responsible;
