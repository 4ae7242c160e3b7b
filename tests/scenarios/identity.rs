//! Records that may be one child: asked about once, joined and parted by people alone.

use std::collections::BTreeSet;

use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};

/// Tuesday 9 June 2026, 10:00 in London.
const AT: i64 = 1_780_995_600_000;
const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
const SAME_CHILD: &str = "same-child";

fn replay() -> Replay {
    Replay::new(RuleBooks::new(vec![PreparedBook::new(book(&shipped()))]), ReplayOptions::default())
}

/// Children of one name and birthday, told apart by an identifier alone.
fn look_alike(identifier: &Value) -> Value {
    let mut child = json!({ "given_names": "Asha", "family_name": "Example", "date_of_birth": "2011-01-15" });
    let both = child.as_object_mut().unwrap();
    both.extend(identifier.as_object().unwrap().clone());
    child
}

fn first() -> Value {
    look_alike(&json!({ "local_id": "P-1" }))
}

fn second() -> Value {
    look_alike(&json!({ "nhs_number": "9990000018" }))
}

/// An event that happened `day` days before the end, and is told at the end.
fn event(id: u32, kind: &str, child: &Value, day: i64, detail: &Value) -> ReferralEvent {
    let at = Timestamp(AT - day * DAY_MS).to_jiff().to_string();
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{id:012}"), "source": "police/control",
        "type": kind, "time": at,
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" }, "occurred_at": at, "child": child, "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

fn decision(id: u32, decision: &str, task: &Task) -> ReferralEvent {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-9000-{id:012}"), "source": "social-care/checs",
        "type": "decision.recorded", "time": Timestamp(AT).to_jiff().to_string(),
        "data": {
            "practitioner": { "role": "social worker", "call_back": "01270 000000" }, "child": {},
            "reply_to": task.reply_to,
            "detail": {
                "decision": decision, "decided_by": "A. Worker", "decided_by_role": "social worker",
                "other_reply_to": task.other_reply_to,
            },
        }
    });
    cloud_event::read(&json).unwrap().event
}

fn questions(results: &Results) -> Vec<Task> {
    let asks = |task: &&Task| task.reasons.iter().any(|reason| reason.rule == SAME_CHILD);
    results.tasks.iter().filter(asks).cloned().collect()
}

/// Rules that fired, by the event they fired for.
fn fired(results: &Results) -> BTreeSet<(Option<String>, String)> {
    let of = |decision: &pathway_router::engine::model::decision::Decision| {
        let event = decision.event_id.clone();
        let named = decision.fired.iter().map(move |rule| (rule.event_id.clone().or(event.clone()), rule.rule.clone()));
        named.collect::<Vec<_>>()
    };
    results.decisions.iter().flat_map(of).collect()
}

