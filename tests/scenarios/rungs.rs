//! No rung of a ladder is lost and none told twice: late ticks, corrected calendars, first receipts and restarts in any order,
//! beside a slow, obvious model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::scalar::{Level, Timestamp};
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::{self, RuleBook};
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::*;
use serde_json::json;

use crate::files::{shipped, sources};
use crate::kit::outcome;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Thursday 30 April 2026, 10:00 BST: the bank holiday of 4 May lies ahead.
const START: i64 = 1_777_539_600_000;
/// What asks for no answer, and so is chased by nobody.
const WORDS: [&str; 5] = ["calendar", "first-receipt", "answer-refused", "R40", "R40-overdue"];
const CHILD: &str = "9990000018";
const WRONG_CHILD: &str = "9990000425";

/// The bank holidays of a calendar by which a router may come back.
fn holidays(calendar: usize) -> Vec<Date> {
    let shipped = [date(2026, 5, 4), date(2026, 5, 25)];
    match calendar {
        0 => shipped.to_vec(),
        1 => shipped[1..].to_vec(),
        _ => vec![date(2026, 5, 4), date(2026, 5, 6), date(2026, 5, 25)],
    }
}

fn read(calendar: usize) -> RuleBook {
    let mut files = sources(&shipped());
    let file = files.iter_mut().find(|file| file.name == "calendar.toml").unwrap();
    let written = ["\"2026-05-04\", ", "", "\"2026-05-04\", \"2026-05-06\", "][calendar];
    file.text = file.text.replacen("\"2026-05-04\", ", written, 1);
    rules::load(&files).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn books(calendar: usize) -> RuleBooks {
    static READ: LazyLock<[RuleBook; 3]> = LazyLock::new(|| [0, 1, 2].map(read));
    RuleBooks::new(vec![PreparedBook::new(READ[calendar].clone())])
}

/// 17:00 London time so many working days later, counted on the fingers.
fn working_days_after(from: i64, days: usize, holidays: &[Date]) -> i64 {
    let london = TimeZone::get("Europe/London").unwrap();
    let mut day = london.to_datetime(jiff::Timestamp::from_millisecond(from).unwrap()).date();
    let mut left = days;
    while left > 0 {
        day = day.tomorrow().unwrap();
        let free = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) || holidays.contains(&day);
        left -= usize::from(!free);
    }
    london.to_ambiguous_timestamp(day.at(17, 0, 0, 0)).compatible().unwrap().as_millisecond()
}

/// When each rung is told by a calendar, as domain.md has them: 1, 2, 3 and 5 working days; hourly at level 4b.
fn rungs(task: &Task, holidays: &[Date]) -> Vec<i64> {
    let raised = task.raised_at.0;
    match task.level {
        Some(Level::L4b) => (1..=4).map(|hours| raised + hours * HOUR).collect(),
        _ => {
            let mut by_ladder = [1, 2, 3, 5].map(|days| working_days_after(raised, days, holidays)).to_vec();
            by_ladder[0] = by_ladder[0].min(past_its_hours(task).unwrap_or(i64::MAX));
            by_ladder[1] = by_ladder[1].min(still_silent(task).unwrap_or(i64::MAX));
            by_ladder
        }
    }
}

/// When a task that runs by the hour is past its clock; one that was past it when it was raised has its eight hours once more.
pub fn past_its_hours(task: &Task) -> Option<i64> {
    let (raised, due) = (task.raised_at.0, task.due_at.0);
    let runs_by_the_hour = task.level != Some(Level::L4b) && task.due_reason.contains(" hour");
    runs_by_the_hour.then_some(if due > raised { due } else { raised + 8 * HOUR })
}

/// An hour after that the manager of whoever is always on duty hears, where they had four hours at most.
pub fn still_silent(task: &Task) -> Option<i64> {
    let within_a_shift = (1..=4 * HOUR).contains(&(task.due_at.0 - task.raised_at.0)) && task.agency == "social-care";
    past_its_hours(task).filter(|_| within_a_shift).map(|past| past + HOUR)
}

