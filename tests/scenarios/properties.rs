//! What holds whatever happens: over simulated partnerships, with every step of the router's own.

use std::collections::{BTreeMap, BTreeSet};

use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::intake::Partner;
use pathway_router::engine::model::codes::Grade;
use pathway_router::engine::model::decision::{Disposition, TaskRaised, Trigger};
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::rules::RuleBook;
use pathway_router::engine::rules::book::UnitKind;
use pathway_router::engine::rules::catalogue::is_concern;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use pathway_router::simulate;
use pathway_router::simulate::partners::PARTNERS;

use crate::files::{book, shipped};

const EVENTS: usize = 1_500;
/// 1 October 2026, after the duty to share came into force.
const END: Timestamp = Timestamp(1_790_812_800_000);
/// Long after the last of them happened: follow-ups of an incident lie some weeks past the end.
const RECEIVED: Timestamp = Timestamp(END.0 + 60 * 24 * 60 * 60 * 1000);

fn replay(book: &RuleBook) -> Replay {
    let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
    Replay::new(books, options())
}

/// The simulated partners, as a configuration would name them.
fn options() -> ReplayOptions {
    let partner = |partner: &simulate::partners::Partner| {
        (partner.name.to_owned(), Partner { agency: partner.agency.map(str::to_owned), units: None })
    };
    ReplayOptions { partners: PARTNERS.iter().map(partner).collect(), ..ReplayOptions::default() }
}

/// Every event of a simulated partnership with all that came of it, receipts a second apart.
fn simulated(book: &RuleBook, seed: u64) -> Vec<(ReferralEvent, Results)> {
    let mut replay = replay(book);
    let events = simulate::referral_events(seed, EVENTS, END);
    let taken = events.into_iter().enumerate().map(|(place, event)| {
        let receipt = RECEIVED.plus_millis(i64::try_from(place).unwrap() * 1_000);
        let results = replay.submit(&event, receipt).unwrap();
        assert!(results.failed.is_empty(), "{:?}", results.failed);
        (event, results)
    });
    taken.collect()
}

#[test]
fn every_event_has_exactly_one_outcome_and_every_concern_reaches_a_person() {
    let book = book(&shipped());
    let mut reached = 0;
    let mut asked = BTreeSet::new();
    for (event, results) in simulated(&book, 11) {
        let mut outcomes = results.quarantined.len();
        for decision in &results.decisions {
            let own = decision.trigger == Trigger::Event && decision.event_id.as_ref() == Some(&event.event_id);
            outcomes += usize::from(own && decision.disposition != Disposition::Forwarded);
        }
        assert_eq!(outcomes, 1, "{} has {outcomes} outcomes", event.detail.kind());
        let judged = results
            .decisions
            .iter()
            .find(|decision| decision.trigger == Trigger::Event && decision.disposition == Disposition::Judged);
        if let Some(decision) = judged.filter(|_| is_concern(event.detail.kind())) {
            // A regrade asks nobody again who holds the task of the same absence.
            let held = event.detail.kind() == "missing.regraded" && asked.contains(&decision.subject);
            assert!(!decision.tasks.is_empty() || held, "a {} gave nobody a task", event.detail.kind());
            reached += 1;
        }
        let raised = results.decisions.iter().filter(|decision| !decision.tasks.is_empty());
        asked.extend(raised.map(|decision| decision.subject));
    }
    assert!(reached > EVENTS / 4, "only {reached} concerns were judged: the simulation is not what this test needs");
}

#[test]
fn only_a_recorded_human_decision_lowers_a_case() {
    let book = book(&shipped());
    let mut levels = BTreeMap::new();
    for (event, results) in simulated(&book, 12) {
        for decision in &results.decisions {
            assert!(decision.proposed);
            let before = levels.insert(decision.subject, decision.case_level).flatten();
            let moved = decision.disposition == Disposition::Forwarded;
            if event.detail.kind() != "decision.recorded" && !moved {
                assert!(decision.case_level >= before, "{} lowered a case", event.detail.kind());
            }
        }
    }
}

#[test]
fn task_ids_are_unique_deadlines_lie_ahead_and_addresses_open() {
    let book = book(&shipped());
    let mut ids = BTreeSet::new();
    let mut replies = BTreeSet::new();
    let mut decisions = BTreeSet::new();
    for (_, results) in simulated(&book, 13) {
        for decision in &results.decisions {
            assert!(decisions.insert(decision.decision_id.clone()), "a decision id came twice");
        }
        for task in &results.tasks {
            assert!(ids.insert(task.task_id.clone()), "a task id came twice");
            assert!(replies.insert(task.reply_to.clone()), "two recipients share an address");
            assert!(task.due_at >= task.raised_at);
            assert!(!task.reasons.is_empty() && !task.bases.is_empty() && task.level_is_proposed);
        }
    }
    assert!(ids.len() > EVENTS / 2);
}

