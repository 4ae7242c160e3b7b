//! Whom a task tells its reader to ring first, and whom not to ring back: said where it holds, and nowhere else.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::replay::{Replay, ReplayOptions};
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Said to whoever decides, and to all others.
const OF_THE_SUSPECT: &str = "The sender is of the suspect's own agency: do not ring them back";
const NOT_TO_BE_RUNG: &str = "Do not ring the sender back";
const NOT_TO_BE_RUNG_SINCE: &str = "Do not ring back who reported";
const RING_FIRST: &str = "Ring the front door before you speak to other services";
const FOR_YOU_ALONE: &str = "For you alone, on purpose";
const HELD_BACK: &str = "A route is held back from this child";

/// One child, to whom things happen an hour apart.
struct Told {
    replay: Replay,
    at: Timestamp,
    events: u32,
}

impl Told {
    fn new() -> Self {
        let replay = Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default());
        // Tuesday 9 June 2026, 10:00 in London.
        Self { replay, at: Timestamp(1_780_995_600_000), events: 0 }
    }

    /// What an event brings, and the id it came under.
    fn of(&mut self, source: &str, kind: &str, more: Value) -> (Vec<Task>, String) {
        self.events += 1;
        self.at = self.at.plus_millis(60 * 60 * 1000);
        let id = format!("00000000-0000-4000-8000-{:012}", self.events);
        let mut data = json!({
            "practitioner": { "role": "worker", "call_back": "101" },
            "child": {
                "nhs_number": "9990000018", "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-03-04",
                "school_urn": "999001", "gp_ods": "N81001", "locality": "crewe",
            },
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({
            "specversion": "1.0", "id": id, "source": source, "type": kind, "time": "2026-06-09T09:00:00Z", "data": data,
        });
        let event = cloud_event::read(&event).unwrap().event;
        (self.replay.submit(&event, self.at).unwrap().tasks, id)
    }

    fn accused(&mut self, agency: &str, unit: &str) -> Vec<Task> {
        let unit = Some(unit).filter(|unit| !unit.is_empty());
        let detail = json!({ "employer": "X", "role": "worker", "employer_agency": agency, "employer_unit": unit });
        self.of("gp/N81001", "position_of_trust.alleged", json!({ "detail": detail })).0
    }

    fn missing(&mut self, source: &str, grade: &str) -> Vec<Task> {
        self.of(source, "missing.started", json!({ "detail": { "grade": grade, "episode_ref": "E1" } })).0
    }

    /// A return that its sender takes back.
    fn return_withdrawn(&mut self, source: &str) -> Vec<Task> {
        let detail = json!({ "ended_at": "2026-06-09T12:30:00Z", "episode_ref": "E1", "harm_disclosed": false });
        let (_, back) = self.of(source, "missing.ended", json!({ "detail": detail }));
        self.of(source, "event.withdrawn", json!({ "detail": { "original_event_id": back, "reason": "wrong child" } }))
            .0
    }
}

fn says(task: &Task, words: &str) -> bool {
    task.notes.iter().any(|note| note.starts_with(words))
}

fn count(task: &Task, words: &str) -> usize {
    task.notes.iter().filter(|note| note.starts_with(words)).count()
}

#[test]
fn nobody_rings_back_the_suspects_own_home_that_withdraws_and_everybody_rings_others() {
    for (accused, rung) in [("care-home", false), ("leighton-hospital", true)] {
        let mut told = Told::new();
        told.accused(accused, "oak");
        told.missing("police/force-control", "medium");
        let tasks = told.return_withdrawn("care-home/oak");
        assert!(tasks.len() >= 4, "{tasks:#?}");
        for task in &tasks {
            let told = count(task, OF_THE_SUSPECT) + count(task, NOT_TO_BE_RUNG);
            assert_eq!(told, usize::from(!rung), "{}: {:?}", task.agency, task.notes);
        }
        let searching = tasks.iter().filter(|task| task.action.starts_with("The return was withdrawn"));
        for why in searching.flat_map(|task| &task.reasons).map(|reason| &reason.why) {
            assert_eq!(why.contains("Ask who withdrew the return"), rung, "{why}");
            assert_eq!(why.contains("care-home, oak, on 101"), rung, "{why}");
        }
    }
}

#[test]
fn whoever_is_told_to_ring_first_is_answered_by_one_task_of_the_front_door() {
    let mut told = Told::new();
    told.accused("school", "999001");
    let tasks = told.missing("police/force-control", "high");
    let (front_door, others): (Vec<&Task>, Vec<&Task>) = tasks.iter().partition(|task| task.agency == "social-care");
    assert!(!others.is_empty() && others.iter().all(|task| says(task, RING_FIRST)), "{others:#?}");
    assert_eq!(front_door.iter().map(|task| count(task, HELD_BACK)).sum::<usize>(), 1, "{front_door:#?}");
    assert!(!others.iter().any(|task| says(task, HELD_BACK)), "it is nobody else's to read");
}

#[test]
fn of_an_agency_that_nobody_meets_by_this_nobody_is_told_to_ring_first() {
    for (agency, is_met) in [("probation", false), ("school", true)] {
        let mut told = Told::new();
        let detail = json!({ "setting": "a_and_e", "overdose": true, "multi_agency_plan": true });
        let wish = json!([{ "agency": agency, "reason": "An uncle works there." }]);
        let (tasks, _) =
            told.of("leighton-hospital/ed", "self_harm.reported", json!({ "detail": detail, "do_not_inform": wish }));
        let camhs = tasks.iter().find(|task| task.agency == "camhs").unwrap();
        assert_eq!(says(camhs, RING_FIRST), is_met, "{agency}: {:?}", camhs.notes);
        assert!(!tasks.iter().any(|task| says(task, HELD_BACK)), "it is asked about, or nobody is told to ring");
    }
}

#[test]
fn the_senior_of_an_accused_agency_reads_one_line_of_whom_to_ring() {
    let mut told = Told::new();
    told.accused("police", "");
    let tasks = told.missing("care-home/oak", "high");
    let seniors: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.agency == "police" && task.role.as_deref() == Some("head-of-service"))
        .collect();
    assert!(!seniors.is_empty(), "{tasks:#?}");
    for task in seniors {
        assert!(says(task, FOR_YOU_ALONE) && !says(task, RING_FIRST), "{:?}", task.notes);
    }
}