/// What happens next, in the test's own terms.
#[derive(Clone, Debug)]
enum Happening {
    Concern(&'static str),
    /// Sent under the wrong child at first, and so much earlier, and taken back only after so many minutes.
    SentBefore {
        earlier: i64,
        taken_back_after: i64,
    },
    /// By the number of the task among all raised so far.
    Acknowledged(usize),
    Tick,
    Restart(usize),
}

fn script() -> impl Strategy<Value = Vec<(i64, Happening)>> {
    let concern = prop::sample::select(vec!["L1", "L2", "L4a", "L4b"]).prop_map(Happening::Concern);
    let sent_before = (1..4_000_i64, 1..3_000_i64)
        .prop_map(|(earlier, taken_back_after)| Happening::SentBefore { earlier, taken_back_after });
    let what = prop_oneof![
        3 => concern,
        1 => sent_before,
        2 => (0..40_usize).prop_map(Happening::Acknowledged),
        3 => Just(Happening::Tick),
        3 => (0..3_usize).prop_map(Happening::Restart),
    ];
    let minutes = prop_oneof![1..90_i64, 60..1_000_i64, 1_000..6_000_i64];
    prop::collection::vec((minutes, what), 2..14)
}

/// A task as a person would follow it: how many of its rungs have been told.
struct Followed {
    task: Task,
    waits: bool,
    told: usize,
}

struct Run {
    replay: Replay,
    calendar: usize,
    followed: Vec<Followed>,
    /// Of each task, its chases: when, to which role, and what was asked.
    chased: BTreeMap<String, Vec<(i64, Option<String>, String)>>,
    /// Tasks of which it was said that a corrected calendar moves them.
    moved: Vec<String>,
    /// How often the router came back with another calendar.
    corrected: usize,
    number: usize,
    at: i64,
}

impl Run {
    fn new() -> Self {
        let replay = Replay::new(books(0), ReplayOptions::default());
        let (followed, chased, moved) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { replay, calendar: 0, followed, chased, moved, corrected: 0, number: 0, at: START }
    }

    fn take(&mut self, results: Results) {
        assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{results:?}");
        for task in results.tasks.into_iter().filter(|task| task.kind.is_none()) {
            let is_by = |rule: &str| task.reasons.iter().any(|reason| reason.rule == rule);
            if is_by("R40") {
                for chased in task.follows.iter().chain(task.follows_also.iter().flatten()) {
                    let rung = (task.raised_at.0, task.role.clone(), task.action.clone());
                    let told = self.chased.entry(chased.clone()).or_default();
                    // At night the last is told to whoever is on duty, too: one rung, at one instant.
                    if told.last().is_none_or(|(at, _, action)| (*at, action) != (rung.0, &rung.2)) {
                        told.push(rung);
                    }
                }
            } else if is_by("calendar") {
                self.moved.push(task.follows.clone().unwrap());
            } else if !WORDS.iter().any(|word| is_by(word)) {
                self.followed.push(Followed { task, waits: true, told: 0 });
            }
        }
    }

    fn event(&mut self, nhs_number: &str, kind: &str, occurred_at: i64, detail: &serde_json::Value) -> ReferralEvent {
        self.number += 1;
        let json = json!({
            "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{:012}", self.number),
            "source": "voluntary/drop-in", "type": kind,
            "time": jiff::Timestamp::from_millisecond(occurred_at).unwrap().to_string(),
            "data": {
                "practitioner": { "role": "worker", "call_back": "101" },
                "child": { "nhs_number": nhs_number, "date_of_birth": "2013-01-02" },
                "detail": detail,
            }
        });
        cloud_event::read(&json).unwrap().event
    }

    fn receive(&mut self, event: &ReferralEvent) {
        let results = self.replay.submit_between_ticks(event, Timestamp(self.at)).unwrap();
        self.take(results);
    }

