//! A discussion that is owed, and decisions that are taken back in any order, beside a slow, obvious model: whoever is above hears once,
//! from the deadline on, as soon as nobody says any more that it was held, that the case is closed or that the level is lower.

use std::collections::BTreeSet;

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::outcome::Outcome;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};

const HOUR: i64 = 3_600_000;
/// Monday 8 June 2026, 10:00 BST: when the concern is received.
const START: i64 = 1_780_909_200_000;
/// The same day: eight hours.
const DUE: i64 = 8;
const STRATEGY: &str = "Hold a strategy discussion: social care, the police and health together";

#[derive(Clone, Copy, Debug)]
enum What {
    /// A named person records this.
    Held,
    Closed,
    Lowered,
    /// Of what was recorded so far, by its number: taken back.
    Withdrawn(usize),
}

struct Said {
    id: usize,
    what: What,
    stands: bool,
}

struct Run {
    replay: Replay,
    events: usize,
    discussion: Option<Task>,
    /// When whoever is above was told, and when each rung of its ladder was.
    told: Vec<i64>,
    rungs: BTreeSet<i64>,
}

impl Run {
    fn new(book: &RuleBook) -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
        let replay = Replay::new(books, ReplayOptions::default());
        Self { replay, events: 0, discussion: None, told: Vec::new(), rungs: BTreeSet::new() }
    }

    fn take(&mut self, results: Results) {
        assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{results:?}");
        for task in results.tasks {
            let hour = (task.raised_at.0 - START) / HOUR;
            let is_by = |rule: &str| task.reasons.iter().any(|reason| reason.rule == rule);
            let owed = self.discussion.as_ref().map(|owed| &owed.task_id);
            let mut chased = task.follows.iter().chain(task.follows_also.iter().flatten());
            let is_of_it = owed.is_some_and(|owed| chased.any(|chased| chased == owed));
            if is_by("R40-overdue") && is_of_it {
                self.told.push(hour);
            } else if is_by("R40") && is_of_it {
                self.rungs.insert(hour);
            } else if self.discussion.is_none() && task.agency == "social-care" && task.action == STRATEGY {
                self.discussion = Some(task);
            }
        }
    }

    /// Returns the event's number.
    fn event(&mut self, hour: i64, (source, kind): (&str, &str), detail: &Value) -> usize {
        self.events += 1;
        let at = START + hour * HOUR;
        let child = json!({
            "given_names": "Bea", "family_name": "Example", "date_of_birth": "2012-03-04", "nhs_number": "9990000026"
        });
        let json = json!({
            "specversion": "1.0", "id": id(self.events), "source": source, "type": kind,
            "time": jiff::Timestamp::from_millisecond(at).unwrap().to_string(),
            "data": { "practitioner": { "role": "worker", "call_back": "101" }, "child": child, "detail": detail },
        });
        let event = cloud_event::read(&json).unwrap().event;
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(results);
        self.events
    }

    fn decide(&mut self, hour: i64, what: What) -> Option<usize> {
        let decision = match what {
            What::Held => json!({ "decision": "strategy_held" }),
            What::Closed => json!({ "decision": "closed" }),
            What::Lowered => json!({ "decision": "level_set", "level": "L4a" }),
            What::Withdrawn(_) => return None,
        };
        let mut detail = json!({ "decided_by": "A. Worker", "decided_by_role": "team manager" });
        detail.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
        Some(self.event(hour, ("social-care/checs", "decision.recorded"), &detail))
    }

    fn answer(&mut self, hour: i64, kind: OutcomeKind) {
        let task = self.discussion.clone().expect("a discussion is asked for");
        let at = Timestamp(START + hour * HOUR);
        let outcome = Outcome {
            outcome_id: id(900),
            reply_to: task.reply_to,
            outcome: kind,
            by_name: "A. Worker".to_owned(),
            by_role: "worker".to_owned(),
            at,
            reason: Some("A reason.".to_owned()),
            result: None,
        };
        let results = self.replay.answer(&task.agency, task.unit.as_deref(), &outcome, at).unwrap();
        self.take(results);
    }

    fn pass(&mut self, hour: i64) {
        let results = self.replay.pass_time(Timestamp(START + hour * HOUR)).unwrap();
        self.take(results);
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Whether it is owed by what stands: the latest decision about the case closes nothing, and nobody says that it was held or is not
/// called for.
fn is_owed(said: &[Said]) -> bool {
    let stands = || said.iter().filter(|said| said.stands);
    let is_ended = stands().any(|said| matches!(said.what, What::Held | What::Lowered));
    let latest = stands().rfind(|said| matches!(said.what, What::Closed | What::Lowered));
    !is_ended && !latest.is_some_and(|latest| matches!(latest.what, What::Closed))
}

/// What a person would count out of a script.
struct Expected {
    /// When whoever is above is to be told.
    told: Option<i64>,
    /// Whether it is owed in the end, and since when.
    owed: bool,
    since: i64,
}

/// Plays a script from an hour on.
fn play(run: &mut Run, begins: i64, script: &[(i64, What)]) -> Expected {
    let (mut hour, mut said): (i64, Vec<Said>) = (begins, Vec::new());
    let mut expected = Expected { told: None, owed: true, since: 0 };
    for (hours, what) in script {
        let before = hour;
        // None is at the deadline's own instant.
        hour += hours + i64::from(hour + hours == DUE);
        if (before..hour).contains(&DUE) && expected.owed {
            expected.told = expected.told.or(Some(DUE));
        }
        let number = said.len();
        match what {
            What::Withdrawn(which) if number > 0 && said[which % number].stands => {
                let said = &mut said[which % number];
                let detail = json!({ "original_event_id": id(said.id), "reason": "recorded in error" });
                run.event(hour, ("social-care/checs", "event.withdrawn"), &detail);
                said.stands = false;
            }
            What::Withdrawn(_) => {}
            What::Held | What::Closed | What::Lowered => {
                let id = run.decide(hour, *what).unwrap();
                said.push(Said { id, what: *what, stands: true });
            }
        }
        if expected.owed != is_owed(&said) {
            (expected.owed, expected.since) = (!expected.owed, hour);
        }
        if hour > DUE && expected.owed {
            expected.told = expected.told.or(Some(hour));
        }
    }
    if hour < DUE && expected.owed {
        expected.told = expected.told.or(Some(DUE));
    }
    run.pass(hour.max(DUE) + 24 * 7);
    expected
}

fn script() -> impl Strategy<Value = Vec<(i64, What)>> {
    let what = prop_oneof![
        2 => Just(What::Held),
        4 => Just(What::Closed),
        1 => Just(What::Lowered),
        7 => (0..8_usize).prop_map(What::Withdrawn),
    ];
    prop::collection::vec((1..6_i64, what), 2..12)
}

#[test]
fn whoever_is_above_hears_once_of_a_discussion_that_no_decision_that_stands_has_ended() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&script(), |script| {
            let mut run = Run::new(&book);
            let concern = json!({ "concern": "neglect", "proposed_level": "L4b" });
            run.event(0, ("school/999001", "concern.reported"), &concern);
            run.answer(1, OutcomeKind::Accepted);
            let expected = play(&mut run, 1, &script);
            prop_assert_eq!(&run.told, &expected.told.into_iter().collect::<Vec<i64>>());
            Ok(())
        })
        .unwrap();
}

#[test]
fn who_has_not_answered_is_chased_from_when_no_decision_that_stands_ends_it_any_more() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        // The whole ladder may have been told before anybody decides.
        .run(&(script(), 0..6_i64), |(script, begins)| {
            let mut run = Run::new(&book);
            let concern = json!({ "concern": "neglect", "proposed_level": "L4b" });
            run.event(0, ("school/999001", "concern.reported"), &concern);
            let expected = play(&mut run, begins, &script);
            let since: Vec<i64> = run.rungs.iter().copied().filter(|hour| *hour > expected.since).collect();
            let ladder: Vec<i64> =
                if expected.owed { (1..5).map(|rung| expected.since + rung).collect() } else { vec![] };
            prop_assert_eq!(since, ladder);
            Ok(())
        })
        .unwrap();
}
