//! What a router that was killed leaves beside its data file, and that the next start does not go on without it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::running::{Router, SAMPLE, TOKEN, new_folder, until};
use super::{Done, check, command, run};

/// A folder whose router accepted an event and was killed; what it accepted lies in the write-ahead log.
fn killed() -> tempfile::TempDir {
    let router = Router::start();
    router.send(SAMPLE, TOKEN, 0, &["1 accepted"]);
    let folder = router.kill();
    assert!(fs::metadata(folder.path().join("pathway.db-wal")).expect("a log").len() > 0);
    folder
}

fn config_in(folder: &tempfile::TempDir) -> String {
    folder.path().join("config.toml").to_str().expect("a path").to_owned()
}

#[test]
fn a_start_without_the_log_that_a_kill_left_is_refused_until_it_is_back_or_a_person_says_so() {
    let folder = killed();
    let (log, away) = (folder.path().join("pathway.db-wal"), folder.path().join("away"));
    fs::rename(&log, &away).expect("the log is moved");
    let _ = fs::remove_file(folder.path().join("pathway.db-shm"));
    for _ in 0..2 {
        check(&["run", "--config", &config_in(&folder)], 1, &["pathway.db-wal is not there", "Put it back", "db.lock"]);
    }
    // Somebody made room.
    fs::write(&log, "").expect("an empty log");
    check(&["run", "--config", &config_in(&folder)], 1, &["pathway.db-wal is empty", "Put it back"]);
    fs::rename(&away, &log).expect("the log is put back");
    let (router, _) = Router::start_in(folder, &[]);
    // What was accepted is there: this is a repeat of it, without a second effect.
    router.send(SAMPLE, TOKEN, 0, &["1 accepted"]);
    until("the repeat is known for one", || {
        router.measures("pathway_decide_disposed_total{disposition=\"repeated\",kind=\"referral\"} 1")
    });
    // Stopped in order, so that something is in the file without its log.
    let folder = Router::start_in(router.stop(), &[]).0.kill();

    fs::remove_file(&log).expect("the log is gone for good");
    let _ = fs::remove_file(folder.path().join("pathway.db-shm"));
    check(&["run", "--config", &config_in(&folder)], 1, &["pathway.db-wal is not there"]);
    fs::remove_file(folder.path().join("pathway.db.lock")).expect("a person says so");
    Router::start_in(folder, &[]).0.stop();
}

/// As from a copy that somebody took while the router ran: SQLite would take it for the one that is missing.
#[test]
fn an_older_log_in_the_place_of_the_one_in_use_is_refused() {
    let folder = killed();
    let (log, older, away) =
        (folder.path().join("pathway.db-wal"), folder.path().join("older"), folder.path().join("away"));
    fs::copy(&log, &older).expect("a copy");
    let (router, _) = Router::start_in(Router::start_in(folder, &[]).0.stop(), &[]);
    router.send(SAMPLE, TOKEN, 0, &["1 accepted"]);
    let folder = router.kill();
    fs::rename(&log, &away).expect("the log is moved");
    fs::copy(&older, &log).expect("the copy is laid there");
    let _ = fs::remove_file(folder.path().join("pathway.db-shm"));
    let another = ["pathway.db-wal is another than was in use (move it away)", "Put it back"];
    check(&["run", "--config", &config_in(&folder)], 1, &another);
    fs::rename(&away, &log).expect("the log is put back");
    Router::start_in(folder, &[]).0.stop();
}

