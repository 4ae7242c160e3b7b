//! What named persons decide of a case, change and take back, and who hears what of it.

pub mod agreement;
mod by_agreement;
pub mod closed;
pub mod decided;
pub mod enquiry;
pub mod lowered;
pub mod offers;
pub mod own_case;
pub mod raising;
pub mod redecided;
pub mod refusal;
pub mod repeated;
pub mod services;
pub mod taken_back;
pub mod unapplied;
