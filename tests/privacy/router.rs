//! A whole router in this process: embedded broker, lanes, HTTP.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_router::broker::embedded::{Embedded, EmbeddedOptions};
use pathway_router::broker::{Broker, Placement, Reader, Write, system_clock};
use pathway_router::config::Config;
use pathway_router::config::broker::Broker as BrokerSetting;
use pathway_router::config::default_rules::FILES;
use pathway_router::config::first_start::{config_file, first_start};
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::load;
use pathway_router::http::Gateway;
use pathway_router::http::server::{Running, start};
use pathway_router::runtime::topics::is_read_by_intake;
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;
use serde_json::Value;

/// Everything that was said, by where.
#[derive(Default)]
pub struct Said(BTreeMap<String, Vec<String>>);

impl Said {
    pub fn add(&mut self, place: &str, text: String) {
        self.0.entry(place.to_owned()).or_default().push(text);
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(place, texts)| texts.iter().map(move |text| (place.as_str(), text.as_str())))
    }
}

pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

pub struct Router {
    pub config: Config,
    folder: tempfile::TempDir,
    broker: Arc<Embedded>,
    service: Service,
    runtime: tokio::runtime::Runtime,
    running: Running,
    agent: ureq::Agent,
    base: String,
    ids: Mutex<Vec<String>>,
}

impl Router {
    /// `panicking`: the id of the event that makes a step panic.
    pub fn start(panicking: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        first_start(folder.path()).unwrap();
        let mut config = Config::load(&config_file(folder.path())).unwrap();
        config.http.bind = "127.0.0.1:0".parse().unwrap();
        let BrokerSetting::Embedded { file } = &config.broker else { panic!("not embedded") };
        let broker = Arc::new(Embedded::open(EmbeddedOptions::new(file)).unwrap());
        let files: Vec<SourceFile> = FILES
            .iter()
            .map(|(name, text)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() })
            .collect();
        let book = load(&files).unwrap();
        let agencies = Agencies::of([&book]);
        let books = RuleBooks::new(vec![PreparedBook::new(book)]);
        let metrics = Arc::new(Metrics::new().unwrap());
        let readiness = Arc::new(Readiness::starting());
        let mut options =
            ServiceOptions::from_config(&config, broker.clone(), books, metrics.clone(), readiness.clone());
        options.context.panic_on = Some(panicking.to_owned());
        let service = Service::start(options).unwrap();
        let (publisher, reader) = (broker.publisher(), broker.reader());
        let gateway = Gateway::new(&config, agencies, publisher, reader, metrics, readiness, system_clock());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(start(gateway, &config.http)).unwrap();
        let base = format!("http://{}", running.address());
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let router = Self { config, folder, broker, service, runtime, running, agent, base, ids: Mutex::default() };
        wait_for("readiness", || router.get("/readyz", None).status == 200);
        router
    }

    pub fn token(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(format!("tokens/{name}.token"))).unwrap();
        text.trim().to_owned()
    }

    pub fn reader(&self) -> Arc<dyn Reader> {
        self.broker.reader()
    }

    pub fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", self.token(token)));
        }
        answer(request.call().unwrap())
    }

    pub fn post(&self, path: &str, token: &str, content_type: &str, body: impl Into<String>) -> Answer {
        let authorization = format!("Bearer {}", self.token(token));
        self.post_with(path, &[("authorization", &authorization), ("content-type", content_type)], body)
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
        let body = body.into();
        if let Ok(Value::Object(event)) = serde_json::from_str(&body)
            && let Some(id) = event.get("id").and_then(Value::as_str)
        {
            self.ids.lock().unwrap().push(id.to_owned());
        }
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body).unwrap_or_else(|error| panic!("{path} {headers:?}: {error}")))
    }

    /// Ids of the events that were posted.
    pub fn posted_ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }

    /// Writes to a topic as a partner with a write right of its own would.
    pub fn publish(&self, topic: &str, value: Vec<u8>) {
        let headers = vec![("unit".to_owned(), b"emergency-department".to_vec())].into();
        let write = Write {
            topic: topic.into(),
            placement: Placement::Partition(0),
            key: Vec::new(),
            value: Some(value),
            headers,
        };
        let (done, result) = channel();
        self.broker.publisher().publish(vec![write], Box::new(move |published| done.send(published).unwrap()));
        result.recv().unwrap().unwrap();
    }

    /// Waits until both stages have read everything.
    pub fn settle(&self) {
        let reader = self.broker.reader();
        let is_read = |group: &str, topic: &str| {
            (0..reader.partitions(topic).unwrap()).all(|partition| {
                let end = reader.end_offset(topic, partition).unwrap();
                end == 0 || self.broker.position(group, topic, partition).unwrap() == Some(end)
            })
        };
        let topics = reader.topics().unwrap();
        let mut came = topics.iter().filter(|topic| is_read_by_intake(topic));
        wait_for("intake", || came.clone().all(|topic| is_read("intake", topic)));
        assert!(came.next().is_some());
        wait_for("decide", || is_read("decide", "inbox"));
    }

    pub fn stop(self) {
        self.runtime.block_on(self.running.stop());
        assert!(self.service.stop(Duration::from_secs(20)));
        self.broker.close();
    }
}

fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_true() {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("{what} did not come to rest");
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    Answer { status: response.status().as_u16(), text: response.body_mut().read_to_string().unwrap() }
}
