//! Where a child lives, once somebody has said that it must not get known: withheld whoever tells it next, until a person lifts it.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::replay::{Replay, ReplayOptions};
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Tuesday 9 June 2026, 10:00 in London.
const AT: i64 = 1_780_995_600_000;
const HOUR_MS: i64 = 60 * 60 * 1000;

fn replay() -> Replay {
    Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default())
}

fn event(id: u32, source: &str, kind: &str, nhs_number: &str, detail: &Value) -> ReferralEvent {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": source, "type": kind,
        "time": Timestamp(AT).to_jiff().to_string(),
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" },
            "child": {
                "given_names": "Jon", "family_name": "Example", "date_of_birth": "2024-01-15", "nhs_number": nhs_number,
                "addresses": [{ "lines": "9 Willow Court", "postcode": "CW1 1AA", "confidential": false }],
            },
            "narrative": "Seen at 9 Willow Court.",
            "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

const CHILD: &str = "9990002592";

fn attended(id: u32, nhs_number: &str, confidential: bool) -> ReferralEvent {
    let detail = json!({ "police_risk": "standard", "child_present": true, "address_confidential": confidential });
    event(id, "police/control", "domestic_abuse.attended", nhs_number, &detail)
}

fn neglect(id: u32, nhs_number: &str) -> ReferralEvent {
    event(id, "health/ward", "neglect.assessed", nhs_number, &json!({ "gcp2_grade": 4 }))
}

/// What comes of an event, `hours` later, for those who are not trusted with a confidential address and may see others.
fn seen(replay: &mut Replay, event: &ReferralEvent, hours: i64) -> Vec<Task> {
    let results = replay.submit(event, Timestamp(AT + hours * HOUR_MS)).unwrap();
    let agencies = book(&shipped()).agencies;
    let may = |task: &Task| {
        let agency = agencies.get(&task.agency).unwrap();
        agency.may_see("child.addresses") && !agency.confidential_addresses && task.child.is_some()
    };
    results.tasks.into_iter().filter(may).collect()
}

fn is_withheld(tasks: &[Task]) -> bool {
    assert!(!tasks.is_empty(), "somebody who may see addresses is asked");
    let shows = |task: &Task| {
        let child = task.child.as_ref().unwrap();
        assert_eq!(child.address_withheld, child.addresses.is_empty());
        assert_eq!(
            child.address_withheld,
            !task.narrative.iter().any(|narrative| narrative.contains("Willow")) || task.narrative.is_none()
        );
        !child.addresses.is_empty()
    };
    let shown = tasks.iter().filter(|task| shows(task)).count();
    assert!(shown == 0 || shown == tasks.len());
    shown == 0
}

#[test]
fn an_address_that_the_police_call_confidential_stays_so_for_whoever_tells_it_next() {
    let mut replay = replay();
    replay.submit(&attended(1, CHILD, true), Timestamp(AT)).unwrap();
    assert!(is_withheld(&seen(&mut replay, &neglect(2, CHILD), 1)));
    let near_miss = seen(&mut replay, &neglect(3, "9990003157"), 2);
    assert!(!is_withheld(&near_miss), "another child's, of whom nobody said so, is shown");
}

#[test]
fn a_correction_that_calls_it_confidential_is_kept_too_and_one_that_does_not_lifts_nothing() {
    let mut replay = replay();
    let first = attended(1, CHILD, false);
    replay.submit(&first, Timestamp(AT)).unwrap();
    assert!(!is_withheld(&seen(&mut replay, &neglect(2, CHILD), 1)));
    let corrected = |id: u32, confidential: bool| {
        let detail =
            json!({ "original_event_id": first.event_id, "changes": { "address_confidential": confidential } });
        event(id, "police/control", "event.corrected", CHILD, &detail)
    };
    replay.submit(&corrected(3, true), Timestamp(AT + 2 * HOUR_MS)).unwrap();
    let again = event(4, "health/ward", "neglect.assessed", CHILD, &json!({ "gcp2_grade": 5 }));
    assert!(is_withheld(&seen(&mut replay, &again, 3)));
    replay.submit(&corrected(5, false), Timestamp(AT + 4 * HOUR_MS)).unwrap();
    assert!(is_withheld(&seen(&mut replay, &neglect(6, CHILD), 5)), "no correction lifts it");
}

#[test]
fn a_person_lifts_it() {
    let mut replay = replay();
    replay.submit(&attended(1, CHILD, true), Timestamp(AT)).unwrap();
    let detail = json!({
        "decision": "route_lifted", "agency": "address", "decided_by": "A. Worker", "decided_by_role": "social worker",
    });
    let lifted = event(2, "social-care/checs", "decision.recorded", CHILD, &detail);
    replay.submit(&lifted, Timestamp(AT + HOUR_MS)).unwrap();
    assert!(!is_withheld(&seen(&mut replay, &neglect(3, CHILD), 2)));
}
