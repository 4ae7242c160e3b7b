//! The life of tasks beside a slow, obvious model: whatever agencies answer, in any order, and however often the router is
//! restarted, exactly those rungs are told that a person would count out.

use std::collections::{BTreeMap, BTreeSet};

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
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::*;
use serde_json::json;

use crate::files::{book, shipped};
use crate::kit::outcome;
use crate::rungs::{past_its_hours, still_silent};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Thursday 2 April 2026, 10:00 BST: Easter, and every other bank holiday of the year, lie ahead.
const START: i64 = 1_775_120_400_000;

/// What happens next, in the test's own terms.
#[derive(Clone, Debug)]
enum Happening {
    Concern(&'static str),
    /// By the number of the task among all raised so far.
    Answer(usize, OutcomeKind),
    Decision(&'static str),
}

#[derive(Clone, Debug)]
struct Timed {
    /// After the one before.
    minutes: i64,
    what: Happening,
}

fn script() -> impl Strategy<Value = Vec<Timed>> {
    use OutcomeKind::{Accepted, Acknowledged, Challenged, Completed, Declined};
    let concern = prop::sample::select(vec!["L1", "L2", "L4a", "L4b"]).prop_map(Happening::Concern);
    let kinds = prop::sample::select(vec![Acknowledged, Acknowledged, Accepted, Declined, Completed, Challenged]);
    let answer = (0..40_usize, kinds).prop_map(|(task, kind)| Happening::Answer(task, kind));
    let decision =
        prop::sample::select(vec!["closed", "level_confirmed", "strategy_held"]).prop_map(Happening::Decision);
    let what = prop_oneof![3 => concern, 6 => answer, 1 => decision];
    let minutes = prop_oneof![1..90_i64, 60..1_000_i64, 1_000..6_000_i64];
    prop::collection::vec((minutes, what).prop_map(|(minutes, what)| Timed { minutes, what }), 2..16)
}

/// What is told and chased by nobody: that a task was not completed in time, that a case is closed.
const NOT_CHASED: [&str; 2] = ["R40-overdue", "case-closed"];

/// What any of the decisions of a script settles.
const SETTLED: [&str; 2] = [
    "Decide what happens next and record it",
    "Hold a strategy discussion: social care, the police and health together",
];

/// A task as a person would follow it.
struct Followed {
    task: Task,
    state: &'static str,
    since: i64,
    /// A person has decided since it was challenged.
    settled: bool,
    /// Rungs that are still to be told, each with its time.
    ahead: Vec<(usize, i64)>,
}

/// 17:00 London time so many working days later, counted on the fingers.
fn working_days_after(from: i64, days: usize) -> i64 {
    let london = TimeZone::get("Europe/London").unwrap();
    let holidays = [date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 4), date(2026, 5, 25), date(2026, 8, 31)];
    let mut day: Date = london.to_datetime(jiff::Timestamp::from_millisecond(from).unwrap()).date();
    let mut left = days;
    while left > 0 {
        day = day.tomorrow().unwrap();
        let free = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) || holidays.contains(&day);
        left -= usize::from(!free);
    }
    let close = london.to_ambiguous_timestamp(day.at(17, 0, 0, 0)).compatible().unwrap();
    close.as_millisecond()
}

/// The rungs from `first` on, as domain.md has them: 1, 2, 3 and 5 working days; hourly at level 4b.
fn rungs(level: Option<Level>, from: i64, first: usize) -> Vec<(usize, i64)> {
    let at = |rung: usize| match level {
        Some(Level::L4b) => from + i64::try_from(rung + 1).unwrap() * HOUR,
        _ => working_days_after(from, [1, 2, 3, 5][rung]),
    };
    (first..4).map(|rung| (rung, at(rung))).collect()
}

impl Followed {
    fn new(task: Task) -> Self {
        let mut ahead = rungs(task.level, task.raised_at.0, 0);
        ahead[0].1 = ahead[0].1.min(past_its_hours(&task).unwrap_or(i64::MAX));
        ahead[1].1 = ahead[1].1.min(still_silent(&task).unwrap_or(i64::MAX));
        if let Some(by) = task.acknowledge_by {
            // To be acknowledged by then: the first is told then, and the others run from it.
            let later = rungs(task.level, by.0, 0).into_iter().map(|(rung, at)| (rung + 1, at));
            ahead = std::iter::once((0, by.0)).chain(later).take(4).collect();
        }
        Self { since: task.raised_at.0, task, state: "raised", settled: false, ahead }
    }

