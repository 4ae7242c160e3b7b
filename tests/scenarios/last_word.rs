//! What the police were told last of a case at level 4b, whatever is decided and taken back and in whatever order, beside a slow, obvious
//! model: nobody is left thinking that a case is closed, or that less is needed, while social care acts for the child; nor the other
//! way round.

use std::collections::BTreeMap;

use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::Results;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::kit::{HOUR, Router, START, decided, id, of_bea, runner, written};

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// A named person records this.
    Closed,
    Level(&'static str),
    Enquiry,
    /// Of what was recorded so far, by its number: taken back, or corrected to a level or an enquiry.
    Withdrawn(usize),
    Corrected(usize, &'static str),
}

/// When what is recorded was decided: then, so many hours before, or on that day.
#[derive(Clone, Copy, Debug)]
enum Made {
    Now,
    Before(i64),
    ByDay,
}

const HALVES: i64 = 2;
const ENQUIRY: &str = "s47_started";

#[derive(Clone, Copy, Debug)]
struct Said {
    id: usize,
    what: What,
    /// In half hours.
    made: i64,
    stands: bool,
    /// A closing that was corrected closes nothing.
    silent: bool,
    /// Which it corrects.
    of: Option<usize>,
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

/// How much was said by a step, and what it told: whether they are to act, and in which words.
type Step = (usize, Vec<(bool, String)>);

struct Run {
    router: Router,
    /// What each agency was told in each step that told it anything of it, and how much was said by then.
    told: BTreeMap<&'static str, Vec<Step>>,
    said: Vec<Said>,
}

impl Run {
    fn take(&mut self, results: &Results) {
        for (agency, steps) in &mut self.told {
            let theirs = results.tasks.iter().filter(|task| task.agency == *agency);
            let told: Vec<_> = theirs.filter_map(|task| Some((says_act(&task.action)?, task.action.clone()))).collect();
            if !told.is_empty() {
                steps.push((self.said.len(), told));
            }
        }
    }

    fn event(&mut self, hour: i64, from: (&str, &str), data: Value) -> usize {
        let (number, results) = self.router.event(hour, from, data);
        self.take(&results);
        number
    }

    fn decide(&mut self, hour: i64, what: What, made: Made) {
        let decision = match what {
            What::Closed => json!({ "decision": "closed" }),
            What::Level(level) => json!({ "decision": "level_set", "level": level }),
            What::Enquiry => json!({ "decision": ENQUIRY }),
            What::Withdrawn(_) | What::Corrected(..) => unreachable!("an event of its own"),
        };
        let mut data = of_bea(&decided(&decision));
        // Never before the child was known, nor at the very time of another.
        let made_at = if let Made::Before(hours) = made { (hour - hours).max(1) * HALVES - 1 } else { hour * HALVES };
        data["occurred_at"] = json!(written(START + made_at * HOUR / HALVES));
        if let Made::ByDay = made {
            let at_ten = START + hour.div_euclid(24) * 24 * HOUR;
            let midnight = if hour.rem_euclid(24) < 14 { at_ten - 10 * HOUR } else { at_ten + 14 * HOUR };
            (data["occurred_at"], data["date_only"]) = (json!(written(midnight)), json!(true));
        }
        self.said.push(Said { id: 0, what, made: made_at, stands: true, silent: false, of: None });
        let id = self.event(hour, ("social-care/checs", "decision.recorded"), data);
        self.said.last_mut().unwrap().id = id;
    }

    fn withdraw(&mut self, hour: i64, which: usize) {
        let detail = json!({ "original_event_id": id(self.said[which].id), "reason": "recorded in error" });
        let root = self.said[which].of.unwrap_or(which);
        for (place, said) in self.said.iter_mut().enumerate() {
            said.stands &= place != which && said.of != Some(which);
        }
        let is_corrected = self.said.iter().any(|said| said.stands && said.of == Some(root));
        self.said[root].silent &= is_corrected;
        self.event(hour, ("social-care/checs", "event.withdrawn"), of_bea(&detail));
    }

    /// Where that raises the level, or the case is closed, or it is an enquiry, it is a decision of its own, from now.
    fn correct(&mut self, hour: i64, which: usize, to: &'static str) {
        let root = self.said[which].of.unwrap_or(which);
        let settles = |said: &Said| matches!(said.what, What::Closed | What::Level(_));
        let last = latest(&self.said, settles);
        let is_closed = last.is_some_and(|last| self.said[last].what == What::Closed);
        let case_level = match latest(&self.said, |_| true).map(|last| self.said[last].what) {
            None | Some(What::Enquiry) => "L4b",
            Some(What::Level(level)) => level,
            Some(What::Closed | What::Withdrawn(_) | What::Corrected(..)) => "",
        };
        let (what, changes) = match to {
            ENQUIRY => (What::Enquiry, json!({ "decision": ENQUIRY })),
            level => (What::Level(level), json!({ "decision": "level_set", "level": level })),
        };
        let detail = json!({ "original_event_id": id(self.said[root].id), "changes": changes });
        let of_root = |(place, said): (usize, &Said)| said.stands && (place == root || said.of == Some(root));
        let begins = to == ENQUIRY
            && !self.said.iter().enumerate().any(|(place, said)| said.what == What::Enquiry && of_root((place, said)));
        // What came since a closing may have raised the case: it is not lowered below that.
        let raises = to != ENQUIRY && (to > case_level || (is_closed && to == case_level));
        if self.said[root].stands && (begins || raises) {
            self.said[root].silent |= last == Some(root) && is_closed;
            self.said.push(Said { id: 0, what, made: hour * HALVES, stands: true, silent: false, of: Some(root) });
            let id = self.event(hour, ("social-care/checs", "event.corrected"), of_bea(&detail));
            self.said.last_mut().unwrap().id = id;
        } else {
            self.event(hour, ("social-care/checs", "event.corrected"), of_bea(&detail));
        }
    }

    /// What an agency holds is done by an enquiry that was begun since their last word: they are not waited for.
    fn is_done(&self, agency: &str, settled: bool, before: usize) -> bool {
        let told_by = self.told[agency][..before].last().map_or(0, |(said, _)| *said);
        settled && self.said[told_by.min(self.said.len())..].iter().any(|said| said.what == What::Enquiry)
    }
}

/// The place of the latest that stands, by when it was made.
fn latest(said: &[Said], of: impl Fn(&Said) -> bool) -> Option<usize> {
    let stands = said.iter().enumerate().filter(|(_, said)| said.stands && !said.silent && of(said));
    stands.max_by_key(|(place, said)| (said.made, *place)).map(|(place, _)| place)
}

/// Whether social care acts for the child at level 4b, by what stands: the latest word about the case, or an enquiry since. None at level 4a,
/// where it acts, and less than what they were asked is needed.
fn acts(said: &[Said]) -> Option<bool> {
    match latest(said, |_| true).map(|place| said[place].what) {
        None | Some(What::Level("L4b") | What::Enquiry) => Some(true),
        Some(What::Level("L4a")) => None,
        Some(_) => Some(false),
    }
}

/// `alleged`: the police and a SARC hold what no enquiry settles; else the police alone hold a discussion, which one does.
fn play(book: &RuleBook, alleged: bool, script: &[(i64, What, Made)]) -> Result<(), TestCaseError> {
    let agencies = if alleged { vec!["police", "sarc"] } else { vec!["police"] };
    let told = agencies.iter().map(|agency| (*agency, Vec::new())).collect();
    let mut run = Run { router: Router::new(book), told, said: Vec::new() };
    if alleged {
        let abuse = json!({ "suspect_is": "family", "under_13_activity": false });
        run.event(0, ("school/999001", "sexual_abuse.alleged"), of_bea(&abuse));
    } else {
        let concern = json!({ "concern": "neglect", "proposed_level": "L4b" });
        run.event(0, ("school/999001", "concern.reported"), of_bea(&concern));
    }
    let mut hour: i64 = 1;
    for (hours, what, made) in script {
        hour += hours;
        let number = run.said.len();
        let results = run.router.pass(hour);
        run.take(&results);
        let before: BTreeMap<_, _> = run.told.iter().map(|(agency, told)| (*agency, told.len())).collect();
        match what {
            What::Withdrawn(which) if number > 0 && run.said[which % number].stands => {
                run.withdraw(hour, which % number);
            }
            What::Corrected(which, level) if number > 0 => run.correct(hour, which % number, level),
            What::Withdrawn(_) | What::Corrected(..) => continue,
            What::Closed | What::Level(_) | What::Enquiry => run.decide(hour, *what, *made),
        }
        for agency in &agencies {
            check(&run, agency, !alleged, before[agency])?;
        }
    }
    Ok(())
}

fn check(run: &Run, agency: &str, settled: bool, before: usize) -> Result<(), TestCaseError> {
    let (told, said) = (&run.told[agency], &run.said);
    let says_last = |steps: &[Step]| steps.last().is_none_or(|(_, step)| step.last().unwrap().0);
    let now: Vec<_> = told[before..].iter().flat_map(|(_, step)| step).collect();
    prop_assert!(now.iter().all(|(act, _)| *act == now[0].0), "one step says both to {agency}: {now:?}; {said:?}");
    // Chased again, they are told to go on with it, though they knew that it is open; and at level 4a they were asked less.
    let was_less = said.iter().any(|said| said.what == What::Level("L4a"));
    let may_lag = was_less || run.is_done(agency, settled, before);
    let believed = says_last(&told[..before]);
    // That what they were asked is closed, and social care acts all the same, is news to whoever holds it.
    let says_again = |action: &str| action.starts_with("Know") && !action.contains("for the child still");
    let is_news = may_lag || now.iter().all(|(act, action)| !(*act && believed && says_again(action)));
    prop_assert!(is_news, "{agency} is told what they knew: {now:?}; {said:?}");
    let believes = says_last(told);
    let is_done = run.is_done(agency, settled, told.len());
    let fits = acts(said).is_none_or(|acts| believes == acts) || (believes && (is_done || was_less));
    prop_assert!(fits, "{agency} was told last: {:?}; decided: {said:?}", told.last());
    Ok(())
}

fn script() -> impl Strategy<Value = Vec<(i64, What, Made)>> {
    let what = prop_oneof![
        4 => Just(What::Closed),
        2 => Just(What::Level("L4b")),
        1 => Just(What::Level("L4a")),
        2 => Just(What::Level("L3")),
        2 => Just(What::Enquiry),
        7 => (0..8_usize).prop_map(What::Withdrawn),
        2 => (0..8_usize, prop::sample::select(vec!["L3", "L4a", "L4b", ENQUIRY])).prop_map(|(of, to)| What::Corrected(of, to)),
    ];
    let made = prop_oneof![5 => Just(Made::Now), 1 => Just(Made::ByDay), 2 => (1..8_i64).prop_map(Made::Before)];
    prop::collection::vec((1..6_i64, what, made), 2..10)
}

#[test]
fn whoever_acts_at_level_4b_knows_last_what_stands() {
    let book = book(&shipped());
    let mut runner = runner("LAST_WORD_CASES", 100);
    runner.run(&(any::<bool>(), script()), |(alleged, script)| play(&book, alleged, &script)).unwrap();
}
