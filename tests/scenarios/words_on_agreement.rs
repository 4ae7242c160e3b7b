//! Words on agreement, said on referrals and recorded, corrected and taken back in any order, beside a slow, obvious model: what the words that stand
//! say. Early help is at work just where the family agrees by them, its last word tells it so, and it is told nothing twice.

use std::sync::Arc;

use pathway_router::engine::history::is_open;
use pathway_router::engine::model::history::{HeldTask, History};
use pathway_router::engine::rules::RuleBook;
use proptest::prelude::*;
use serde_json::json;

use crate::files::{book, shipped};
use crate::kit::{START, id, of_bea};
use crate::never_said::runner;
use crate::standing::{MINUTE, Run};

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// A concern at level 2, and what it says of agreement.
    Concern(Option<&'static str>),
    Recorded(&'static str),
    /// Of what was said so far, by its number: a recorded word says something else.
    Corrected(usize, &'static str),
    Withdrawn(usize),
}

/// How long after the one before, by which of those who may, and what.
type Script = Vec<(i64, bool, What)>;

const GIVEN: &str = "given";
const REFUSED: &str = "refused";
const UNSAFE: &str = "unsafe_to_ask";

const SERVICE: &str = "Arrange early help with the family";
const ASK: &str = "Ask the family whether they still want this service";
const DO_NOT_ASK: &str = "Do not ask the family because of that referral";

/// What was said, as it stands.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: i64,
    is_recorded: bool,
    state: Option<&'static str>,
    withdrawn: bool,
}

impl Word {
    fn settles(&self) -> bool {
        !self.withdrawn && matches!(self.state, Some(GIVEN | REFUSED | UNSAFE))
    }
}

/// Whether early help is at work by a concern; None: it is as it was, for a referral says that they refuse.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Works {
    Yes,
    No,
    AsItWas,
}

fn works(words: &[Word], concern: &Word) -> Works {
    let last = |is_recorded: bool| {
        words.iter().filter(|word| word.settles() && word.is_recorded == is_recorded).max_by_key(|word| word.at)
    };
    let (recorded, said) = (last(true), last(false));
    let Some(newest) = recorded.into_iter().chain(said).max_by_key(|word| word.at) else { return Works::No };
    let own = concern.state.filter(|_| concern.settles());
    // That asking was unsafe is no refusal.
    let recorded = recorded.filter(|word| word.state != Some(UNSAFE));
    let agreed = match (own, recorded) {
        (Some(own), Some(recorded)) if recorded.at < concern.at => own == GIVEN,
        (_, Some(recorded)) => recorded.state == Some(GIVEN),
        (own, None) => own == Some(GIVEN),
    };
    if newest.state == Some(UNSAFE) || !agreed {
        return Works::No;
    }
    let is_said_to_refuse = newest.state == Some(REFUSED) && newest.at >= concern.at;
    if is_said_to_refuse { Works::AsItWas } else { Works::Yes }
}

fn source(other: bool) -> &'static str {
    if other { "gp/N81001" } else { "school/999001" }
}

/// As an earlier release keeps a history: what holders were told is to be read from the words to them.
fn as_before(history: &History) -> History {
    let mut history = history.clone();
    history.tasks.iter_mut().for_each(|task| Arc::make_mut(task).told = None);
    history
}

/// Says it all; returns what stands.
fn play(run: &mut Run, script: &Script, is_kept: bool) -> Vec<Word> {
    let (mut words, mut at): (Vec<(Word, bool)>, i64) = (Vec::new(), START);
    for (step, (gap, other, what)) in script.iter().enumerate() {
        at += gap * MINUTE;
        if !is_kept {
            run.replay.restart(as_before);
        }
        let which = |which: usize| (!words.is_empty()).then(|| which % words.len());
        match *what {
            What::Concern(state) => {
                let mut data = of_bea(&json!({ "concern": "emotional_health", "proposed_level": "L2" }));
                if let Some(state) = state {
                    data["agreement"] = json!({ "state": state });
                    run.log.push(format!("it says {state}:"));
                }
                run.say(words.len(), at, (source(*other), "concern.reported"), data);
                words.push((Word { at, is_recorded: false, state, withdrawn: false }, *other));
            }
            What::Recorded(state) => {
                run.say(words.len(), at, (source(*other), "agreement.recorded"), of_bea(&json!({ "state": state })));
                words.push((Word { at, is_recorded: true, state: Some(state), withdrawn: false }, *other));
            }
            What::Corrected(number, state) => {
                let Some(number) = which(number) else { continue };
                let (word, by) = &mut words[number];
                if word.is_recorded && !word.withdrawn {
                    word.state = Some(state);
                    let changes = json!({ "original_event_id": id(number), "changes": { "state": state } });
                    run.say(100 + step, at, (source(*by), "event.corrected"), of_bea(&changes));
                }
            }
            What::Withdrawn(number) => {
                let Some(number) = which(number) else { continue };
                let (word, by) = &mut words[number];
                if !word.withdrawn {
                    word.withdrawn = true;
                    let detail = json!({ "original_event_id": id(number), "reason": "recorded in error" });
                    run.say(100 + step, at, (source(*by), "event.withdrawn"), of_bea(&detail));
                }
            }
        }
    }
    words.into_iter().map(|(word, _)| word).collect()
}

