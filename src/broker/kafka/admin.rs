//! Topics on the broker: what each should be, what it is, and making the difference good.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use super::fault::{named, storage};
use super::notes::Quiet;
use super::shared::Shared;
use crate::broker::{BrokerError, RECORD_BYTES_MAX, TopicSpec};

const WAIT: Duration = Duration::from_secs(20);
/// How long a new topic may take to be known to those who use it.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the topics need.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicChanges {
    pub create: Vec<TopicSpec>,
    /// Topics whose settings differ, each with setting -> (present, wanted).
    pub alter: BTreeMap<String, BTreeMap<String, (Option<String>, String)>>,
}

/// Settings a topic should have.
pub fn settings(spec: &TopicSpec, min_in_sync: i32) -> BTreeMap<String, String> {
    let retention = spec.retention.filter(|_| !spec.compacted);
    let retention = retention.map_or_else(|| "-1".to_owned(), |kept| kept.as_millis().to_string());
    let policy = if spec.compacted { "compact" } else { "delete" };
    let wanted = [
        ("cleanup.policy", policy.to_owned()),
        ("retention.ms", retention),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("min.insync.replicas", min_in_sync.to_string()),
        ("max.message.bytes", RECORD_BYTES_MAX.to_string()),
    ];
    wanted.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What is there and what is wanted, compared. `Mismatch` for what can never be changed.
pub fn plan(shared: &Shared, specs: &[TopicSpec]) -> Result<TopicChanges, BrokerError> {
    let present: HashMap<String, u32> = shared.topology.topics()?.into_iter().collect();
    let mut changes = TopicChanges::default();
    let mut known = Vec::new();
    for spec in specs {
        match present.get(&spec.name) {
            None if spec.partitions == 0 => {
                return Err(BrokerError::Mismatch(format!("topic {} needs at least one partition", spec.name)));
            }
            None => changes.create.push(spec.clone()),
            Some(count) if *count != spec.partitions => {
                return Err(BrokerError::Mismatch(format!(
                    "topic {} has {count} partitions and {} were asked for: a partition count cannot be changed, as \
                     keys would move",
                    spec.name, spec.partitions
                )));
            }
            Some(_) => known.push(spec),
        }
    }
    if known.is_empty() {
        return Ok(changes);
    }
    let admin = client(shared)?;
    let described = describe(&admin, known.iter().map(|spec| spec.name.as_str()))?;
    for spec in known {
        let values = described.get(&spec.name).map(values).unwrap_or_default();
        let differing = differing(spec, shared.options.min_in_sync, &values)?;
        if !differing.is_empty() {
            changes.alter.insert(spec.name.clone(), differing);
        }
    }
    Ok(changes)
}

fn values(resource: &ConfigResource) -> BTreeMap<String, String> {
    resource.entries.iter().filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?))).collect()
}

type Differing = BTreeMap<String, (Option<String>, String)>;

fn differing(spec: &TopicSpec, min_in_sync: i32, present: &BTreeMap<String, String>) -> Result<Differing, BrokerError> {
    let mut differing = Differing::new();
    for (name, wanted) in settings(spec, min_in_sync) {
        let value = present.get(&name);
        if value == Some(&wanted) {
            continue;
        }
        if name == "cleanup.policy" {
            let is = value.map_or("nothing", String::as_str);
            return Err(BrokerError::Mismatch(format!(
                "topic {} has cleanup.policy {is} and {wanted} was asked for: that cannot be changed",
                spec.name
            )));
        }
        differing.insert(name, (value.cloned(), wanted));
    }
    Ok(differing)
}

/// Creates and alters; topics that are new are known to all when this returns.
pub fn apply(shared: &Shared, changes: &TopicChanges) -> Result<(), BrokerError> {
    if changes.create.is_empty() && changes.alter.is_empty() {
        return Ok(());
    }
    let admin = client(shared)?;
    create(&admin, shared, &changes.create)?;
    alter(&admin, &changes.alter)?;
    let deadline = Instant::now() + KNOWN_WITHIN;
    for spec in &changes.create {
        while shared.topology.partitions(&spec.name) != Ok(spec.partitions) {
            if Instant::now() >= deadline {
                return Err(BrokerError::Storage(format!("topic {} was created and is not known yet", spec.name)));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

pub fn client(shared: &Shared) -> Result<AdminClient<Quiet>, BrokerError> {
    let made = shared.options.admin().create_with_context(Quiet);
    made.map_err(|error| storage("a client for administration could not be made", &error))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

fn create(admin: &AdminClient<Quiet>, shared: &Shared, specs: &[TopicSpec]) -> Result<(), BrokerError> {
    if specs.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = specs.iter().map(|spec| settings(spec, shared.options.min_in_sync)).collect();
    let topics: Vec<NewTopic<'_>> = specs
        .iter()
        .zip(&wanted)
        .map(|(spec, wanted)| {
            let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
            let mut topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(shared.options.replication));
            for (name, value) in wanted {
                topic = topic.set(name, value);
            }
            topic
        })
        .collect();
    let created = waited(admin.create_topics(&topics, &options()));
    for result in created.map_err(|error| storage("topics could not be created", &error))? {
        match result {
            // Another instance was quicker.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(named(&format!("topic {topic} could not be created"), code)),
        }
    }
    Ok(())
}

/// What an operator has set besides stays: the broker replaces a topic's settings as a whole.
fn alter(admin: &AdminClient<Quiet>, alter: &BTreeMap<String, Differing>) -> Result<(), BrokerError> {
    let described = describe(admin, alter.keys().map(String::as_str))?;
    for (topic, differing) in alter {
        let set = |entry: &&ConfigEntry| entry.source == ConfigSource::DynamicTopic;
        let entries = described.get(topic).map(|resource| resource.entries.as_slice()).unwrap_or_default();
        let mut values: BTreeMap<&str, &str> = entries
            .iter()
            .filter(set)
            .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
            .collect();
        values.extend(differing.iter().map(|(name, (_, wanted))| (name.as_str(), wanted.as_str())));
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, value) in values {
            change = change.set(name, value);
        }
        let altered = waited(admin.alter_configs([&change], &options()));
        for result in altered.map_err(|error| storage("a topic could not be altered", &error))? {
            result.map_err(|(_, code)| named(&format!("topic {topic} could not be altered"), code))?;
        }
    }
    Ok(())
}

fn describe<'a>(
    admin: &AdminClient<Quiet>,
    topics: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, ConfigResource>, BrokerError> {
    let resources: Vec<_> = topics.map(ResourceSpecifier::Topic).collect();
    if resources.is_empty() {
        return Ok(HashMap::new());
    }
    let described = waited(admin.describe_configs(&resources, &options()));
    let mut found = HashMap::new();
    let described = described.map_err(|error| storage("topics' settings are not known", &error))?;
    for (specifier, resource) in resources.iter().zip(described) {
        let ResourceSpecifier::Topic(topic) = specifier else { continue };
        let what = "a topic's settings are not known";
        let resource = resource.map_err(|code| named(what, code))?;
        // A topic has settings: where none are shown, none may be seen.
        if resource.entries.is_empty() {
            return Err(named(what, RDKafkaErrorCode::TopicAuthorizationFailed));
        }
        found.insert((*topic).to_owned(), resource);
    }
    Ok(found)
}

/// Wakes a thread that waits for an answer.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer on this thread, whatever runtime it may belong to.
fn waited<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