#[test]
fn no_agency_is_shown_a_field_its_list_does_not_name() {
    let book = book(&shipped());
    let (mut checked, mut held_back) = (0, 0);
    for (event, results) in simulated(&book, 14) {
        for task in &results.tasks {
            let agency = &book.agencies[&task.agency];
            assert!(agency.units == UnitKind::One || task.unit.is_some(), "a task for no unit of {}", task.agency);
            let listed = book.directory.units_of(agency.units);
            let is_one = |unit: &String| listed.contains(unit) || *unit == event.source.unit;
            let addressed = agency.units == UnitKind::One || task.unit.as_ref().is_some_and(is_one);
            assert!(addressed, "a task for a unit of {} that no directory lists", task.agency);
            let child = task.child.clone().unwrap_or_default();
            let shown = [
                ("child.nhs_number", child.nhs_number.is_some()),
                ("child.given_names", child.given_names.is_some()),
                ("child.addresses", !child.addresses.is_empty()),
                ("narrative", task.narrative.is_some()),
                ("carers", !task.carers.is_empty()),
                ("level", task.level.is_some()),
                ("voice_of_child", task.voice_of_child.is_some()),
            ];
            for (field, is_shown) in shown {
                assert!(!is_shown || agency.may_see(field), "{} is shown {field}", task.agency);
                checked += usize::from(is_shown);
            }
            let confidential = child.addresses.iter().any(|address| address.confidential);
            assert!(!confidential || agency.confidential_addresses, "{} is shown a confidential address", task.agency);
        }
        for decision in &results.decisions {
            for disclosure in &decision.disclosures {
                let agency = &book.agencies[&disclosure.agency];
                assert!(
                    disclosure
                        .fields
                        .iter()
                        .all(|field| agency.may_see(field) || agency.minimum.contains(field.as_ref()))
                );
            }
            // Wishes are of the event's own child; the others named with it are judged by events of their own.
            let own = decision.event_id.as_ref() == Some(&event.event_id);
            for wish in event.do_not_inform.iter().filter(|_| own) {
                let Some(agency) = wish.agency.as_ref().filter(|agency| **agency != book.front_door) else { continue };
                held_back += 1;
                let told = |task: &TaskRaised| {
                    task.agency == *agency && (wish.unit.is_none() || task.unit.is_none() || task.unit == wish.unit)
                };
                assert!(!decision.tasks.iter().any(told), "{agency} was told although it must not be");
            }
        }
    }
    assert!(held_back > 10, "only {held_back} wishes");
    assert!(checked > EVENTS, "only {checked} fields were shown: the simulation is not what this test needs");
}

#[test]
fn the_same_events_give_the_same_bytes_and_a_repeat_gives_nothing() {
    let book = book(&shipped());
    let bytes = |seed| -> Vec<Vec<u8>> {
        let all = simulated(&book, seed);
        let tasks = all.iter().flat_map(|(_, results)| &results.tasks).map(|task| codec::encode(task).unwrap());
        let decisions = all.iter().flat_map(|(_, results)| &results.decisions);
        tasks.chain(decisions.map(|decision| codec::encode(decision).unwrap())).collect()
    };
    assert_eq!(bytes(15), bytes(15));
    let mut replay = replay(&book);
    let events = simulate::referral_events(15, 300, END);
    for event in &events {
        replay.submit(event, RECEIVED).unwrap();
    }
    for event in &events {
        let again = replay.submit(event, RECEIVED.plus_millis(1)).unwrap();
        assert!(
            again.tasks.is_empty() && again.feedback.is_empty(),
            "a repeated {} had an effect",
            event.detail.kind()
        );
    }
}

#[test]
fn what_a_sender_says_beside_coded_facts_reaches_those_who_may_see_it() {
    let book = book(&shipped());
    let mut replay = replay(&book);
    let events = simulate::referral_events(15, 2000, END);
    let mut seen = BTreeMap::new();
    for mut event in events {
        if let Detail::MissingStarted(started) = &mut event.detail {
            started.place = Some("made-up bus station".to_owned());
            started.grade = Some(Grade::Medium);
        } else {
            continue;
        }
        // Children named with this one are judged by an event of their own.
        event.siblings.clear();
        for task in replay.submit(&event, RECEIVED).unwrap().tasks {
            let told = task.facts.get("event.place").is_some_and(|place| place == "made-up bus station");
            let may = book.agencies[&task.agency].may_see("event.place");
            assert!(told == may || task.child.is_none(), "{}", task.agency);
            *seen.entry(told).or_insert(0) += 1;
        }
    }
    assert!(seen[&true] > 10 && seen[&false] > 10, "{seen:?}");
}
