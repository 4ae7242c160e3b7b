//! An absence goes on, is over, or is not over after all.

pub mod back_grown;
pub mod returned;
pub mod search;
pub mod still_missing;
pub mod told_right;