#[test]
fn an_orderly_stop_a_refused_start_and_a_backup_put_back_leave_nothing_to_ask_for() {
    let folder = Router::start().stop();
    assert_eq!(fs::metadata(folder.path().join("pathway.db-wal")).map_or(0, |log| log.len()), 0, "all is in the file");
    let _ = fs::remove_file(folder.path().join("pathway.db-wal"));
    let folder = Router::start_in(folder, &[]).0.kill();

    // Refused for another reason: the log of the killed router goes into the file with it.
    let key = folder.path().join("keys/subject.key");
    let kept = fs::read(&key).expect("a key");
    fs::write(&key, "00".repeat(32)).expect("another key");
    check(&["run", "--config", &config_in(&folder)], 1, &["another subject key"]);
    fs::write(&key, kept).expect("the key is put back");
    let (router, _) = Router::start_in(folder, &[]);
    let copy = router.path("copy.db");
    assert_eq!(run(&["backup", &copy, "--config", &router.path("config.toml")]).code, Some(0));

    let folder = router.kill();
    for name in ["pathway.db", "pathway.db-wal", "pathway.db-shm"] {
        fs::rename(folder.path().join(name), folder.path().join(format!("{name}.away"))).expect("it is moved away");
    }
    fs::copy(copy, folder.path().join("pathway.db")).expect("the copy is put back");
    Router::start_in(folder, &[]).0.stop();
}

/// Whoever restarts the router has not made the other program let go, and nothing accepted is lost.
#[test]
fn a_stop_while_another_program_holds_the_file_ends_in_order_and_the_next_start_goes_on() {
    let mut router = Router::start();
    let sample: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(super::root().join(SAMPLE)).expect("a sample")).expect("JSON");
    let event = |number: usize| {
        let mut event = sample.clone();
        event["id"] = serde_json::json!(format!("00000000-0000-4000-8000-{number:012}"));
        event["data"]["child"] = serde_json::json!({ "local_id": number.to_string() });
        event.to_string()
    };
    let file = router.path("many.jsonl");
    fs::write(&file, (0..500).map(event).collect::<Vec<_>>().join("\n")).expect("events");
    let other = rusqlite::Connection::open(router.path("pathway.db")).expect("the data file");
    other.busy_timeout(std::time::Duration::from_secs(60)).expect("a setting");
    router.send(&file, TOKEN, 0, &["500 accepted"]);
    other.execute_batch("BEGIN IMMEDIATE").expect("it is held");
    until("it is known", || router.measures("pathway_data_file_held 1"));
    let (code, logged) = router.end();
    let line = logged.lines().find(|line| line.contains("nothing accepted is lost") && line.contains("records="));
    let is_told =
        line.is_some_and(|line| line.contains(" WARN ") && line.contains("another program holds the data file"));
    assert!(code == Some(0) && is_told && !logged.contains("could not finish"), "{code:?} {logged}");
    other.execute_batch("ROLLBACK").expect("it is let go");
    let (router, _) = Router::start_in(router.stopped(), &[]);
    drop(other);
    router.send(&file, TOKEN, 0, &["500 accepted"]);
    let repeated = "pathway_decide_disposed_total{disposition=\"repeated\",kind=\"referral\"} 500";
    until("each was accepted before", || router.measures(repeated));
    router.stop();
}

/// As after a partner was added: a topic is to be made. Ended over it, it would be started again and again.
#[test]
fn a_start_that_has_a_topic_to_make_waits_for_a_file_that_another_program_holds_and_says_so() {
    let folder = Router::start().stop();
    let config = folder.path().join("config.toml");
    // A port that is known before it is ready.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").to_string();
    let text = fs::read_to_string(&config).expect("a configuration").replace("127.0.0.1:0", &port);
    fs::write(&config, format!("{text}\n[partners.hospice]\nunits = [\"ward-3\"]\n")).expect("a configuration");
    let other = rusqlite::Connection::open(folder.path().join("pathway.db")).expect("the data file");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is held");
    let asked = std::thread::spawn(move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let ask = |path: &str| {
            let answer = agent.get(format!("http://{port}{path}")).call();
            answer.ok().and_then(|mut answer| answer.body_mut().read_to_string().ok()).unwrap_or_default()
        };
        let begun = std::time::Instant::now();
        while begun.elapsed().as_secs() < 60 && !ask("/readyz").contains("broker: another program holds the data file")
        {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let measured = ask("/metrics");
        // Longer than one try takes.
        std::thread::sleep(std::time::Duration::from_secs(7));
        other.execute_batch("ROLLBACK").expect("it is let go");
        measured
    });
    let (router, logged) = Router::start_in(folder, &[]);
    let measured = asked.join().expect("it was asked");
    assert!(measured.lines().any(|line| line == "pathway_data_file_held 1"), "{measured}");
    let told =
        logged.lines().filter(|line| line.contains(" ERROR another program holds the data file: the start waits"));
    assert_eq!(told.count(), 1, "{logged}");
    until("it is over", || router.measures("pathway_data_file_held 0"));
    let began = router.ask("/metrics");
    let began = began.lines().find_map(|line| line.strip_prefix("pathway_start_time_seconds "));
    assert!(began.and_then(|at| at.parse::<u64>().ok()).is_some_and(|at| at > 1_700_000_000), "{began:?}");
    router.stop();
}

