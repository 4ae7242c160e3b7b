//! Commands against a router that runs: `run`, `send`, `import`, `quarantine`, `demo`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use pathway_router::config::first_start::first_start;

use super::{check, check_quarantine_is_empty, command, run};

/// A router in a folder of its own, on a free port.
pub struct Router {
    folder: tempfile::TempDir,
    pub process: Child,
    log: BufReader<ChildStderr>,
    pub url: String,
}

/// What a first start writes, with another address to listen on.
pub fn new_folder(bind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    first_start(folder.path()).expect("a first start");
    let file = folder.path().join("config.toml");
    let text = fs::read_to_string(&file).expect("a configuration").replace("127.0.0.1:8080", bind);
    fs::write(&file, text).expect("a configuration");
    folder
}

pub fn path(folder: &tempfile::TempDir, name: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    path.to_str().expect("a path").to_owned()
}

impl Router {
    pub fn start() -> Self {
        Self::start_in(new_folder("127.0.0.1:0"), &["--new-data-file"]).0
    }

    /// Also answers what it logged until it was ready.
    pub fn start_in(folder: tempfile::TempDir, more: &[&str]) -> (Self, String) {
        let config = path(&folder, "config.toml");
        let command = command(&[&["run", "--config", &config], more].concat());
        Self::start_by(command, folder)
    }

