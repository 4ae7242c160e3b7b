//! A partner that disagrees, from end to end: an event, the feedback on it, a challenge, and what the front door is asked.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::running::{Router, new_folder};

const FRONT_DOOR: &str = "/v1/agencies/social-care/tasks?limit=500";

fn post(router: &Router, path: &str, token: &str, body: &Value) {
    let answer = ureq::post(format!("{}{path}", router.url))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .send(body.to_string())
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 202);
}

/// The first item of a list that will do, once it is there.
fn wait_for(router: &Router, path: &str, token: &str, list: &str, will_do: impl Fn(&Value) -> bool) -> Value {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let asked = ureq::get(format!("{}{path}", router.url)).header("authorization", format!("Bearer {token}"));
        let text = asked.call().expect("an answer").body_mut().read_to_string().expect("a text");
        let page: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(found) = page[list].as_array().expect("a list").iter().find(|item| will_do(item)) {
            return found.clone();
        }
        assert!(Instant::now() < patience, "never came: {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn outcome(reply_to: &Value, said: &str, reason: &Value) -> Value {
    json!({
        "outcome_id": uuid::Uuid::new_v4().to_string(), "reply_to": reply_to, "outcome": said, "by_name": "A. Worker",
        "by_role": "nurse", "at": jiff::Timestamp::now().to_string(), "reason": reason
    })
}

#[test]
fn what_a_partner_challenges_by_its_feedback_is_challenged_with_the_front_door() {
    let folder = new_folder("127.0.0.1:0");
    let hash = pathway_router::config::tokens::hash_of("pathway_front_door");
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = folder.path().join("tokens.toml");
    let known = fs::read_to_string(&tokens).expect("tokens");
    fs::write(&tokens, format!("{known}\n[front-door]\nsha256 = \"{hash}\"\nagency = \"social-care\"\n"))
        .expect("tokens");
    let (router, _) = Router::start_in(folder, &["--new-data-file"]);
    let partner = fs::read_to_string(router.path("tokens/leighton-hospital.token")).expect("a token");
    let (partner, front_door) = (partner.trim(), "pathway_front_door");
    let event_id = uuid::Uuid::new_v4().to_string();
    let event = json!({
        "specversion": "1.0", "id": event_id, "source": "leighton-hospital/emergency-department",
        "type": "concern.reported", "time": jiff::Timestamp::now().to_string(),
        "data": {
            "partner_reference": "TEST-7",
            "practitioner": { "role": "nurse", "call_back": "01632 960001" },
            "child": { "nhs_number": "9990000085", "date_of_birth": "2014-01-01" },
            "detail": { "concern": "physical_abuse", "proposed_level": "L4a" }
        }
    });
    post(&router, "/v1/events", partner, &event);
    let list = "/v1/partners/leighton-hospital/feedback";
    let feedback = wait_for(&router, list, partner, "feedback", |one| one["event_id"] == event_id.as_str());
    let asked = wait_for(&router, FRONT_DOOR, front_door, "tasks", |task| task["level"] == "L4a");

    let reason = json!("We do not agree with what became of it.");
    post(&router, "/v1/outcomes", partner, &outcome(&feedback["reply_to"], "challenged", &reason));
    let decide = wait_for(&router, FRONT_DOOR, front_door, "tasks", |task| {
        task["action"] == "Decide what happens now: a task was declined or challenged"
    });
    assert_eq!(decide["follows"], asked["task_id"], "where the child is named");
    let why = decide["reasons"][0]["why"].as_str().expect("a reason");
    assert!(why.contains("who referred the child, challenged what became of it.") && why.contains("We do not agree"));
    let about = format!(
        "It is about event {event_id} of leighton-hospital, emergency-department (their reference: TEST-7; call back: 01632 960001)."
    );
    assert!(why.ends_with(&about), "{why}");
    let heard = |one: &Value| one["message"].as_str().is_some_and(|told| told.contains("Your disagreement is put to"));
    let told = wait_for(&router, list, partner, "feedback", heard);
    assert_eq!(told["event_id"], event_id.as_str());

    // The front door's own task is challenged now: to have read it is no answer any more.
    post(&router, "/v1/outcomes", front_door, &outcome(&asked["reply_to"], "acknowledged", &Value::Null));
    let refused = wait_for(&router, FRONT_DOOR, front_door, "tasks", |task| {
        task["reasons"][0]["rule"] == "answer-refused" && task["follows"] == asked["task_id"]
    });
    let why = refused["reasons"][0]["why"].as_str().expect("a reason");
    assert!(why.contains("the task is challenged already, and cannot be acknowledged now"), "{why}");
    router.stop();
}