    /// What an answer makes of it; false: it does not fit, and nothing changes.
    fn answered(&mut self, kind: OutcomeKind, at: i64) -> bool {
        let (allowed, next): (&[&str], _) = match kind {
            OutcomeKind::Acknowledged => (&["raised"], "acknowledged"),
            OutcomeKind::Accepted => (&["raised", "acknowledged", "challenged"], "accepted"),
            OutcomeKind::Declined => (&["raised", "acknowledged"], "declined"),
            OutcomeKind::Completed => (&["raised", "acknowledged", "accepted", "challenged"], "completed"),
            _ => (&["raised", "acknowledged", "accepted", "declined", "completed", "challenged"], "challenged"),
        };
        let too_late =
            kind == OutcomeKind::Challenged && self.state == "completed" && at > self.since + 28 * 86_400_000;
        if too_late || !allowed.contains(&self.state) {
            return false;
        }
        if (self.state, next) == ("challenged", "challenged") && !self.settled {
            // Heard, and put to whoever decides; the ladder goes on from where it is.
            return true;
        }
        (self.state, self.since, self.settled) = (next, at, false);
        self.ahead = if next == "challenged" { rungs(self.task.level, at, 1) } else { Vec::new() };
        true
    }
}

struct Run {
    replay: Replay,
    followed: Vec<Followed>,
    by_id: BTreeMap<String, usize>,
    /// Task and rung told, as counted out and as the router told them.
    expected: Vec<(String, i64)>,
    told: Vec<(String, i64)>,
    notes: usize,
    expected_notes: usize,
}

/// What a made-up sender says of one made-up child.
pub fn event(number: usize, source: &str, kind: &str, detail: &serde_json::Value, at: i64) -> ReferralEvent {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{number:012}"),
        "source": source, "type": kind, "time": jiff::Timestamp::from_millisecond(at).unwrap().to_string(),
        "data": {
            "practitioner": { "role": "worker", "call_back": "101" },
            "child": { "nhs_number": "9990000018", "date_of_birth": "2013-01-02" },
            "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

impl Run {
    fn new(book: &RuleBook) -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
        let replay = Replay::new(books, ReplayOptions::default());
        let (followed, by_id) = (Vec::new(), BTreeMap::new());
        Self { replay, followed, by_id, expected: Vec::new(), told: Vec::new(), notes: 0, expected_notes: 0 }
    }

    /// What a person would have told by now: every rung that lay before this instant.
    fn pass(&mut self, until: i64) {
        for followed in &mut self.followed {
            let due: Vec<i64> = followed.ahead.iter().map(|(_, at)| *at).filter(|at| *at < until).collect();
            followed.ahead.retain(|(_, at)| *at >= until);
            self.expected.extend(due.into_iter().map(|at| (followed.task.task_id.clone(), at)));
        }
    }

    fn take(&mut self, results: Results) {
        assert!(results.failed.is_empty(), "{:?}", results.failed);
        for task in results.tasks {
            if task.reasons.iter().any(|reason| reason.rule == "answer-refused") {
                self.notes += 1;
            } else if task.reasons.iter().any(|reason| reason.rule == "R40") {
                assert!(task.child.is_none() && task.narrative.is_none(), "a chase names no child");
                let chased = task.follows.clone().expect("a chase follows the unanswered task");
                let all = std::iter::once(chased).chain(task.follows_also.iter().flatten().cloned());
                for rung in all.map(|chased| (chased, task.raised_at.0)) {
                    // At night the last is told to whoever is on duty, too.
                    let on_duty_too = task.role.as_deref() == Some("head-of-service") && self.told.contains(&rung);
                    if !on_duty_too {
                        self.told.push(rung);
                    }
                }
            // What says itself that it needs no answer waits for none.
            } else if task.kind.is_none()
                && !task.reasons.iter().any(|reason| NOT_CHASED.contains(&reason.rule.as_str()))
            {
                self.by_id.insert(task.task_id.clone(), self.followed.len());
                self.followed.push(Followed::new(task));
            }
        }
    }

    fn concern(&mut self, number: usize, kind: &str, detail: serde_json::Value, at: i64) {
        let decides = kind == "decision.recorded";
        let source = if decides { "social-care/case-system" } else { "voluntary/drop-in" };
        let event = event(number, source, kind, &detail, at);
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(results);
    }

    fn answer(&mut self, number: usize, task: usize, kind: OutcomeKind, at: i64) {
        let count = self.followed.len();
        let Some(followed) = self.followed.get_mut(task % count.max(1)) else { return };
        if !followed.answered(kind, at) {
            self.expected_notes += 1;
        }
        let task = followed.task.clone();
        let outcome = outcome(number, &task, kind, at);
        for _ in 0..2 {
            // Twice: the second changes nothing, unless the first did not fit.
            let results = self.replay.answer(&task.agency, task.unit.as_deref(), &outcome, Timestamp(at)).unwrap();
            self.take(results);
        }
    }

    fn decide(&mut self, number: usize, decision: &str, at: i64) {
        for followed in &mut self.followed {
            let over = match followed.state {
                // What says that it is done: that a decision, at level 2, was made, or the discussion held.
                "raised" => decision == "closed" || SETTLED.contains(&followed.task.action.as_str()),
                "challenged" => decision != "strategy_held",
                _ => false,
            };
            if over {
                followed.ahead.clear();
                followed.settled = true;
            }
        }
        let detail = json!({ "decision": decision, "level": "L2", "decided_by": "M.", "decided_by_role": "manager" });
        self.concern(number, "decision.recorded", detail, at);
    }
}

/// Each task that waits has one rung to wait for, or none is left; no other task has any. Nobody is told twice at one instant
/// of the tasks of one event that wait alike.
fn check_pending(replay: &Replay) {
    for history in replay.histories() {
        let mut calls = BTreeSet::new();
        for chase in history.tasks.iter().filter(|task| task.rules.iter().any(|rule| rule == "R40")) {
            let recipient = (&chase.agency, &chase.unit, &chase.role);
            let call = (chase.raised_at, recipient, &chase.action, &chase.event_id, chase.level);
            assert!(calls.insert(call), "two rungs lead to one recipient at one instant");
        }
        for task in &history.tasks {
            let is_chase = task.rules.iter().any(|rule| rule == "R40" || rule == "R40-overdue");
            let may_wait = matches!(task.state.as_str(), "raised" | "challenged") && !is_chase;
            assert!(may_wait || task.escalate_at.is_none(), "a task that is {} waits for a rung", task.state);
            let none_left = task.rungs.unwrap_or_default() >= 4;
            assert!(!may_wait || task.escalate_at.is_some() != none_left, "a task that waits has no rung ahead");
        }
    }
}

fn same(history: &History) -> History {
    codec::decode(&codec::encode(history).unwrap()).unwrap()
}

#[test]
fn exactly_the_rungs_are_told_that_a_person_would_count_out() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&(script(), any::<bool>()), |(script, restarts)| {
            let mut run = Run::new(&book);
            let mut at = START;
            for (number, timed) in script.iter().enumerate() {
                at += timed.minutes * MINUTE;
                run.pass(at);
                let results = run.replay.pass_time(Timestamp(at - 1)).unwrap();
                run.take(results);
                match &timed.what {
                    Happening::Concern(level) => {
                        let detail = json!({ "concern": "other", "proposed_level": level });
                        run.concern(number, "concern.reported", detail, at);
                    }
                    Happening::Answer(task, kind) => run.answer(number, *task, *kind, at),
                    Happening::Decision(decision) => run.decide(number, decision, at),
                }
                if restarts {
                    run.replay.restart(same);
                }
                check_pending(&run.replay);
            }
            let end = at + 30 * DAY;
            run.pass(end);
            let results = run.replay.pass_time(Timestamp(end - 1)).unwrap();
            run.take(results);
            let (mut expected, mut told) = (run.expected, run.told);
            expected.sort();
            told.sort();
            prop_assert_eq!(told, expected);
            prop_assert_eq!(run.notes, run.expected_notes * 2, "answers that do not fit are told back, each time");
            Ok(())
        })
        .unwrap();
}

