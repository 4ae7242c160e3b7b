//! What is too much or too old to be remembered: nothing that somebody still owes an answer to goes unsaid, and decisions say
//! how every task stands.

use std::collections::{BTreeMap, BTreeSet};

use pathway_router::engine::context::{Context, RuleBooks};
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::history::FOLD;
use pathway_router::engine::history::folding::{
    CLOSED_TASKS_MAX, ENTRIES_MAX, FORGOTTEN_RULE, OPEN_TASKS_MAX, WAITED_FOR_MAX,
};
use pathway_router::engine::identity::Keys;
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::decision::{Decision, Disposition};
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::{self, RuleBook};
use pathway_router::engine::seal::Sealer;
use pathway_router::engine::state::State;
use pathway_router::engine::step::{drop_timer, step_timer};
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::json;

use crate::files::{book, shipped, sources};
use crate::kit::outcome;
use crate::lifecycle;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Thursday 2 April 2026, 10:00 BST.
const START: i64 = 1_775_120_400_000;
/// What an answer that was not applied is told by.
const REFUSED: &str = "answer-refused";

/// One child, with all that was published about them.
struct Child {
    replay: Replay,
    published: Vec<Task>,
    decisions: Vec<Decision>,
    number: usize,
}

impl Child {
    fn new(book: &RuleBook) -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
        let replay = Replay::new(books, ReplayOptions::default());
        Self { replay, published: Vec::new(), decisions: Vec::new(), number: 0 }
    }

    /// Takes note of what was published; gives the tasks.
    fn take(&mut self, results: Results) -> Vec<Task> {
        assert!(results.failed.is_empty(), "{:?}", results.failed);
        self.published.extend(results.tasks.iter().cloned());
        self.decisions.extend(results.decisions);
        results.tasks
    }

    fn event(&mut self, kind: &str, detail: serde_json::Value, at: i64) -> Vec<Task> {
        self.number += 1;
        let event = lifecycle::event(self.number, "voluntary/drop-in", kind, &detail, at);
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(results)
    }

    fn concern(&mut self, at: i64) -> Vec<Task> {
        self.event("concern.reported", json!({ "concern": "other", "proposed_level": "L1" }), at)
    }

    fn answer(&mut self, task: &Task, kind: OutcomeKind, at: i64) -> Vec<Task> {
        self.number += 1;
        let outcome = outcome(self.number, task, kind, at);
        let results = self.replay.answer(&task.agency, task.unit.as_deref(), &outcome, Timestamp(at)).unwrap();
        self.take(results)
    }

    fn decision(&mut self, detail: serde_json::Value, at: i64) -> Vec<Task> {
        self.number += 1;
        let event = lifecycle::event(self.number, "social-care/case-system", "decision.recorded", &detail, at);
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(results)
    }

    fn pass(&mut self, until: i64) -> Vec<Task> {
        let results = self.replay.pass_time(Timestamp(until)).unwrap();
        self.take(results)
    }

    /// How each task that asks for something stands, as the decisions have said one after another.
    fn as_decided(&self) -> BTreeMap<String, String> {
        let asks = |task: &&Task| task.kind.is_none() && task.reasons.iter().all(|reason| reason.rule != REFUSED);
        let mut states: BTreeMap<String, String> =
            self.published.iter().filter(asks).map(|task| (task.task_id.clone(), "raised".to_owned())).collect();
        for change in self.decisions.iter().flat_map(|decision| &decision.task_changes) {
            let state = states.get_mut(&change.task_id).expect("a decision changes what was published");
            state.clone_from(&change.state);
        }
        states
    }

    /// Each task that is remembered stands as the decisions said, and each that is open by the decisions is remembered.
    fn check_accounts(&self) {
        let histories = self.replay.histories();
        let held: BTreeMap<&String, &String> =
            histories.flat_map(|history| &history.tasks).map(|task| (&task.task_id, &task.state)).collect();
        for (task_id, state) in self.as_decided() {
            let is_open = matches!(state.as_str(), "raised" | "acknowledged" | "accepted" | "challenged");
            match held.get(&task_id) {
                Some(remembered) => assert_eq!(**remembered, state),
                None => assert!(!is_open, "a task that is {state} is not remembered"),
            }
        }
        for history in self.replay.histories() {
            assert!(history.entries.len() <= ENTRIES_MAX + WAITED_FOR_MAX);
            assert!(history.tasks.len() <= CLOSED_TASKS_MAX + OPEN_TASKS_MAX);
        }
    }

    fn words_of_forgotten(&self) -> Vec<&Task> {
        self.published.iter().filter(|task| is_by(task, FORGOTTEN_RULE)).collect()
    }
}

