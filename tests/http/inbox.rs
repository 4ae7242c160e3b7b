//! Reading tasks and feedback: units kept apart, cursors, long polls, streams; and answering tasks.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pathway_router::broker::memory::MemoryOptions;
use pathway_router::config::Config;
use pathway_router::config::first_start::config_file;
use pathway_router::config::tokens::{Caller, TokenBook};
use pathway_router::engine::codec;
use pathway_router::engine::model::feedback::{Feedback, FeedbackStatus};
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::seal::{ReplyTo, Sealer};
use serde_json::{Value, json};

use super::kit::{HOSPITAL, House, header, paths};

pub fn task(action: &str, agency: &str, unit: Option<&str>) -> Task {
    Task {
        task_id: uuid::Uuid::new_v4().to_string(),
        agency: agency.to_owned(),
        unit: unit.map(str::to_owned),
        role: None,
        action: action.to_owned(),
        level: None,
        level_is_proposed: true,
        due_at: Timestamp(1_780_000_000_000),
        due_reason: "1 wd from receipt".to_owned(),
        late_on_arrival: false,
        acknowledge_by: None,
        reasons: Vec::new(),
        bases: Vec::new(),
        needs_agreement: false,
        child: None,
        facts: Default::default(),
        narrative: None,
        voice_of_child: None,
        carers: Vec::new(),
        call_back: None,
        partner_reference: None,
        follows: None,
        notes: Vec::new(),
        raised_at: Timestamp(1_780_000_000_000),
        reply_to: "sealed".to_owned(),
        other_reply_to: None,
        kind: None,
        follows_also: None,
    }
}

fn actions(page: &Value) -> Vec<&str> {
    page["tasks"].as_array().unwrap().iter().map(|task| task["action"].as_str().unwrap()).collect()
}

#[test]
fn a_unit_reads_its_own_tasks_alone() {
    let house = House::open();
    for (action, unit) in [("A", Some("111111")), ("B", Some("222222")), ("C", None), ("D", Some("111111"))] {
        house.put("tasks.school", &task(action, "school", unit), unit);
    }
    let page = house.get("/v1/agencies/school/tasks", "inbox-school-111111").json();
    assert_eq!(actions(&page), ["A", "D"]);
    assert_eq!(page["tasks"][0]["due_at"], "2026-05-28T20:26:40Z");
    assert_eq!(page["more"], false);
}

#[test]
fn a_unit_is_read_whatever_its_case_and_one_that_is_not_listed_is_warned_of() {
    let house = House::with(MemoryOptions::default(), |config| {
        let entries = config.tokens.entries().iter().cloned().map(|mut entry| {
            let unit = [("inbox-lado", "n81001"), ("inbox-camhs", "N99999")];
            if let Some((_, unit)) = unit.iter().find(|(name, _)| *name == entry.name) {
                entry.caller = Caller::Agency { agency: "gp".to_owned(), unit: Some((*unit).to_owned()) };
            }
            entry
        });
        config.tokens = TokenBook::new(entries.collect());
    });
    house.put("tasks.gp", &task("A", "gp", Some("N81001")), Some("N81001"));
    let read = |token: &str| house.get("/v1/agencies/gp/tasks", token).json()["tasks"].as_array().unwrap().len();
    assert_eq!((read("inbox-lado"), read("inbox-camhs")), (1, 0));
    let ready = house.get_without_token("/readyz");
    let warnings = ready.json()["warnings"].to_string();
    assert!(warnings.contains("token `inbox-camhs`") && warnings.contains("lists no such unit of gp"), "{warnings}");
    assert!(!warnings.contains("N99999") && !warnings.contains("inbox-lado"), "{warnings}");
    house.revoke("inbox-camhs");
    assert_eq!(house.get_without_token("/readyz").json()["warnings"], json!([]), "tokens were read again");
}

