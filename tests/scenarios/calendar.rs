//! A corrected calendar: a new version of the book moves the deadlines that are still open, and says so.

use pathway_router::engine::calendar::instant_in_words;
use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::{self, RuleBook};
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::json;

use crate::files::{shipped, sources};

/// The shipped book from an instant on, with words of its calendar or of its rules for missing children changed.
fn book(from: &str, changes: &[(&str, &str)]) -> PreparedBook {
    let mut files = sources(&shipped());
    for file in &mut files {
        if file.name == "book.toml" {
            file.text = file.text.replace("2012-01-01T00:00:00Z", from);
        }
    }
    for (word, other) in changes {
        let of_these = |name: &str| name.ends_with("calendar.toml") || name.ends_with("missing.toml");
        let file = files.iter_mut().find(|file| of_these(&file.name) && file.text.contains(word));
        let file = file.unwrap_or_else(|| panic!("{word} is not there"));
        file.text = file.text.replacen(word, other, 1);
    }
    let book: RuleBook = rules::load(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    PreparedBook::new(book)
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_jiff(text.parse().unwrap())
}

fn submit(replay: &mut Replay, kind: &str, time: &str, detail: &serde_json::Value) -> Results {
    let json = json!({
        "specversion": "1.0", "id": "00000000-0000-4000-8000-000000000001", "source": "school-nursing/0-19",
        "type": kind, "time": time,
        "data": {
            "practitioner": { "role": "nurse", "call_back": "101" },
            "child": { "nhs_number": "9990000018", "date_of_birth": "2011-01-02", "school_urn": "999001", "gp_ods": "N81001" },
            "detail": detail,
        }
    });
    replay.submit(&cloud_event::read(&json).unwrap().event, at(time)).unwrap()
}

fn told(tasks: &[Task]) -> Vec<(String, String)> {
    tasks.iter().map(|task| (task.agency.clone(), instant_in_words(task.due_at))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(agency, due)| ((*agency).to_owned(), (*due).to_owned())).collect()
}

#[test]
fn a_bank_holiday_that_was_forgotten_moves_what_is_open() {
    let forgotten = book("2012-01-01T00:00:00Z", &[("\"2026-05-25\", ", "")]);
    let corrected = book("2026-05-20T12:00:00Z", &[]);
    let mut replay = Replay::new(RuleBooks::new(vec![forgotten, corrected]), ReplayOptions::default());
    let detail = json!({ "gcp2_grade": 3, "medical_neglect": false });
    let first = submit(&mut replay, "neglect.assessed", "2026-05-20T09:00:00Z", &detail);
    assert_eq!(told(&first.tasks), pairs(&[("school-nursing", "Wednesday 27 May 2026 17:00")]));
    assert!(replay.pass_time(at("2026-05-20T11:59:59Z")).unwrap().tasks.is_empty(), "before the book is in force");
    let moved = replay.pass_time(at("2026-05-20T12:00:00Z")).unwrap();
    assert_eq!(told(&moved.tasks), pairs(&[("school-nursing", "Thursday 28 May 2026 17:00")]));
    let word = &moved.tasks[0];
    assert_eq!(word.follows.as_ref(), Some(&first.tasks[0].task_id));
    assert!(word.reasons[0].why.contains("was due Wednesday 27 May 2026 17:00"), "{}", word.reasons[0].why);
    assert!(word.child.is_none() && word.narrative.is_none(), "it names no child");
    let notes: Vec<&String> = moved.decisions.iter().flat_map(|decision| &decision.notes).collect();
    assert_eq!(notes, ["The calendar was corrected: deadlines that moved: 1, clocks: 0."]);
    let later = replay.pass_time(at("2026-05-21T08:00:00Z")).unwrap();
    assert!(later.tasks.is_empty(), "said once");
}

#[test]
fn a_training_day_moves_what_waits_for_the_schools_next_session_alone() {
    let before = book("2012-01-01T00:00:00Z", &[]);
    let school = "urn    = \"999001\"\n";
    let corrected = book("2026-05-20T12:00:00Z", &[(school, "urn    = \"999001\"\nclosed = [\"2026-05-21\"]\n")]);
    let mut replay = Replay::new(RuleBooks::new(vec![before, corrected]), ReplayOptions::default());
    let first = submit(&mut replay, "missing.started", "2026-05-20T11:30:00Z", &json!({ "grade": "low" }));
    assert!(told(&first.tasks).contains(&("school".to_owned(), "Thursday 21 May 2026 08:30".to_owned())));
    let moved = replay.pass_time(at("2026-05-20T12:00:00Z")).unwrap();
    assert_eq!(told(&moved.tasks), pairs(&[("school", "Friday 22 May 2026 08:30")]));
    assert_eq!(moved.tasks[0].unit.as_deref(), Some("999001"));
}

#[test]
fn clocks_that_count_working_days_run_on_by_the_corrected_calendar() {
    let by_days = ("after    = \"24 h\"", "after    = \"1 wd\"");
    let forgotten = book("2012-01-01T00:00:00Z", &[("\"2026-05-25\", ", ""), by_days]);
    let corrected = book("2026-05-23T12:00:00Z", &[by_days]);
    let mut replay = Replay::new(RuleBooks::new(vec![forgotten, corrected]), ReplayOptions::default());
    submit(&mut replay, "missing.started", "2026-05-22T09:00:00Z", &json!({ "grade": "low" }));
    let unknown = "00000000-0000-4000-8000-000000000099";
    let correction = json!({ "original_event_id": unknown, "changes": { "grade": "medium" } });
    let json = json!({
        "specversion": "1.0", "id": "00000000-0000-4000-8000-000000000002", "source": "school-nursing/0-19",
        "type": "event.corrected", "time": "2026-05-22T09:10:00Z",
        "data": {
            "practitioner": { "role": "nurse", "call_back": "101" },
            "child": { "nhs_number": "9990000018" }, "detail": correction,
        }
    });
    replay.submit(&cloud_event::read(&json).unwrap().event, at("2026-05-22T09:10:00Z")).unwrap();
    let ran_out = |results: &Results| -> Vec<String> {
        let tasks = results.tasks.iter().flat_map(|task| &task.reasons).map(|reason| reason.rule.clone());
        let waited: std::collections::BTreeSet<String> =
            tasks.filter(|rule| rule == "R11-24h" || rule == "awaiting_original").collect();
        waited.into_iter().collect()
    };
    let moved = replay.pass_time(at("2026-05-23T12:00:00Z")).unwrap();
    let said = moved.decisions.iter().flat_map(|decision| &decision.notes).any(|note| note.ends_with("clocks: 2."));
    assert!(said, "{:?}", moved.decisions);
    assert!(ran_out(&replay.pass_time(at("2026-05-26T15:59:59Z")).unwrap()).is_empty(), "not on the bank holiday");
    assert_eq!(ran_out(&replay.pass_time(at("2026-05-26T16:00:00Z")).unwrap()), ["R11-24h", "awaiting_original"]);
    assert!(ran_out(&replay.pass_time(at("2026-06-26T16:00:00Z")).unwrap()).is_empty(), "once");
}

#[test]
fn the_same_calendar_moves_nothing() {
    let (first, second) = (book("2012-01-01T00:00:00Z", &[]), book("2026-05-20T12:00:00Z", &[]));
    let mut replay = Replay::new(RuleBooks::new(vec![first, second]), ReplayOptions::default());
    let detail = json!({ "gcp2_grade": 5 });
    assert!(!submit(&mut replay, "neglect.assessed", "2026-05-20T09:00:00Z", &detail).tasks.is_empty());
    let passed = replay.pass_time(at("2026-05-20T12:30:00Z")).unwrap();
    assert!(passed.tasks.is_empty() && passed.decisions.is_empty());
}

/// An event by its id and source, as `submit` sends one.
fn send(replay: &mut Replay, id: &str, source: &str, kind: &str, time: &str, detail: &serde_json::Value) {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-0000000000{id}"), "source": source,
        "type": kind, "time": time,
        "data": {
            "practitioner": { "role": "worker", "call_back": "101" },
            "child": { "nhs_number": "9990000018" }, "detail": detail,
        }
    });
    replay.submit(&cloud_event::read(&json).unwrap().event, at(time)).unwrap();
}