fn is_by(task: &Task, rule: &str) -> bool {
    task.reasons.iter().any(|reason| reason.rule == rule)
}

#[test]
fn the_first_of_four_hundred_unanswered_tasks_can_still_be_answered() {
    let mut child = Child::new(&book(&shipped()));
    let first = child.concern(START).remove(0);
    let mut number = 0;
    while child.published.len() < 400 {
        number += 1;
        child.concern(START + number * MINUTE);
    }
    let told = child.answer(&first, OutcomeKind::Accepted, START + 6 * HOUR);
    assert!(told.iter().all(|task| !is_by(task, REFUSED)), "the answer was not applied");
    assert_eq!(child.as_decided()[&first.task_id], "accepted");
    assert!(child.words_of_forgotten().is_empty());
    child.check_accounts();
}

#[test]
fn an_open_task_outlives_hundreds_that_are_done() {
    let mut child = Child::new(&book(&shipped()));
    let first = child.concern(START).remove(0);
    child.answer(&first, OutcomeKind::Accepted, START + 1);
    for number in 1..300 {
        let at = START + number * MINUTE;
        for task in child.concern(at) {
            child.answer(&task, OutcomeKind::Completed, at + 1);
        }
    }
    let told = child.answer(&first, OutcomeKind::Completed, START + 12 * HOUR);
    assert!(told.iter().all(|task| !is_by(task, REFUSED)), "the answer was not applied");
    child.check_accounts();
}

#[test]
fn when_there_are_far_too_many_the_front_door_is_told_of_each_that_goes() {
    let mut child = Child::new(&book(&shipped()));
    for number in 0..700 {
        child.concern(START + number * MINUTE);
    }
    child.check_accounts();
    let forgotten: BTreeSet<String> =
        child.as_decided().into_iter().filter(|(_, state)| state == "forgotten").map(|(task_id, _)| task_id).collect();
    assert!(forgotten.len() >= 100, "only {} tasks went", forgotten.len());
    let words = child.words_of_forgotten();
    assert!(words.len() <= forgotten.len() / 50, "{} words of {} tasks", words.len(), forgotten.len());
    for word in &words {
        assert_eq!(word.agency, "social-care");
        assert!(word.child.is_none() && word.narrative.is_none(), "a word of what is forgotten names no child");
    }
    for task_id in &forgotten {
        let told = words.iter().filter(|word| word.notes.iter().any(|note| note.contains(task_id.as_str()))).count();
        assert_eq!(told, 1);
    }
}

#[test]
fn a_clock_runs_on_whatever_else_is_reported_of_the_child() {
    let mut child = Child::new(&book(&shipped()));
    let detail = json!({ "episode_ref": "E-1", "grade": "medium", "last_seen_at": "2026-04-02T09:00:00Z" });
    child.event("missing.started", detail, START);
    for number in 1..400 {
        child.concern(START + number * MINUTE);
    }
    let told = child.pass(START + 26 * HOUR);
    assert!(told.iter().any(|task| is_by(task, "R11-24h")), "24 hours missing, and nobody was told");
    child.check_accounts();
}

/// At 01:00, when only the duty team is there.
#[test]
fn what_is_forgotten_of_long_ago_wakes_nobody_at_night() {
    let book = book(&shipped());
    let mut child = Child::new(&book);
    child.event("concern.reported", json!({ "concern": "other", "proposed_level": "L4b" }), START);
    let told = child.pass(START + book.retention_days * DAY + 20 * DAY);
    let words: Vec<&Task> = told.iter().filter(|word| is_by(word, FORGOTTEN_RULE)).collect();
    assert_eq!(words.len(), 1);
    let chases = told.iter().filter(|task| task.follows.as_ref() == Some(&words[0].task_id));
    let told_of_it: Vec<&Task> = chases.chain(words.iter().copied()).collect();
    assert!(told_of_it.len() > 2, "silence is told to the front door, too");
    assert!(told_of_it.iter().all(|task| task.unit.as_deref() != Some("edt")), "{told_of_it:?}");
    assert!(words[0].notes.iter().any(|note| note.contains("L4b")), "it says how grave it was: {:?}", words[0].notes);
}