#[test]
fn a_cursor_of_another_unit_or_another_kind_passes_nothing_over() {
    // The designated officer's token speaks for another school here.
    let house = House::with(MemoryOptions::default(), |config| {
        let entries = config.tokens.entries().iter().cloned().map(|mut entry| {
            if entry.name == "inbox-lado" {
                entry.caller = Caller::Agency { agency: "school".to_owned(), unit: Some("999001".to_owned()) };
            }
            entry
        });
        config.tokens = TokenBook::new(entries.collect());
    });
    for unit in ["111111", "999001"] {
        house.put("tasks.school", &task("A", "school", Some(unit)), Some(unit));
    }
    let cursor = |path: &str, token: &str| house.get(path, token).json()["cursor"].as_str().unwrap().to_owned();
    let check = |path: &str, token: &str, status: u16| {
        let answer = house.get(path, token);
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(status == 200 || answer.text.contains("with the same `kind`"), "{}", answer.text);
    };
    let theirs = cursor("/v1/agencies/school/tasks", "inbox-lado");
    check(&format!("/v1/agencies/school/tasks?after={theirs}"), "inbox-school-111111", 400);
    check(&format!("/v1/agencies/school/tasks?after={theirs}"), "inbox-lado", 200);
    check(&format!("/v1/agencies/school/tasks/stream?after={theirs}"), "inbox-school-111111", 400);
    let digest = cursor("/v1/agencies/camhs/tasks?kind=digest", "inbox-camhs");
    check(&format!("/v1/agencies/camhs/tasks?kind=work&after={digest}"), "inbox-camhs", 400);
    check(&format!("/v1/agencies/camhs/tasks?after={digest}"), "inbox-camhs", 400);
    check(&format!("/v1/agencies/camhs/tasks?kind=digest&after={digest}"), "inbox-camhs", 200);
}

#[test]
fn an_agency_of_one_reads_all_of_its_tasks_page_by_page() {
    let house = House::open();
    for (number, unit) in [None, Some("crisis"), None, None, Some("night")].into_iter().enumerate() {
        house.put("tasks.camhs", &task(&number.to_string(), "camhs", unit), unit);
    }
    let first = house.get("/v1/agencies/camhs/tasks?limit=2", "inbox-camhs").json();
    assert_eq!((actions(&first), &first["more"]), (vec!["0", "1"], &json!(true)));
    let after = |page: &Value| format!("/v1/agencies/camhs/tasks?limit=2&after={}", page["cursor"].as_str().unwrap());
    let second = house.get(&after(&first), "inbox-camhs").json();
    assert_eq!(actions(&second), ["2", "3"]);
    let third = house.get(&after(&second), "inbox-camhs").json();
    assert_eq!((actions(&third), &third["more"]), (vec!["4"], &json!(false)));
    assert_eq!(actions(&house.get(&after(&third), "inbox-camhs").json()), Vec::<&str>::new());
}

#[test]
fn the_daily_digest_is_read_apart_from_what_is_to_be_done() {
    let house = House::open();
    for (action, kind) in [("act", None), ("read", Some("digest")), ("act too", None), ("read too", Some("digest"))] {
        house.put_task(&Task { kind: kind.map(str::to_owned), ..task(action, "social-care", None) });
    }
    let of_kind =
        |query: &str| house.get(&format!("/v1/agencies/social-care/tasks{query}"), "inbox-social-care").json();
    assert_eq!(actions(&of_kind("?kind=digest")), ["read", "read too"]);
    assert_eq!(actions(&of_kind("?kind=work")), ["act", "act too"]);
    assert_eq!(actions(&of_kind("")), ["act", "read", "act too", "read too"]);
    assert_eq!(of_kind("?kind=digest")["tasks"][0]["kind"], "digest");
}

