//! Who is asked what of a child once nothing more is said, and for what of it they are chased: what two runs of records are compared by.

use std::collections::{BTreeMap, BTreeSet};

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::history::is_open;
use pathway_router::engine::model::history::{HeldTask, History};
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::{Value, json};

use crate::kit::{START, id, is_by, written};

pub const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Once nothing more is said, so long goes by: every clock runs out, and every rung is told.
const AFTER: i64 = 21 * DAY;

/// Who is asked what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked {
    pub action: String,
    agency: String,
    /// Where the agency has many.
    unit: Option<String>,
    role: Option<String>,
    in_place_of: Option<String>,
}

/// Whether whoever was asked is chased for an answer once nothing more is said, or has been through their whole ladder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Chased {
    Not,
    Before,
    Since,
}

/// Whom no ladder asks more often.
const RUNGS: i32 = 3;

pub struct Run {
    pub replay: Replay,
    has_many_units: BTreeSet<String>,
    front_door: String,
    /// Whom the router chased for an answer since nothing more is said.
    chased: BTreeSet<String>,
    /// What was said in each step, and whom it asked what: to be read where a run fails.
    pub log: Vec<String>,
}

impl Run {
    pub fn new(book: &RuleBook) -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
        let many = book.agencies.keys().filter(|agency| book.has_many_units(agency)).cloned().collect();
        let replay = Replay::new(books, ReplayOptions::default());
        Self {
            replay,
            has_many_units: many,
            front_door: book.front_door.clone(),
            chased: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    pub fn say(&mut self, number: usize, at: i64, from: (&str, &str), mut data: Value) -> Results {
        let (source, kind) = from;
        data["practitioner"] = json!({ "role": "worker", "call_back": "101" });
        let detail = data["detail"].clone();
        let json = json!({
            "specversion": "1.0", "id": id(number), "source": source, "type": kind, "time": written(at), "data": data,
        });
        let event = cloud_event::read(&json).unwrap().event;
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(&format!("{number} {kind} {detail}"), at, &results);
        results
    }

    fn take(&mut self, step: &str, at: i64, results: &Results) {
        assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{results:?}");
        self.log.push(format!("{:>6} min: {step}", (at - START) / MINUTE));
        for task in &results.tasks {
            let rules: Vec<&str> = task.reasons.iter().map(|reason| reason.rule.as_str()).collect();
            let unit = task.unit.as_deref().unwrap_or("");
            self.log.push(format!("            -> {} {unit}: {} {rules:?}", task.agency, task.action));
        }
    }

    pub fn end(&mut self, at: i64) {
        let results = self.replay.pass_time(Timestamp(at + AFTER)).unwrap();
        for rung in results.tasks.iter().filter(|task| is_by(task, "R40") || is_by(task, "R40-overdue")) {
            self.chased.extend(rung.follows.iter().chain(rung.follows_also.iter().flatten()).cloned());
        }
        self.take("nothing more", at, &results);
    }

    fn asked(&self, of: &HeldTask) -> Asked {
        let unit = of.unit.clone().filter(|_| self.has_many_units.contains(&of.agency));
        let (agency, action) = (of.agency.clone(), of.action.clone());
        Asked { action, agency, unit, role: of.role.clone(), in_place_of: of.in_place_of.clone() }
    }

    /// What is asked still. `keyed_by`: of the record that is known by this identifier alone.
    pub fn open(&self, keyed_by: Option<&str>, counts: impl Fn(&HeldTask) -> bool) -> BTreeMap<Asked, Chased> {
        let mut open = BTreeMap::new();
        let is_of = |history: &&History| keyed_by.is_none() || history.keyed_by.as_deref() == keyed_by;
        for task in self.replay.histories().filter(is_of).flat_map(|history| &history.tasks) {
            if is_open(&task.state) && task.chases.is_none() && counts(task) {
                let chased = match task.rungs {
                    _ if self.chased.contains(&task.task_id) => Chased::Since,
                    Some(rungs) if rungs >= RUNGS => Chased::Before,
                    _ => Chased::Not,
                };
                let most = open.entry(self.asked(task)).or_insert(chased);
                *most = (*most).max(chased);
            }
        }
        open
    }

    /// Whether that is asked, of them or of the front door in their place: what a withdrawal or a clock asks names no child.
    pub fn found(&self, asked: &BTreeMap<Asked, Chased>, what: &Asked) -> Option<Chased> {
        let stands_in = |one: &Asked| one.agency == self.front_door && one.in_place_of.is_some();
        let is_it = |one: &Asked| one == what || (one.action == what.action && stands_in(one));
        asked.iter().filter(|(one, _)| is_it(one)).map(|(_, chased)| *chased).max()
    }
}

/// A rule of the book, not of the router itself.
pub fn is_of_book(task: &HeldTask) -> bool {
    task.rules.iter().any(|rule| rule.starts_with(|first: char| first.is_ascii_uppercase()))
}
