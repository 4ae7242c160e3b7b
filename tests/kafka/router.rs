//! The real binary on Kafka: one folder of keys, tokens and rules, and a configuration for each instance.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pathway_router::config::Config;
use pathway_router::config::first_start::{config_file, first_start};
use tempfile::TempDir;

use super::server::bootstrap;

const READY_WITHIN: Duration = Duration::from_secs(120);

/// What all instances of one router share.
pub struct Home {
    folder: TempDir,
    addresses: Vec<String>,
}

impl Home {
    pub fn new(instances: usize) -> Self {
        let folder = TempDir::new().unwrap();
        first_start(folder.path()).unwrap();
        let text = std::fs::read_to_string(config_file(folder.path())).unwrap();
        let free = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        let ports: Vec<TcpListener> = (0..instances).map(free).collect();
        let addresses: Vec<String> = ports.iter().map(|port| port.local_addr().unwrap().to_string()).collect();
        let home = Self { folder, addresses };
        for (number, address) in home.addresses.iter().enumerate() {
            let broker = format!(
                "kind = \"kafka\"\nbootstrap = \"{}\"\ninstance = \"router-{number}\"\nreplication = 1\n",
                bootstrap()
            );
            let text = text
                .replace("kind = \"embedded\"\nfile = \"pathway.db\"\n", &broker)
                .replace("127.0.0.1:8080", address)
                .replace("level = \"info\"", &format!("level = \"{}\"", level()));
            std::fs::write(home.config_file(number), text).unwrap();
        }
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_file(&self, instance: usize) -> PathBuf {
        self.path().join(format!("router-{instance}.toml"))
    }

    pub fn config(&self) -> Config {
        Config::load(&self.config_file(0)).unwrap()
    }

    pub fn token(&self, name: &str) -> String {
        let file = self.path().join("tokens").join(format!("{name}.token"));
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    pub fn url(&self, instance: usize, path: &str) -> String {
        format!("http://{}{path}", self.addresses[instance])
    }

    pub fn start(&self, instance: usize) -> Instance {
        let child = Command::new(env!("CARGO_BIN_EXE_pathway-router"))
            .args(["run", "--config"])
            .arg(self.config_file(instance))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Of its own: where the group of a stopped process is orphaned, the kernel sends SIGHUP to every member.
            .process_group(0)
            .spawn()
            .unwrap();
        Instance { child, ready: self.url(instance, "/readyz") }
    }
}

/// What the routers say: errors alone, unless PATHWAY_TEST_LOG asks for more.
fn level() -> String {
    std::env::var("PATHWAY_TEST_LOG").unwrap_or_else(|_| "error".to_owned())
}

/// One process. Killed, if the test ends before it was.
pub struct Instance {
    child: Child,
    ready: String,
}

impl Instance {
    pub fn wait_until_ready(&mut self) {
        let agent = agent();
        let deadline = Instant::now() + READY_WITHIN;
        while !agent.get(&self.ready).call().is_ok_and(|response| response.status() == 200) {
            self.lives();
            assert!(Instant::now() < deadline, "the router does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it says of itself: what it waits for, and since when.
    pub fn state(&self) -> String {
        let said = agent().get(&self.ready).call().map(|mut answer| answer.body_mut().read_to_string());
        said.map_or_else(|error| error.to_string(), |body| body.unwrap_or_else(|error| error.to_string()))
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// It did not end by itself.
    pub fn lives(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the router ended by itself: {ended:?}");
    }

    pub fn kill(mut self) {
        self.lives();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Told to stop; answers how long it took, once it has ended well.
    pub fn stop(mut self) -> Duration {
        let asked = Instant::now();
        self.signal("-TERM");
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "a stop ends well: {ended}");
        asked.elapsed()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(5))).build().new_agent()
}