#[test]
fn an_answer_to_what_is_forgotten_says_so_and_whom_to_ring() {
    let book = book(&shipped());
    let too_old = START + book.retention_days * DAY + 2 * DAY;
    let mut child = Child::new(&book);
    child.replay.front_door_phone("0300 000 0000");
    let task = child.concern(START).remove(0);
    child.pass(too_old);
    let told = child.answer(&task, OutcomeKind::Completed, too_old + DAY);
    let refused: Vec<&Task> = told.iter().filter(|task| is_by(task, REFUSED)).collect();
    let why = &refused[0].reasons[0].why;
    assert!(why.contains("remembered no longer") && why.contains("ring the front door on 0300 000 0000"), "{why}");
}

#[test]
fn what_nobody_answered_is_told_when_it_is_too_old_and_what_was_done_is_not() {
    let book = book(&shipped());
    let too_old = START + book.retention_days * DAY + 2 * DAY;
    let mut child = Child::new(&book);
    let task = child.concern(START).remove(0);
    let told = child.pass(too_old);
    let words: Vec<&Task> = told.iter().filter(|word| is_by(word, FORGOTTEN_RULE)).collect();
    assert_eq!(words.len(), 1);
    assert!(words[0].notes.iter().any(|note| note.contains(&task.task_id)));
    child.check_accounts();
    // The word itself is told no more when it is too old: nothing is kept for ever.
    child.pass(too_old + book.retention_days * DAY + 30 * DAY);
    assert_eq!(child.words_of_forgotten().len(), 1);
    assert!(child.replay.histories().all(|history| history.tasks.is_empty()));

    let mut child = Child::new(&book);
    for task in child.concern(START) {
        child.answer(&task, OutcomeKind::Acknowledged, START + MINUTE);
    }
    assert!(child.pass(too_old).is_empty());
}

#[test]
fn a_disagreement_that_nobody_settled_is_told_when_it_is_too_old_though_the_case_was_closed_before_it() {
    let book = book(&shipped());
    let too_old = START + book.retention_days * DAY + 4 * DAY;
    let mut child = Child::new(&book);
    let tasks = child.concern(START);
    let closed =
        |level: &str| json!({ "decision": "closed", "level": level, "decided_by": "M.", "decided_by_role": "manager" });
    child.decision(closed("L1"), START + DAY);
    child.answer(&tasks[0], OutcomeKind::Challenged, START + 2 * DAY);
    let told = child.pass(too_old);
    let of_it = |word: &&Task| word.notes.iter().any(|note| note.contains(&tasks[0].task_id));
    assert_eq!(told.iter().filter(|word| is_by(word, FORGOTTEN_RULE)).filter(of_it).count(), 1);

    // Near miss: a person decided after it began.
    let mut child = Child::new(&book);
    let tasks = child.concern(START);
    child.answer(&tasks[0], OutcomeKind::Challenged, START + DAY);
    child.decision(closed("L1"), START + 2 * DAY);
    let told = child.pass(too_old);
    assert!(!told.iter().any(|word| word.notes.iter().any(|note| note.contains(&tasks[0].task_id))));
}

/// The shipped book, from so long after the start, that keeps things for so many days.
fn keeps_for(days: i64, from: i64) -> PreparedBook {
    let mut files = sources(&shipped());
    let file = files.iter_mut().find(|file| file.name == "book.toml").unwrap();
    let from = jiff::Timestamp::from_millisecond(from).unwrap().to_string();
    file.text = file
        .text
        .replace("2012-01-01T00:00:00Z", &from)
        .replace("retention_days = 762", &format!("retention_days = {days}"));
    PreparedBook::new(rules::load(&files).unwrap_or_else(|faults| panic!("{faults:#?}")))
}

