//! A data file that a link leads to.

use std::mem::ManuallyDrop;
use std::time::Duration;

use pathway_router::broker::embedded::{self, Embedded, EmbeddedOptions};
use pathway_router::broker::{Broker, Health};
use tempfile::TempDir;

use super::kit::{contents, publish, topic, write};

/// As of one that was moved to a larger disk, or is made there: what belongs to it lies beside the file, not beside the link.
#[test]
fn a_file_behind_a_link_is_the_same_file_by_whichever_path() {
    let (house, disk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (link, file) = (house.path().join("router.db"), disk.path().join("moved.db"));
    let options = || EmbeddedOptions::new(&link);
    // By way of another, which is relative.
    let between = disk.path().join("between.db");
    std::os::unix::fs::symlink("moved.db", &between).unwrap();
    std::os::unix::fs::symlink(&between, &link).unwrap();
    // Never closed, as after a crash.
    let first = ManuallyDrop::new(Embedded::open(options()).unwrap());
    first.ensure_topics(&[topic("in", 1)]).unwrap();
    for content in ["1", "2"] {
        publish(&*first, vec![write("in", "a", content)]).unwrap();
    }
    // Longer than the writer takes to look after what lies in place.
    std::thread::sleep(Duration::from_millis(600));
    publish(&*first, vec![write("in", "a", "3")]).unwrap();
    assert_eq!(first.health(), Health::Ready);
    let second = Embedded::open(EmbeddedOptions::new(&file)).err().expect("it is in use");
    assert!(second.to_string().contains("moved.db is in use by process"), "{second}");
    let beside = std::fs::read_dir(house.path()).unwrap().count();
    assert_eq!(beside, 1, "nothing lies beside the link");
    // The log is there, beside the file.
    let copy = disk.path().join("copy.db");
    embedded::backup(&link, &copy).unwrap();
    let copied = Embedded::open(EmbeddedOptions::new(&copy)).unwrap();
    assert_eq!(contents(&copied, "in", 0), ["1", "2", "3"]);

    // The file alone was moved: what was accepted last lies in the log that was left.
    let left = house.path().join("router.db-wal");
    std::fs::write(&left, "records").unwrap();
    for refused in [Embedded::open(options()).err(), embedded::backup(&link, &disk.path().join("two.db")).err()] {
        let refused = refused.expect("a log is left").to_string();
        assert!(
            refused.contains("router.db-wal lies beside the link") && refused.contains("moved.db-wal"),
            "{refused}"
        );
    }
}
