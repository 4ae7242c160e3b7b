//! What a sender changes or takes back of an event of theirs.

pub mod addition;
pub mod another_child;
pub mod another_unit;
pub mod asked_by_others;
pub mod correction;
pub mod denied;
pub mod reading;
pub mod refused;
pub mod wish;
pub mod withdrawal;
