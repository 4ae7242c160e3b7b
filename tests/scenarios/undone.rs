//! What was said to be done and is not after all, beside a slow, obvious model: whatever is said late, corrected, withdrawn or told of
//! another record that is joined or parted, whoever is above hears of an interview that is owed once.

use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::Results;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::kit::{Expected, HOUR, Router, START, id, is_about, is_by, written};

/// From when the child is back.
const DUE: i64 = 72;
/// The child whose interview is owed, by a number of the home that sends it, and another of that name.
const OWN: &str = "own";
const OTHER: &str = "other";

#[derive(Clone, Debug)]
enum What {
    /// An interview with one or the other is said to have been held so many hours ago.
    Held(&'static str, i64),
    /// Of what was said so far, by its number: taken back.
    Withdrawn(usize),
    /// It was held so many hours before it was said: before the child was back, or after.
    Corrected(usize, i64),
    /// A person says that the two are one child; and that they are not.
    Linked,
    Unlinked,
}

/// What was said of an interview.
struct Said {
    id: usize,
    of: &'static str,
    hour: i64,
    held: i64,
    stands: bool,
}

struct Run {
    router: Router,
    /// The latest task of each sort.
    interview: Option<Task>,
    same_child: Option<Task>,
    /// When whoever is above was told.
    told: Vec<i64>,
    /// When and to whom each rung of the interview was told.
    rungs: Vec<(i64, Option<String>)>,
}

fn child(which: &str) -> Value {
    let mut child = json!({ "given_names": "Bea", "family_name": "Example", "date_of_birth": "2012-03-04" });
    let (field, number) = match which {
        OWN => ("local_id", "L88"),
        OTHER => ("nhs_number", "9990000026"),
        _ => ("upn", "U895000000027"),
    };
    child[field] = json!(number);
    if which == "both" {
        child["nhs_number"] = json!("9990000026");
    }
    child
}

impl Run {
    fn new(book: &RuleBook) -> Self {
        let router = Router::new(book);
        Self { router, interview: None, same_child: None, told: Vec::new(), rungs: Vec::new() }
    }

    fn take(&mut self, results: Results) {
        for task in results.tasks {
            let hour = (task.raised_at.0 - START) / HOUR;
            let is_of_interview = self.interview.as_ref().is_some_and(|owed| is_about(&task, owed));
            if is_by(&task, "R40-overdue") && task.agency == "social-care" && is_of_interview {
                self.told.push(hour);
            } else if is_by(&task, "R40") && is_of_interview {
                self.rungs.push((task.raised_at.0, task.role.clone()));
            } else if is_by(&task, "same-child") {
                self.same_child = Some(task);
            } else if task.raised_at.0 == START
                && task.action.starts_with("Offer the independent return home interview")
            {
                self.interview = Some(task);
            }
        }
    }

    /// Returns the event's number.
    fn event(&mut self, hour: i64, from: (&str, &str), child: &Value, mut more: Value) -> usize {
        more["child"] = child.clone();
        let (number, results) = self.router.event(hour, from, more);
        self.take(results);
        number
    }

    fn returned(&mut self, hour: i64, of: &str, episode: Option<&str>) {
        let detail = json!({ "ended_at": written(START + hour * HOUR), "episode_ref": episode });
        self.event(hour, ("care-home/oak", "missing.ended"), &child(of), json!({ "detail": detail }));
    }

    fn interviewed(&mut self, hour: i64, of: &str, held: i64, episode: Option<&str>) -> usize {
        let held = written(START + held * HOUR);
        let detail = json!({
            "offered": true, "accepted": true, "completed_at": held, "harm_disclosed": false, "episode_ref": episode
        });
        let more = json!({ "occurred_at": held, "detail": detail });
        // By whose number a child of the home is known.
        self.event(hour, ("care-home/oak", "return_interview.completed"), &child(of), more)
    }

    fn answer(&mut self, hour: i64, kind: OutcomeKind) {
        let task = self.interview.clone().expect("an interview is asked for");
        let results = self.router.answer(hour, &task, kind);
        self.take(results);
    }

    fn link(&mut self, hour: i64, decision: &str) {
        let question = self.same_child.clone().expect("whether they are one is asked");
        let detail = json!({
            "decision": decision, "decided_by": "A. Worker", "decided_by_role": "team manager",
            "other_reply_to": question.other_reply_to,
        });
        let more = json!({ "reply_to": question.reply_to, "detail": detail });
        self.event(hour, ("social-care/checs", "decision.recorded"), &json!({}), more);
    }

