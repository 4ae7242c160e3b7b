//! What a task tells a practitioner: what happened, when, who says so and what stands; and what it keeps from them.

use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::tasks::route::Address;
use pathway_router::replay::{Replay, ReplayOptions};
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Tuesday 9 June 2026, 10:00 in London.
const AT: Timestamp = Timestamp(1_780_995_600_000);

fn replay() -> Replay {
    Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default())
}

fn event(id: u8, source: &str, kind: &str, more: Value) -> ReferralEvent {
    let mut data = json!({
        "practitioner": { "role": "worker", "call_back": "101" },
        "child": {
            "nhs_number": "9990000018", "given_names": "Test", "family_name": "Child", "date_of_birth": "2011-03-04",
            "school_urn": "999001", "gp_ods": "N81001",
            "addresses": [{ "lines": "Flat 2, 7 Example Row, Crewe", "postcode": "CW1 9ZZ", "confidential": true }],
        },
    });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": source, "type": kind,
        "time": "2026-06-09T08:30:00Z", "data": data,
    });
    cloud_event::read(&json).unwrap().event
}

fn to<'t>(tasks: &'t [Task], agency: &str, action: &str) -> &'t Task {
    let found = tasks.iter().find(|task| task.agency == agency && task.action.starts_with(action));
    found.unwrap_or_else(|| panic!("no task \"{action}\" for {agency}"))
}

fn fact<'t>(task: &'t Task, name: &str) -> Option<&'t str> {
    task.facts.get(name).map(AsRef::as_ref)
}

/// A child on a protection plan, with an allocated worker, is seen at A&E for self-harm.
fn seen_at_a_and_e() -> Vec<Task> {
    let mut replay = replay();
    let plan = json!({ "detail": { "status": "cpp", "open": true, "allocated_worker": "P. Allocated, Team 4" } });
    replay.submit(&event(1, "social-care/case-system", "status.changed", plan), AT).unwrap();
    let seen = json!({
        "narrative": "Lives at 7 example row (cw19zz), FLAT 2; school is in Crewe.",
        "voice_of_child": { "said": "Do not write to CW1 9ZZ.", "obtained": "asked" },
        "do_not_inform": [{ "person": "an uncle", "reason": "he hits her" }],
        "detail": { "setting": "a_and_e", "overdose": true, "multi_agency_plan": true },
    });
    replay.submit(&event(2, "leighton-hospital/ed", "self_harm.reported", seen), AT.plus_millis(60_000)).unwrap().tasks
}

#[test]
fn a_task_says_what_happened_when_and_who_says_so() {
    let tasks = seen_at_a_and_e();
    for task in [to(&tasks, "social-care", "Read this with the open plan"), to(&tasks, "camhs", "See the child")] {
        assert_eq!(fact(task, "event.kind"), Some("self harm reported"));
        assert_eq!(fact(task, "event.occurred_at"), Some("Tuesday 9 June 2026 09:30"));
        assert_eq!(fact(task, "event.source"), Some("leighton-hospital, ed"));
    }
    let minimum = to(&tasks, "school", "Know that the child was seen in hospital");
    assert!(minimum.facts.is_empty(), "the minimum is no more than it was: {:?}", minimum.facts);
    let camhs = to(&tasks, "camhs", "See the child");
    assert!(camhs.due_reason.ends_with("by Tuesday 9 June 2026 18:01, London time"), "{}", camhs.due_reason);
}

#[test]
fn plans_and_flags_are_shown_to_whoever_may_see_them() {
    let tasks = seen_at_a_and_e();
    let worker = to(&tasks, "social-care", "Read this with the open plan");
    assert_eq!(fact(worker, "status.cpp"), Some("true"));
    assert_eq!(fact(worker, "status.allocated_worker"), Some("P. Allocated, Team 4"));
    assert_eq!(fact(worker, "history.self_harm_90d"), Some("1"));
    assert_eq!(fact(to(&tasks, "camhs", "See the child"), "history.self_harm_90d"), Some("1"));
    assert_eq!(fact(to(&tasks, "camhs", "See the child"), "history.below_l4_90d"), None, "not in its list");
    for task in tasks.iter().filter(|task| task.agency != "social-care") {
        assert!(!task.facts.keys().any(|name| name.starts_with("status.")), "{} may not see plans", task.agency);
    }
}

