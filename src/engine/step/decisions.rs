//! What named persons decide of a case, change and take back, and who hears what of it.

pub mod agreement;
pub mod asked_them;
mod by_agreement;
pub mod closed;
pub mod decided;
pub mod enquiry;
pub mod lowered;
pub mod own_case;
pub mod raising;
pub mod reconcile;
pub mod redecided;
pub mod repeated;
pub mod services;
pub mod taken_back;
mod told;
pub mod unapplied;