#[test]
fn whose_route_is_shut_is_read_by_whoever_decides_alone() {
    let overdose = json!({ "detail": { "setting": "school", "overdose": true, "multi_agency_plan": true } });
    for (accused, unit, sender, decides) in
        [("school", "999001", "school/999001", "social-care"), ("social-care", "", "social-care/checs", "lado")]
    {
        let mut told = Told::new();
        told.accused(accused, unit);
        let (mut tasks, _) = told.of(sender, "self_harm.reported", overdose.clone());
        tasks.extend(told.missing(sender, "high"));
        assert!(tasks.iter().any(|task| count(task, NOT_TO_BE_RUNG) == 1), "{tasks:#?}");
        for task in &tasks {
            let reads_why = says(task, OF_THE_SUSPECT);
            assert!(!reads_why || task.agency == decides, "{}: {:?}", task.agency, task.notes);
            assert!(!(reads_why && says(task, NOT_TO_BE_RUNG)), "{}: {:?}", task.agency, task.notes);
        }
    }
}

#[test]
fn whoever_was_asked_before_the_suspect_was_told_of_hears_not_to_ring_and_not_why() {
    let mut told = Told::new();
    let overdose = json!({ "detail": { "setting": "school", "overdose": true, "multi_agency_plan": true } });
    told.of("school/999001", "self_harm.reported", overdose);
    let tasks = told.accused("school", "999001");
    let since: Vec<&Task> = tasks.iter().filter(|task| task.action.starts_with(NOT_TO_BE_RUNG_SINCE)).collect();
    assert!(since.len() >= 2, "{since:#?}");
    for task in since {
        let why: Vec<&String> = task.reasons.iter().flat_map(|reason| [&reason.title, &reason.why]).collect();
        let reads_why = why.iter().any(|words| words.contains("accused") || words.contains("suspect"));
        assert_eq!(reads_why, task.agency == "social-care", "{}: {why:?}", task.agency);
    }
}
