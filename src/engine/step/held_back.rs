//! Routes that are held back: shut, lifted and shut again, and who has passed on what by them.

pub mod lifted;
pub mod not_passed_on;
pub mod persons;
pub mod shut_again;
pub mod suspect;