const KINDS: [(&str, &str); 4] = [
    ("self_harm.reported", r#"{"first_known": false, "intent_stated": false, "overdose": false, "admitted": false}"#),
    ("missing.started", r#"{"grade": "medium"}"#),
    ("neglect.assessed", r#"{"gcp2_grade": 3, "medical_neglect": false}"#),
    ("concern.reported", r#"{"concern": "housing", "proposed_level": "L2"}"#),
];

/// What happens to either child: which, what, how many days ago.
fn happenings() -> impl Strategy<Value = Vec<(bool, usize, i64)>> {
    prop::collection::vec((any::<bool>(), 0..KINDS.len(), 1_i64..80), 2..10)
}

fn told(place: usize, (of_first, kind, day): (bool, usize, i64)) -> ReferralEvent {
    let child = if of_first { first() } else { second() };
    let (kind, detail) = KINDS[kind];
    // Each at an hour of its own, so that none is taken for another's report.
    let mut event = event(u32::try_from(place).unwrap(), kind, &child, day, &serde_json::from_str(detail).unwrap());
    event.occurred_at = event.occurred_at.plus_millis(i64::try_from(place).unwrap() * 60_000);
    event
}

/// The question about the two, after both were heard of.
fn asked(replay: &mut Replay) -> Task {
    let mut asked = Vec::new();
    for (place, child) in [first(), second()].iter().enumerate() {
        let id = 900 + u32::try_from(place).unwrap();
        let check = event(id, "information.requested", child, 0, &json!({ "check": "cp_is" }));
        asked.extend(questions(&replay.submit(&check, Timestamp(AT)).unwrap()));
    }
    assert_eq!(asked.len(), 1, "one question for one pair");
    asked.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A link that is undone leaves both children as if it had never been.
    #[test]
    fn what_comes_after_a_link_was_undone_is_judged_as_if_it_had_never_been(
        before in happenings(), linked in happenings(), after in happenings()
    ) {
        let (mut apart, mut joined) = (replay(), replay());
        let mut at = AT;
        let mut next = |replays: &mut [&mut Replay], event: &ReferralEvent| -> Vec<Results> {
            at += HOUR_MS;
            replays.iter_mut().map(|replay| replay.submit(event, Timestamp(at)).unwrap()).collect()
        };
        let question = asked(&mut apart);
        prop_assert_eq!(&question.other_reply_to, &asked(&mut joined).other_reply_to);
        let mut place = 0;
        for one in before {
            place += 1;
            next(&mut [&mut apart, &mut joined], &told(place, one));
        }
        next(&mut [&mut joined], &decision(1, "subjects_linked", &question));
        for one in linked {
            place += 1;
            next(&mut [&mut apart, &mut joined], &told(place, one));
        }
        let undone = next(&mut [&mut joined], &decision(2, "subjects_unlinked", &question));
        let back = |note: &String| note.contains("went back to their own record");
        let mut notes = undone[0].decisions.iter().flat_map(|decision| &decision.notes);
        prop_assert!(notes.any(back), "the link was not undone");
        for one in after {
            place += 1;
            let results = next(&mut [&mut apart, &mut joined], &told(place, one));
            let own = |results: &Results| -> BTreeSet<String> {
                let id = told(place, one).event_id;
                fired(results).into_iter().filter(|(event, _)| event.as_ref() == Some(&id)).map(|(_, rule)| rule).collect()
            };
            prop_assert_eq!(own(&results[0]), own(&results[1]));
        }
    }

    /// However often and in whatever order two are heard of, a person is asked once; urgent work is the same.
    #[test]
    fn a_pair_is_asked_about_once_and_the_question_shows_nobody(happened in happenings()) {
        let mut replay = replay();
        let mut asked = Vec::new();
        let heard: BTreeSet<bool> = happened.iter().map(|(of_first, _, _)| *of_first).collect();
        for (place, one) in happened.into_iter().enumerate() {
            let at = Timestamp(AT + i64::try_from(place).unwrap() * HOUR_MS);
            asked.extend(questions(&replay.submit(&told(place, one), at).unwrap()));
        }
        prop_assert_eq!(asked.len(), usize::from(heard.len() == 2));
        for question in asked {
            prop_assert!(question.child.is_none() && question.narrative.is_none() && question.facts.is_empty());
            prop_assert!(question.other_reply_to.is_some() && question.agency == "social-care");
            let bytes = codec::encode(&question).unwrap();
            prop_assert!(!String::from_utf8_lossy(&bytes).contains("Asha"));
        }
    }
}

/// A question about the two, each from another sender, by a book whose front door sees this or not.
fn question_by(book: pathway_router::engine::rules::RuleBook, accused: bool) -> (Task, Vec<String>) {
    let mut replay = Replay::new(RuleBooks::new(vec![PreparedBook::new(book)]), ReplayOptions::default());
    let mut of_police = event(1, "information.requested", &first(), 0, &json!({ "check": "cp_is" }));
    of_police.practitioner.call_back = "01606 360101".to_owned();
    let detail = json!({ "suspect_is": if accused { "professional" } else { "stranger" }, "suspect_agency": accused.then_some("gp") });
    let mut of_gp = event(2, "sexual_abuse.alleged", &second(), 0, &detail);
    of_gp.source.partner = "gp".to_owned();
    of_gp.source.unit = "N81001".to_owned();
    of_gp.source.agency = Some("gp".to_owned());
    of_gp.practitioner.call_back = "01270 555017".to_owned();
    replay.submit(&of_police, Timestamp(AT)).unwrap();
    let results = replay.submit(&of_gp, Timestamp(AT + HOUR_MS)).unwrap();
    let question = questions(&results).remove(0);
    let shown = |decision: &pathway_router::engine::model::decision::Decision| {
        decision
            .disclosures
            .iter()
            .find(|shown| shown.task_id == question.task_id)
            .map(|shown| shown.fields.iter().map(|field| field.to_string()).collect())
    };
    let fields = results.decisions.iter().find_map(shown).unwrap();
    (question, fields)
}

#[test]
fn whoever_is_asked_about_a_pair_can_ring_both_senders() {
    let (question, fields) = question_by(book(&shipped()), false);
    let why = &question.reasons[0].why;
    assert!(why.contains("call back: 01606 360101") && why.contains("call back: 01270 555017"), "{why}");
    assert!(fields.contains(&"call_back".to_owned()));
    // Where the suspect may answer, nobody is sent to ring.
    let why = &question_by(book(&shipped()), true).0.reasons[0].why;
    assert!(why.contains("call back: 01606 360101") && !why.contains("01270 555017"), "{why}");
    // Who sees no call-backs is told no number.
    let mut blind = book(&shipped());
    blind.agencies.get_mut("social-care").unwrap().sees.remove("call_back");
    let (question, fields) = question_by(blind, false);
    assert!(!question.reasons[0].why.contains("call back"), "{}", question.reasons[0].why);
    assert!(fields.is_empty());
}

#[test]
fn a_link_needs_the_other_address_and_only_ones_own() {
    let mut replay = replay();
    let question = asked(&mut replay);
    let without = Task { other_reply_to: None, ..question.clone() };
    let refused = replay.submit(&decision(1, "subjects_linked", &without), Timestamp(AT + HOUR_MS)).unwrap();
    assert_eq!(refused.quarantined.len(), 1);
    let of_police = event(20, "missing.started", &first(), 0, &json!({ "grade": "medium" }));
    let tasks = replay.submit(&of_police, Timestamp(AT + 2 * HOUR_MS)).unwrap().tasks;
    let police = tasks.into_iter().find(|task| task.agency == "police").unwrap();
    let others = Task { other_reply_to: Some(police.reply_to), ..question };
    let refused = replay.submit(&decision(2, "subjects_linked", &others), Timestamp(AT + 3 * HOUR_MS)).unwrap();
    assert_eq!(refused.quarantined.len(), 1);
}

#[test]
fn an_answer_given_while_two_were_one_reaches_the_child_it_is_about() {
    let mut replay = replay();
    let question = asked(&mut replay);
    replay.submit(&decision(1, "subjects_linked", &question), Timestamp(AT + HOUR_MS)).unwrap();
    let missing = event(20, "missing.started", &first(), 0, &json!({ "grade": "medium" }));
    let tasks = replay.submit(&missing, Timestamp(AT + 2 * HOUR_MS)).unwrap().tasks;
    let police = tasks.into_iter().find(|task| task.agency == "police").unwrap();
    replay.submit(&decision(2, "subjects_unlinked", &question), Timestamp(AT + 3 * HOUR_MS)).unwrap();
    let answer = cloud_event::outcome(&json!({
        "outcome_id": "00000000-0000-4000-a000-000000000001", "reply_to": police.reply_to, "outcome": "acknowledged",
        "by_name": "B. Officer", "by_role": "sergeant", "at": Timestamp(AT).to_jiff().to_string(),
    }));
    let results = replay.answer("police", None, &answer.unwrap(), Timestamp(AT + 4 * HOUR_MS)).unwrap();
    let notes: Vec<&String> = results.decisions.iter().flat_map(|decision| &decision.notes).collect();
    assert!(notes.iter().any(|note| note.ends_with("by police: acknowledged.")), "{notes:?}");
}
