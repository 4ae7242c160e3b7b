//! Events as JSON and back, and what is said of a faulty one.

use pathway_router::engine::{cloud_event, codec};

use crate::samples;

#[test]
fn every_kind_comes_back_from_json_and_avro_as_it_was() {
    for kind in samples::kinds() {
        let json = samples::event_json(kind);
        let event = samples::event(kind);
        assert_eq!(event.detail.kind(), kind);
        let bytes = codec::encode(&event).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let decoded = codec::decode(&bytes).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(event, decoded, "{kind}");
        let written = cloud_event::write(&decoded).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(cloud_event::read(&written).map(|read| read.event), Ok(event), "{kind}");
        for (name, value) in json["data"]["detail"].as_object().expect("an object") {
            assert_eq!(&written["data"]["detail"][name], value, "{kind}: {name}");
        }
    }
}
