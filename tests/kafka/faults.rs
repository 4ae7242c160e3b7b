//! Dead writers, zombies and rebalances: nothing is lost, repeated, or out of step with its state.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::{
    BatchLimit, Broker, BrokerError, Commit, Consumed, LaneBroker, LanePlan, LaneShare, PartitionOwner, Placement,
    Record, Write,
};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::kit::{
    Owner, compacted, consumed, contents, limit, names, poll_all, poll_some, publish, topic, values, write, write_to,
};
use super::server::{GIVEN, OnKafka, bootstrap, options};

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };

fn producer(id: &str, timeout: Duration) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout.as_millis().to_string())
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer
}

/// Opens a transaction, and has its record lie in the topic.
fn begin(producer: &BaseProducer, topic: &str, value: &str, writer: Option<&str>) {
    producer.begin_transaction().unwrap();
    let mut headers = OwnedHeaders::new();
    if let Some(writer) = writer {
        headers = headers.insert(Header { key: "writer", value: Some(writer) });
    }
    producer.send(BaseRecord::to(topic).partition(0).key("a").payload(value).headers(headers)).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Restores `history` when a dead writer's transaction lies open below a committed record.
fn restores_above_an_open_transaction(writer: Option<&str>, timeout: Duration) {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("inbox", 1), compacted("history", 1)]).unwrap();
    publish(&broker, vec![write("history", "a", "first")]).unwrap();
    let dead = producer("pathway-router.g.dead.0", timeout);
    begin(&dead, "history", "never committed", writer);
    let other = producer("other", timeout);
    begin(&other, "history", "above", Some("other"));
    other.commit_transaction(Duration::from_secs(20)).unwrap();
    let plan = LanePlan { restore_from: Some("history".into()), ..names("g", &["inbox"]) };
    let mut owner = Owner::default();
    let mut lane = broker.lane(plan, ALONE).unwrap();
    assert!(poll_all(&mut *lane, &mut owner).is_empty());
    assert_eq!(values(&owner.restored), ["first", "above"]);
    // Whoever it was: what it left open never shows.
    assert!(dead.commit_transaction(Duration::from_secs(20)).is_err());
    assert_eq!(contents(&broker, "history", 0), ["first", "above"]);
}

#[test]
fn a_dead_writer_that_left_its_name_is_fenced() {
    // Waiting for its time-out would fail this test.
    restores_above_an_open_transaction(Some("pathway-router.g.dead.0"), Duration::from_secs(600));
}

#[test]
fn a_dead_writer_without_a_name_is_waited_out() {
    restores_above_an_open_transaction(None, Duration::from_secs(4));
}

/// Nobody knows whose transaction lies open in one partition of the history: the other is read meanwhile.
#[test]
fn a_partition_on_its_way_holds_up_no_other() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker.ensure_topics(&[topic("inbox", 2), compacted("history", 2)]).unwrap();
    publish(&broker, vec![write_to("inbox", 0, "held up"), write_to("inbox", 1, "read at once")]).unwrap();
    let dead = producer("other", Duration::from_secs(10));
    begin(&dead, "history", "never committed", None);
    let plan = LanePlan { restore_from: Some("history".into()), ..names("g", &["inbox"]) };
    let mut owner = Owner::default();
    let mut lane = broker.lane(plan, ALONE).unwrap();
    let records = loop {
        let records = lane.poll(&mut owner, &limit(10)).unwrap();
        if !records.is_empty() {
            break records;
        }
    };
    assert_eq!((values(&records), &owner.assigned), (vec!["read at once".to_owned()], &vec![1]));
    assert!(!lane.is_restored());
    assert_eq!(values(&poll_all(&mut *lane, &mut owner)), ["held up"]);
    assert_eq!(owner.assigned, [1, 0]);
}

#[test]
fn lanes_of_a_group_share_all_partitions() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two) = (kafka.instance("one"), kafka.instance("two"));
    one.ensure_topics(&[topic("inbox", 4), compacted("history", 4)]).unwrap();
    for partition in 0..4 {
        publish(&one, vec![write_to("inbox", partition, &partition.to_string())]).unwrap();
    }
    let plan = || LanePlan { restore_from: Some("history".into()), ..names("g", &["inbox"]) };
    let mut lanes = [one.lane(plan(), ALONE).unwrap(), two.lane(plan(), ALONE).unwrap()];
    let mut owners = [Owner::default(), Owner::default()];
    let deadline = Instant::now() + Duration::from_secs(60);
    while lanes.iter().any(|lane| lane.owned().len() != 2) {
        for (lane, owner) in lanes.iter_mut().zip(&mut owners) {
            lane.poll(owner, &limit(10)).unwrap();
        }
        assert!(Instant::now() < deadline, "{:?}", lanes.each_ref().map(|lane| lane.owned()));
    }
    let mut all: Vec<u32> = lanes.iter().flat_map(|lane| lane.owned()).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}

