//! Histories that are too long: what is folded away changes no count within its window, opens no route that was held back, closes no
//! plan, and makes no repeat into news; or the decision says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::{AsOf, PreparedBook};
use pathway_router::engine::history::entry::bare;
use pathway_router::engine::history::folding::{ENTRIES_MAX, WAITED_FOR_MAX, fold};
use pathway_router::engine::history::keeping::Keeping;
use pathway_router::engine::history::routes::lift_routes;
use pathway_router::engine::history::{held_back_of, insert};
use pathway_router::engine::model::decision::{Decision, Disposition};
use pathway_router::engine::model::event::{DoNotInform, ReferralEvent, Source};
use pathway_router::engine::model::history::{Entry, HeldBack, History};
use pathway_router::engine::model::scalar::{FactValue, Timestamp};
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::book::Window;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::lifecycle;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Thursday 2 April 2026, 10:00 BST.
const START: i64 = 1_775_120_400_000;
const LEFT_OUT: &str = "not-judged-again";

struct Child {
    replay: Replay,
    number: usize,
}

impl Child {
    fn new() -> Self {
        let books = RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]);
        Self { replay: Replay::new(books, ReplayOptions::default()), number: 0 }
    }

    fn event(&mut self, from: &str, kind: &str, detail: &Value, at: i64) -> ReferralEvent {
        self.number += 1;
        let mut event = lifecycle::event(self.number, from, kind, detail, at);
        event.child.school_urn = Some("999001".to_owned());
        event
    }

    fn submit(&mut self, event: &ReferralEvent, at: i64) -> Results {
        let results = self.replay.submit(event, Timestamp(at)).unwrap();
        assert!(results.failed.is_empty(), "{:?}", results.failed);
        results
    }

    fn tell(&mut self, from: &str, kind: &str, detail: &Value, at: i64) -> Results {
        let event = self.event(from, kind, detail, at);
        self.submit(&event, at)
    }

    /// Told now of what happened then.
    fn tell_late(&mut self, from: &str, kind: &str, detail: &Value, (happened, at): (i64, i64)) -> Results {
        let event = self.event(from, kind, detail, happened);
        self.submit(&event, at)
    }

    fn missing(&mut self, episode: &str, at: i64) -> Results {
        self.tell("police/force-control", "missing.started", &json!({ "grade": "medium", "episode_ref": episode }), at)
    }

    fn back(&mut self, episode: &str, at: i64) {
        let ended_at = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
        let detail = json!({ "episode_ref": episode, "ended_at": ended_at });
        self.tell("police/force-control", "missing.ended", &detail, at);
    }

    fn withdraw(&mut self, from: &str, original: &ReferralEvent, at: i64) -> Results {
        let detail = json!({ "original_event_id": original.event_id, "reason": "sent by mistake" });
        self.tell(from, "event.withdrawn", &detail, at)
    }

    fn checks(&mut self, count: i64, every: i64, from: i64) -> i64 {
        for number in 0..count {
            let detail = json!({ "check": "cp_is" });
            self.tell("police/force-control", "information.requested", &detail, from + number * every);
        }
        from + count * every
    }
}

fn wish() -> DoNotInform {
    DoNotInform { agency: None, unit: None, person: None, reason: None }
}

fn fired(results: &Results) -> BTreeSet<&str> {
    results.decisions.iter().flat_map(|decision| &decision.fired).map(|fired| fired.rule.as_str()).collect()
}

fn asks<'r>(results: &'r Results, agency: &str) -> Vec<&'r Task> {
    results.tasks.iter().filter(|task| task.agency == agency && task.kind.is_none()).collect()
}

fn notes(results: &Results) -> Vec<&String> {
    results.decisions.iter().flat_map(|decision: &Decision| &decision.notes).collect()
}

#[test]
fn a_plan_that_comes_to_be_known_late_counts_for_a_child_who_is_missing_now_however_much_was_told_before() {
    let mut child = Child::new();
    for day in 0..70 {
        child.tell("school/999001", "education.absence", &json!({ "percent_missed": 5 }), START + day * DAY);
    }
    let at = START + 70 * DAY;
    let results = child.missing("E-1", at);
    assert!(!fired(&results).contains("R10"));
    let cpp = json!({ "status": "cpp", "open": true });
    let results = child.tell_late("social-care/checs", "status.changed", &cpp, (START - 40 * DAY, at + 2 * HOUR));
    assert!(fired(&results).contains("R10"), "{:?}", fired(&results));
    assert!(!fired(&results).is_empty() && notes(&results).iter().all(|note| !note.contains("not judged again")));
}