#[test]
fn a_first_start_that_is_killed_is_followed_by_another_or_goes_on_with_the_file_that_it_made() {
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join("data");
    // It listens where its first start was told to.
    let start = || {
        let has_file = data.join("pathway.db").exists();
        let mut command = command(if has_file { &["run"] } else { &["run", "--bind", "127.0.0.1:0"] });
        command.current_dir(home.path());
        command
    };
    let mut killed = start().stderr(Stdio::piped()).spawn().expect("the router starts");
    let mut said = String::new();
    BufReader::new(killed.stderr.take().expect("a log")).read_line(&mut said).expect("a line");
    assert!(said.contains("First start"), "{said}");
    killed.kill().and_then(|()| killed.wait()).expect("it is killed");
    Router::start_by(start(), new_folder("127.0.0.1:0")).0.stop();

    // As one that is killed once there is a data file, and before the configuration has its name.
    let (config, to_come) = (data.join("config.toml"), data.join("config.toml.new"));
    assert!(!to_come.exists(), "it has its name now");
    fs::rename(&config, &to_come).expect("a configuration");
    Router::start_by(start(), new_folder("127.0.0.1:0")).0.stop();
    assert!(config.exists() && !to_come.exists());
}

/// Of a first start that was killed before anything lay in the file that it had made.
#[test]
fn the_configuration_has_its_name_once_something_lies_in_the_data_file() {
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join("data");
    let run = |home: &tempfile::TempDir, arguments: &[&str]| {
        let mut command = command(&[&["run"], arguments].concat());
        command.current_dir(home.path());
        command
    };
    let refused = |home: &tempfile::TempDir, arguments: &[&str], expected: &str| {
        let done: Done = run(home, arguments).output().expect("the binary starts").into();
        assert!(done.code == Some(2) && done.err.contains(expected), "{}", done.err);
    };
    fs::create_dir(&data).expect("a folder");
    let first = fs::File::open(&data).expect("a folder");
    first.try_lock().expect("nobody has it");
    for arguments in [["--bind", "127.0.0.1:0"], ["--rules", "rules/weirdale"]] {
        refused(&home, &arguments, "another first start is under way in data");
    }
    assert_eq!(fs::read_dir(&data).expect("a folder").count(), 0, "nothing is written beside another");
    drop(first);

    let first = run(&home, &["--bind", "127.0.0.1:0"]);
    let home = Router::start_by(first, home).0.stop();
    let (config, to_come) = (data.join("config.toml"), data.join("config.toml.new"));
    fs::rename(&config, &to_come).expect("a configuration");
    for name in ["pathway.db", "pathway.db-wal", "pathway.db-shm", "pathway.db.lock"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::write(data.join("pathway.db"), "").expect("a file");
    refused(&home, &["--bind", "127.0.0.1:0"], "data/config.toml.new");
    // It comes no further than to its keys.
    let (key, away) = (data.join("keys/subject.key"), data.join("away"));
    fs::rename(&key, &away).expect("a key");
    assert_eq!(run(&home, &[]).output().expect("the binary starts").status.code(), Some(1));
    assert!(!config.exists() && to_come.exists());
    fs::rename(&away, &key).expect("a key");
    Router::start_by(run(&home, &[]), new_folder("127.0.0.1:0")).0.stop();
    assert!(config.exists() && !to_come.exists());
}