#[test]
fn what_is_open_again_is_chased_from_then_whatever_a_corrected_calendar_moves() {
    let before = book("2012-01-01T00:00:00Z", &[]);
    let school = "urn    = \"999001\"\n";
    let corrected = book("2026-05-15T21:00:00Z", &[(school, "urn    = \"999001\"\nclosed = [\"2026-05-13\"]\n")]);
    let mut replay = Replay::new(RuleBooks::new(vec![before, corrected]), ReplayOptions::default());
    let first = submit(&mut replay, "missing.started", "2026-05-12T11:30:00Z", &json!({ "grade": "low" }));
    assert!(told(&first.tasks).contains(&("school".to_owned(), "Wednesday 13 May 2026 08:30".to_owned())));
    let closed = json!({ "decision": "closed", "decided_by": "A. Worker", "decided_by_role": "team manager" });
    send(&mut replay, "02", "social-care/checs", "decision.recorded", "2026-05-12T11:40:00Z", &closed);
    let taken_back = json!({ "original_event_id": "00000000-0000-4000-8000-000000000002" });
    send(&mut replay, "03", "social-care/checs", "event.withdrawn", "2026-05-15T20:00:00Z", &taken_back);
    let chased = |results: &Results| {
        let of_school = results.tasks.iter().filter(|task| task.agency == "school");
        of_school.flat_map(|task| &task.reasons).filter(|reason| reason.rule == "R40").count()
    };
    let moved = replay.pass_time(at("2026-05-15T21:00:00Z")).unwrap();
    assert!(told(&moved.tasks).iter().any(|(agency, _)| agency == "school"), "its deadline has moved: {moved:?}");
    assert_eq!(chased(&replay.pass_time(at("2026-05-19T15:59:59Z")).unwrap()), 0, "it can answer since Monday");
    assert_eq!(chased(&replay.pass_time(at("2026-05-19T16:00:00Z")).unwrap()), 1, "a working day later");
}
