//! What the police were told last of a case at level 4b, whatever is decided and taken back and in whatever order, beside a slow, obvious
//! model: nobody is left thinking that a case is closed, or that less is needed, while social care acts for the child; nor the other
//! way round.

use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::Results;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::kit::{Router, decided, id, of_bea};

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// A named person records this.
    Closed,
    Level(&'static str),
    Enquiry,
    /// Of what was recorded so far, by its number: taken back.
    Withdrawn(usize),
}

#[derive(Clone, Copy, Debug)]
struct Said {
    id: usize,
    what: What,
    stands: bool,
}

/// Whether a task says that they are to act, or that they are not; None of what says neither.
fn says_act(action: &str) -> Option<bool> {
    const ACT: [&str; 5] = [
        "Hold a strategy discussion",
        "Know that the case is open again",
        "Know that social care acts for the child",
        "Go on with what you were asked",
        "Make the child safe",
    ];
    const NOT: [&str; 2] = ["Know that the case is closed", "Know that less is needed"];
    let is_one = |words: &[&str]| words.iter().any(|words| action.starts_with(words));
    if is_one(&NOT) { Some(false) } else { is_one(&ACT).then_some(true) }
}

struct Run {
    router: Router,
    /// What they were told in each step that told them anything of it.
    told: Vec<Vec<(bool, String)>>,
}

impl Run {
    fn take(&mut self, results: Results) {
        let theirs = results.tasks.iter().filter(|task| task.agency == "police");
        let told: Vec<_> = theirs.filter_map(|task| Some((says_act(&task.action)?, task.action.clone()))).collect();
        if !told.is_empty() {
            self.told.push(told);
        }
    }

    fn event(&mut self, hour: i64, from: (&str, &str), detail: &Value) -> usize {
        let (number, results) = self.router.event(hour, from, of_bea(detail));
        self.take(results);
        number
    }

    fn decide(&mut self, hour: i64, what: What) -> usize {
        let decision = match what {
            What::Closed => json!({ "decision": "closed" }),
            What::Level(level) => json!({ "decision": "level_set", "level": level }),
            What::Enquiry => json!({ "decision": "s47_started" }),
            What::Withdrawn(_) => unreachable!("an event of its own"),
        };
        self.event(hour, ("social-care/checs", "decision.recorded"), &decided(&decision))
    }
}

/// Whether social care acts for the child at level 4b, by what stands: the latest word about the case, or an enquiry since. None at level 4a,
/// where it acts, and less than what they were asked is needed.
fn acts(said: &[Said]) -> Option<bool> {
    let latest = said.iter().rfind(|said| said.stands).map(|said| said.what);
    match latest {
        None | Some(What::Level("L4b") | What::Enquiry) => Some(true),
        Some(What::Level("L4a")) => None,
        Some(_) => Some(false),
    }
}

fn play(book: &RuleBook, script: &[(i64, What)]) -> Result<(), TestCaseError> {
    let mut run = Run { router: Router::new(book), told: Vec::new() };
    let concern = json!({ "concern": "neglect", "proposed_level": "L4b" });
    run.event(0, ("school/999001", "concern.reported"), &concern);
    let (mut hour, mut told_by, mut said): (i64, usize, Vec<Said>) = (1, 0, Vec::new());
    for (hours, what) in script {
        hour += hours;
        let number = said.len();
        let results = run.router.pass(hour);
        run.take(results);
        let before = run.told.len();
        match what {
            What::Withdrawn(which) if number > 0 && said[which % number].stands => {
                let said = &mut said[which % number];
                let detail = json!({ "original_event_id": id(said.id), "reason": "recorded in error" });
                run.event(hour, ("social-care/checs", "event.withdrawn"), &detail);
                said.stands = false;
            }
            What::Withdrawn(_) => continue,
            What::Closed | What::Level(_) | What::Enquiry => {
                let id = run.decide(hour, *what);
                said.push(Said { id, what: *what, stands: true });
            }
        }
        let believed = run.told[..before].last().is_none_or(|step| step.last().unwrap().0);
        let now: Vec<_> = run.told[before..].iter().flatten().collect();
        prop_assert!(now.iter().all(|(act, _)| *act == now[0].0), "one step says both: {now:?}; {said:?}");
        // Chased again, they are told to go on with it, though they knew that it is open; and at level 4a they were asked less.
        let was_less = said.iter().any(|said| said.what == What::Level("L4a"));
        // What they were asked is done by an enquiry that was begun since their last word: they are not waited for.
        let is_done = said[told_by..].iter().any(|said| said.what == What::Enquiry);
        let may_lag = was_less || is_done;
        let is_news = may_lag || now.iter().all(|(act, action)| !(*act && believed && action.starts_with("Know")));
        prop_assert!(is_news, "told what they knew: {now:?}; {said:?}");
        if !now.is_empty() {
            told_by = said.len();
        }
        let last = run.told.last().and_then(|step| step.last()).cloned();
        let believes = last.as_ref().is_none_or(|(act, _)| *act);
        let is_done = said[told_by..].iter().any(|said| said.what == What::Enquiry);
        let fits = acts(&said).is_none_or(|acts| believes == acts) || (believes && (is_done || was_less));
        prop_assert!(fits, "told last: {last:?}; decided: {said:?}");
    }
    Ok(())
}

/// So many scripts, or as many as are asked for.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("LAST_WORD_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(cases)) }
}

fn script() -> impl Strategy<Value = Vec<(i64, What)>> {
    let what = prop_oneof![
        4 => Just(What::Closed),
        2 => Just(What::Level("L4b")),
        1 => Just(What::Level("L4a")),
        2 => Just(What::Level("L3")),
        2 => Just(What::Enquiry),
        7 => (0..8_usize).prop_map(What::Withdrawn),
    ];
    prop::collection::vec((1..6_i64, what), 2..10)
}

#[test]
fn whoever_acts_at_level_4b_knows_last_what_stands() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(config(300));
    runner.run(&script(), |script| play(&book, &script)).unwrap();
}
