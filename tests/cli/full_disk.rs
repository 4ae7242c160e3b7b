//! A start on a disk without room: it waits where room is what it wants, says so to whoever asks, and ends over everything else.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::first_start::cramped;
use super::running::Router;
use super::{Done, command};

/// Less than SQLite's index of the log takes.
const BLOCKS: u32 = 32;

/// A folder whose router was stopped in order, and where it will listen.
fn stopped() -> (tempfile::TempDir, String) {
    let folder = Router::start().stop();
    for beside in ["pathway.db-wal", "pathway.db-shm"] {
        let _ = fs::remove_file(folder.path().join(beside));
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    let config = folder.path().join("config.toml");
    let text = fs::read_to_string(&config).expect("a configuration").replace("127.0.0.1:0", &address);
    fs::write(config, text).expect("a configuration");
    (folder, address)
}

fn start(folder: &Path) -> Child {
    let mut command = cramped(BLOCKS, folder, &["run", "--config", "config.toml"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the router starts")
}

/// What a start said that ends by itself.
fn ended(mut child: Child) -> Done {
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().expect("it is killed");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().expect("it ended").into()
}

#[test]
fn a_start_without_room_to_open_its_file_tells_whoever_asks() {
    let (folder, address) = stopped();
    let mut waiting = start(folder.path());
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let ask = |path: &str| {
        let answer = agent.get(format!("http://{address}{path}")).call().ok();
        answer.and_then(|mut answer| {
            let status = answer.status().as_u16();
            answer.body_mut().read_to_string().ok().map(|body| (status, body))
        })
    };
    let begun = Instant::now();
    while ask("/livez").is_none() && begun.elapsed().as_secs() < 60 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = (ask("/livez"), ask("/readyz"), ask("/metrics"));
    waiting.kill().expect("it is killed");
    waiting.wait().expect("it ended");
    let mut logged = String::new();
    waiting.stderr.take().expect("a log").read_to_string(&mut logged).expect("text");
    let (Some((200, _)), Some((503, ready)), Some((200, metrics))) = &asked else { panic!("{asked:?} {logged}") };
    assert!(ready.contains("the disk is full: make room, it goes on by itself"), "{ready}");
    assert!(metrics.lines().any(|line| line == "pathway_disk_full 1"), "{metrics}");
    assert_eq!(logged.matches("the start waits for room").count(), 1, "{logged}");

    // A backup is made to another disk, before the file is moved off the full one.
    let mut backup = cramped(BLOCKS, folder.path(), &["backup", "copy.db", "--config", "config.toml"]);
    let refused: Done = backup.output().expect("it starts").into();
    assert!(refused.code == Some(1) && refused.err.contains("the disk is full"), "{}", refused.err);

    let mut command = command(&["run", "--config", "config.toml"]);
    command.current_dir(folder.path());
    Router::start_by(command, folder).0.stop();
}

#[test]
fn what_room_would_not_mend_ends_a_start_on_a_full_disk_too() {
    let (folder, _) = stopped();
    let file = folder.path().join("pathway.db");
    fs::create_dir(folder.path().join("pathway.db-wal")).expect("a folder");
    let refused = ended(start(folder.path()));
    assert!(refused.code == Some(1) && refused.err.contains("pathway.db-wal cannot be opened"), "{}", refused.err);
    fs::remove_dir(folder.path().join("pathway.db-wal")).expect("it goes");
    fs::write(&file, "No database at all. ".repeat(2000)).expect("another file");
    let refused = ended(start(folder.path()));
    assert!(refused.code == Some(1) && refused.err.contains("restore a backup"), "{}", refused.err);
}
