//! A router with few file descriptors says so, and serves as many connections as it can.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::running::{Router, new_folder};

/// Starts a router under a limit that a shell sets (`-Sn 256`: one that may be raised).
fn under(limit: &str) -> (Router, String) {
    let folder = new_folder("127.0.0.1:0");
    let config = folder.path().join("config.toml");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_pathway-router")]);
    command.args(["run", "--new-data-file", "--config"]).arg(config).stdin(Stdio::null()).env("NO_COLOR", "1");
    command.env_remove("RUST_LOG");
    Router::start_by(command, folder)
}

fn open_files(router: &Router) -> (String, usize) {
    let of_process = format!("/proc/{}", router.process.id());
    let limits = fs::read_to_string(format!("{of_process}/limits")).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let open = fs::read_dir(format!("{of_process}/fd")).expect("descriptors").count();
    (line.split_whitespace().nth(3).expect("a number").to_owned(), open)
}

#[test]
fn a_limit_that_is_too_low_is_raised_or_fewer_connections_are_let_in() {
    let (router, said) = under("-Sn 256");
    assert!(said.contains("was raised"), "{said}");
    assert!(open_files(&router).0.parse::<u64>().expect("a number") > 1_024);
    router.stop();

    let (router, said) = under("-n 128");
    assert!(said.contains("too low for `connections`") && said.contains("wanted=1024"), "{said}");
    let ready = router.ask("/readyz");
    assert!(ready.contains("connections: 16 of 1024 are let in"), "{ready}");
    let address = router.url.strip_prefix("http://").expect("an address");
    // At once: those that make room are still being closed while more come.
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    assert!(router.ask("/livez").contains("true"), "the idle ones make room");
    drop(idle);
    let metrics = router.ask("/metrics");
    assert!(metrics.contains("pathway_http_accepts_failed_total 0"), "{metrics}");
    router.stop();
}

#[test]
fn a_connection_that_cannot_be_let_in_is_counted_and_told() {
    let mut router = Router::start();
    let few = Rlimit { current: Some(8), maximum: Some(1_024) };
    let enough = Rlimit { current: Some(1_024), maximum: Some(1_024) };
    let limit = |limit| prlimit(Some(Pid::from_child(&router.process)), Resource::Nofile, limit).expect("a limit");
    limit(few);
    let address = router.url.strip_prefix("http://").expect("an address");
    let waiting = TcpStream::connect(address).expect("the machine takes it");
    std::thread::sleep(Duration::from_millis(500));
    limit(enough);
    let metrics = router.ask("/metrics");
    drop(waiting);
    let failed = metrics.lines().find_map(|line| line.strip_prefix("pathway_http_accepts_failed_total "));
    assert!(failed.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0), "{metrics}");
    let (code, logged) = router.end();
    assert_eq!(logged.matches("could not be let in").count(), 1, "{logged}");
    assert_eq!(code, Some(0), "{logged}");
}
