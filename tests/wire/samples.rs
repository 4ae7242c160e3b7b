//! Made-up records: the sample events in `tests/samples/events`, one for each kind, and one record of every schema.

use std::path::Path;

use pathway_router::engine::cloud_event;
use pathway_router::engine::model::detail::KINDS;
use pathway_router::engine::model::event::ReferralEvent;
use serde_json::Value;

/// The sample of a kind, as a partner would post it.
pub fn event_json(kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/events").join(format!("{kind}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sample of a kind, read.
pub fn event(kind: &str) -> ReferralEvent {
    cloud_event::read(&event_json(kind)).unwrap_or_else(|faults| panic!("{kind}: {faults:?}")).event
}

/// Every kind, in catalogue order.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _)| *kind)
}
