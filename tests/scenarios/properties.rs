//! What holds whatever happens: over simulated partnerships, with every step of the router's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::intake::Partner;
use pathway_router::engine::model::codes::Grade;
use pathway_router::engine::model::decision::{Decision, Disposition, TaskRaised, Trigger};
use pathway_router::engine::model::detail::{Detail, EventCorrected, EventWithdrawn};
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::{FactValue, Level, Timestamp};
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::engine::rules::book::{TaskRule, UnitKind};
use pathway_router::engine::rules::catalogue::{TASK_FIELDS, is_concern};
use pathway_router::engine::schema::Published;
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
            // A regrade asks nobody again who holds the task of the same absence. What is read in the digest reaches nobody.
            let held =
                event.detail.kind() == "missing.regraded" && asked.contains(&(decision.subject, absence(&event)));
            let asks = results.tasks.iter().any(|task| task.kind.is_none());
            assert!(asks || held, "a {} gave nobody a task", event.detail.kind());
            reached += 1;
        }
        let raised = results.decisions.iter().filter(|decision| !decision.tasks.is_empty());
        asked.extend(raised.map(|decision| (decision.subject, absence(&event))));
    }
    assert!(reached > EVENTS / 4, "only {reached} concerns were judged: the simulation is not what this test needs");
}

/// Which absence an event is of, where it says so.
fn absence(event: &ReferralEvent) -> Option<String> {
    match &event.detail {
        Detail::MissingStarted(started) => started.episode_ref.clone(),
        Detail::MissingRegraded(regraded) => regraded.episode_ref.clone(),
        _ => None,
    }
}

/// What may come of a child's event beside itself, each of which says that the child is in immediate danger.
const WAYS: [&str; 10] = [
    "the event itself",
    "a correction with a field that is not of its kind",
    "a correction that lowers",
    "a withdrawal",
    "a second report by another sender, other in several facts",
    "other content under the same id",
    "a correction of what never came",
    "sent again after its withdrawal",
    "a correction of an imported event",
    "a correction under the id of another",
];

/// An event about the same child by the same sender, under an id of its own.
fn beside(event: &ReferralEvent, place: usize, detail: Detail) -> ReferralEvent {
    let cleared = ReferralEvent { siblings: Vec::new(), do_not_inform: Vec::new(), reply_to: None, ..event.clone() };
    ReferralEvent { event_id: format!("00000000-0000-4000-8000-{place:012}"), detail, backfill: false, ..cleared }
}

/// What comes before the record that says danger, and that record. `other`: an event of the same kind.
fn in_danger(event: &ReferralEvent, other: &ReferralEvent, place: usize) -> (Vec<ReferralEvent>, ReferralEvent) {
    let flag = |names: &[(&str, bool)]| {
        names.iter().map(|(name, flag)| ((*name).to_owned(), FactValue::Bool(*flag))).collect::<BTreeMap<_, _>>()
    };
    let correction = |original: &str, changes| {
        let corrected = EventCorrected { original_event_id: original.to_owned(), changes, reason: None };
        beside(event, place, Detail::EventCorrected(corrected))
    };
    let original_event_id = event.event_id.clone();
    let withdrawn = EventWithdrawn { original_event_id, reason: None, right_child: None, right_event_id: None };
    let withdrawal = beside(event, place, Detail::EventWithdrawn(withdrawn));
    let own = correction(&event.event_id, flag(&[("emergency_call_made", true)]));
    let again = ReferralEvent { detail: other.detail.clone(), ..event.clone() };
    let of_another_kind = if event.detail.kind() == "self_harm.reported" { "unexplained_today" } else { "overdose" };
    let (before, mut record) = match WAYS[place % WAYS.len()] {
        "a correction with a field that is not of its kind" => (
            vec![event.clone()],
            correction(&event.event_id, flag(&[(of_another_kind, true), ("immediate_danger", true)])),
        ),
        "a correction that lowers" => {
            let mut changes = flag(&[("immediate_danger", true), ("abuse_indicator", false)]);
            changes.insert("grade".to_owned(), FactValue::Code("low".to_owned()));
            (vec![event.clone()], correction(&event.event_id, changes))
        }
        "a withdrawal" => (vec![event.clone()], withdrawal),
        "a second report by another sender, other in several facts" => {
            let reference = |event: &ReferralEvent| ReferralEvent {
                police_reference: Some(format!("CP-{place}")),
                partner_reference: None,
                ..event.clone()
            };
            let mut second = beside(&reference(event), place, other.detail.clone());
            second.source = other.source.clone();
            (vec![reference(event)], second)
        }
        "other content under the same id" => (vec![event.clone()], again),
        "a correction of what never came" => {
            let unknown = format!("00000000-0000-4000-9000-{place:012}");
            (Vec::new(), correction(&unknown, flag(&[("immediate_danger", true)])))
        }
        "sent again after its withdrawal" => (vec![event.clone(), withdrawal], again),
        "a correction of an imported event" => (vec![ReferralEvent { backfill: true, ..event.clone() }], own),
        "a correction under the id of another" => {
            (vec![event.clone(), own], correction(&event.event_id, flag(&[("emergency_call_made", false)])))
        }
        _ => (Vec::new(), event.clone()),
    };
    record.immediate_danger = Some(true);
    (before, record)
}