#[test]
fn an_address_that_is_withheld_is_masked_in_what_the_sender_wrote() {
    let tasks = seen_at_a_and_e();
    let masked = to(&tasks, "gp", "See the child");
    let expected = "Lives at [address withheld] ([address withheld]), [address withheld]; school is in Crewe.";
    assert_eq!(masked.narrative.as_deref(), Some(expected));
    let said = masked.voice_of_child.as_ref().and_then(|voice| voice.said.as_deref());
    assert_eq!(said, Some("Do not write to [address withheld]."));
    let trusted = to(&tasks, "social-care", "Read this with the open plan");
    assert!(trusted.narrative.as_deref().unwrap().contains("7 example row"));
}

#[test]
fn an_address_that_is_withheld_is_masked_wherever_else_the_sender_wrote_it() {
    let seen = json!({
        "partner_reference": "7 Example Row / 12",
        "narrative": "7, Example  Row; CW1-9ZZ",
        "voice_of_child": { "absent_because": "Nobody went to 7 Example Row." },
        "carers": [{
            "name": "Carer of 7 Example Row", "relationship": "aunt at 7 Example Row",
            "not_told_because": "He would look at 7 Example Row.", "safe_contact": "Letters to 7 Example Row, CW1 9ZZ",
        }],
        "do_not_inform": [{ "person": "the neighbour of 7 Example Row" }],
        "detail": { "setting": "a_and_e", "overdose": true },
    });
    let mut replay = replay();
    let tasks = replay.submit(&event(2, "leighton-hospital/ed", "self_harm.reported", seen), AT).unwrap().tasks;
    assert!(tasks.iter().any(|task| task.agency == "camhs" && task.carers.len() == 1));
    for task in tasks {
        let told = serde_json::to_string(&task).unwrap().to_lowercase();
        let trusted = task.agency == "social-care";
        assert_eq!(told.contains("example row") || told.contains("example  row"), trusted, "{}: {told}", task.agency);
        assert_eq!(told.contains("9zz"), trusted, "{}: {told}", task.agency);
    }
}

#[test]
fn whoever_decides_is_told_why_a_person_must_not_learn_and_others_are_told_whom_to_ask() {
    let tasks = seen_at_a_and_e();
    let says = |task: &Task, words: &str| task.notes.iter().any(|note| note.contains(words));
    assert!(says(to(&tasks, "social-care", "Read this with the open plan"), "an uncle (he hits her)"));
    let camhs = to(&tasks, "camhs", "See the child");
    assert!(says(camhs, "ask the front door") && !says(camhs, "uncle"));
}

#[test]
fn a_person_who_must_not_learn_is_remembered_unnamed_until_the_event_is_withdrawn_or_a_person_lifts_it() {
    let wish = json!({
        "partner_reference": "REF-7",
        "do_not_inform": [{ "person": "an uncle", "reason": "he hits her" }],
        "detail": { "concern": "physical_abuse", "proposed_level": "L2" },
    });
    let first = event(2, "school/999001", "concern.reported", wish);
    let seen =
        |id| event(id, "leighton-hospital/ed", "self_harm.reported", json!({ "detail": { "setting": "a_and_e" } }));
    let withdrawn = event(
        3,
        "school/999001",
        "event.withdrawn",
        json!({ "detail": { "original_event_id": first.event_id, "reason": "not so" } }),
    );
    let lifted = event(
        4,
        "social-care/checs",
        "decision.recorded",
        json!({ "detail": {
            "decision": "route_lifted", "agency": "person", "decided_by": "A. Worker", "decided_by_role": "social worker",
        } }),
    );
    let says = |tasks: &[Task], agency, words| {
        tasks.iter().any(|task| task.agency == agency && task.notes.iter().any(|note| note.contains(words)))
    };
    const EARLIER: &str = "An earlier referral says that someone must not learn of this";
    for ends in [withdrawn, lifted] {
        let mut replay = replay();
        replay.submit(&first, AT).unwrap();
        let tasks = replay.submit(&seen(5), AT.plus_millis(60_000)).unwrap().tasks;
        assert!(says(&tasks, "camhs", EARLIER) && says(&tasks, "camhs", "ask the front door"));
        assert!(!serde_json::to_string(&tasks).unwrap().contains("an uncle"), "who it is was not kept");
        replay.submit(&ends, AT.plus_millis(120_000)).unwrap();
        let tasks = replay.submit(&seen(6), AT.plus_millis(86_400_000)).unwrap().tasks;
        assert!(tasks.iter().any(|task| task.agency == "camhs") && !says(&tasks, "camhs", EARLIER), "{ends:?}");
    }
}