#[test]
fn a_wrong_query_is_400() {
    let house = House::open();
    for query in ["after=zzz", "after=AQ", "since=1", "wait=soon", "limit=-1", "limit=0", "limit=501", "kind=all"] {
        let answer = house.get(&format!("/v1/agencies/camhs/tasks?{query}"), "inbox-camhs");
        assert_eq!((answer.status, answer.content_type.as_str()), (400, "application/problem+json"), "{query}");
    }
    let detail = |query: &str| {
        let answer = house.get(&format!("/v1/agencies/camhs/tasks?{query}"), "inbox-camhs");
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let unknown = detail("since=1");
    assert!(unknown.starts_with("The query may have: "), "{unknown}");
    assert!(["after", "wait", "limit", "kind"].iter().all(|name| unknown.contains(name)), "{unknown}");
    assert!(!unknown.contains("since"), "what was sent is not repeated: {unknown}");
    let misused = detail("wait=soon");
    assert!(misused.starts_with("`wait` has no value that it may have. The query may have: "), "{misused}");
    house.put("tasks.camhs", &task("A", "camhs", None), None);
    let camhs = house.get("/v1/agencies/camhs/tasks", "inbox-camhs").json();
    let elsewhere = format!("/v1/agencies/police/tasks?after={}", camhs["cursor"].as_str().unwrap());
    assert_eq!(house.get(&elsewhere, "inbox-police").status, 400, "another list's");
    let empty = House::open();
    let beyond = format!("/v1/agencies/camhs/tasks?after={}", camhs["cursor"].as_str().unwrap());
    assert_eq!(empty.get(&beyond, "inbox-camhs").status, 400, "beyond the end");
}

#[test]
fn a_long_poll_returns_as_soon_as_there_is_a_task() {
    let house = House::open();
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| house.get("/v1/agencies/camhs/tasks?wait=20", "inbox-camhs").json());
        std::thread::sleep(Duration::from_millis(200));
        let came = Instant::now();
        house.put("tasks.school", &task("other", "school", None), None);
        house.put("tasks.camhs", &task("ring", "camhs", None), None);
        assert_eq!(actions(&poll.join().unwrap()), ["ring"]);
        assert!(came.elapsed() < Duration::from_secs(10), "at the end of the wait, and not before");
    });
}

#[test]
fn a_stop_ends_long_polls_and_streams() {
    let mut house = House::open();
    let (base, token) = (house.base().to_owned(), house.token("inbox-camhs"));
    let get = |path: &str| {
        let (url, token) = (format!("{base}{path}"), format!("Bearer {token}"));
        std::thread::spawn(move || {
            let mut response = ureq::get(url).header("authorization", token).call().unwrap();
            response.body_mut().read_to_string().unwrap()
        })
    };
    let poll = get("/v1/agencies/camhs/tasks?wait=20");
    let stream = get("/v1/agencies/camhs/tasks/stream");
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    house.stop();
    assert!(poll.join().unwrap().contains("\"tasks\":[]"));
    stream.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(15), "neither was waited out");
}

#[test]
fn a_token_that_is_revoked_reads_nothing_more_on_streams_and_long_polls_that_began_before() {
    let house = House::open();
    let show = |house: &House, action: &str| house.put("tasks.camhs", &task(action, "camhs", None), None);
    show(&house, "before");
    let (base, token) = (house.base().to_owned(), house.token("inbox-camhs"));
    let followed = |path: &str| {
        let (url, token) = (format!("{base}{path}"), format!("Bearer {token}"));
        std::thread::spawn(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.get(url).header("authorization", token).call().unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        })
    };
    let cursor = house.get("/v1/agencies/camhs/tasks", "inbox-camhs").json()["cursor"].as_str().unwrap().to_owned();
    let poll = followed(&format!("/v1/agencies/camhs/tasks?wait=20&after={cursor}"));
    let stream = followed("/v1/agencies/camhs/tasks/stream");
    let others = followed("/v1/agencies/camhs/tasks?wait=1");
    assert!(others.join().unwrap().1.contains("before"), "while it stands, it reads");
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    house.revoke("inbox-police");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!stream.is_finished() && !poll.is_finished(), "somebody else's was revoked");
    house.revoke("inbox-camhs");
    show(&house, "after");
    assert_eq!(poll.join().unwrap().0, 401);
    let (_, streamed) = stream.join().unwrap();
    assert!(streamed.contains("before") && !streamed.contains("after"), "{streamed}");
    assert!(started.elapsed() < Duration::from_secs(10), "both ended at once");
    assert_eq!(followed("/v1/agencies/camhs/tasks").join().unwrap().0, 401);
}

