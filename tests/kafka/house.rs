//! Clusters that ask who we are, routers on them as processes, and clients of one user or another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pathway_router::config::first_start::first_start;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::server::{is_missing, script};

const PATIENCE: Duration = Duration::from_secs(90);

/// A broker with TLS, passwords, rights and a registry. None: there is no Java or Maven, and that is allowed.
pub struct Cluster {
    pub folder: PathBuf,
    pub bootstrap: String,
    pub registry: String,
}

static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(|| {
    start("secured", &["--tls", "--sasl", "--acls", "--registry"]).map(|(folder, bootstrap)| Cluster {
        registry: fs::read_to_string(folder.join("registry")).unwrap().trim().to_owned(),
        folder,
        bootstrap,
    })
});
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn start(name: &str, options: &[&str]) -> Option<(PathBuf, String)> {
    if is_missing() {
        return None;
    }
    let id = std::process::id().to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{name}-{id}"));
    let users = ["router", "hospital", "camhs"].map(|user| ["--user", user]).concat();
    let output = Command::new(script())
        .arg("start")
        .args(options)
        .args(users)
        .args(["--while", &id])
        .arg(&folder)
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((folder, String::from_utf8(output.stdout).unwrap().trim().to_owned()))
}

/// The cluster, for one test at a time. None: such tests are left out here.
pub fn cluster() -> Option<(MutexGuard<'static, ()>, &'static Cluster)> {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Some((turn, CLUSTER.as_ref()?))
}

/// The configuration of a router on a cluster.
pub struct House {
    pub folder: tempfile::TempDir,
}

impl House {
    /// `principals`: the hospital's and CAMHS's too. `broker`: lines of that section.
    pub fn new(broker: &str, registry: Option<&str>, principal: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        first_start(folder.path()).unwrap();
        let house = Self { folder };
        house.edit("kind = \"embedded\"\nfile = \"pathway.db\"", &format!("kind = \"kafka\"\n{broker}"));
        house.edit("127.0.0.1:8080", "127.0.0.1:0");
        let hospital = "units = [\"emergency-department\", \"paediatrics\"]";
        house.edit(hospital, &format!("{hospital}\nprincipal = \"{}\"", principal.replace("NAME", "hospital")));
        let agencies = format!("[agencies.camhs]\nprincipal = \"{}\"\n", principal.replace("NAME", "camhs"));
        let registry = registry.map(|url| format!("[registry]\nurl = \"{url}\"\n")).unwrap_or_default();
        house.edit("[limits]\n", &format!("{agencies}\n{registry}\n[limits]\n"));
        house
    }

    pub fn secured(cluster: &Cluster) -> Self {
        let broker =
            broker_section(&cluster.bootstrap, &cluster.folder.join("router.client.properties"), "User:router");
        Self::new(&broker, Some(&cluster.registry), "User:NAME")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub fn edit(&self, before: &str, after: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(before), "{before}");
        fs::write(self.config(), text.replace(before, after)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pathway-router"));
        command.args(arguments).arg("--config").arg(self.config());
        command.stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("RUST_LOG");
        command
    }

    /// What a command printed, on both channels, and its code.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        (status.code(), format!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
    }

    /// As the administrator of the cluster.
    pub fn topics(&self, command: &str, properties: &Path) -> (Option<i32>, String) {
        self.run(&["topics", command, "--properties", properties.to_str().unwrap()])
    }
}

pub fn broker_section(bootstrap: &str, properties: &Path, principal: &str) -> String {
    let properties = properties.display();
    format!(
        "bootstrap = \"{bootstrap}\"\ninstance = \"router-1\"\nreplication = 1\nmin_in_sync = 1\n\
         properties_file = \"{properties}\"\nprincipal = \"{principal}\""
    )
}

/// A router that runs; its log so far, shown when a test fails (it names nobody).
pub struct Running {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(house: &House) -> Self {
        Self::of(house, &[])
    }

    pub fn of(house: &House, arguments: &[&str]) -> Self {
        let mut process = house
            .command(&[&["run"], arguments].concat())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(process.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { process, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn until_it_says(&self, text: &str) -> String {
        wait_for(text, || self.log().contains(text).then(|| self.log()), || self.log())
    }

    fn url(&self) -> String {
        let log = self.until_it_says("address=\"");
        log.split_once("address=\"").unwrap().1.split('"').next().unwrap().to_owned()
    }

    pub fn readiness(&self) -> String {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = agent.get(format!("{}/readyz", self.url())).call();
        answer.map_or_else(|error| error.to_string(), |mut answer| answer.body_mut().read_to_string().unwrap())
    }

    /// Ended by itself: its code.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                std::thread::sleep(Duration::from_millis(200));
                return (status.code(), self.log());
            }
            assert!(Instant::now() < deadline, "it still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    pub fn stop(mut self) -> String {
        self.signal("-TERM");
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{}", self.log());
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a router's log:\n{}", self.log());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>, shown: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} never came:\n{}", shown());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the broker said of one record.
#[derive(Default)]
pub struct Deliveries(Mutex<Option<Result<(), RDKafkaErrorCode>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let said = result.as_ref().map(|_| ()).map_err(|(error, _)| error.rdkafka_error_code().unwrap());
        *self.0.lock().unwrap() = Some(said);
    }
}

impl Cluster {
    pub fn properties(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.client.properties"))
    }

    fn client(&self, user: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for line in fs::read_to_string(self.properties(user)).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            config.set(name, value);
        }
        config
    }

    pub fn password(&self, user: &str) -> String {
        let passwords = fs::read_to_string(self.folder.join("passwords")).unwrap();
        let found = passwords.lines().find_map(|line| line.strip_prefix(&format!("{user} ")));
        found.unwrap().to_owned()
    }

    /// Writes one record as a user would.
    pub fn write(
        &self,
        user: &str,
        topic: &str,
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<(), RDKafkaErrorCode> {
        let producer: BaseProducer<Deliveries> =
            self.client(user).set("message.timeout.ms", "20000").create_with_context(Deliveries::default()).unwrap();
        let mut carried = OwnedHeaders::new();
        for (key, value) in headers {
            carried = carried.insert(Header { key, value: Some(*value) });
        }
        producer.send(BaseRecord::<[u8], [u8]>::to(topic).payload(value).headers(carried)).map_err(|_| ()).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
        producer.context().0.lock().unwrap().take().expect("an answer")
    }

    /// The first record of a topic that `is_it`, as a user would read it.
    pub fn read<T>(
        &self,
        user: &str,
        topic: &str,
        mut is_it: impl FnMut(&[u8], Vec<(String, String)>) -> Option<T>,
    ) -> Result<T, RDKafkaErrorCode> {
        let consumer: BaseConsumer = self.client(user).set("group.id", topic).create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        if let Some(error) = metadata.topics()[0].error() {
            return Err(error.into());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            assert!(Instant::now() < deadline, "nothing fitting came on {topic}: {heard:?}");
            let polled = consumer.poll(Duration::from_millis(200));
            if let Some(Err(error)) = &polled {
                heard.push(error.to_string());
            }
            if let Some(Ok(message)) = polled {
                let headers = message.headers().into_iter().flat_map(Headers::iter).map(|header| {
                    (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
                });
                if let Some(found) = is_it(message.payload().unwrap_or_default(), headers.collect()) {
                    return Ok(found);
                }
            }
        }
    }
}