#[test]
fn whoever_confirms_a_correction_is_shown_what_was_said_and_what_is_said_now() {
    let mut replay = replay();
    let start = event(4, "police/control", "missing.started", json!({ "detail": { "grade": "high" } }));
    replay.submit(&start, AT).unwrap();
    let changes = json!({
        "detail": { "original_event_id": start.event_id, "changes": { "grade": "low" }, "reason": "a mistake" }
    });
    let tasks =
        replay.submit(&event(5, "police/control", "event.corrected", changes), AT.plus_millis(60_000)).unwrap().tasks;
    let why = &to(&tasks, "social-care", "Confirm or refuse").reasons[0].why;
    assert!(why.contains("grade is now low, was high") && why.contains("at L2, not L4b"), "{why}");
}

#[test]
fn a_school_hears_that_an_address_is_confidential_and_sees_none() {
    let child = json!({
        "given_names": "Test", "family_name": "Child", "date_of_birth": "2015-01-05", "nhs_number": "9990000425",
        "school_urn": "999001", "addresses": [{ "lines": "7 Example Row", "postcode": "CW1 1AA", "confidential": true }]
    });
    let data = json!({ "child": child, "detail": { "police_risk": "standard", "child_present": true } });
    let tasks = replay().submit(&event(6, "police/control", "domestic_abuse.attended", data), AT).unwrap().tasks;
    let child = to(&tasks, "school", "Look out for the child").child.as_ref().unwrap();
    assert!(child.address_withheld && child.addresses.is_empty());
}

#[test]
fn whoever_reviews_many_concerns_is_told_what_each_was() {
    let mut replay = replay();
    let concern = |about: &str| json!({ "detail": { "concern": about, "proposed_level": "L2" } });
    let days = |count: i64| AT.plus_millis(count * 86_400_000);
    for (number, about) in [(7, "housing"), (8, "young_carer")] {
        let told = event(number, "school/999001", "concern.reported", concern(about));
        replay.submit(&told, days(i64::from(number) - 7)).unwrap();
    }
    let third = event(9, "gp/N81001", "neglect.assessed", json!({ "detail": { "gcp2_grade": 3 } }));
    let tasks = replay.submit(&third, days(2)).unwrap().tasks;
    let why = &to(&tasks, "social-care", "Review all that is known").reasons[0].why;
    let listed = ["(concern reported: housing)", "(concern reported: young carer)", "(neglect assessed)"];
    assert!(listed.iter().all(|what| why.contains(what)), "{why}");
}

#[test]
fn whoever_stands_in_for_another_is_told_what_is_missing() {
    let check = |meant_for: &str, expected: &str| {
        let address = Address {
            agency: "social-care".to_owned(),
            unit: None,
            role: None,
            in_place_of: Some(meant_for.to_owned()),
        };
        assert_eq!(address.notes(&book(&shipped()), "Look again"), [expected]);
    };
    // The police are one: what a clock raises goes to the front door, for the police do not know of whom it speaks.
    check(
        "police",
        "Meant for Cheshire Constabulary, who cannot tell from this which child it is: tell them who it is, and pass on \"Look again\".",
    );
    check(
        "gp",
        "Meant for General practices, whose unit for this child is not known: find it out, and pass on \"Look again\".",
    );
}