/// What early help was told, in order: a line of the log is an agency, a unit and what it is asked.
fn told(run: &Run) -> Vec<&str> {
    let lines = run.log.iter().filter_map(|line| line.trim().strip_prefix("-> early-help "));
    lines.filter_map(|line| line.split_once(": ").map(|(_, words)| words)).collect()
}

fn check(book: &RuleBook, script: &Script) -> Result<(), TestCaseError> {
    let mut run = Run::new(book);
    let words = play(&mut run, script, true);
    let concerns: Vec<&Word> = words.iter().filter(|word| !word.is_recorded && !word.withdrawn).collect();
    let works: Vec<Works> = concerns.iter().map(|concern| works(&words, concern)).collect();
    let is_service = |task: &&Arc<HeldTask>| task.agency == "early-help" && task.action == SERVICE;
    let tasks = |history: &History| history.tasks.iter().filter(is_service).filter(|task| is_open(&task.state)).count();
    let open: usize = run.replay.histories().map(tasks).sum();
    let why = || format!("\n{works:?}, {open} open\n{}", run.log.join("\n"));
    let told = told(&run);
    let is_word = |words: &&&str| ["Arrange", "Go on", "Stop", "Recall"].iter().any(|begins| words.starts_with(begins));
    let last = told.iter().rev().find(is_word);
    let is_to_stop = last.is_none_or(|words| words.starts_with("Stop") || words.starts_with("Recall"));
    if works.iter().all(|works| *works == Works::No) {
        prop_assert!(open == 0, "at work though nobody agrees{}", why());
        prop_assert!(is_to_stop, "not told to stop{}", why());
    }
    if works.contains(&Works::Yes) {
        prop_assert!(open > 0, "not at work though they agree{}", why());
    }
    // Of several concerns one may be stopped last, and another go on.
    let agrees = words.iter().filter(|word| !word.is_recorded && word.state == Some(GIVEN)).count() == 1;
    if agrees && concerns.len() == 1 && works == [Works::Yes] {
        prop_assert!(!is_to_stop, "told to stop last{}", why());
    }
    let mut by_words = Run::new(book);
    play(&mut by_words, script, false);
    prop_assert!(by_words.log == run.log, "told otherwise by words alone\n{}{}", by_words.log.join("\n"), why());
    let (mut asked, mut takes_back) = (false, false);
    for line in &run.log {
        if line.contains(" min: ") {
            takes_back = line.contains("event.withdrawn") || line.contains("event.corrected");
        }
        prop_assert!(takes_back || !line.contains("was taken back"), "nothing is taken back{}", why());
        // Since they agreed anew, they are asked anew.
        asked &= !line.contains(GIVEN) && !line.contains(DO_NOT_ASK);
        if line.contains("-> early-help ") && line.contains(ASK) {
            prop_assert!(!asked, "asked twice to ask{}", why());
            asked = true;
        }
    }
    Ok(())
}

fn script() -> impl Strategy<Value = Script> {
    let state = || prop::sample::select(vec![GIVEN, GIVEN, REFUSED, UNSAFE]);
    let recorded = || prop::sample::select(vec![GIVEN, REFUSED, UNSAFE, "not_asked"]);
    let what = prop_oneof![
        3 => prop::option::of(state()).prop_map(What::Concern),
        3 => recorded().prop_map(What::Recorded),
        2 => (0..8_usize, recorded()).prop_map(|(which, state)| What::Corrected(which, state)),
        4 => (0..8_usize).prop_map(What::Withdrawn),
    ];
    let gap = prop::sample::select(vec![10_i64, 30, 600, 26 * 60]);
    prop::collection::vec((gap, prop::bool::weighted(0.4), what), 2..10)
}

#[test]
fn early_help_is_at_work_just_where_the_family_agrees_by_what_stands() {
    let book = book(&shipped());
    let first = (10, false, What::Concern(Some(GIVEN)));
    let with_first = script().prop_map(move |mut script| {
        script.insert(0, first);
        script
    });
    let played = runner(60).run(&with_first, |script| check(&book, &script));
    played.unwrap_or_else(|failed| panic!("{failed}"));
}