#[test]
fn whatever_says_immediate_danger_reaches_the_front_door_within_the_hour_and_its_sender_hears_to_ring_999() {
    const HOUR_MS: i64 = 60 * 60 * 1000;
    let book = book(&shipped());
    let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
    let mut replay = Replay::new(books, ReplayOptions { allow_backfill: true, ..options() });
    let events = simulate::referral_events(17, 450, END);
    let mut seen: HashMap<Disposition, usize> = HashMap::new();
    let mut at = RECEIVED;
    for (place, event) in events.iter().enumerate() {
        let mut others = events.iter().cycle().skip(place + 1);
        let other = others.find(|other| other.detail.kind() == event.detail.kind()).unwrap();
        let (before, record) = in_danger(event, other, place);
        for event in before {
            at = at.plus_millis(2 * HOUR_MS);
            replay.submit(&event, at).unwrap();
        }
        at = at.plus_millis(2 * HOUR_MS);
        let results = replay.submit(&record, at).unwrap();
        let way = format!("{}, of a {}", WAYS[place % WAYS.len()], event.detail.kind());
        assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{way}");
        let own = |decision: &&Decision| {
            let by_itself = decision.trigger == Trigger::Event && decision.disposition != Disposition::Forwarded;
            by_itself && decision.event_id.as_ref() == Some(&record.event_id)
        };
        let decision = results.decisions.iter().find(own).unwrap_or_else(|| panic!("{way}: no decision"));
        *seen.entry(decision.disposition).or_default() += 1;
        let is_told = results.tasks.iter().any(|task| {
            task.agency == book.front_door
                && task.level == Some(Level::L4b)
                && task.due_at <= at.plus_millis(HOUR_MS)
                && decision.tasks.iter().any(|raised| raised.task_id == task.task_id)
        });
        assert!(is_told, "{way}: nobody was told of the danger; {:?}", decision.disposition);
        let untold = decision.notes.iter().any(|note| note.starts_with("The sender's own unit is not told"));
        let mut feedback = results.feedback.iter().filter(|feedback| feedback.event_id == record.event_id);
        assert!(untold || feedback.any(|feedback| feedback.message.contains("ring 999")), "{way}: the sender");
    }
    let dispositions =
        [Disposition::Judged, Disposition::Duplicate, Disposition::Refused, Disposition::AwaitingOriginal];
    assert!(dispositions.iter().all(|disposition| seen.get(disposition).is_some_and(|times| *times > 10)), "{seen:?}");
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

/// Every field and fact of a task that the lists of `agencies.toml` decide upon and that says something.
fn shown(task: &Task) -> Vec<String> {
    let task = serde_json::to_value(task).unwrap();
    let says = |value: &serde_json::Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    let own = TASK_FIELDS.iter().filter(|name| says(&task[**name])).map(|name| (*name).to_owned());
    let child = task["child"].as_object().into_iter().flatten();
    // These two say of the others that they are not to be relied on, or are withheld.
    let of_child = child.filter(|(name, value)| says(value) && *name != "unverified" && *name != "address_withheld");
    let facts = task["facts"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    own.chain(of_child.map(|(name, _)| format!("child.{name}"))).chain(facts).collect()
}

/// As the file has it: the name itself, or its group.
fn is_listed(list: &toml::Value, field: &str) -> bool {
    let group = field.split_once('.').map(|(group, _)| format!("{group}.*"));
    list.as_array().unwrap().iter().any(|item| item.as_str() == Some(field) || item.as_str() == group.as_deref())
}

/// Whether every rule that asked for it asks that its recipient sees the minimum.
fn is_minimum(book: &RuleBook, task: &Task) -> bool {
    task.reasons.iter().all(|reason| {
        let asked = book.rule(&reason.rule).into_iter().flat_map(|rule| &rule.tasks);
        let is_it = |one: &&TaskRule| one.action == task.action && one.to.iter().any(|to| to.agency == task.agency);
        let mut asked = asked.filter(is_it).peekable();
        asked.peek().is_some() && asked.all(|one| one.minimum)
    })
}

#[test]
fn no_agency_is_shown_a_field_its_list_does_not_name() {
    let book = book(&shipped());
    let text = std::fs::read_to_string(shipped().join("agencies.toml")).unwrap();
    let lists: toml::Table = text.parse().unwrap();
    let (mut checked, mut held_back, mut minimal) = (0, 0, 0);
    for (event, results) in simulated(&book, 14) {
        for task in &results.tasks {
            let agency = &book.agencies[&task.agency];
            assert!(agency.units == UnitKind::One || task.unit.is_some(), "a task for no unit of {}", task.agency);
            let listed = book.directory.units_of(agency.units);
            let is_one = |unit: &String| listed.contains(unit) || *unit == event.source.unit;
            let addressed = agency.units == UnitKind::One || task.unit.as_ref().is_some_and(is_one);
            assert!(addressed, "a task for a unit of {} that no directory lists", task.agency);
            let list = if is_minimum(&book, task) { "minimum" } else { "sees" };
            for field in shown(task) {
                assert!(is_listed(&lists[&task.agency][list], &field), "{} is shown {field}: {list}", task.agency);
                checked += 1;
            }
            minimal += usize::from(list == "minimum");
            let child = task.child.clone().unwrap_or_default();
            let confidential = child.addresses.iter().any(|address| address.confidential);
            assert!(!confidential || agency.confidential_addresses, "{} is shown a confidential address", task.agency);
        }
        for decision in &results.decisions {
            for disclosure in &decision.disclosures {
                let agency = &book.agencies[&disclosure.agency];
                assert!(
                    disclosure.fields.iter().all(|field| agency.may_see(field) || agency.minimum.contains(&**field))
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
    assert!(minimal > 10, "only {minimal} tasks show the minimum");
    assert!(checked > EVENTS, "only {checked} fields were shown: the simulation is not what this test needs");
}

fn coded<T: Published>(records: &[T]) -> Vec<Vec<u8>> {
    records.iter().map(|record| codec::encode(record).unwrap()).collect()
}

#[test]
fn the_same_events_give_the_same_bytes_and_a_repeat_gives_nothing() {
    let book = book(&shipped());
    let bytes = |seed| {
        let mut replay = replay(&book);
        let mut all = Results::default();
        for (place, event) in simulate::referral_events(seed, EVENTS, END).iter().enumerate() {
            all.extend(replay.submit(event, RECEIVED.plus_millis(i64::try_from(place).unwrap() * 1_000)).unwrap());
        }
        let Results { tasks, decisions, feedback, quarantined, sent_on, failed } = all;
        let written = [coded(&tasks), coded(&decisions), coded(&feedback), coded(&quarantined), coded(&sent_on)];
        // They are remembered in no order.
        let mut histories: Vec<Vec<u8>> = replay.histories().map(|history| codec::encode(history).unwrap()).collect();
        histories.sort();
        (written, histories, failed)
    };
    let (written, histories, failed) = bytes(15);
    let counts = written.each_ref().map(Vec::len);
    let [tasks, decisions, feedback, _, sent_on] = counts;
    assert!(
        tasks.min(decisions).min(feedback).min(sent_on).min(histories.len()) > 300,
        "{counts:?}, {}",
        histories.len()
    );
    // Not by `assert_eq`, which would print them all.
    assert!((written, histories, failed) == bytes(15));
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
            let told = task.facts.get("event.place").is_some_and(|place| &**place == "made-up bus station");
            let may = book.agencies[&task.agency].may_see("event.place");
            assert!(told == may || task.child.is_none(), "{}", task.agency);
            *seen.entry(told).or_insert(0) += 1;
        }
    }
    assert!(seen[&true] > 10 && seen[&false] > 10, "{seen:?}");
}