/// Two hours at level 4b, with the histories in between as `kept` gives them back: the chases told.
fn told_after(book: &RuleBook, kept: impl Fn(&History) -> History) -> Vec<(String, i64)> {
    let mut run = Run::new(book);
    run.concern(1, "concern.reported", json!({ "concern": "other", "proposed_level": "L4b" }), START);
    run.replay.pass_time(Timestamp(START + 90 * MINUTE)).map(|results| run.take(results)).unwrap();
    run.replay.restart(kept);
    check_pending(&run.replay);
    run.replay.pass_time(Timestamp(START + 30 * DAY)).map(|results| run.take(results)).unwrap();
    run.told.sort();
    run.told
}

#[test]
fn a_history_that_the_previous_release_kept_goes_on_with_the_next_rung_and_repeats_none() {
    let book = book(&shipped());
    let previous = |history: &History| codec::decode(&codec::encode_for_released(history).unwrap()).unwrap();
    assert_eq!(told_after(&book, previous), told_after(&book, same));
    let told: BTreeSet<i64> = told_after(&book, same).into_iter().map(|(_, at)| (at - START) / HOUR).collect();
    assert_eq!(told, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn what_is_too_old_is_forgotten_though_nothing_comes_and_nobody_hears_of_it() {
    let book = book(&shipped());
    let previous = |history: &History| codec::decode(&codec::encode_for_released(history).unwrap()).unwrap();
    for kept in [&same as &dyn Fn(&History) -> History, &previous] {
        let mut run = Run::new(&book);
        run.concern(1, "concern.reported", json!({ "concern": "other", "proposed_level": "L1" }), START);
        for task in 0..run.followed.len() {
            run.answer(2 + task, task, OutcomeKind::Acknowledged, START + 1);
        }
        run.replay.restart(kept);
        let retention = book.retention_days * DAY;
        run.replay.pass_time(Timestamp(START + retention - DAY)).unwrap();
        assert!(run.replay.histories().any(|history| !history.entries.is_empty() && !history.tasks.is_empty()));
        let results = run.replay.pass_time(Timestamp(START + retention + 2 * DAY)).unwrap();
        assert!(results.tasks.is_empty() && results.decisions.is_empty() && results.feedback.is_empty());
        assert_eq!(run.replay.histories().count(), 0, "nothing is left of it");
    }
}