    fn pass(&mut self, hour: i64) {
        let results = self.router.pass(hour);
        self.take(results);
    }
}

/// Hours after the one before, of which none is the deadline's own.
fn script() -> impl Strategy<Value = Vec<(i64, What)>> {
    let of = prop::sample::select(vec![OWN, OWN, OTHER]);
    let what = prop_oneof![
        4 => (of, 0..30_i64).prop_map(|(of, ago)| What::Held(of, ago)),
        3 => (0..6_usize).prop_map(What::Withdrawn),
        2 => (0..6_usize, 0..60_i64).prop_map(|(said, ago)| What::Corrected(said, ago)),
        2 => Just(What::Linked),
        2 => Just(What::Unlinked),
    ];
    prop::collection::vec((1..30_i64, what), 2..12)
}

/// Whether somebody says now that the interview was held since the child was back.
fn is_done(said: &[Said], linked: bool) -> bool {
    said.iter().any(|said| said.stands && said.held >= 0 && (said.of == OWN || linked))
}

/// Plays a script, and counts out when whoever is above is to be told: the first time from the deadline on that it is owed.
fn play(run: &mut Run, script: &[(i64, What)]) -> Vec<i64> {
    let (mut expected, mut said): (Expected, Vec<Said>) = (Expected::new(DUE, 1), Vec::new());
    // Once for each script: to link again what was parted is another question.
    let (mut linked, mut may_link) = (false, true);
    for (hours, what) in script {
        let hour = expected.pass(*hours);
        let number = said.len();
        match what {
            What::Held(of, ago) => {
                let id = run.interviewed(hour, of, hour - ago, None);
                said.push(Said { id, of, hour, held: hour - ago, stands: true });
            }
            What::Withdrawn(which) | What::Corrected(which, _) if number == 0 || !said[which % number].stands => {}
            What::Withdrawn(which) => {
                let said = &mut said[which % number];
                let detail = json!({ "original_event_id": id(said.id), "reason": "another child's" });
                run.event(hour, ("care-home/oak", "event.withdrawn"), &child(said.of), json!({ "detail": detail }));
                said.stands = false;
            }
            What::Corrected(which, ago) => {
                let said = &mut said[which % number];
                said.held = said.hour - ago;
                let held = written(START + said.held * HOUR);
                let changes = json!({ "occurred_at": held, "completed_at": held });
                let detail =
                    json!({ "original_event_id": id(said.id), "changes": changes, "reason": "the wrong time" });
                run.event(hour, ("care-home/oak", "event.corrected"), &child(said.of), json!({ "detail": detail }));
            }
            What::Linked if may_link => {
                run.link(hour, "subjects_linked");
                (linked, may_link) = (true, false);
            }
            What::Unlinked if linked => {
                run.link(hour, "subjects_unlinked");
                linked = false;
            }
            What::Linked | What::Unlinked => {}
        }
        expected.is_owed(!is_done(&said, linked));
    }
    expected.end();
    run.pass(expected.hour.max(DUE) + 24 * 40);
    expected.told.into_iter().collect()
}

#[test]
fn whoever_is_above_hears_once_of_an_interview_that_nobody_says_any_more_was_held() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&(script(), any::<bool>()), |(script, accepted)| {
            let mut run = Run::new(&book);
            run.event(
                -1,
                ("police/force-control", "information.requested"),
                &child(OTHER),
                json!({ "detail": { "check": "cp_is" } }),
            );
            run.returned(0, OWN, None);
            run.answer(1, if accepted { OutcomeKind::Accepted } else { OutcomeKind::Declined });
            let expected = play(&mut run, &script);
            prop_assert_eq!(&run.told, &expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_another_record_says_of_another_absence_moves_no_rung_when_the_two_are_joined() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let interviews = prop::collection::vec((1..100_i64, 0..20_i64), 1..4);
    runner
        .run(&(interviews, 2..140_i64, any::<bool>()), |(interviews, joined_at, accepted)| {
            let told = |joins: bool| {
                let mut run = Run::new(&book);
                run.returned(-160, OTHER, Some("S1"));
                run.returned(0, "school", Some("W1"));
                if accepted {
                    run.answer(1, OutcomeKind::Accepted);
                }
                let mut hour = 1;
                let mut join = |run: &mut Run, until: i64| {
                    if std::mem::take(&mut hour) < joined_at && joined_at <= until {
                        let of = child(if joins { "both" } else { "school" });
                        let detail = json!({ "concern": "other", "proposed_level": "L2" });
                        run.event(joined_at, ("school/999001", "concern.reported"), &of, json!({ "detail": detail }));
                    }
                    hour = until;
                };
                let mut at = 1;
                for (hours, ago) in &interviews {
                    at += hours;
                    join(&mut run, at);
                    run.interviewed(at, OTHER, (at - ago).max(-150), Some("S1"));
                }
                join(&mut run, 2_000);
                run.pass(2_000);
                (run.told, run.rungs)
            };
            let apart = told(false);
            prop_assert!(!apart.0.is_empty() || !apart.1.is_empty());
            prop_assert_eq!(told(true), apart);
            Ok(())
        })
        .unwrap();
}