#[test]
fn a_start_that_comes_late_makes_up_the_third_however_much_was_told_between() {
    let mut child = Child::new();
    child.missing("E-0", START);
    child.back("E-0", START + 3 * HOUR);
    for day in 3..73 {
        child.tell("school/999001", "education.absence", &json!({ "percent_missed": 5 }), START + day * DAY);
    }
    let at = START + 73 * DAY;
    child.missing("E-2", at);
    child.back("E-2", at + 2 * HOUR);
    let second = json!({ "grade": "medium", "episode_ref": "E-1" });
    let results = child.tell_late("ambulance/control", "missing.started", &second, (START + 2 * DAY, at + 3 * HOUR));
    assert!(fired(&results).contains("R13"), "{:?}", fired(&results));
}

#[test]
fn what_is_too_much_to_be_judged_again_is_said_and_asked_about_once() {
    let mut child = Child::new();
    let to_look = |results: &Results| {
        let is_to_look = |task: &&&Task| task.reasons.iter().any(|reason| reason.rule == LEFT_OUT);
        asks(results, "social-care").iter().filter(is_to_look).count()
    };
    // Each reaches those before it on that day, too.
    let (count, mut asked) = (128 + 20, 0);
    for number in 0..count {
        let detail = json!({ "concern": "other", "proposed_level": "L1" });
        let at = START + number * MINUTE;
        let results = child.tell("voluntary/drop-in", "concern.reported", &detail, at);
        assert!(number > 128 || to_look(&results) == 0, "all are judged again at {number}");
        asked += to_look(&results);
    }
    for (status, minute) in [("cpp", 1), ("lac", 2)] {
        let at = START + (count + minute) * MINUTE;
        let detail = json!({ "status": status, "open": true });
        let results = child.tell_late("social-care/checs", "status.changed", &detail, (START - DAY, at));
        assert!(notes(&results).iter().any(|note| note.contains("20 older entries")), "{:?}", notes(&results));
        asked += to_look(&results);
    }
    assert_eq!(asked, 1);
}

#[test]
fn a_plan_stands_though_hundreds_of_words_on_another_status_came_since() {
    let mut child = Child::new();
    for (status, years) in [("cpp", 6), ("lac", 5)] {
        let detail = json!({ "status": status, "open": true });
        child.tell_late("social-care/checs", "status.changed", &detail, (START - years * 365 * DAY, START));
    }
    for day in 1..=256 {
        let detail = json!({ "status": "ce_flag", "open": false });
        child.tell("social-care/checs", "status.changed", &detail, START + day * DAY);
    }
    let results = child.missing("E-1", START + 257 * DAY);
    assert!(fired(&results).contains("R10") && fired(&results).contains("R07"), "{:?}", fired(&results));
}

#[test]
fn a_wish_that_is_folded_does_not_end_with_another_senders_event() {
    let mut child = Child::new();
    let mut wished = child.event(
        "gp/N81001",
        "concern.reported",
        &json!({ "concern": "physical_abuse", "proposed_level": "L2" }),
        START,
    );
    wished.do_not_inform =
        vec![DoNotInform { agency: Some("school".to_owned()), reason: Some("a reason".to_owned()), ..wish() }];
    child.submit(&wished, START);
    let housing = json!({ "concern": "housing", "proposed_level": "L2" });
    let other = child.event("ambulance/control", "concern.reported", &housing, START + 500 * DAY);
    child.submit(&other, START + 500 * DAY);
    let at = START + 780 * DAY;
    let results = child.missing("E-1", at);
    assert!(fired(&results).contains("R08-medium") && asks(&results, "school").is_empty());
    let results = child.withdraw("ambulance/control", &other, at + HOUR);
    assert!(asks(&results, "school").is_empty(), "another sender's wish is not theirs to end");
}

#[test]
fn the_accused_ones_school_is_not_asked_though_the_allegation_is_long_folded() {
    for (withdrawn, something_left) in [(false, false), (false, true), (true, true), (true, false)] {
        let mut child = Child::new();
        let detail = json!({ "suspect_is": "professional", "suspect_agency": "school", "suspect_unit": "999001" });
        let alleged = child.event("gp/N81001", "sexual_abuse.alleged", &detail, START);
        child.submit(&alleged, START);
        if withdrawn {
            child.withdraw("gp/N81001", &alleged, START + HOUR);
        }
        if something_left {
            let housing = json!({ "concern": "housing", "proposed_level": "L2" });
            child.tell("ambulance/control", "concern.reported", &housing, START + 500 * DAY);
        }
        let results = child.missing("E-1", START + 790 * DAY);
        let case = format!("withdrawn: {withdrawn}, something left: {something_left}");
        assert!(fired(&results).contains("R08-medium"), "{case}: {:?}", fired(&results));
        assert!(asks(&results, "school").is_empty(), "{case}");
    }
}

