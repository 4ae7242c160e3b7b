//! A discussion that is owed, and decisions that are taken back in any order, beside a slow, obvious model: whoever is above hears once,
//! from the deadline on, as soon as nobody says any more that it was held, that the case is closed or that the level is lower.

use std::collections::BTreeSet;

use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::Results;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::kit::{Expected, HOUR, Router, START, decided, id, is_about, is_by, of_bea};

/// The same day as the concern is received: eight hours.
const DUE: i64 = 8;
const STRATEGY: &str = "Hold a strategy discussion: social care, the police and health together";

#[derive(Clone, Copy, Debug)]
enum What {
    /// A named person records this.
    Held,
    Closed,
    Lowered,
    /// Another concern, that asks for a discussion of its own: it says nothing of the first.
    Concern,
    /// Of what was recorded so far, by its number: taken back.
    Withdrawn(usize),
}

struct Said {
    id: usize,
    what: What,
    stands: bool,
}

struct Run {
    router: Router,
    discussion: Option<Task>,
    /// When whoever is above was told, and when each rung of its ladder was.
    told: Vec<i64>,
    rungs: BTreeSet<i64>,
}

impl Run {
    fn new(book: &RuleBook) -> Self {
        Self { router: Router::new(book), discussion: None, told: Vec::new(), rungs: BTreeSet::new() }
    }

    fn take(&mut self, results: Results) {
        for task in results.tasks {
            let hour = (task.raised_at.0 - START) / HOUR;
            let is_of_it = self.discussion.as_ref().is_some_and(|owed| is_about(&task, owed));
            if is_by(&task, "R40-overdue") && is_of_it {
                self.told.push(hour);
            } else if is_by(&task, "R40") && is_of_it {
                self.rungs.insert(hour);
            } else if self.discussion.is_none() && task.agency == "social-care" && task.action == STRATEGY {
                self.discussion = Some(task);
            }
        }
    }

    /// Returns the event's number.
    fn event(&mut self, hour: i64, from: (&str, &str), detail: &Value) -> usize {
        let (number, results) = self.router.event(hour, from, of_bea(detail));
        self.take(results);
        number
    }

    fn decide(&mut self, hour: i64, what: What) -> Option<usize> {
        let decision = match what {
            What::Held => json!({ "decision": "strategy_held" }),
            What::Closed => json!({ "decision": "closed" }),
            What::Lowered => json!({ "decision": "level_set", "level": "L4a" }),
            What::Concern | What::Withdrawn(_) => return None,
        };
        Some(self.event(hour, ("social-care/checs", "decision.recorded"), &decided(&decision)))
    }

    fn answer(&mut self, hour: i64, kind: OutcomeKind) {
        let task = self.discussion.clone().expect("a discussion is asked for");
        let results = self.router.answer(hour, &task, kind);
        self.take(results);
    }

    fn pass(&mut self, hour: i64) {
        let results = self.router.pass(hour);
        self.take(results);
    }
}

/// Whether it is owed by what stands: the latest decision about the case closes nothing, and nobody says that it was held or is not
/// called for.
fn is_owed(said: &[Said]) -> bool {
    let stands = || said.iter().filter(|said| said.stands);
    let is_ended = stands().any(|said| matches!(said.what, What::Held | What::Lowered));
    let latest = stands().rfind(|said| matches!(said.what, What::Closed | What::Lowered));
    !is_ended && !latest.is_some_and(|latest| matches!(latest.what, What::Closed))
}

/// Plays a script from an hour on.
fn play(run: &mut Run, begins: i64, script: &[(i64, What)]) -> Expected {
    let (mut expected, mut said): (Expected, Vec<Said>) = (Expected::new(DUE, begins), Vec::new());
    for (hours, what) in script {
        let hour = expected.pass(*hours);
        let number = said.len();
        match what {
            What::Withdrawn(which) if number > 0 && said[which % number].stands => {
                let said = &mut said[which % number];
                let detail = json!({ "original_event_id": id(said.id), "reason": "recorded in error" });
                run.event(hour, ("social-care/checs", "event.withdrawn"), &detail);
                said.stands = false;
            }
            What::Withdrawn(_) => {}
            What::Concern => {
                let concern = json!({ "concern": "physical_abuse", "proposed_level": "L4b" });
                run.event(hour, ("gp/N81001", "concern.reported"), &concern);
            }
            What::Held | What::Closed | What::Lowered => {
                let id = run.decide(hour, *what).unwrap();
                said.push(Said { id, what: *what, stands: true });
            }
        }
        expected.is_owed(is_owed(&said));
    }
    expected.end();
    run.pass(expected.hour.max(DUE) + 24 * 7);
    expected
}

fn script() -> impl Strategy<Value = Vec<(i64, What)>> {
    let what = prop_oneof![
        2 => Just(What::Held),
        4 => Just(What::Closed),
        1 => Just(What::Lowered),
        2 => Just(What::Concern),
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

/// Also where the closing was put right long before, and the other concern came while it stood.
#[test]
fn of_a_closing_that_is_taken_back_another_concern_s_discussion_takes_no_place() {
    let book = book(&shipped());
    for script in [
        [(1, What::Closed), (1, What::Withdrawn(0)), (2, What::Concern)],
        [(1, What::Closed), (2, What::Concern), (1, What::Withdrawn(0))],
    ] {
        let mut run = Run::new(&book);
        let concern = json!({ "concern": "neglect", "proposed_level": "L4b" });
        run.event(0, ("school/999001", "concern.reported"), &concern);
        run.answer(1, OutcomeKind::Accepted);
        play(&mut run, 1, &script);
        assert_eq!(run.told, [DUE]);
    }
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
