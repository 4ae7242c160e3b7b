//! What scenarios of a deadline are written in: a router that is told the hour, what is said to it, and what a person would count out
//! beside it.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

pub const HOUR: i64 = 3_600_000;
/// Monday 8 June 2026, 10:00 BST.
pub const START: i64 = 1_780_909_200_000;

/// So many scripts of one seed, so that no change fails by chance; or of any seed as many as this variable asks for, to look for more.
pub fn runner(variable: &str, cases: u32) -> TestRunner {
    let asked: Option<u32> = std::env::var(variable).ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(cases)) };
    match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

pub fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub fn written(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap().to_string()
}

/// What a made-up worker answers to a task.
pub fn outcome(number: usize, task: &Task, kind: OutcomeKind, at: i64) -> Outcome {
    Outcome {
        outcome_id: format!("00000000-0000-4000-9000-{number:012}"),
        reply_to: task.reply_to.clone(),
        outcome: kind,
        by_name: "A. Worker".to_owned(),
        by_role: "worker".to_owned(),
        at: Timestamp(at),
        reason: Some("A reason.".to_owned()),
        result: None,
    }
}

pub fn is_by(task: &Task, rule: &str) -> bool {
    task.reasons.iter().any(|reason| reason.rule == rule)
}

/// Whether it is a word about this task.
pub fn is_about(word: &Task, task: &Task) -> bool {
    word.follows.iter().chain(word.follows_also.iter().flatten()).any(|followed| *followed == task.task_id)
}

/// What an event about the child of a script holds: made up, and always the same child.
pub fn of_bea(detail: &Value) -> Value {
    let child = json!({
        "given_names": "Bea", "family_name": "Example", "date_of_birth": "2012-03-04", "nhs_number": "9990000026"
    });
    json!({ "child": child, "detail": detail })
}

/// The detail of what a named person decides.
pub fn decided(decision: &Value) -> Value {
    let mut detail = json!({ "decided_by": "A. Worker", "decided_by_role": "team manager" });
    detail.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
    detail
}

/// A router that is told everything at an hour from the start.
pub struct Router {
    replay: Replay,
    said: usize,
}

impl Router {
    pub fn new(book: &RuleBook) -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
        Self { replay: Replay::new(books, ReplayOptions::default()), said: 0 }
    }

    /// `data`: what the event holds beside who sends it. Returns the event's number, too.
    pub fn event(&mut self, hour: i64, (source, kind): (&str, &str), data: Value) -> (usize, Results) {
        self.said += 1;
        let at = START + hour * HOUR;
        let mut json = json!({
            "specversion": "1.0", "id": id(self.said), "source": source, "type": kind, "time": written(at), "data": data,
        });
        json["data"]["practitioner"] = json!({ "role": "worker", "call_back": "101" });
        let event = cloud_event::read(&json).unwrap().event;
        (self.said, sound(self.replay.submit(&event, Timestamp(at)).unwrap()))
    }

    pub fn answer(&mut self, hour: i64, task: &Task, kind: OutcomeKind) -> Results {
        self.said += 1;
        let at = START + hour * HOUR;
        let outcome = outcome(self.said, task, kind, at);
        sound(self.replay.answer(&task.agency, task.unit.as_deref(), &outcome, Timestamp(at)).unwrap())
    }

    pub fn pass(&mut self, hour: i64) -> Results {
        sound(self.replay.pass_time(Timestamp(START + hour * HOUR)).unwrap())
    }
}

fn sound(results: Results) -> Results {
    assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{results:?}");
    results
}

/// What a person would count out of a script: whether something is owed, and when whoever is above is to be told, once.
pub struct Expected {
    due: i64,
    pub hour: i64,
    /// The first time from the deadline on that it is owed.
    pub told: Option<i64>,
    pub owed: bool,
    pub since: i64,
}

impl Expected {
    /// Owed from the start, and due at an hour from there.
    pub fn new(due: i64, begins: i64) -> Self {
        Self { due, hour: begins, told: None, owed: true, since: 0 }
    }

    /// So many hours go by, or one more where that would be the deadline's own. Returns the hour.
    pub fn pass(&mut self, hours: i64) -> i64 {
        let before = self.hour;
        self.hour += hours + i64::from(self.hour + hours == self.due);
        if (before..self.hour).contains(&self.due) && self.owed {
            self.told = self.told.or(Some(self.due));
        }
        self.hour
    }

    /// Whether it is owed by what was said until now.
    pub fn is_owed(&mut self, owed: bool) {
        if self.owed != owed {
            (self.owed, self.since) = (owed, self.hour);
        }
        if self.hour > self.due && owed {
            self.told = self.told.or(Some(self.hour));
        }
    }

    /// Nothing more is said.
    pub fn end(&mut self) {
        if self.hour < self.due && self.owed {
            self.told = self.told.or(Some(self.due));
        }
    }
}