#[test]
fn a_re_referral_is_one_however_many_checks_came_between() {
    let mut child = Child::new();
    let housing = json!({ "concern": "housing", "proposed_level": "L2" });
    child.tell("school/999001", "concern.reported", &housing, START);
    let closed = json!({ "decision": "closed", "decided_by": "A. Worker", "decided_by_role": "worker" });
    child.tell("social-care/checs", "decision.recorded", &closed, START + DAY);
    let at = child.checks(260, 20 * HOUR, START + 2 * DAY);
    let results = child.tell("school/999001", "concern.reported", &housing, at);
    assert!(fired(&results).contains("R06"), "{:?}", fired(&results));
    assert!(notes(&results).iter().all(|note| !note.contains("not complete")), "{:?}", notes(&results));
}

#[test]
fn a_history_that_is_cut_within_a_window_says_so_on_every_decision_that_counts_there() {
    let mut child = Child::new();
    let mut said = 0;
    let absences = i64::try_from(ENTRIES_MAX + WAITED_FOR_MAX).unwrap() + 40;
    for number in 0..absences {
        let detail = json!({ "percent_missed": 5 });
        let results = child.tell("school/999001", "education.absence", &detail, START + number * HOUR);
        said += notes(&results).iter().filter(|note| note.contains("within a window that rules count in")).count();
    }
    assert!(said > 0, "what is cut is said");
    let housing = json!({ "concern": "housing", "proposed_level": "L2" });
    let results = child.tell("school/999001", "concern.reported", &housing, START + absences * HOUR);
    let notes = notes(&results);
    assert!(notes.iter().any(|note| note.contains("History is not complete before")), "{notes:?}");
}

#[test]
fn the_same_bytes_again_are_a_repeat_though_the_event_is_folded() {
    let mut child = Child::new();
    let event = child.event("voluntary/drop-in", "agreement.recorded", &json!({ "state": "given" }), START);
    child.submit(&event, START);
    let harm =
        child.event("school/999001", "concern.reported", &json!({ "concern": "other", "proposed_level": "L1" }), START);
    child.submit(&harm, START);
    let closed = json!({ "decision": "closed", "decided_by": "A. Worker", "decided_by_role": "worker" });
    child.tell("social-care/checs", "decision.recorded", &closed, START + MINUTE);
    let at = child.checks(300, HOUR, START + HOUR);
    for event in [&event, &harm] {
        let results = child.submit(event, at);
        assert_eq!(results.decisions[0].disposition, Disposition::Retransmission, "{:?}", event.detail.kind());
        assert!(results.tasks.is_empty());
    }
}

#[test]
fn nothing_is_kept_of_a_child_of_whom_all_is_too_old_save_a_plan_until_they_are_grown() {
    let retention = book(&shipped()).retention_days;
    for planned in [false, true] {
        let mut child = Child::new();
        if planned {
            let detail = json!({ "status": "cpp", "open": true });
            child.tell("social-care/checs", "status.changed", &detail, START);
        }
        child.tell(
            "voluntary/drop-in",
            "concern.reported",
            &json!({ "concern": "other", "proposed_level": "L1" }),
            START,
        );
        // What nobody answered is told once more before it goes.
        child.replay.pass_time(Timestamp(START + (2 * retention + 60) * DAY)).unwrap();
        assert_eq!(child.replay.histories().count(), usize::from(planned));
        // Born in January 2013: 18 in 2031.
        child.replay.pass_time(Timestamp(START + 5 * 365 * DAY)).unwrap();
        assert_eq!(child.replay.histories().count(), usize::from(planned), "a plan matters for the whole childhood");
        child.replay.pass_time(Timestamp(START + (7 * 365 + retention) * DAY)).unwrap();
        assert_eq!(child.replay.histories().count(), 0);
    }
}

