//! What goes over the wire: published schemas, the codec, CloudEvents, and what intake makes of a partner's record.

#[path = "wire/cloud_events.rs"]
mod cloud_events;
#[path = "wire/codec.rs"]
mod codec;
#[path = "wire/intake.rs"]
mod intake;
#[path = "wire/previous.rs"]
mod previous;
#[path = "wire/registry.rs"]
mod registry;
#[path = "wire/resolution.rs"]
mod resolution;
#[path = "wire/samples.rs"]
mod samples;
#[path = "wire/schemas.rs"]
mod schemas;
