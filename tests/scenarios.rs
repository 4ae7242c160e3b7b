//! What the router does to a child's record, in the domain's words: every scenario file, and properties over random
//! histories.

#[path = "scenarios/address.rs"]
mod address;
#[path = "scenarios/calendar.rs"]
mod calendar;
#[path = "scenarios/closed_by_mistake.rs"]
mod closed_by_mistake;
#[path = "scenarios/dropped.rs"]
mod dropped;
#[path = "scenarios/family.rs"]
mod family;
#[path = "scenarios/feedback.rs"]
mod feedback;
#[path = "scenarios/files.rs"]
mod files;
#[path = "scenarios/forgotten.rs"]
mod forgotten;
#[path = "scenarios/identity.rs"]
mod identity;
#[path = "scenarios/imported.rs"]
mod imported;
#[path = "scenarios/kit.rs"]
mod kit;
#[path = "scenarios/last_word.rs"]
mod last_word;
#[path = "scenarios/lifecycle.rs"]
mod lifecycle;
#[path = "scenarios/naive.rs"]
mod naive;
#[path = "scenarios/never_said.rs"]
mod never_said;
#[path = "scenarios/overdue.rs"]
mod overdue;
#[path = "scenarios/properties.rs"]
mod properties;
#[path = "scenarios/ringing.rs"]
mod ringing;
#[path = "scenarios/routes.rs"]
mod routes;
#[path = "scenarios/rungs.rs"]
mod rungs;
#[path = "scenarios/standing.rs"]
mod standing;
#[path = "scenarios/told.rs"]
mod told;
#[path = "scenarios/too_long.rs"]
mod too_long;
#[path = "scenarios/undone.rs"]
mod undone;