/// Reads `count` server-sent events as (id, action).
fn stream(house: &House, last: Option<&str>, count: usize) -> Vec<(String, String)> {
    let mut socket = TcpStream::connect(house.base().strip_prefix("http://").unwrap()).unwrap();
    let resume = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
    let token = house.token("inbox-camhs");
    write!(
        socket,
        "GET /v1/agencies/camhs/tasks/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{resume}\r\n"
    )
    .unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut id, mut events) = (String::new(), Vec::new());
    for line in BufReader::new(&socket).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("id: ") {
            text.clone_into(&mut id);
        } else if let Some(data) = line.strip_prefix("data: ") {
            let task: Value = serde_json::from_str(data).unwrap();
            events.push((id.clone(), task["action"].as_str().unwrap().to_owned()));
        }
        // The id follows the data within one event.
        if events.len() == count && line.is_empty() {
            break;
        }
    }
    events
}

#[test]
fn a_stream_resumes_after_the_last_event_id() {
    let house = House::open();
    for action in ["one", "two", "three"] {
        house.put("tasks.camhs", &task(action, "camhs", None), None);
    }
    let page = house.get("/v1/agencies/camhs/tasks?limit=1", "inbox-camhs").json();
    let resumed = stream(&house, page["cursor"].as_str(), 2);
    assert_eq!(resumed.iter().map(|(_, action)| action.as_str()).collect::<Vec<_>>(), ["two", "three"]);
    std::thread::scope(|scope| {
        let following = scope.spawn(|| stream(&house, None, 4));
        std::thread::sleep(Duration::from_millis(200));
        house.put("tasks.camhs", &task("four", "camhs", None), None);
        let events = following.join().unwrap();
        assert_eq!(events.last().unwrap().1, "four");
    });
}

#[test]
fn feedback_is_read_per_unit() {
    let house = House::open();
    for unit in ["paediatrics", "emergency-department"] {
        let feedback = Feedback {
            feedback_id: uuid::Uuid::new_v4().to_string(),
            event_id: uuid::Uuid::new_v4().to_string(),
            partner: "leighton-hospital".to_owned(),
            unit: unit.to_owned(),
            partner_reference: None,
            status: FeedbackStatus::Received,
            message: "Received.".to_owned(),
            at: Timestamp(0),
            reply_to: None,
        };
        house.put("feedback.leighton-hospital", &feedback, Some(unit));
    }
    let page = house.get("/v1/partners/leighton-hospital/feedback", "leighton-hospital").json();
    let units: Vec<&str> =
        page["feedback"].as_array().unwrap().iter().map(|one| one["unit"].as_str().unwrap()).collect();
    assert_eq!(units, ["emergency-department"]);
}

fn outcome(reply_to: &str) -> Value {
    json!({
        "outcome_id": uuid::Uuid::new_v4(), "reply_to": reply_to, "outcome": "acknowledged",
        "by_name": "Test Worker", "by_role": "duty worker", "at": "2026-04-01T10:00:00Z",
    })
}