    fn sent_before(&mut self, earlier: i64, taken_back_after: i64) {
        let detail = json!({ "concern": "housing", "proposed_level": "L4a" });
        let occurred_at = self.at;
        let wrong = self.event(WRONG_CHILD, "concern.reported", occurred_at, &detail);
        self.receive(&wrong);
        self.wait(earlier);
        let right = self.event(CHILD, "concern.reported", occurred_at, &detail);
        self.receive(&right);
        self.wait(taken_back_after);
        let detail = json!({ "original_event_id": wrong.event_id, "right_child": { "nhs_number": CHILD } });
        let withdrawal = self.event(WRONG_CHILD, "event.withdrawn", self.at, &detail);
        let results = self.replay.submit_between_ticks(&withdrawal, Timestamp(self.at)).unwrap();
        // What was about the wrong child is recalled, and waits no more.
        let recalled: BTreeSet<String> = results
            .decisions
            .iter()
            .flat_map(|decision| &decision.task_changes)
            .filter(|change| change.state == "recalled")
            .map(|change| change.task_id.clone())
            .collect();
        for followed in self.followed.iter_mut().filter(|followed| recalled.contains(&followed.task.task_id)) {
            followed.waits = false;
        }
        self.take(results);
    }

    fn acknowledge(&mut self, task: usize) {
        let count = self.followed.len();
        let Some(followed) = self.followed.get_mut(task % count.max(1)) else { return };
        followed.waits = false;
        let task = followed.task.clone();
        self.number += 1;
        let outcome = outcome(self.number, &task, OutcomeKind::Acknowledged, self.at);
        let unit = task.unit.as_deref();
        let results = self.replay.answer_between_ticks(&task.agency, unit, &outcome, Timestamp(self.at)).unwrap();
        self.take(results);
    }

    fn wait(&mut self, minutes: i64) {
        self.at += minutes * MINUTE;
    }

    /// Ticks a second apart, until there is nothing left that is due: a person tells each rung whose time has come.
    fn tick(&mut self) {
        for _ in 0..8 {
            self.at += 1_000;
            let results = self.replay.tick(Timestamp(self.at)).unwrap();
            self.take(results);
        }
        let holidays = holidays(self.calendar);
        for followed in self.followed.iter_mut().filter(|followed| followed.waits) {
            let come = rungs(&followed.task, &holidays).into_iter().filter(|rung| *rung <= self.at).count();
            followed.told = followed.told.max(come);
        }
        self.check();
    }

    fn restart(&mut self, calendar: usize) {
        self.corrected += usize::from(calendar != self.calendar);
        self.calendar = calendar;
        self.replay.restart_with(books(calendar), same);
    }

    fn check(&self) {
        for task in &self.moved {
            let words = self.moved.iter().filter(|other| *other == task).count();
            assert!(words <= self.corrected, "{words} words of one deadline, {} corrections", self.corrected);
        }
        for followed in &self.followed {
            let chased = self.chased.get(&followed.task.task_id).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(chased.len(), followed.told, "\"{}\" at {}: {chased:?}", followed.task.action, self.at);
            let once: BTreeSet<_> = chased.iter().map(|(_, role, action)| (role, action)).collect();
            assert_eq!(once.len(), chased.len(), "\"{}\": two were told of one rung: {chased:?}", followed.task.action);
        }
    }
}

fn same(history: &History) -> History {
    codec::decode(&codec::encode(history).unwrap()).unwrap()
}

#[test]
fn each_open_task_is_chased_once_for_each_rung_whatever_ticks_and_calendars_do() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(120));
    runner
        .run(&script(), |script| {
            let mut run = Run::new();
            for (minutes, what) in script {
                run.wait(minutes);
                match what {
                    Happening::Concern(level) => {
                        let detail = json!({ "concern": "other", "proposed_level": level });
                        let event = run.event(CHILD, "concern.reported", run.at, &detail);
                        run.receive(&event);
                    }
                    Happening::SentBefore { earlier, taken_back_after } => run.sent_before(earlier, taken_back_after),
                    Happening::Acknowledged(task) => run.acknowledge(task),
                    Happening::Tick => run.tick(),
                    Happening::Restart(calendar) => run.restart(calendar),
                }
            }
            run.tick();
            run.wait(40 * DAY / MINUTE);
            run.tick();
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_task_that_is_overdue_by_its_first_receipt_is_not_moved_by_the_same_calendar() {
    let mut run = Run::new();
    run.sent_before(3 * DAY / MINUTE, DAY / MINUTE);
    run.tick();
    let told = run.chased.clone();
    run.restart(0);
    run.tick();
    assert!(run.moved.is_empty(), "the calendar was not corrected, and yet it was said to be");
    assert_eq!(run.chased, told, "nobody was due to be chased");
}
