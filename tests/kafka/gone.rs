//! A topic that is deleted under a router: not ready, by name, until it is there again and the lanes work.

use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::admin::AdminOptions;

use super::router::{Home, Instance, agent};
use super::server::{OnKafka, admin};

/// Several tries of a lane.
const WATCHED: Duration = Duration::from_secs(25);
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn while_a_topic_is_gone_the_router_is_not_ready_and_names_it() {
    let Some(_kafka) = OnKafka::new() else { return };
    let home = Home::new(1);
    let mut router = home.start(0);
    router.wait_until_ready();
    for (number, topic) in ["tasks.camhs", "inbox"].into_iter().enumerate() {
        delete(topic);
        let sent = || post(&home, &format!("5b0d9a44-0d2e-4c58-9a35-1f7a3b1c1e0{number}"));
        let told = sent();
        assert!(told == 202 || told == 503, "{told}");
        let names = |said: &str| said.contains("\"ready\":false") && said.contains(topic);
        until(&format!("{topic} is named"), &router, || names(&router.state()));
        let watched = Instant::now() + WATCHED;
        while Instant::now() < watched {
            let said = router.state();
            assert!(names(&said), "{topic}: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
        make(&home);
        until(&format!("work without {topic} missing"), &router, || router.state().contains("\"ready\":true"));
        assert_eq!(sent(), 202);
        router.lives();
    }
    router.stop();
}

#[test]
fn topics_are_planned_by_the_published_rule_books_which_are_named() {
    let Some(_kafka) = OnKafka::new() else { return };
    let home = Home::new(1);
    let before = topics(&home, "plan");
    assert!(before.1.contains("no rule book is published"), "{}", before.1);
    let mut router = home.start(0);
    router.wait_until_ready();
    let after = topics(&home, "plan");
    assert!(after.0 && after.1.contains(": published, from 20"), "{}", after.1);
    // A folder that is gone tells nothing of the agencies there are.
    let config = home.config_file(0);
    let text = std::fs::read_to_string(&config).unwrap();
    let is_folder = |line: &str| line.starts_with("folder = ");
    let moved = text.lines().map(|line| if is_folder(line) { "folder = \"nowhere\"" } else { line });
    std::fs::write(&config, moved.collect::<Vec<_>>().join("\n")).unwrap();
    let without = topics(&home, "plan");
    assert!(without.0 && without.1.contains("by the published rule books alone"), "{}", without.1);
    router.stop();
}

fn delete(topic: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deleted = runtime.block_on(admin().delete_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}

fn make(home: &Home) {
    let (is_done, said) = topics(home, "apply");
    assert!(is_done, "{said}");
}

/// Whether it ended clean, and what it said.
fn topics(home: &Home, what: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathway-router"));
    let output = command.args(["topics", what, "--config"]).arg(home.config_file(0)).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// CAMHS is asked to act by it.
fn post(home: &Home, id: &str) -> u16 {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/events/self_harm.reported.json");
    let mut event: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    event["id"] = id.into();
    let request = agent().post(home.url(0, "/v1/events")).header("content-type", "application/cloudevents+json");
    let authorization = format!("Bearer {}", home.token("leighton-hospital"));
    let answer = request.header("authorization", authorization).send(event.to_string());
    answer.unwrap().status().as_u16()
}

fn until(what: &str, router: &Instance, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: {}", router.state());
        std::thread::sleep(Duration::from_millis(50));
    }
}
