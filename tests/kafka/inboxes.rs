//! The file of the inboxes: the same records at the same offsets on every instance, made anew whenever it is lost.

use std::path::Path;
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::kafka::index::IndexOptions;
use pathway_router::broker::kafka::settings::KafkaOptions;
use pathway_router::broker::{Broker, Health, Record};
use tempfile::TempDir;

use super::kit::{publish, topic, values, write};
use super::server::{OnKafka, options};

fn opened(file: &Path, instance: &str) -> Kafka {
    let index = IndexOptions { file: file.to_owned(), prefixes: vec!["tasks.".to_owned()] };
    let broker = Kafka::open(KafkaOptions { index: Some(index), ..options(instance) }).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while broker.health() != Health::Ready {
        assert!(Instant::now() < deadline, "{:?}", broker.health());
        std::thread::sleep(Duration::from_millis(10));
    }
    broker
}

fn read(broker: &Kafka, topic: &str, from: i64, expected: usize) -> Vec<Record> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let records = broker.reader().read(topic, 0, from, 100).unwrap();
        if records.len() >= expected || Instant::now() >= deadline {
            return records;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_instance_serves_the_same_whatever_becomes_of_its_file() {
    let Some(kafka) = OnKafka::new() else { return };
    let direct = kafka.instance("direct");
    direct.ensure_topics(&[topic("tasks.a", 1), topic("decisions", 1)]).unwrap();
    let send = |topic: &str, range: std::ops::Range<u32>| {
        publish(&direct, range.map(|n| write(topic, "k", &n.to_string())).collect()).unwrap();
    };
    send("tasks.a", 0..7);
    send("decisions", 0..3);
    let folder = TempDir::new().unwrap();
    let files = ["one.db", "two.db"].map(|name| folder.path().join(name));
    let one = opened(&files[0], "one");
    let all = read(&one, "tasks.a", 0, 7);
    assert_eq!(all, direct.reader().read("tasks.a", 0, 0, 100).unwrap());
    assert_eq!(read(&one, "decisions", 0, 3).len(), 3, "what is not kept is read from the broker");
    let mode = std::os::unix::fs::PermissionsExt::mode(&files[0].metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // What comes later, and a topic that is made later.
    send("tasks.a", 7..9);
    direct.ensure_topics(&[topic("tasks.b", 1)]).unwrap();
    send("tasks.b", 0..2);
    assert_eq!(read(&one, "tasks.b", 0, 2).len(), 2);
    let two = opened(&files[1], "two");
    let rest = read(&two, "tasks.a", all[3].offset, 6);
    assert_eq!(values(&rest), ["3", "4", "5", "6", "7", "8"]);
    assert_eq!(read(&one, "tasks.a", all[3].offset, 6), rest, "a place in one is the same place in the other");
    one.close();
    two.close();
    // Goes on where it was, and is made anew when it cannot be read.
    std::fs::write(&files[1], b"not a database").unwrap();
    for (file, instance) in files.iter().zip(["one", "two"]) {
        let again = opened(file, instance);
        assert_eq!(read(&again, "tasks.a", all[3].offset, 6), rest);
        again.close();
    }
}

#[test]
fn a_topic_made_again_shows_nothing_of_the_one_before() {
    let Some(kafka) = OnKafka::new() else { return };
    let file = TempDir::new().unwrap();
    let file = file.path().join("inboxes.db");
    let direct = kafka.instance("direct");
    direct.ensure_topics(&[topic("tasks.a", 1)]).unwrap();
    publish(&direct, (0..5).map(|n| write("tasks.a", "k", &n.to_string())).collect()).unwrap();
    let broker = opened(&file, "one");
    assert_eq!(read(&broker, "tasks.a", 0, 5).len(), 5);
    broker.close();
    kafka.clear();
    let direct = kafka.instance("direct");
    direct.ensure_topics(&[topic("tasks.a", 1)]).unwrap();
    publish(&direct, vec![write("tasks.a", "k", "new")]).unwrap();
    let broker = opened(&file, "one");
    assert_eq!(values(&read(&broker, "tasks.a", 0, 1)), ["new"]);
}
