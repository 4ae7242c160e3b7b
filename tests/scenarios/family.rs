//! Children named together: each is a subject of their own, and none of them is shown to another's school or practice.

use std::collections::BTreeMap;

use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::decision::Trigger;
use pathway_router::engine::model::event::{Carer, DoNotInform, ReferralEvent};
use pathway_router::engine::model::scalar::{Date, Timestamp};
use pathway_router::engine::model::task::Task;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Tuesday 9 June 2026, 10:00 in London.
const AT: Timestamp = Timestamp(1_780_995_600_000);

fn child(name: &str, born: &str, school: &str, practice: &str) -> Value {
    json!({
        "given_names": name, "family_name": format!("Of{name}"), "date_of_birth": born, "school_urn": school,
        "gp_ods": practice, "addresses": [{ "lines": format!("{name} House"), "confidential": false }],
    })
}

fn event(kind: &str, id: u8, detail: &Value) -> ReferralEvent {
    let others = [("Second", "2015-02-01", "999002", "N81002"), ("Third", "2012-02-01", "123456", "N81003")];
    let others = others.map(|(name, born, school, practice)| {
        json!({ "child": child(name, born, school, practice), "relationship": "sibling" })
    });
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": "police/control",
        "type": kind, "time": "2026-06-09T09:00:00Z",
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" },
            "child": child("First", "2014-02-01", "999001", "N81001"),
            "siblings": others,
            "narrative": "First told an officer.",
            "voice_of_child": { "said": "First wants it to stop.", "obtained": "asked" },
            "agreement": { "state": "given" },
            "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

fn replay() -> Replay {
    Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default())
}

fn submitted(event: &ReferralEvent) -> Results {
    replay().submit(event, AT).unwrap()
}

/// Kinds whose rules speak of every child named, at low and high levels.
fn incidents() -> [ReferralEvent; 5] {
    [
        event("domestic_abuse.attended", 1, &json!({ "police_risk": "standard" })),
        event("domestic_abuse.attended", 2, &json!({ "police_risk": "high" })),
        event("sexual_behaviour.reported", 3, &json!({ "hackett": "problematic" })),
        event("sexual_behaviour.reported", 4, &json!({ "hackett": "violent" })),
        event("sexual_abuse.alleged", 5, &json!({ "suspect_is": "family", "under_13_activity": false })),
    ]
}

#[test]
fn a_task_shows_one_child_and_nothing_of_the_others() {
    let names = ["First", "Second", "Third"];
    for event in incidents() {
        let results = submitted(&event);
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for task in &results.tasks {
            let bytes = String::from_utf8_lossy(&codec::encode(task).unwrap()).into_owned();
            let shown: Vec<&str> = names.into_iter().filter(|name| bytes.contains(name)).collect();
            assert!(shown.len() <= 1, "{} is shown {shown:?}", task.agency);
            shown.into_iter().for_each(|name| *told.entry(name).or_default() += 1);
        }
        assert_eq!(told.len(), 3, "every child has tasks of their own: {told:?}");
    }
}

#[test]
fn a_school_hears_of_its_own_child_alone() {
    let results = submitted(&incidents()[0]);
    let schools = results.tasks.iter().filter(|task| task.agency == "school");
    let pupils: Vec<(String, String)> =
        schools.map(|task| (task.unit.clone().unwrap(), task.child.clone().unwrap().given_names.unwrap())).collect();
    let expected = [("999001", "First"), ("999002", "Second"), ("123456", "Third")];
    let expected: Vec<(String, String)> =
        expected.into_iter().map(|(school, name)| (school.to_owned(), name.to_owned())).collect();
    assert_eq!(pupils, expected);
}

#[test]
fn one_hop_and_one_word_to_the_sender() {
    for event in incidents() {
        let results = submitted(&event);
        assert_eq!(results.feedback.len(), 1, "the sender is told of their own event");
        let sent_on: Vec<_> = results.decisions.iter().filter(|decision| decision.trigger == Trigger::Signal).collect();
        assert_eq!(sent_on.len(), 2, "each other child is judged once, and names nobody further");
        for decision in sent_on {
            assert_ne!(decision.event_id.as_ref(), Some(&event.event_id));
        }
    }
}