#[test]
fn what_was_late_on_arrival_does_not_say_that_its_clock_runs() {
    let seen = "2026-06-01T10:00:00Z";
    let detail = json!({ "grade": "medium", "last_seen_at": seen });
    let missing = event(7, "police/force-control", "missing.started", json!({ "occurred_at": seen, "detail": detail }));
    let tasks = replay().submit(&missing, AT).unwrap().tasks;
    let late = tasks.iter().find(|task| task.late_on_arrival).expect("the search after 24 hours");
    assert!(
        late.due_reason.starts_with("24 hours from when the child was last seen, which had passed already: at once, "),
        "{}",
        late.due_reason
    );
}

#[test]
fn who_is_recalled_by_a_route_that_is_shut_hears_of_which_task_and_who_decides_of_whom() {
    let mut replay = replay();
    let alleged = json!({ "detail": {
        "suspect_is": "professional", "suspect_agency": "school", "suspect_unit": "999001", "under_13_activity": false,
    } });
    replay.submit(&event(1, "police/control", "sexual_abuse.alleged", alleged), AT).unwrap();
    let missing = json!({ "partner_reference": "M-1", "detail": { "grade": "medium" } });
    replay.submit(&event(2, "police/control", "missing.started", missing), AT.plus_millis(60_000)).unwrap();
    let lift = json!({ "detail": {
        "decision": "route_lifted", "agency": "school", "unit": "999001", "decided_by": "A. Worker", "decided_by_role": "manager",
    } });
    let lift = event(3, "social-care/checs", "decision.recorded", lift);
    let opened = replay.submit(&lift, AT.plus_millis(120_000)).unwrap().tasks;
    let asked = to(&opened, "school", "Tell the police what you know");
    let back = json!({ "detail": { "original_event_id": lift.event_id, "reason": "another child" } });
    let back = event(4, "social-care/checs", "event.withdrawn", back);
    let shut = replay.submit(&back, AT.plus_millis(180_000)).unwrap().tasks;
    let recalled = to(&shut, "school", "Recall: you were told by mistake");
    assert_eq!(recalled.follows.as_ref(), Some(&asked.task_id));
    let see = to(&shut, "social-care", "See what a held-back agency learned");
    assert!(see.follows.is_some());
    assert_eq!(see.partner_reference.as_deref(), Some("M-1"));
    let why = &see.reasons.first().unwrap().why;
    assert!(why.contains("00000000-0000-4000-8000-000000000002") && why.contains("101"), "{why}");
}

#[test]
fn the_name_of_a_suspect_is_kept_with_no_child_and_told_only_as_a_field_of_their_event() {
    let brother = json!([{ "child": { "given_names": "Ben", "family_name": "Example", "date_of_birth": "2014-05-06" },
        "relationship": "brother" }]);
    for name in ["Jane Q Tutor", "jane-q-tutor", " JANE  Q - Tutor", "keyed Jane"] {
        let mut replay = replay();
        let alleged = json!({ "siblings": brother, "detail": {
            "suspect_is": "professional", "suspect_agency": name, "suspect_unit": "Jane", "under_13_activity": false,
        } });
        let results = replay.submit(&event(1, "police/control", "sexual_abuse.alleged", alleged), AT).unwrap();
        let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains("jane");
        let kept: Vec<Vec<u8>> = replay.histories().map(|history| codec::encode(history).unwrap()).collect();
        assert!(kept.len() > 1 && !kept.iter().any(|history| holds(history)), "{name}");
        for task in &results.tasks {
            let own = Task { facts: std::collections::BTreeMap::new(), ..task.clone() };
            assert!(!holds(&codec::encode(&own).unwrap()), "{name}: {}", task.action);
        }
    }
}
