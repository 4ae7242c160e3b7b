//! A referral arrives: recognised, remembered, judged, and whatever else comes under its id or beside it.

pub mod arrival;
pub mod awaiting;
pub mod besides;
pub mod danger;
pub mod duplicate;
pub mod first_receipt;
pub mod look_alike;
pub mod named_elsewhere;
pub mod siblings;
