//! What was known from before go-live, and is reported live: nobody had been asked, so it is judged as new, and counted once.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::decision::{Disposition, Trigger};
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::json;

use crate::files::{book, shipped};

fn replay() -> Replay {
    let options = ReplayOptions { allow_backfill: true, ..ReplayOptions::default() };
    Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), options)
}

fn at(time: &str) -> Timestamp {
    Timestamp(time.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// A child of 15 went missing.
fn missing(id: u32, source: &str, occurred_at: &str, grade: &str) -> ReferralEvent {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": source,
        "type": "missing.started", "time": occurred_at,
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" }, "occurred_at": occurred_at,
            "child": { "given_names": "Lee", "family_name": "Example", "date_of_birth": "2011-01-15", "nhs_number": "9990002592" },
            "detail": { "grade": grade },
        }
    });
    cloud_event::read(&json).unwrap().event
}

fn import(replay: &mut Replay, event: &ReferralEvent, receipt: &str) -> Results {
    replay.submit(&ReferralEvent { backfill: true, ..event.clone() }, at(receipt)).unwrap()
}

fn disposition(results: &Results) -> Disposition {
    results.decisions.iter().find(|decision| decision.trigger == Trigger::Event).unwrap().disposition
}

fn rules(results: &Results) -> Vec<&str> {
    let fired = results.decisions.iter().flat_map(|decision| &decision.fired);
    fired.map(|fired| fired.rule.as_str()).collect()
}

#[test]
fn a_live_report_of_an_imported_absence_is_judged_as_new_and_counted_once() {
    let mut replay = replay();
    for (id, day) in [(1, "2026-05-01T09:00:00Z"), (2, "2026-06-07T09:00:00Z")] {
        let imported = import(&mut replay, &missing(id, "social-care/checs", day, "medium"), "2026-06-09T06:00:00Z");
        assert!(imported.tasks.is_empty());
    }
    let live = missing(3, "police/force-control", "2026-06-07T10:00:00Z", "high");
    let results = replay.submit(&live, at("2026-06-10T09:00:00Z")).unwrap();
    assert_eq!(disposition(&results), Disposition::Judged);
    assert!(rules(&results).contains(&"R10"), "somebody looks for the child: {:?}", rules(&results));
    assert!(!rules(&results).contains(&"R13"), "the second absence, told twice, is no third");
    assert_eq!(replay.entries().count(), 2, "one absence, one entry");

    let again = replay.submit(&live, at("2026-06-10T10:00:00Z")).unwrap();
    assert_eq!(disposition(&again), Disposition::Retransmission);
    let imported =
        import(&mut replay, &missing(2, "social-care/checs", "2026-06-07T09:00:00Z", "medium"), "2026-06-10T11:00:00Z");
    assert_eq!(disposition(&imported), Disposition::Retransmission, "importing again changes nothing");
    let later = replay.pass_time(at("2026-06-11T09:00:00Z")).unwrap();
    assert!(rules(&later).contains(&"R11-24h"), "the clock of the search runs: {:?}", rules(&later));
}

#[test]
fn what_was_imported_and_comes_live_under_its_own_id_is_judged_too() {
    let mut replay = replay();
    let event = missing(1, "police/force-control", "2026-06-09T09:00:00Z", "high");
    import(&mut replay, &event, "2026-06-10T06:00:00Z");
    let results = replay.submit(&event, at("2026-06-10T09:00:00Z")).unwrap();
    assert_eq!(disposition(&results), Disposition::Judged);
    assert!(rules(&results).contains(&"R10"));
    assert_eq!(replay.entries().count(), 1);
}

#[test]
fn a_second_live_report_of_the_same_absence_asks_nobody_again() {
    let mut replay = replay();
    import(&mut replay, &missing(1, "social-care/checs", "2026-06-09T09:00:00Z", "high"), "2026-06-10T06:00:00Z");
    replay
        .submit(&missing(2, "police/force-control", "2026-06-09T10:00:00Z", "high"), at("2026-06-10T09:00:00Z"))
        .unwrap();
    let third = replay
        .submit(&missing(3, "care-home/oak", "2026-06-09T11:00:00Z", "high"), at("2026-06-10T09:30:00Z"))
        .unwrap();
    assert_eq!(disposition(&third), Disposition::Duplicate);
    assert!(third.tasks.is_empty());
}

/// Of the same child: what comes of their absence later.
fn later(id: u32, kind: &str, time: &str, detail: &serde_json::Value) -> ReferralEvent {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": "police/force-control",
        "type": kind, "time": time,
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" }, "occurred_at": time,
            "child": { "given_names": "Lee", "family_name": "Example", "date_of_birth": "2011-01-15", "nhs_number": "9990002592" },
            "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

/// Whom a withdrawn return makes look for the child again.
fn who_looks(results: &Results) -> Vec<&str> {
    let looks = results.tasks.iter().filter(|task| task.action.starts_with("The return was withdrawn"));
    looks.map(|task| task.agency.as_str()).collect()
}

#[test]
fn a_return_that_is_withdrawn_of_an_imported_absence_that_was_graded_anew_begins_the_search_and_its_clocks_again() {
    let mut replay = replay();
    import(&mut replay, &missing(1, "police/force-control", "2026-06-09T20:00:00Z", "high"), "2026-06-10T06:00:00Z");
    let regraded = later(2, "missing.regraded", "2026-06-10T09:00:00Z", &json!({ "grade": "high" }));
    assert!(rules(&replay.submit(&regraded, at("2026-06-10T09:00:00Z")).unwrap()).contains(&"R10"));
    let ended = later(3, "missing.ended", "2026-06-10T10:00:00Z", &json!({ "ended_at": "2026-06-10T09:50:00Z" }));
    replay.submit(&ended, at("2026-06-10T10:00:00Z")).unwrap();
    let back = json!({ "original_event_id": "00000000-0000-4000-8000-000000000003", "reason": "recorded in error" });
    let withdrawn = later(4, "event.withdrawn", "2026-06-10T11:00:00Z", &back);
    let results = replay.submit(&withdrawn, at("2026-06-10T11:00:00Z")).unwrap();
    let mut looks = who_looks(&results);
    looks.sort_unstable();
    assert_eq!(looks, ["police", "social-care"]);
    let after_a_day = replay.pass_time(at("2026-06-11T10:00:00Z")).unwrap();
    assert!(rules(&after_a_day).contains(&"R11-24h"), "the clock of the search runs: {:?}", rules(&after_a_day));
}

#[test]
fn a_return_that_is_withdrawn_of_an_absence_that_was_imported_alone_is_put_to_whoever_decides() {
    let mut replay = replay();
    import(&mut replay, &missing(1, "police/force-control", "2026-06-09T20:00:00Z", "high"), "2026-06-10T06:00:00Z");
    let ended = later(3, "missing.ended", "2026-06-10T10:00:00Z", &json!({ "ended_at": "2026-06-10T09:50:00Z" }));
    replay.submit(&ended, at("2026-06-10T10:00:00Z")).unwrap();
    let back = json!({ "original_event_id": "00000000-0000-4000-8000-000000000003", "reason": "recorded in error" });
    let withdrawn = later(4, "event.withdrawn", "2026-06-10T11:00:00Z", &back);
    let results = replay.submit(&withdrawn, at("2026-06-10T11:00:00Z")).unwrap();
    assert_eq!(who_looks(&results), ["social-care"]);
    let after_a_day = replay.pass_time(at("2026-06-11T21:00:00Z")).unwrap();
    assert!(!rules(&after_a_day).contains(&"R11-24h"), "what was told before go-live is never judged");
}
