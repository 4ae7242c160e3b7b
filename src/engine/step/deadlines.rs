//! What time does: clocks of entries, ladders of silence, deadlines and what is remembered no longer.

pub mod clocks;
pub mod escalation;
pub mod forgotten;
pub mod ladder;
pub mod overdue;
pub mod recount;
pub mod timer;
