//! How each client of librdkafka is set up: bounded memory, quick to notice, never forgetful.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::index::IndexOptions;
use crate::broker::RECORD_BYTES_MAX;

/// What every transactional id begins with.
pub const TRANSACTIONAL_PREFIX: &str = "pathway-router.";

/// Not a group that anybody joins: librdkafka wants a name for those who read alone.
pub const READERS: &str = "pathway-router.readers";

/// Where the broker is and who we are to it.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// This process's name: no two that run at once share it. Part of each lane's transactional id.
    pub instance: String,
    /// Further settings of librdkafka, such as `security.protocol`. Ours win. May hold secrets: never printed.
    pub properties: BTreeMap<String, String>,
    /// Copies of each partition that `ensure_topics` asks for, and how many must have a record before it counts.
    pub replication: i32,
    pub min_in_sync: i32,
    /// How long a lane may be silent before its partitions go to others.
    pub session: Duration,
    /// How long an open transaction of a dead lane may hold readers back.
    pub transaction: Duration,
    /// How long a lane that always finds records gathers them before it commits. One that is idle commits at once.
    pub commit_interval: Duration,
    /// Keeps what is read over HTTP beside this instance; None: it is read from the broker each time.
    pub index: Option<IndexOptions>,
    /// What may wait in the publisher's queue.
    pub queue_requests_max: usize,
    pub queue_bytes_max: usize,
}

impl KafkaOptions {
    pub fn new(bootstrap: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            instance: instance.into(),
            properties: BTreeMap::new(),
            replication: 1,
            min_in_sync: 1,
            session: Duration::from_secs(6),
            transaction: Duration::from_secs(7),
            commit_interval: Duration::from_millis(20),
            index: None,
            queue_requests_max: 10_000,
            queue_bytes_max: 64 << 20,
        }
    }

    /// What a client of this process calls itself.
    pub fn client_id(&self, role: &str) -> String {
        format!("pathway-router-{}-{role}", self.instance)
    }

    fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", self.client_id(role))
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true");
        config
    }

    fn consumer(&self, role: &str, group: &str) -> ClientConfig {
        let mut config = self.client(role);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "16384")
            .set("check.crcs", "true");
        config
    }

    /// A lane's: a member of its group, its partitions never taken back all at once. Never with
    /// `enable.partition.eof`: read in batches, the notice of an end counts as a record, and at the next rebalance
    /// librdkafka goes on behind it, one record too far.
    pub fn lane_consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer("lane", group);
        let heartbeat = (self.session / 12).max(Duration::from_millis(100));
        config
            .set("enable.partition.eof", "false")
            // From a position that is not there librdkafka would go to the beginning without a word.
            .set("auto.offset.reset", "error")
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session.as_millis().to_string())
            .set("heartbeat.interval.ms", heartbeat.as_millis().to_string())
            .set("topic.metadata.refresh.interval.ms", "1000")
            .set("max.poll.interval.ms", "300000");
        config
    }

    /// Reads partitions it names itself; told where each ends.
    pub fn tail_consumer(&self, role: &str, group: &str) -> ClientConfig {
        let mut config = self.consumer(role, group);
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        config
    }

    /// Sees records of open transactions too.
    pub fn uncommitted_consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.tail_consumer("look", group);
        config.set("isolation.level", "read_uncommitted");
        config
    }

    fn producer(&self, role: &str) -> ClientConfig {
        let mut config = self.client(role);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536");
        config
    }

    pub fn publisher(&self) -> ClientConfig {
        let mut config = self.producer("publisher");
        config.set("linger.ms", "2").set("message.timeout.ms", "30000");
        config
    }

    pub fn transactional(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.producer("lane");
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", self.transaction.as_millis().to_string())
            .set("delivery.report.only.error", "true")
            .set("linger.ms", "5");
        config
    }

    /// For administration, and for what there is.
    pub fn admin(&self) -> ClientConfig {
        self.client("admin")
    }

    /// A lane's name to the broker; a prefix that one permission can cover.
    pub fn transactional_id(&self, group: &str, index: u32) -> String {
        format!("{TRANSACTIONAL_PREFIX}{group}.{}.{index}", self.instance)
    }
}
