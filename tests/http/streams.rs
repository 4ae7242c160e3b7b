//! Streams that nobody reads: how many there may be, how far they read ahead, and that a stop does not wait for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pathway_router::broker::memory::MemoryOptions;
use pathway_router::broker::{BrokerError, Reader, Record};
use pathway_router::config::Config;
use pathway_router::engine::model::task::Task;
use pathway_router::telemetry::logging::{LogLevel, start_captured};

use super::inbox::task;
use super::kit::House;

/// More than the connection itself can hold.
const TASKS: usize = 600;

/// Counts the records that were read.
struct Counting {
    reader: Arc<dyn Reader>,
    read: AtomicUsize,
}

impl Reader for Counting {
    fn read(&self, topic: &str, partition: u32, from: i64, records_max: usize) -> Result<Vec<Record>, BrokerError> {
        let records = self.reader.read(topic, partition, from, records_max)?;
        self.read.fetch_add(records.len(), Ordering::Relaxed);
        Ok(records)
    }

    fn end_offset(&self, topic: &str, partition: u32) -> Result<i64, BrokerError> {
        self.reader.end_offset(topic, partition)
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        self.reader.partitions(topic)
    }

    fn topics(&self) -> Result<Vec<String>, BrokerError> {
        self.reader.topics()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.reader.changes()
    }
}

fn asks_for_stream(house: &House) -> TcpStream {
    let mut socket = TcpStream::connect(house.base().strip_prefix("http://").unwrap()).unwrap();
    let token = house.token("inbox-camhs");
    let head = "GET /v1/agencies/camhs/tasks/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer";
    write!(socket, "{head} {token}\r\n\r\n").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn status(socket: &mut TcpStream) -> String {
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    String::from_utf8_lossy(&first[9..]).into_owned()
}

#[test]
fn a_list_has_so_many_streams_and_room_comes_back() {
    let log = start_captured(LogLevel::WARN);
    let house = House::open();
    let mut open: Vec<TcpStream> = (0..16).map(|_| asks_for_stream(&house)).collect();
    open.iter_mut().for_each(|socket| assert_eq!(status(socket), "200"));
    let refused = house.get("/v1/agencies/camhs/tasks/stream", "inbox-camhs");
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("30")));
    assert!(refused.text.contains("too-many-streams"), "{}", refused.text);
    let again = house.get("/v1/agencies/camhs/tasks/stream", "inbox-camhs");
    assert_eq!(again.status, 429);
    let said = log.text();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("as many streams open at once")).collect();
    assert!(
        told.len() == 1 && told[0].contains("agency camhs") && told[0].contains("WARN"),
        "whose they are: {told:?}"
    );
    assert!(!said.contains(&house.token("inbox-camhs")));
    assert_eq!(house.get("/v1/agencies/camhs/tasks", "inbox-camhs").status, 200, "the list itself is read on");
    drop(open);
    let is_let_in = || status(&mut asks_for_stream(&house)) == "200";
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        is_let_in()
    }));
}

#[test]
fn a_stream_that_nobody_reads_reads_little_ahead_and_does_not_hold_up_a_stop() {
    let mut counting = None;
    let change = |config: &mut Config| config.limits.drain = Duration::from_secs(300);
    let mut house = House::with_reader(MemoryOptions::default(), change, |reader| {
        let counted = Arc::new(Counting { reader, read: AtomicUsize::new(0) });
        counting = Some(counted.clone());
        counted
    });
    let long = Task { narrative: Some("n".repeat(64 << 10)), ..task("long", "camhs", None) };
    (0..TASKS).for_each(|_| house.put("tasks.camhs", &long, None));
    let mut unread = asks_for_stream(&house);
    assert_eq!(status(&mut unread), "200");
    let read = || counting.as_ref().unwrap().read.load(Ordering::Relaxed);
    let mut before = 0;
    while read() != before || before == 0 {
        before = read();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(before < TASKS, "{before} records were read for nobody");
    let started = Instant::now();
    house.stop();
    assert!(started.elapsed() < Duration::from_secs(150), "it was not waited for until the time to drain was over");
}