#[test]
fn the_same_event_again_sends_nothing_on() {
    for event in incidents() {
        let mut replay = replay();
        replay.submit(&event, AT).unwrap();
        let again = replay.submit(&event, AT.plus_millis(60_000)).unwrap();
        assert!(again.tasks.is_empty() && again.decisions.len() == 1);
    }
}

/// The first child harmed the second, who is of another family; the third is a sister of the first.
fn between_families() -> ReferralEvent {
    let mut event = event("sexual_behaviour.reported", 6, &json!({ "hackett": "violent" }));
    event.siblings[0].relationship = Some("child who was harmed".to_owned());
    event.siblings[1].relationship = Some("sister".to_owned());
    event.carers.push(Carer {
        name: Some("FirstsMother".to_owned()),
        relationship: "mother".to_owned(),
        parental_responsibility: Some(true),
        risk_role: None,
        told: None,
        not_told_because: None,
        safe_contact: None,
    });
    event.do_not_inform.push(DoNotInform {
        agency: None,
        unit: None,
        person: Some("a neighbour".to_owned()),
        reason: Some("FirstsReason".to_owned()),
    });
    event
}

#[test]
fn nothing_of_the_first_family_goes_to_another() {
    let event = between_families();
    let results = submitted(&event);
    let of = |name: &str| {
        let named =
            move |task: &&Task| task.child.as_ref().and_then(|child| child.given_names.as_deref()) == Some(name);
        results.tasks.iter().filter(named).collect::<Vec<_>>()
    };
    let (elsewhere, sister) = (of("Second"), of("Third"));
    assert!(!elsewhere.is_empty() && !sister.is_empty());
    for task in elsewhere {
        let bytes = String::from_utf8_lossy(&codec::encode(task).unwrap()).into_owned();
        assert!(task.carers.is_empty() && !bytes.contains("Firsts"), "{} is shown of the other family", task.agency);
        assert_eq!(task.facts.get("event.agreement"), None, "nobody asked this family");
        assert!(!task.notes.iter().any(|note| note.starts_with("One family")));
    }
    let with_carers = sister.iter().filter(|task| task.agency == "social-care");
    assert!(with_carers.clone().count() > 0 && with_carers.into_iter().all(|task| task.carers.len() == 1));
}

#[test]
fn who_harmed_whom_is_said_to_those_who_may_see_it() {
    let mut event = between_families();
    let mut told = BTreeMap::new();
    for (id, hackett) in [(7, "violent"), (8, "problematic")] {
        event.event_id = format!("00000000-0000-4000-8000-{id:012}");
        event.detail = self::event("sexual_behaviour.reported", id, &json!({ "hackett": hackett })).detail;
        for task in &submitted(&event).tasks {
            let is_second = task.child.as_ref().and_then(|child| child.given_names.as_deref()) == Some("Second");
            let said = task.facts.get("event.named_as").is_some_and(|said| &**said == "child who was harmed");
            if is_second {
                told.insert(task.agency.clone(), said);
            }
        }
    }
    let expected = [("camhs", false), ("early-help", false), ("police", true), ("social-care", true)];
    let expected = expected.map(|(agency, said)| (agency.to_owned(), said));
    assert_eq!(told, BTreeMap::from(expected));
}

#[test]
fn nobody_is_told_to_ask_a_child_who_is_not_born_or_a_year_old() {
    let mut told = event("concern.reported", 7, &json!({ "concern": "neglect", "proposed_level": "L4a" }));
    (told.voice_of_child, told.siblings) = (None, Vec::new());
    let date = |year, month| Date::from_civil(jiff::civil::date(year, month, 1));
    let born = |year| (Some(date(year, 2)), None);
    for ((date_of_birth, due_date), is_asked) in
        [(born(2014), true), (born(2026), false), ((None, Some(date(2026, 9))), false)]
    {
        (told.child.date_of_birth, told.child.due_date) = (date_of_birth, due_date);
        let results = submitted(&told);
        let asks = |task: &Task| task.notes.iter().any(|note| note.starts_with("What the child said or wants"));
        assert!(!results.tasks.is_empty());
        assert_eq!(results.tasks.iter().any(asks), is_asked, "{date_of_birth:?} {due_date:?}");
    }
}