#[test]
fn an_outcome_is_stamped_with_who_answered() {
    let house = House::open();
    let config = Config::load(&config_file(house.folder.path())).unwrap();
    let sealer = Sealer::from_secret(config.keys.sealing.bytes());
    let reply_to = |unit: &str| {
        sealer.seal(&ReplyTo {
            subject: SubjectKey([7; 32]),
            task_id: uuid::Uuid::new_v4(),
            agency: "school".to_owned(),
            unit: Some(unit.to_owned()),
        })
    };
    let post = |body: &Value| house.post("/v1/outcomes", "inbox-school-111111", "application/json", body.to_string());

    let sent = outcome(&reply_to("111111"));
    let answer = post(&sent);
    assert_eq!((answer.status, &answer.json()["id"]), (202, &sent["outcome_id"]), "{}", answer.text);
    let records = house.records("gateway.http");
    assert_eq!((header(&records[0], "agency"), header(&records[0], "unit")), (Some("school"), Some("111111")));
    let stored: Outcome = codec::decode(records[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(stored.by_role, "duty worker");

    let other = post(&outcome(&reply_to("222222")));
    assert_eq!((other.status, paths(&other.json())), (403, vec!["reply_to".to_owned()]), "{}", other.text);
    let wrong = post(&outcome("sealed by nobody"));
    assert_eq!((wrong.status, paths(&wrong.json())), (400, vec!["reply_to".to_owned()]), "{}", wrong.text);
    let mut faulty = outcome(&reply_to("111111"));
    faulty["outcome"] = json!("ignored");
    let answer = post(&faulty);
    assert_eq!((answer.status, paths(&answer.json())), (400, vec!["outcome".to_owned()]));
    assert_eq!(house.records("gateway.http").len(), 4, "what was refused is kept by INTAKE");
}

#[test]
fn a_partner_s_unit_may_disagree_by_its_own_feedback_and_answer_nothing_else() {
    let house = House::open();
    let config = Config::load(&config_file(house.folder.path())).unwrap();
    let sealer = Sealer::from_secret(config.keys.sealing.bytes());
    let reply_to = |agency: &str, unit: Option<&str>| {
        let (subject, task_id) = (SubjectKey([7; 32]), uuid::Uuid::new_v4());
        sealer.seal(&ReplyTo { subject, task_id, agency: agency.to_owned(), unit: unit.map(str::to_owned) })
    };
    let disagreement = |reply_to: &str| {
        let mut said = outcome(reply_to);
        (said["outcome"], said["reason"]) = (json!("challenged"), json!("We do not agree with no further action."));
        said
    };
    let post = |body: &Value| house.post("/v1/outcomes", HOSPITAL, "application/json", body.to_string());
    let own = reply_to(HOSPITAL, Some("emergency-department"));

    let sent = disagreement(&own);
    let answer = post(&sent);
    assert_eq!((answer.status, &answer.json()["id"]), (202, &sent["outcome_id"]), "{}", answer.text);
    let records = house.records("gateway.http");
    let stamps = ["partner", "unit", "disagreement", "agency"].map(|name| header(&records[0], name));
    assert_eq!(stamps, [Some(HOSPITAL), Some("emergency-department"), Some("true"), None]);

    let not_theirs = [
        reply_to(HOSPITAL, Some("paediatrics")),
        reply_to(HOSPITAL, None),
        reply_to("camhs", None),
        reply_to("police", None),
    ];
    for other in not_theirs {
        let answer = post(&disagreement(&other));
        assert_eq!((answer.status, paths(&answer.json())), (403, vec!["reply_to".to_owned()]), "{}", answer.text);
    }
    for other in ["acknowledged", "accepted", "declined", "completed"] {
        let mut said = disagreement(&own);
        said["outcome"] = json!(other);
        let answer = post(&said);
        assert_eq!((answer.status, paths(&answer.json())), (403, vec!["outcome".to_owned()]), "{}", answer.text);
        assert!(answer.text.contains("to the address of feedback nothing else may be sent"), "{}", answer.text);
    }
    let mut unexplained = disagreement(&own);
    unexplained["reason"] = Value::Null;
    let answer = post(&unexplained);
    assert_eq!((answer.status, paths(&answer.json())), (400, vec!["reason".to_owned()]), "{}", answer.text);
}