    pub fn start_by(mut command: Command, folder: tempfile::TempDir) -> (Self, String) {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the router starts");
        let mut log = BufReader::new(process.stderr.take().expect("a log"));
        let (mut url, mut line, mut logged) = (String::new(), String::new(), String::new());
        while !line.contains(" ready") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a log line") > 0, "the router ended: {logged}");
            logged.push_str(&line);
            if let Some((_, address)) = line.split_once("address=\"") {
                url = address.split('"').next().unwrap_or_default().to_owned();
            }
        }
        (Self { folder, process, log, url }, logged)
    }

    pub fn path(&self, name: &str) -> String {
        path(&self.folder, name)
    }

    pub fn send(&self, file: &str, token: &str, code: i32, expected: &[&str]) {
        check(&["send", file, "--to", &self.url, "--token-file", &self.path(token)], code, expected);
    }

    /// Calls a command of the operator's.
    pub fn operate(&self, arguments: &[&str], code: i32, expected: &[&str]) -> String {
        let token = self.path("tokens/operator.token");
        let all = [arguments, &["--to", &self.url, "--token-file", &token]].concat();
        check(&all, code, expected).out
    }

    /// The refusal is answered at once; its record reaches quarantine when INTAKE has read it.
    fn wait_for_quarantine(&self, reason: &str) {
        let token = self.path("tokens/operator.token");
        let list = ["quarantine", "list", "--to", &self.url, "--token-file", &token];
        let listed = || String::from_utf8_lossy(&command(&list).output().expect("a list").stdout).contains(reason);
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !listed() {
            assert!(std::time::Instant::now() < patience, "{reason} never came to quarantine");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// As an operator would stop it: its exit code, and what it logged since it was ready.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let id = self.process.id().to_string();
        let told = std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(told.success());
        let mut logged = String::new();
        self.log.read_to_string(&mut logged).expect("a log");
        (self.process.wait().expect("an end").code(), logged)
    }

    pub fn hang_up(&self) {
        signal(&self.process, "-HUP");
    }

    pub fn ask(&self, path: &str) -> String {
        let mut answer = ureq::get(format!("{}{path}", self.url)).call().expect("an answer");
        answer.body_mut().read_to_string().expect("a text")
    }

    /// A whole line of the metrics, `pathway_ready 1`: what a metric means is told there too, and may begin with a number.
    pub fn measures(&self, line: &str) -> bool {
        self.ask("/metrics").lines().any(|told| told == line)
    }

    /// As an operator would stop it; it must end well.
    pub fn stop(self) -> tempfile::TempDir {
        self.stop_and_tell().0
    }

    /// The same, and what it logged since it was ready.
    pub fn stop_and_tell(mut self) -> (tempfile::TempDir, String) {
        let (code, logged) = self.end();
        assert_eq!(code, Some(0), "{logged}");
        (self.stopped(), logged)
    }

    /// The folder of one that has ended.
    pub fn stopped(mut self) -> tempfile::TempDir {
        let empty = tempfile::tempdir().expect("a folder");
        std::mem::replace(&mut self.folder, empty)
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.process.kill().expect("it runs");
        self.process.wait().expect("an end");
        self.stopped()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub const SAMPLE: &str = "tests/samples/events/self_harm.reported.json";
const MISSING_FILE: &str = "tests/samples/ssda903/missing-2017-18.csv";
pub const TOKEN: &str = "tokens/leighton-hospital.token";

#[test]
fn events_are_sent_and_what_is_wrong_is_named() {
    let router = Router::start();
    router.send(SAMPLE, TOKEN, 0, &["1 accepted, 0 refused"]);
    router.send(SAMPLE, TOKEN, 0, &["1 accepted, 0 refused"]);
    router.send(SAMPLE, "tokens/police.token", 1, &["source", "0 accepted, 1 refused"]);
    let (wrong_token, faulty) = (router.path("wrong.token"), router.path("faulty.json"));
    fs::write(&wrong_token, "pathway_wrong\n").expect("a token");
    router.send(SAMPLE, "wrong.token", 1, &["No valid token (401)"]);
    let sample = fs::read_to_string(super::root().join(SAMPLE)).expect("a sample");
    fs::write(&faulty, sample.replace("a_and_e", "a-and-e")).expect("an event");
    router.send(&faulty, TOKEN, 1, &["event 1: data.detail.setting"]);
    router.wait_for_quarantine("invalid_field");
    let list = router.operate(&["quarantine", "list"], 1, &["wrong_source", "invalid_field", "leighton-hospital"]);
    let id = list.lines().find(|line| line.contains("invalid_field")).and_then(|line| line.split(' ').next());
    let id = id.expect("an id").to_owned();
    let shown = router.operate(&["quarantine", "show", &id], 0, &["invalid_field"]);
    assert!(!shown.contains("original"), "content unasked for: {shown}");
    router.operate(&["quarantine", "show", &id, "--content"], 0, &["a-and-e"]);
    router.operate(
        &["quarantine", "retry", &id],
        1,
        &["would be refused", "nothing was changed (--really is refused, too"],
    );
    router.operate(&["quarantine", "show", "not-an-id"], 2, &["quarantine list"]);
    router.stop();
}

#[test]
fn one_event_that_is_too_large_is_named_and_the_rest_is_sent() {
    let router = Router::start();
    let sample = fs::read_to_string(super::root().join(SAMPLE)).expect("a sample");
    let event = |number: usize| -> serde_json::Value {
        let mut event: serde_json::Value = serde_json::from_str(&sample).expect("JSON");
        event["id"] = serde_json::json!(format!("00000000-0000-4000-8000-00000000010{number}"));
        event
    };
    let mut large = event(2);
    large["data"]["narrative"] = serde_json::json!("x".repeat(1_200_000));
    // Behind the narrative, where the router never reads it.
    large["data"].as_object_mut().expect("an object").shift_remove("immediate_danger");
    large["data"]["immediate_danger"] = serde_json::json!(true);
    let lines = [event(1), large, event(3)].map(|event| event.to_string());
    let file = router.path("large.jsonl");
    fs::write(&file, lines.join("\n")).expect("events");
    let expected = [
        "line 2: The request is too large (413)",
        "line 2: says that a child is in immediate danger",
        "2 accepted, 1 refused",
    ];
    router.send(&file, TOKEN, 1, &expected);
    let (wrong_token, stopped) = (router.path("wrong.token"), "0 accepted, 0 refused, 3 not sent, from line 1 on");
    fs::write(&wrong_token, "pathway_wrong\n").expect("a token");
    router.send(&file, "wrong.token", 1, &["No valid token (401)", stopped]);
    router.stop();
}

pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < patience, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_partner_added_to_the_configuration_is_known_without_a_restart() {
    let router = Router::start();
    let (config, tokens) = (router.path("config.toml"), router.path("tokens.toml"));
    let event = fs::read_to_string(super::root().join(SAMPLE)).expect("a sample");
    fs::write(router.path("event.json"), event.replace("leighton-hospital", "walk-in-centre")).expect("an event");
    fs::write(router.path("new.token"), "pathway_new\n").expect("a token");
    let hash = pathway_router::config::tokens::hash_of("pathway_new");
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let entry =
        format!("\n[new]\nsha256 = \"{hash}\"\npartner = \"walk-in-centre\"\nunit = \"emergency-department\"\n");
    let known = fs::read_to_string(&tokens).expect("tokens");
    let partners = fs::read_to_string(&config).expect("a configuration");
    let hang_up = || router.hang_up();
    // Faulty: a token of a partner that there is not. Nothing changes, and nothing ends.
    fs::write(&tokens, format!("{known}{entry}")).expect("tokens");
    hang_up();
    until("the reload is refused", || router.measures("pathway_reload_failed 1"));
    router.send(SAMPLE, TOKEN, 0, &["1 accepted, 0 refused"]);
    router.send(&router.path("event.json"), "new.token", 1, &["No valid token (401)"]);
    let added = "[partners.walk-in-centre]\nunits = [\"emergency-department\"]\n\n[limits]";
    fs::write(&config, partners.replace("[limits]", added)).expect("a configuration");
    hang_up();
    until("the reload is made", || router.measures("pathway_reload_failed 0"));
    router.send(&router.path("event.json"), "new.token", 0, &["1 accepted, 0 refused"]);
    // What the next start would refuse is refused now: nothing of it is taken up, and the token stays known.
    let refused = format!("\n[north]\nsha256 = \"{}\"\nagency = \"camhs\"\nunit = \"north\"\n", "0".repeat(64));
    fs::write(&tokens, format!("{known}{entry}{refused}")).expect("tokens");
    hang_up();
    until("the reload is refused", || router.measures("pathway_reload_failed 1"));
    router.send(&router.path("event.json"), "new.token", 0, &["1 accepted, 0 refused"]);
    fs::write(&tokens, known).expect("tokens");
    hang_up();
    until("the token is revoked", || router.measures("pathway_reload_failed 0"));
    router.send(&router.path("event.json"), "new.token", 1, &["No valid token (401)"]);
    router.stop();
}

#[test]
fn damage_to_the_file_of_a_running_router_is_told_once_and_by_the_exit_code() {
    let mut router = Router::start();
    router.send(SAMPLE, TOKEN, 0, &["1 accepted"]);
    for name in ["pathway.db", "pathway.db-wal"] {
        let bytes = fs::metadata(router.path(name)).expect("a file").len();
        let mut file = fs::OpenOptions::new().write(true).open(router.path(name)).expect("a file");
        // Not where the file is described.
        file.seek(SeekFrom::Start(4096)).expect("a place");
        file.write_all(&vec![0xff; usize::try_from(bytes).expect("a size").saturating_sub(4096)]).expect("room");
    }
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !router.measures("pathway_storage_failed 1") {
        assert!(std::time::Instant::now() < patience, "the damage was never met");
        run(&["send", SAMPLE, "--to", &router.url, "--token-file", &router.path(TOKEN)]);
    }
    // Longer than a lane rests before it is started again.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let (code, logged) = router.end();
    assert_eq!(code, Some(1), "{logged}");
    let told: Vec<&str> = logged.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(told.len() == 1 && told[0].contains("restore a backup"), "{logged}");
    assert!(logged.trim_end().ends_with("nothing was accepted from then on"), "{logged}");
}

/// What begins with its first occurrence never rises: no alert would tell of an agency's first record that lies in quarantine.
#[test]
fn what_alerts_watch_begins_at_zero_for_agencies_too() {
    let router = Router::start();
    for sender in ["police", "social-care", ""] {
        let line = format!("pathway_quarantined_total{{partner=\"{sender}\",reason=\"wrong_source\"}} 0");
        assert!(router.measures(&line), "{line}");
    }
    router.stop();
}

/// Nobody else can read an embedded broker: nobody asks what others have left unread there.
#[cfg(target_os = "linux")]
#[test]
fn an_embedded_router_has_no_thread_that_finds_nothing() {
    let router = Router::start();
    let threads = fs::read_dir(format!("/proc/{}/task", router.process.id())).expect("threads");
    let name = |thread: std::io::Result<fs::DirEntry>| fs::read_to_string(thread.expect("one").path().join("comm"));
    let names: Vec<String> = threads.filter_map(|thread| name(thread).ok()).collect();
    assert!(names.iter().any(|name| name.starts_with("decide-0")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("intake-else")), "{names:?}");
    router.stop();
}

#[test]
fn a_missing_file_is_imported_twice_and_again_with_the_router_stopped() {
    let router = Router::start();
    let import = ["import", "ssda903", MISSING_FILE];
    let first = ["91 events accepted as history: 91 new, 0 known", "46 episodes of 16 children", "kept as counts"];
    router.operate(&import, 0, &first);
    let expected = ["91 events accepted as history: 0 new, 91 known", "46 episodes of 16 children", "kept as counts"];
    router.operate(&import, 0, &expected);
    router.operate(&["import", "ssda903", "tests/samples/ssda903/broken-rows.csv"], 1, &["3 episodes of 1 child"]);
    router.operate(&["import", "ssda903", MISSING_FILE, "--partner", "nobody"], 1, &["must name a partner"]);
    let config = router.path("config.toml");
    check(&["import", "ssda903", MISSING_FILE, "--config", &config], 1, &["in use"]);
    let folder = router.stop();
    let config = path(&folder, "config.toml");
    check(&["import", "ssda903", MISSING_FILE, "--config", &config], 0, &["91 events accepted", "91 not judged yet"]);
    check_quarantine_is_empty(&config);
    check(&["quarantine", "list", "--config", "nowhere.toml"], 2, &["nowhere.toml"]);
}

#[test]
fn a_router_that_cannot_start_says_why() {
    let router = Router::start();
    let other = new_folder(router.url.trim_start_matches("http://"));
    check(&["run", "--config", &path(&other, "config.toml")], 1, &["is not there", "--new-data-file"]);
    check(&["run", "--config", &path(&other, "config.toml"), "--new-data-file"], 1, &["cannot listen"]);
    check(&["run", "--config", &path(&other, "config.toml"), "--new-data-file"], 1, &["exists"]);
    check(&["run", "--config", &router.path("config.toml")], 1, &["in use"]);
    let exposed = new_folder("0.0.0.0:0");
    check(&["run", "--config", &path(&exposed, "config.toml")], 1, &["TLS"]);
    check(&["run", "--config", "nowhere.toml"], 2, &["nowhere.toml"]);
    router.stop();
}

#[test]
fn a_backup_of_a_running_router_starts_with_its_keys_and_no_others() {
    let router = Router::start();
    router.send(SAMPLE, TOKEN, 0, &["1 accepted"]);
    let (config, copy) = (router.path("config.toml"), router.path("copy.db"));
    check(&["backup", &copy, "--config", &config], 0, &["copy.db"]);
    check(&["backup", &copy, "--config", &config], 2, &["copy.db", "never replaces"]);
    check(&["backup", &copy, "--config", "nowhere.toml"], 2, &["nowhere.toml"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&copy).expect("a copy").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let folder = router.stop();
    fs::copy(&copy, folder.path().join("pathway.db")).expect("a restored file");
    check_quarantine_is_empty(&config);
    fs::write(folder.path().join("keys/subject.key"), "ab".repeat(32)).expect("another key");
    check(&["run", "--config", &config], 1, &["another subject key", "pathway.db"]);
}

#[test]
fn the_demo_ends_with_a_summary_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = command(&["demo", "--events", "60", "--seed", "3"]).env("TMPDIR", folder.path()).output();
    let done = super::Done::from(done.expect("the demo runs"));
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    for text in ["Events in        60", "Tasks", "social-care", "Rules fired", "The last tasks:"] {
        assert!(done.out.contains(text), "no {text:?} in {}", done.out);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "the demo left something behind");
    assert_eq!(run(&["demo", "--events", "none"]).code, Some(2));
}

#[test]
fn a_simulated_year_says_what_happened_to_every_task() {
    let args = ["demo", "--year", "--events", "60", "--seed", "3"];
    let out = check(&args, 0, &[" events sent; ", "agency", "in time", "social-care", "\nall "]).out;
    // Of each agency, and of all: told, and how they stood at the end.
    let rows: BTreeMap<&str, Vec<u64>> = out.lines().filter_map(row).collect();
    let mut sums = vec![0; 14];
    for (agency, counts) in &rows {
        let [told, in_time, late, never, stood @ ..] = &counts[..] else { panic!("{agency}: {counts:?}") };
        assert_eq!(stood.iter().sum::<u64>(), *told, "{agency}: {counts:?}");
        assert!(in_time + late + never <= *told, "{agency}: {counts:?}");
        if *agency != "all" {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    assert!(rows.len() > 5, "{out}");
    assert_eq!(rows["all"], sums, "{out}");
    assert!(out.contains(&format!("; {} tasks published", sums[0])), "{out}");
    assert!(sums[0] > 500 && sums[4..].iter().filter(|count| **count > 0).count() > 5, "{sums:?}");
}

/// A line of the year's table: an agency, and its counts.
fn row(line: &str) -> Option<(&str, Vec<u64>)> {
    let (agency, counts) = line.split_once(' ')?;
    let counts =
        counts.split([' ', '|']).filter(|word| !word.is_empty()).map(str::parse).collect::<Result<Vec<_>, _>>();
    Some((agency, counts.ok().filter(|counts| counts.len() == 14)?))
}

/// A router just started, and not listened to yet.
fn started(folder: &tempfile::TempDir) -> Child {
    let config = path(folder, "config.toml");
    let arguments = ["run", "--config", &config, "--new-data-file"];
    command(&arguments).stderr(Stdio::piped()).spawn().expect("the router starts")
}

fn signal(process: &Child, name: &str) {
    let told = std::process::Command::new("kill").args([name, &process.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
}

/// Until the process says itself what is done with a signal, which is the first that it does.
#[cfg(target_os = "linux")]
fn until_it_listens(process: &Child) {
    const HANGUP_AND_TERMINATE: u64 = 1 | 1 << 14;
    let is_listening = || {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        caught & HANGUP_AND_TERMINATE == HANGUP_AND_TERMINATE
    };
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_listening() {
        if std::time::Instant::now() > patience {
            signal(process, "-KILL");
            panic!("it never listened");
        }
        std::thread::yield_now();
    }
}

/// A router that cannot get ready before it is given its tokens, and what gives them.
#[cfg(target_os = "linux")]
fn waiting_for_tokens(folder: &tempfile::TempDir) -> (Child, impl FnOnce()) {
    let file = path(folder, "tokens.toml");
    let tokens = fs::read(&file).expect("tokens");
    let (aside, pipe) = (path(folder, "tokens.aside"), file.clone());
    fs::rename(&file, &aside).expect("tokens put aside");
    let made = std::process::Command::new("mkfifo").args(["-m", "600", &pipe]).status().expect("mkfifo runs");
    assert!(made.success());
    let process = started(folder);
    let give = move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(pipe).expect("it reads its tokens");
        fs::rename(aside, file).expect("tokens for whoever reads them again");
        std::io::Write::write_all(&mut pipe, &tokens).expect("it takes its tokens");
    };
    (process, give)
}

#[cfg(target_os = "linux")]
#[test]
fn a_reload_asked_for_before_the_router_is_ready_is_made_and_a_stop_ends_it_well() {
    let folder = new_folder("127.0.0.1:0");
    let (mut process, give_tokens) = waiting_for_tokens(&folder);
    until_it_listens(&process);
    signal(&process, "-HUP");
    give_tokens();
    let mut log = BufReader::new(process.stderr.take().expect("a log"));
    let (mut line, mut logged) = (String::new(), String::new());
    while !line.contains("were read again") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log line") > 0, "the router ended: {logged}");
        logged.push_str(&line);
    }
    signal(&process, "-TERM");
    assert_eq!(process.wait().expect("an end").code(), Some(0));

    let folder = new_folder("127.0.0.1:0");
    let (mut early, give_tokens) = waiting_for_tokens(&folder);
    until_it_listens(&early);
    signal(&early, "-TERM");
    give_tokens();
    assert_eq!(early.wait().expect("an end").code(), Some(0));
}

#[test]
fn a_first_start_listens_where_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let first = |arguments: &[&str]| {
        let mut started = command(&[&["run"], arguments].concat());
        started.current_dir(folder.path()).output().expect("the router starts")
    };
    let refused = first(&["--bind", &address]);
    let said = String::from_utf8_lossy(&refused.stderr).replace('\n', " ");
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen") && said.contains(&address), "{said}");
    let config = fs::read_to_string(folder.path().join("data/config.toml")).expect("a configuration");
    assert!(config.contains(&format!("bind = \"{address}\"")), "{config}");
    assert_eq!(first(&["--bind", &address]).status.code(), Some(2), "a first start alone");
}
