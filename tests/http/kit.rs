//! A house for the tests: configuration of a first start, broker in memory, server on a free port, a client.

use std::sync::Arc;
use std::time::Duration;

use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{Broker, Placement, Reader, Record, TopicSpec, Write, system_clock};
use pathway_router::config::Config;
use pathway_router::config::first_start::{config_file, first_start};
use pathway_router::config::tokens::TokenBook;
use pathway_router::engine::codec;
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::schema::Published;
use pathway_router::engine::step::Effect;
use pathway_router::http::Gateway;
use pathway_router::http::server::{Running, start};
use pathway_router::runtime::outputs::Outputs;
use pathway_router::runtime::topics::OutputTopics;
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;
use serde_json::{Value, json};

pub const STRUCTURED: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";
pub const HOSPITAL: &str = "leighton-hospital";

pub struct House {
    pub folder: tempfile::TempDir,
    pub broker: Memory,
    pub readiness: Arc<Readiness>,
    gateway: Arc<Gateway>,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
    agent: ureq::Agent,
    base: String,
}

pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

impl House {
    pub fn open() -> Self {
        Self::with(MemoryOptions::default(), |_| ())
    }

    pub fn with(options: MemoryOptions, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_reader(options, change, |reader| reader)
    }

    /// With what stands between the gateway and the broker's reader.
    pub fn with_reader(
        options: MemoryOptions,
        change: impl FnOnce(&mut Config),
        between: impl FnOnce(Arc<dyn Reader>) -> Arc<dyn Reader>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        first_start(folder.path()).unwrap();
        let mut config = Config::load(&config_file(folder.path())).unwrap();
        config.http.bind = "127.0.0.1:0".parse().unwrap();
        config.limits.long_poll = Duration::from_secs(20);
        change(&mut config);
        let broker = Memory::new(options);
        broker.ensure_topics(&topics(&config)).unwrap();
        let readiness = Arc::new(Readiness::default());
        let gateway = Gateway::new(
            &config,
            agencies(),
            broker.publisher(),
            between(broker.reader()),
            Arc::new(Metrics::new().unwrap()),
            readiness.clone(),
            system_clock(),
        );
        let house_gateway = gateway.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(start(gateway, &config.http)).unwrap();
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", running.address());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Self { folder, broker, readiness, gateway: house_gateway, runtime, running: Some(running), agent, base }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn token(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(format!("tokens/{name}.token"))).unwrap();
        text.trim().to_owned()
    }

    /// The configuration is read again, and that token's table is gone.
    pub fn revoke(&self, name: &str) {
        let mut config = Config::load(&config_file(self.folder.path())).unwrap();
        let others = config.tokens.entries().iter().filter(|entry| entry.name != name).cloned().collect::<Vec<_>>();
        assert_eq!(others.len() + 1, config.tokens.entries().len());
        config.tokens = TokenBook::new(others);
        self.gateway.replace_callers(&config);
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        answer(request.header("authorization", format!("Bearer {}", self.token(token))).call().unwrap())
    }

    pub fn get_without_token(&self, path: &str) -> Answer {
        answer(self.agent.get(format!("{}{path}", self.base)).call().unwrap())
    }

    pub fn post(&self, path: &str, token: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        let authorization = format!("Bearer {}", self.token(token));
        self.post_with(path, &[("authorization", &authorization), ("content-type", content_type)], body)
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body.into()).unwrap())
    }

    /// Posts one event as the hospital.
    pub fn post_event(&self, event: &Value) -> Answer {
        self.post("/v1/events", HOSPITAL, STRUCTURED, event.to_string())
    }

    /// Everything on a topic's first partition.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.broker.reader().read(topic, 0, 0, 10_000).unwrap()
    }

    pub fn referrals(&self) -> Vec<Record> {
        self.records("gateway.http")
    }

    /// Puts a record where a lane would have put it.
    pub fn put<T: Published>(&self, topic: &str, record: &T, unit: Option<&str>) {
        let headers = unit.map(|unit| ("unit", unit)).into_iter().collect();
        let value = Some(codec::encode(record).unwrap());
        let write = Write { topic: topic.into(), placement: Placement::Partition(0), key: Vec::new(), value, headers };
        self.broker.publisher().publish(vec![write], Box::new(|result| drop(result.unwrap())));
    }

    /// Puts a task as a lane writes it, headers included.
    pub fn put_task(&self, task: &Task) {
        let none = || "none".into();
        let topics = OutputTopics {
            inbox: none(),
            history: none(),
            decisions: none(),
            quarantine: none(),
            tasks: [(task.agency.clone(), format!("tasks.{}", task.agency).into())].into(),
            feedback: Default::default(),
            written_for_previous: false,
        };
        let (keys, subject) = (Keys::from_secret(&[7; 32]), SubjectKey([1; 32]));
        let effect = Effect::Task(Box::new(task.clone()), subject);
        let write = Outputs { topics: &topics, keys: &keys }.effect(&effect, None).unwrap().unwrap();
        let write = Write { placement: Placement::Partition(0), ..write };
        self.broker.publisher().publish(vec![write], Box::new(|result| drop(result.unwrap())));
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    Answer { status, content_type, retry_after, text: response.body_mut().read_to_string().unwrap() }
}

/// As the default rule book has them.
fn agencies() -> Agencies {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Agencies {
        names: named(&["social-care", "police", "camhs", "school", "gp"]),
        meant: named(&["social-care", "police", "camhs", "school", "gp"]),
        front_doors: named(&["social-care"]),
        stand_ins: named(&["lado", "partnership"]),
        of_many_units: named(&["school", "gp"]),
        units: [("gp".to_owned(), named(&["N81001", "N81002"]))].into(),
    }
}

fn topics(config: &Config) -> Vec<TopicSpec> {
    let partners = config.partners.keys().flat_map(|name| [format!("referrals.{name}"), format!("feedback.{name}")]);
    let agencies = ["social-care", "police", "camhs", "school", "gp"];
    let agencies = agencies.iter().flat_map(|name| [format!("tasks.{name}"), format!("outcomes.{name}")]);
    let own = ["inbox", "quarantine", "gateway.http", "rulebooks"].map(str::to_owned);
    let names = partners.chain(agencies).chain(own);
    names.map(|name| TopicSpec { name, partitions: 1, compacted: false, retention: None }).collect()
}

/// A good event of the hospital's, with a fresh id.
pub fn event() -> Value {
    json!({
        "specversion": "1.0",
        "id": uuid::Uuid::new_v4().to_string(),
        "source": "leighton-hospital/emergency-department",
        "type": "self_harm.reported",
        "time": "2026-04-01T10:01:00+01:00",
        "data": {
            "practitioner": { "role": "Test nurse", "call_back": "01632 960001" },
            "child": { "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-01-01" },
            "detail": { "setting": "a_and_e", "overdose": true },
        },
    })
}

/// A good event with one member changed.
pub fn event_with(pointer: &str, name: &str, value: Value) -> Value {
    let mut event = event();
    event.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    event
}

/// The paths that a problem names.
pub fn paths(problem: &Value) -> Vec<String> {
    let problems = problem["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect()
}

pub fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().find(|(known, _)| known == name)?;
    std::str::from_utf8(value).ok()
}
