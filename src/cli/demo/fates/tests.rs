//! The counting itself: what does not add up is said, and every task is told from a word as the engine tells it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::default_rules;
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::model::scalar::DAY_MS;
use crate::engine::rules::fault::SourceFile;
use crate::engine::rules::{self, RuleBook};
use crate::replay::{Replay, ReplayOptions, scenario};
use crate::simulate::referral_events;

/// Rules of the router's own that no scenario file shows: they take another calendar, more than 25 months, or more events than a file
/// should hold.
const TOLD_IN_NO_SCENARIO: [&str; 3] = ["calendar", "forgotten", "not-judged-again"];

fn shipped() -> RuleBook {
    let source = |(name, text): &(&str, &str)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() };
    rules::load(&default_rules::FILES.iter().map(source).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_task_that_two_decisions_raise_is_not_accounted_for() {
    let books = RuleBooks::new(vec![PreparedBook::new(shipped())]);
    let mut replay = Replay::new(books, ReplayOptions::default());
    let at = Timestamp(1_775_120_400_000);
    let (mut once, mut twice) = (Fates::default(), Fates::default());
    for event in referral_events(3, 20, at) {
        let results = replay.submit(&event, at).unwrap();
        for fates in [&mut once, &mut twice] {
            // Another lane's decision may be read before the task it raised.
            results.decisions.iter().take(1).for_each(|decision| fates.decided(decision));
            for task in &results.tasks {
                fates.published(task);
            }
            results.decisions.iter().skip(1).for_each(|decision| fates.decided(decision));
        }
        results.decisions.iter().for_each(|decision| twice.decided(decision));
    }
    once.compare(replay.histories());
    twice.compare(replay.histories());
    assert!(once.all_accounted_for(), "{}", once.table());
    assert!(!twice.all_accounted_for());
    assert!(twice.table().contains("raised by more than one: "), "{}", twice.table());
}

/// Runs a scenario, takes note of the rules by which tasks were published, and says what of these the engine tells otherwise.
fn told_otherwise(name: &str, text: &str, book: &RuleBook, told: &mut BTreeSet<String>) -> Vec<String> {
    let parsed = scenario::parse(text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let (mut fates, mut seen, mut passed, mut faults) =
        (Fates::default(), BTreeSet::new(), BTreeSet::new(), Vec::new());
    let ran = scenario::run_watched(&parsed, text, book, &mut |results, replay| {
        let held: BTreeMap<&str, &str> = replay
            .histories()
            .flat_map(|history| &history.tasks)
            .map(|task| (task.task_id.as_str(), task.state.as_str()))
            .collect();
        for task in &results.tasks {
            let rules: Vec<&String> = task.reasons.iter().map(|reason| &reason.rule).collect();
            let waits = held.get(task.task_id.as_str()).is_some_and(|state| *state != TOLD);
            if !seen.insert(task.task_id.clone()) {
                faults.push(format!("{name}: published twice by {rules:?}: \"{}\"", task.action));
            }
            if fates.published(task) != waits {
                faults.push(format!("{name}: {rules:?} \"{}\": waits for an answer: {waits}", task.action));
            }
            told.extend(rules.into_iter().cloned());
        }
        results.decisions.iter().for_each(|decision| fates.decided(decision));
        // What nobody owes an answer to any more goes unsaid once it is too old, which no year sees.
        passed.extend(results.decisions.iter().map(|decision| decision.receipt));
        let span = passed.last().zip(passed.first()).map_or(0, |(last, first)| last.0 - first.0);
        if span < book.retention_days * DAY_MS {
            fates.compare(replay.histories());
        }
    });
    ran.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    if !fates.all_accounted_for() {
        faults.push(format!("{name}: {}", fates.faults.in_words()));
    }
    faults
}

/// The ids that the engine gives its own tasks.
fn own_rules(folder: &Path, found: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            own_rules(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let ids = text.lines().filter_map(|line| line.split_once("_RULE: &str = \"")?.1.strip_suffix("\";"));
        found.extend(ids.map(str::to_owned));
    }
}

#[test]
fn every_task_is_told_from_a_word_as_the_engine_tells_it() {
    let (root, book) = (Path::new(env!("CARGO_MANIFEST_DIR")), shipped());
    let files = fs::read_dir(root.join("rules/cheshire-east/scenarios")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut told, mut faults) = (BTreeSet::new(), Vec::new());
    for path in paths {
        let (name, text) = (path.to_string_lossy(), fs::read_to_string(&path).unwrap());
        faults.extend(told_otherwise(&name, &text, &book, &mut told));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let mut rules = BTreeSet::new();
    own_rules(&root.join("src/engine"), &mut rules);
    rules.extend(book.rules.iter().filter(|rule| !rule.tasks.is_empty()).map(|rule| rule.id.clone()));
    let untold: Vec<&String> = rules.difference(&told).collect();
    assert_eq!(untold, TOLD_IN_NO_SCENARIO, "rules by which no scenario shows a task");
}