/// A transaction is open while partitions change hands: it is settled first, so each input is copied once.
#[test]
fn an_open_transaction_is_settled_before_partitions_leave() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two) = (kafka.instance("one"), kafka.instance("two"));
    one.ensure_topics(&[topic("in", 4), topic("out", 1)]).unwrap();
    let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    publish(&one, sent.iter().map(|n| write("in", n, n)).collect()).unwrap();
    let copy = |records: &[Record]| -> (Vec<Write>, Vec<Consumed>) {
        (
            values(records).iter().map(|value| write("out", value, value)).collect(),
            records.iter().map(consumed).collect(),
        )
    };
    let mut owners = [Owner::default(), Owner::default()];
    let mut first = one.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_some(&mut *first, &mut owners[0], &limit(50));
    let (writes, positions) = copy(&records);
    first.stage(writes, positions).unwrap();
    // Not committed: the second lane joins, is given partitions, and commits what it reads there; only then does the
    // first commit. Had its transaction stayed open meanwhile, both would have copied the same records.
    let mut second = two.lane(names("g", &["in"]), ALONE).unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        assert!(first.poll(&mut owners[0], &limit(0)).unwrap().is_empty());
        let records = second.poll(&mut owners[1], &limit(7)).unwrap();
        if !records.is_empty() {
            let (writes, positions) = copy(&records);
            second.stage(writes, positions).unwrap();
            assert_eq!(second.commit(&mut owners[1]).unwrap(), Commit::Committed);
            break;
        }
        assert!(Instant::now() < deadline, "the second lane was given nothing");
    }
    first.commit(&mut owners[0]).unwrap();
    let mut lanes = [first, second];
    while contents(&one, "out", 0).len() < sent.len() {
        for (lane, owner) in lanes.iter_mut().zip(&mut owners) {
            let records = lane.poll(owner, &limit(7)).unwrap();
            let (writes, positions) = copy(&records);
            if !records.is_empty() {
                lane.stage(writes, positions).unwrap();
                lane.commit(owner).unwrap();
            }
        }
        assert!(Instant::now() < deadline, "{} copied", contents(&one, "out", 0).len());
    }
    let mut copied = contents(&one, "out", 0);
    copied.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(copied, sent);
    assert!(lanes.iter().all(|lane| !lane.owned().is_empty()));
}