/// What happens to a record, in the test's own terms.
#[derive(Clone, Debug)]
enum Happening {
    /// A kind, with a route that it asks to hold back or that is a suspect's.
    Told(&'static str, Option<HeldBack>),
    /// Of those that are kept whole, by number.
    TakenBack(usize),
    Lifted(&'static str),
}

fn happenings() -> impl Strategy<Value = Vec<(i64, Happening)>> {
    let kinds = vec![
        "information.requested",
        "concern.reported",
        "concern.reported",
        "education.absence",
        "education.absence",
        "education.absence",
        "self_harm.reported",
        "missing.started",
        "missing.ended",
        "decision.recorded",
    ];
    let route = (prop::sample::select(vec!["school", "camhs", "gp"]), prop::sample::select(vec!["asked", "suspect"]));
    let route = route.prop_map(|(agency, cause)| HeldBack { agency: agency.into(), unit: None, cause: cause.into() });
    let route = prop_oneof![30 => Just(None), 1 => route.prop_map(Some)];
    let told = (prop::sample::select(kinds), route).prop_map(|(kind, route)| Happening::Told(kind, route));
    let taken_back = (0..ENTRIES_MAX).prop_map(Happening::TakenBack);
    let lifted = prop::sample::select(vec!["school", "camhs", "gp"]).prop_map(Happening::Lifted);
    let what = prop_oneof![60 => told, 3 => taken_back, 1 => lifted];
    // Days with many, and months with few.
    let hours = prop_oneof![12 => 1..24_i64, 1 => 24..300_i64];
    prop::collection::vec((hours, what), 500..1_000)
}

fn entry(number: usize, kind: &str, at: Timestamp, held_back: Option<HeldBack>) -> Entry {
    let agency = if number.is_multiple_of(3) { "police" } else { "school" };
    let source = Source { partner: agency.to_owned(), agency: Some(agency.to_owned()), unit: String::new() };
    let mut entry = Entry {
        kind: kind.to_owned(),
        held_back: held_back.into_iter().collect(),
        backfilled: number.is_multiple_of(7),
        ..bare(&uuid_of(number), source, at)
    };
    if kind == "missing.started" {
        entry.facts.insert("grade".to_owned(), FactValue::Code("medium".to_owned()));
    }
    entry
}

fn uuid_of(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn withdraw(history: &mut History, event_id: &str) {
    let of_event = history.entries.iter_mut().filter(|entry| entry.event_id == event_id);
    of_event.for_each(|entry| Arc::make_mut(entry).withdrawn = true);
}

/// Every count of the book, by what is kept and by all that there ever was; save over what the history says is not complete.
fn check_counts(book: &PreparedBook, kept: &History, all: &History) -> Result<usize, TestCaseError> {
    let (Some(judged), mut compared) = (kept.entries.last(), 0) else { return Ok(0) };
    for aggregate in &book.rules.aggregates {
        let Some(days) = aggregate.window.days_at_most() else {
            prop_assert_eq!(aggregate.window, Window::Ever);
            continue;
        };
        if kept.covered_since.is_some_and(|since| judged.occurred_at.plus_millis(-(days + 1) * DAY) < since) {
            continue;
        }
        let counted = |history| book.counted(aggregate, history, judged, AsOf::entry(judged), None);
        prop_assert_eq!(counted(kept), counted(all));
        compared += 1;
    }
    Ok(compared)
}

#[test]
fn folding_changes_no_count_within_its_window_and_opens_no_route() {
    let book = PreparedBook::new(book(&shipped()));
    let keeping = Keeping::by(&book.rules);
    let compared = std::cell::Cell::new((0, 0));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(12));
    runner
        .run(&happenings(), |happenings| {
            let (mut kept, mut all, mut at) = (History::default(), History::default(), START);
            for (number, (hours, what)) in happenings.into_iter().enumerate() {
                at += hours * HOUR;
                match what {
                    Happening::Told(kind, route) => {
                        let told = entry(number, kind, Timestamp(at), route);
                        insert(&mut kept, told.clone());
                        insert(&mut all, told);
                    }
                    Happening::TakenBack(place) => {
                        let taken = kept.entries.get(place).map(|entry| entry.event_id.clone());
                        for history in [&mut kept, &mut all] {
                            taken.iter().for_each(|event_id| withdraw(history, event_id));
                        }
                    }
                    Happening::Lifted(agency) => {
                        let by = entry(0, "decision.recorded", Timestamp(at), None);
                        let lifted = held_back_of(&all).into_iter().filter(|route| route.agency == agency).collect();
                        lift_routes(&mut kept, &lifted, &by);
                        lift_routes(&mut all, &lifted, &by);
                    }
                }
                let before = kept.covered_since;
                let folded = fold(&mut kept, Timestamp(at), &keeping);
                prop_assert!(kept.entries.len() <= ENTRIES_MAX + WAITED_FOR_MAX);
                prop_assert_eq!(folded.counted > 0, kept.covered_since > before, "a window that is cut is said");
                prop_assert_eq!(held_back_of(&kept), held_back_of(&all));
                if number.is_multiple_of(40) {
                    let (counts, cut) = compared.get();
                    let here = check_counts(&book, &kept, &all)?;
                    compared.set((counts + here, cut + usize::from(kept.covered_since.is_some())));
                }
            }
            Ok(())
        })
        .unwrap();
    let (counts, cut) = compared.get();
    assert!(counts > 500 && cut > 0, "{counts} counts compared, {cut} histories cut");
}
