//! A real Apache Kafka for this test binary: started once, ended with it; each test begins with no topics.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::kafka::settings::KafkaOptions;
use pathway_router::broker::{Broker, Clock};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kit::{Harness, QUIET_MS};

/// Set to run the other tests on a machine without Java.
const ALLOW_NONE: &str = "PATHWAY_ALLOW_NO_KAFKA";
/// Where the broker of the test that started this process is.
pub const GIVEN: &str = "PATHWAY_TEST_BOOTSTRAP";
/// A small file system for the broker's files, to be filled.
const SMALL_DISK: &str = "PATHWAY_TEST_SMALL_DISK";
/// A group's rebalance, and the notice of a new topic, take less.
const QUIET: Duration = Duration::from_millis(1500);

static BOOTSTRAP: LazyLock<Option<String>> = LazyLock::new(start);
static MISSING: LazyLock<bool> = LazyLock::new(look_for_java);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/kafka.sh")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{}", std::process::id()))
}

/// What the broker keeps goes on the small disk, if one was given: it alone is to be without room.
fn place_on_small_disk() {
    if let Ok(disk) = std::env::var(SMALL_DISK) {
        let data = Path::new(&disk).join("data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir_all(folder()).unwrap();
        std::os::unix::fs::symlink(data, folder().join("data")).unwrap();
    }
}

/// Ends the broker (`stop`, or `kill` as a power cut would) and starts it again on the same files and port.
pub fn restart(how: &str) {
    for what in [how, "start"] {
        let output = Command::new(script()).arg(what).arg(folder()).output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Leaves the broker no room for a while. It ends by that, or is ended, and is started again once there is room.
pub fn fill_disk(full: Duration) {
    let filler = PathBuf::from(std::env::var(SMALL_DISK).expect("a small disk to fill")).join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let block = vec![0; 1 << 16];
    while file.write_all(&block).is_ok() {}
    std::thread::sleep(full);
    // Room comes back with the last handle.
    drop(file);
    std::fs::remove_file(filler).unwrap();
    restart("kill");
}

/// Whether there is no Java or Maven, and that is allowed: every test here is left out, and one line says so.
pub fn is_missing() -> bool {
    *MISSING
}

fn look_for_java() -> bool {
    let missing: Vec<_> = [("java", "openjdk-17-jre-headless"), ("mvn", "maven")]
        .into_iter()
        .filter(|(program, _)| Command::new(program).arg("-version").output().is_err())
        .collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        let remedy = format!("sudo apt-get install --yes {}", packages.join(" "));
        assert!(std::env::var(ALLOW_NONE).as_deref() == Ok("1"), "a real Kafka needs Java and Maven: {remedy}");
        // Past the test harness, which keeps to itself what passing tests print.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: no test ran against Kafka. For that: {remedy}\n");
        return true;
    }
    false
}

/// None: there is no Java or Maven, and that is allowed.
fn start() -> Option<String> {
    if is_missing() {
        return None;
    }
    let folder = folder();
    place_on_small_disk();
    let output = Command::new(script())
        .args(["start", "--while", &std::process::id().to_string()])
        .arg(&folder)
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    QUIET_MS.store(u64::try_from(QUIET.as_millis()).unwrap(), Ordering::Relaxed);
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// One test's hold on the broker.
pub struct OnKafka {
    _turn: MutexGuard<'static, ()>,
}

impl OnKafka {
    /// Waits for its turn, and clears away what the test before left. RUST_LOG says what to print of a failed test. None: tests on
    /// Kafka are left out here.
    pub fn new() -> Option<Self> {
        // It would delete every topic of a cluster that is not its own.
        assert!(std::env::var(GIVEN).is_err(), "{GIVEN} is for processes that these tests start");
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        clear(BOOTSTRAP.as_ref()?);
        Some(Self { _turn: turn })
    }

    /// Deletes every topic.
    pub fn clear(&self) {
        clear(&bootstrap());
    }

    /// A process of its own, as far as the broker can tell.
    pub fn instance(&self, name: &str) -> Kafka {
        Kafka::open(options(name)).unwrap()
    }
}

pub fn options(instance: &str) -> KafkaOptions {
    KafkaOptions::new(bootstrap(), instance)
}

pub fn bootstrap() -> String {
    std::env::var(GIVEN).ok().or_else(|| BOOTSTRAP.clone()).expect("a broker")
}

pub fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap()
}

/// What an operator does with `kafka-consumer-groups.sh --reset-offsets`: no lane of the group may be at work.
pub fn set_position(group: &str, topic: &str, partition: i32, position: i64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(position)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn clear(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let own = |name: &String| !name.starts_with("__");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(20)).unwrap();
        let topics: Vec<String> = metadata.topics().iter().map(|topic| topic.name().to_owned()).filter(own).collect();
        if topics.is_empty() {
            break;
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let _ = runtime.block_on(admin.delete_topics(&names, &AdminOptions::new()));
        assert!(Instant::now() < deadline, "topics of the test before are still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    let groups = ["g", "another group", "intake", "decide"];
    let _ = runtime.block_on(admin.delete_groups(&groups, &AdminOptions::new()));
}

impl Harness for OnKafka {
    /// The clock is the broker's own.
    fn open(&self, _clock: Clock) -> Arc<dyn Broker> {
        Arc::new(self.instance("test"))
    }

    fn reopen(&self, before: Arc<dyn Broker>, clock: Clock) -> Arc<dyn Broker> {
        before.close();
        drop(before);
        self.open(clock)
    }

    fn open_without_queue(&self) -> Arc<dyn Broker> {
        Arc::new(Kafka::open(KafkaOptions { queue_requests_max: 0, ..options("test") }).unwrap())
    }

    fn store_position(&self, _: &dyn Broker, group: &str, (topic, partition): (&str, u32), next_offset: i64) {
        set_position(group, topic, i32::try_from(partition).unwrap(), next_offset);
    }
}