#[test]
fn what_is_to_be_kept_less_long_is_forgotten_in_time_also_of_children_of_whom_nothing_comes() {
    let long = || keeps_for(762, START - 100 * DAY);
    for restarts in [false, true] {
        let mut child = Child::new(&book(&shipped()));
        let books = RuleBooks::new(vec![long(), keeps_for(400, START + 100 * DAY)]);
        if restarts {
            child.replay.restart_with(RuleBooks::new(vec![long()]), Clone::clone);
        } else {
            child.replay.restart_with(books.clone(), Clone::clone);
        }
        for task in child.concern(START) {
            child.answer(&task, OutcomeKind::Completed, START + DAY);
        }
        child.pass(START + 120 * DAY);
        if restarts {
            child.replay.restart_with(books, Clone::clone);
        }
        let holds = |child: &Child| child.replay.histories().any(|history| !history.entries.is_empty());
        child.pass(START + 399 * DAY);
        assert!(holds(&child), "nothing is forgotten before its time");
        child.pass(START + 403 * DAY);
        assert!(!holds(&child), "kept for longer than the book says");
    }
}

#[test]
fn decisions_say_how_every_task_stands_whatever_is_answered() {
    use OutcomeKind::{Accepted, Acknowledged, Challenged, Completed, Declined};
    let mut child = Child::new(&book(&shipped()));
    let kinds = [Acknowledged, Accepted, Completed, Declined, Challenged];
    let mut at = START;
    for number in 0..60_usize {
        at += 5 * HOUR;
        let level = ["L1", "L2", "L3", "L4a", "L4b"][number % 5];
        child.event("concern.reported", json!({ "concern": "other", "proposed_level": level }), at);
        for turn in 0..3 {
            let place = (number * 7 + turn * 13) % child.published.len();
            let task = child.published[place].clone();
            child.answer(&task, kinds[(number + turn) % 5], at + MINUTE);
        }
        child.check_accounts();
    }
    child.pass(at + 10 * DAY);
    child.check_accounts();
    let stand: BTreeSet<String> = child.as_decided().into_values().collect();
    for state in ["raised", "acknowledged", "accepted", "declined", "completed", "challenged", "superseded"] {
        assert!(stand.contains(state), "nothing stands as {state}: {stand:?}");
    }
    let refused = |decision: &&Decision| decision.disposition == Disposition::Refused;
    assert!(child.decisions.iter().filter(refused).all(|decision| decision.task_changes.is_empty()));
}

#[test]
fn a_fold_that_failed_is_tried_again_the_next_day() {
    let book = book(&shipped());
    let mut child = Child::new(&book);
    child.concern(START);
    let (subject, mut state) = (SubjectKey([1; 32]), State::default());
    let known = child.replay.histories().next().unwrap().clone();
    let due_at = known.fold_at.unwrap();
    state.restore(subject, known);
    let context = Context {
        books: RuleBooks::new(vec![PreparedBook::new(book)]),
        keys: Keys::from_secret(&[1; 32]),
        sealer: Sealer::from_secret(&[2; 32]),
        covered_since: None,
        front_door_phone: None,
        panic_on: None,
    };
    let folds = |state: &State, at: i64| {
        let due = state.due_timers(Timestamp(at), usize::MAX);
        due.into_iter().map(|(_, timer)| timer).find(|timer| timer.rule == FOLD)
    };
    let timer = folds(&state, due_at.0).expect("too old by then");
    let failed_at = due_at.0 + 7 * HOUR;
    state.stage(drop_timer(&context, &state, subject, &timer, Timestamp(failed_at)).delta);
    assert!(!state.history(subject).unwrap().entries.is_empty(), "nothing is lost by the failure");
    let next = due_at.0 + DAY;
    assert_eq!(folds(&state, next - 1), None, "not at every tick");
    let again = folds(&state, next).expect("at the next midnight");
    state.stage(step_timer(&context, &state, subject, &again, Timestamp(next)).unwrap().delta);
    assert!(state.history(subject).unwrap().entries.is_empty(), "what is too old goes then");
}
