//! A start that has topics to make and no room for them: it says so, and goes on once there is room.

use std::sync::Arc;
use std::time::Duration;

use pathway_router::broker::embedded::{Embedded, EmbeddedOptions};
use pathway_router::broker::system_clock;
use pathway_router::runtime::Service;
use pathway_router::telemetry::metrics::Metrics;

use super::kit;
use super::lanes::{total, wait_until};

#[test]
fn a_start_with_topics_to_make_waits_for_room_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        EmbeddedOptions { file_bytes_max: Some(1 << 20), ..EmbeddedOptions::new(folder.path().join("router.db")) };
    let broker = Arc::new(Embedded::open(options).unwrap());
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = kit::options(broker.clone(), kit::context(None), metrics.clone(), system_clock());
    let readiness = options.readiness.clone();
    let beginning = std::thread::spawn(move || Service::start(options));
    wait_until("what it waits for", || readiness.why_not().concat().contains("the disk is full: make room"));
    assert_eq!(total(&metrics, "pathway_disk_full"), 1);
    broker.limit_file_bytes(None);
    let service = beginning.join().unwrap().unwrap();
    wait_until("readiness", || service.ready());
    assert_eq!(total(&metrics, "pathway_disk_full"), 0);
    assert!(service.reader().topics().unwrap().contains(&"tasks.camhs".to_owned()));
    assert!(service.stop(Duration::from_secs(60)));
}