/// A lane that has read all is paused while another joins, and more is sent meanwhile: it goes on just where it was.
#[test]
fn a_rebalance_at_the_end_skips_nothing() {
    let Some(kafka) = OnKafka::new() else { return };
    let (one, two) = (kafka.instance("one"), kafka.instance("two"));
    one.ensure_topics(&[topic("in", 4)]).unwrap();
    let send = |from: u32| {
        let writes = (from..from + 40).map(|n| write_to("in", n % 4, &n.to_string()));
        publish(&one, writes.collect()).unwrap();
    };
    let mut owners = [Owner::default(), Owner::default()];
    let mut first = one.lane(names("g", &["in"]), ALONE).unwrap();
    send(0);
    let read = poll_all(&mut *first, &mut owners[0]);
    first.stage(Vec::new(), read.iter().map(consumed).collect()).unwrap();
    assert_eq!((read.len(), first.commit(&mut owners[0]).unwrap()), (40, Commit::Committed));
    let mut lanes = [first, two.lane(names("g", &["in"]), ALONE).unwrap()];
    // Long enough for the group to ask the first lane for partitions, which pauses the others.
    std::thread::sleep(Duration::from_secs(3));
    send(40);
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut read = Vec::new();
    let shared_out = |lanes: &[Box<dyn LaneBroker>; 2]| lanes.iter().all(|lane| lane.owned().len() == 2);
    while (read.len() < 40 || !shared_out(&lanes)) && Instant::now() < deadline {
        for (lane, owner) in lanes.iter_mut().zip(&mut owners) {
            let records = lane.poll(owner, &limit(10)).unwrap();
            lane.stage(Vec::new(), records.iter().map(consumed).collect()).unwrap();
            if lane.commit(owner).unwrap() == Commit::Committed {
                read.extend(values(&records));
            }
        }
    }
    assert!(shared_out(&lanes), "no partition changed hands");
    read.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(read, (40..80).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Counts the inputs of each key, and keeps the counts as its state.
#[derive(Default)]
struct Counts {
    durable: BTreeMap<(u32, Vec<u8>), u64>,
    staged: BTreeMap<(u32, Vec<u8>), u64>,
}

impl PartitionOwner for Counts {
    fn restored(&mut self, partition: u32, record: Record) -> Result<(), BrokerError> {
        let count = String::from_utf8(record.value.unwrap()).unwrap().parse().unwrap();
        self.durable.insert((partition, record.key), count);
        Ok(())
    }

    fn assigned(&mut self, _partition: u32) -> Result<(), BrokerError> {
        Ok(())
    }

    fn revoked(&mut self, partition: u32) {
        self.durable.retain(|(held, _), _| *held != partition);
    }

    fn committed(&mut self) {
        self.durable.append(&mut self.staged);
    }

    fn aborted(&mut self) {
        self.staged.clear();
    }
}

impl Counts {
    /// `key count input` with who counted, and the new count to `history`.
    fn count(&mut self, records: &[Record], instance: &str) -> Vec<Write> {
        let mut writes = Vec::new();
        for record in records {
            let place = (record.partition, record.key.clone());
            let before = self.staged.get(&place).or_else(|| self.durable.get(&place)).copied().unwrap_or(0);
            self.staged.insert(place, before + 1);
            let key = String::from_utf8(record.key.clone()).unwrap();
            let input = String::from_utf8(record.value.clone().unwrap()).unwrap();
            let to = |topic: &str, value: String| Write {
                placement: Placement::Partition(record.partition),
                headers: vec![("by".to_owned(), instance.as_bytes().to_vec())].into(),
                ..write(topic, &key, &value)
            };
            writes.push(to("out", format!("{key} {} {input}", before + 1)));
            writes.push(to("history", (before + 1).to_string()));
        }
        writes
    }
}

/// Not a test: what the processes of the next one run, until they are killed.
#[test]
#[ignore = "runs only as a process of the test below"]
fn counting_process() {
    let Ok(instance) = std::env::var("PATHWAY_TEST_INSTANCE") else { return };
    let broker = Kafka::open(options(&instance)).unwrap();
    loop {
        if let Err(error) = count_until_it_fails(&broker, &instance) {
            eprintln!("{instance}: {error}");
        }
    }
}

fn count_until_it_fails(broker: &Kafka, instance: &str) -> Result<(), BrokerError> {
    let plan = LanePlan { restore_from: Some("history".into()), ..names("g", &["in"]) };
    let mut lane: Box<dyn LaneBroker> = broker.lane(plan, ALONE)?;
    let mut counts = Counts::default();
    let limit = BatchLimit { records_max: 40, bytes_max: 1 << 20, wait: Duration::from_millis(50) };
    for turn in 1_u64.. {
        let records = lane.poll(&mut counts, &limit)?;
        if !records.is_empty() {
            lane.stage(counts.count(&records, instance), records.iter().map(consumed).collect())?;
            // Open for a while and across polls, so that kills and rebalances find it so.
            std::thread::sleep(Duration::from_millis(5));
        }
        if turn % 4 == 0 && lane.commit(&mut counts)? == Commit::Aborted {
            eprintln!("aborted");
        }
    }
    Ok(())
}

struct Process(Child);

impl Process {
    fn start(instance: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::counting_process", "--nocapture"])
            .env("PATHWAY_TEST_INSTANCE", instance)
            .env(GIVEN, bootstrap())
            .stdout(Stdio::null())
            // Of its own: where the group of a stopped process is orphaned, the kernel sends SIGHUP to every member.
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PARTITIONS: u32 = 4;
const KEYS: usize = 40;

fn outputs(broker: &Kafka) -> Vec<Vec<String>> {
    (0..PARTITIONS).map(|partition| contents(broker, "out", partition)).collect()
}

/// How many outputs a process has committed.
fn written_by(broker: &Kafka, instance: &str) -> usize {
    let by = ("by".to_owned(), instance.as_bytes().to_vec());
    let read = |partition| broker.reader().read("out", partition, 0, usize::MAX);
    // A topic that was just made has no leader for a moment.
    let records = (0..PARTITIONS).flat_map(|partition| read(partition).unwrap_or_default());
    records.filter(|record| record.headers.contains(&by)).count()
}

/// Two processes, killed and stopped past their session while records come: each input is counted once, in order,
/// and the state is that of an undisturbed run.
#[test]
fn kills_and_a_zombie_cost_and_repeat_nothing() {
    let Some(kafka) = OnKafka::new() else { return };
    let broker = kafka.instance("test");
    broker
        .ensure_topics(&[topic("in", PARTITIONS), topic("out", PARTITIONS), compacted("history", PARTITIONS)])
        .unwrap();
    let mut one = Process::start("one");
    let mut two = Process::start("two");
    let mut sent = 0;
    let mut send = |records: usize| {
        for chunk in 0..records / 50 {
            let number = |n: usize| sent + chunk * 50 + n;
            let writes = (0..50).map(|n| write("in", &format!("k{}", number(n) % KEYS), &number(n).to_string()));
            publish(&broker, writes.collect()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        sent += records;
        sent
    };
    // Until these, too, have partitions and have committed something: what befalls them then is no fault before.
    let mut send_until_written_by = |instances: &[&str]| {
        let deadline = Instant::now() + Duration::from_secs(120);
        let before: Vec<usize> = instances.iter().map(|instance| written_by(&broker, instance)).collect();
        let has_more = |(instance, before): (&&str, &usize)| written_by(&broker, instance) > *before;
        while !instances.iter().zip(&before).all(has_more) {
            assert!(Instant::now() < deadline, "one of {instances:?} is given nothing");
            send(100);
        }
        // While these are read, a transaction is open.
        send(500)
    };
    send_until_written_by(&["one", "two"]);
    one.kill();
    one = Process::start("one");
    send_until_written_by(&["one", "two"]);
    two.signal("-STOP");
    // Past its session: the other has its partitions by then.
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(9) {
        send_until_written_by(&["one"]);
    }
    two.signal("-CONT");
    send_until_written_by(&["two"]);
    two.kill();
    two = Process::start("three");
    let expected = send_until_written_by(&["three"]);
    let deadline = Instant::now() + Duration::from_secs(120);
    while outputs(&broker).iter().map(Vec::len).sum::<usize>() < expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
    }
    std::thread::sleep(Duration::from_secs(1));
    check_outputs(&outputs(&broker), expected);
    drop((one, two));
}

fn check_outputs(outputs: &[Vec<String>], expected: usize) {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    let mut inputs = Vec::new();
    for output in outputs.iter().flatten() {
        let words: Vec<&str> = output.split(' ').collect();
        let [key, count, input] = words[..] else { panic!("{output}") };
        let counter = counted.entry(key).or_default();
        *counter += 1;
        assert_eq!(count, counter.to_string(), "{key}: its state and its outputs agree, in order");
        inputs.push(input.parse::<usize>().unwrap());
    }
    inputs.sort_unstable();
    let missing: Vec<usize> = (0..expected).filter(|input| inputs.binary_search(input).is_err()).collect();
    let repeated: Vec<usize> = inputs.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(missing.is_empty() && repeated.is_empty(), "lost {missing:?}, repeated {repeated:?}");
}

/// Ticks wait for what an agency has answered, whichever instance is to read it.
#[test]
fn what_a_group_has_left_unread_is_known_to_instances_that_do_not_read_it() {
    let Some(kafka) = OnKafka::new() else { return };
    let (asking, reading) = (kafka.instance("asking"), kafka.instance("reading"));
    asking.ensure_topics(&[topic("outcomes.police", 1), topic("tasks.police", 1)]).unwrap();
    let left = || asking.left_unread("g", &["outcomes.".to_owned()]).unwrap();
    assert_eq!((left(), left()), (None, None), "nothing was ever written");
    // The last thing there is the mark of a transaction, which no reader ever reads.
    let agency = producer("agency", Duration::from_secs(20));
    begin(&agency, "outcomes.police", "acknowledged", None);
    agency.commit_transaction(Duration::from_secs(20)).unwrap();
    publish(&asking, vec![write("tasks.police", "a", "of no concern")]).unwrap();
    // A commit shows a little after it is answered.
    let written = std::iter::repeat_with(|| asking.reader().read("outcomes.police", 0, 0, 1).unwrap())
        .find_map(|records| records.first().map(|record| record.timestamp));
    assert_eq!(left(), None, "it has only just come");
    assert_eq!((left(), left()), (written, written));
    let mut owner = Owner::default();
    let mut lane = reading.lane(names("g", &["outcomes.police"]), ALONE).unwrap();
    let read = poll_all(&mut *lane, &mut owner);
    lane.stage(Vec::new(), read.iter().map(consumed).collect()).unwrap();
    assert_eq!(lane.commit(&mut owner).unwrap(), Commit::Committed);
    let deadline = Instant::now() + Duration::from_secs(20);
    while left().is_some() {
        assert!(Instant::now() < deadline, "the lane has read it");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left(), None);
}
