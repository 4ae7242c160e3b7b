//! History from before go-live, read from what authorities already hold.

pub mod ssda903;
