//! A slow, obvious model beside the real engine: for any history of one child, in any order of arrival, the rules that
//! fire for each event are those a person would count out by hand.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, date};
use jiff::{Span, tz::TimeZone};
use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::RuleBook;
use pathway_router::replay::{Replay, ReplayOptions};
use proptest::prelude::*;
use serde_json::json;

use crate::files::{book, shipped};

/// One thing that happened to the child, in the test's own terms.
#[derive(Clone, Debug)]
enum Happening {
    Missing { grade: Option<&'static str> },
    Back,
    SelfHarm { at_hospital: bool, overdose: bool, plan: bool, abuse: bool },
}

#[derive(Clone, Debug)]
struct Dated {
    day: i64,
    hour: i8,
    what: Happening,
}

const YOUNG: i64 = 12;
const RULES: [&str; 10] = ["R08-low", "R08-medium", "R09", "R10", "R12", "R13", "R16", "R17", "R17-no-plan", "R18"];

fn happening() -> impl Strategy<Value = Happening> {
    let grades = [None, Some("absent"), Some("away"), Some("low"), Some("medium"), Some("high"), Some("not_graded")];
    let missing = prop::sample::select(grades.to_vec()).prop_map(|grade| Happening::Missing { grade });
    let self_harm = any::<(bool, bool, bool, bool)>()
        .prop_map(|(at_hospital, overdose, plan, abuse)| Happening::SelfHarm { at_hospital, overdose, plan, abuse });
    prop_oneof![3 => missing, 1 => Just(Happening::Back), 2 => self_harm]
}

fn history() -> impl Strategy<Value = (Vec<Dated>, Vec<usize>, i64)> {
    let dated = (0..160_i64, happening()).prop_map(|(day, what)| (day, what));
    (prop::collection::vec(dated, 1..9), prop::sample::select(vec![YOUNG, 15])).prop_flat_map(|(dated, age)| {
        let count = dated.len();
        // Each at its own hour, so that no two are at one instant.
        let dated: Vec<Dated> = dated
            .into_iter()
            .enumerate()
            .map(|(place, (day, what))| Dated { day, hour: i8::try_from(6 + place).unwrap(), what })
            .collect();
        (Just(dated), Just((0..count).collect::<Vec<_>>()).prop_shuffle(), Just(age))
    })
}

fn moment(dated: &Dated) -> DateTime {
    on(dated).at(dated.hour, 0, 0, 0)
}

fn on(dated: &Dated) -> Date {
    date(2026, 1, 10).checked_add(Span::new().days(dated.day)).unwrap()
}

fn instant(datetime: DateTime) -> jiff::Timestamp {
    TimeZone::get("Europe/London").unwrap().to_ambiguous_timestamp(datetime).compatible().unwrap()
}

fn event(place: usize, dated: &Dated, age: i64) -> ReferralEvent {
    let (kind, detail) = match &dated.what {
        Happening::Missing { grade } => ("missing.started", json!({ "grade": grade })),
        Happening::Back => {
            ("missing.ended", json!({ "ended_at": instant(moment(dated)).to_string(), "harm_disclosed": false }))
        }
        Happening::SelfHarm { at_hospital, overdose, plan, abuse } => (
            "self_harm.reported",
            json!({
                "setting": if *at_hospital { "a_and_e" } else { "home" }, "overdose": overdose, "multi_agency_plan": plan,
                "abuse_indicator": abuse, "intent_stated": false, "admitted": false, "first_known": false,
                "superficial": false,
            }),
        ),
    };
    let born = 2026 - age;
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-{place:012}"), "source": "police/control",
        "type": kind, "time": instant(moment(dated)).to_string(),
        "data": {
            "practitioner": { "role": "officer", "call_back": "101" },
            "child": { "nhs_number": "9990000018", "date_of_birth": format!("{born}-01-02"), "school_urn": "999001",
                       "gp_ods": "N81001" },
            "detail": detail,
        }
    });
    cloud_event::read(&json).unwrap().event
}

/// What a person would count out by hand.
fn by_hand(all: &[Dated], age: i64) -> BTreeSet<(usize, &'static str)> {
    let mut fired = BTreeSet::new();
    for (place, dated) in all.iter().enumerate() {
        let window = on(dated).checked_sub(Span::new().days(90)).unwrap()..=on(dated);
        let within = |other: &&Dated| window.contains(&on(other));
        match &dated.what {
            Happening::Missing { grade } => {
                let truly = |other: &&Dated| matches!(other.what, Happening::Missing { grade } if !matches!(grade, Some("absent" | "away")));
                let times = all.iter().filter(within).filter(truly).count();
                let high = matches!(grade, Some("high")) || age < 13;
                match grade {
                    Some("absent" | "away") => {
                        fired.insert((place, "R09"));
                        continue;
                    }
                    Some("low") => _ = fired.insert((place, "R08-low")),
                    Some("medium" | "not_graded") | None => _ = fired.insert((place, "R08-medium")),
                    Some(_) => {}
                }
                if high && (grade.is_some() || age < 13) {
                    fired.insert((place, "R10"));
                }
                if times >= 3 {
                    fired.insert((place, "R13"));
                }
            }
            Happening::Back => _ = fired.insert((place, "R12")),
            Happening::SelfHarm { at_hospital, overdose, plan, abuse } => {
                let times =
                    all.iter().filter(within).filter(|other| matches!(other.what, Happening::SelfHarm { .. })).count();
                let serious = *overdose || times >= 2;
                let found =
                    [("R16", *at_hospital), ("R17", serious), ("R17-no-plan", serious && !plan), ("R18", *abuse)];
                fired.extend(found.into_iter().filter(|(_, fires)| *fires).map(|(rule, _)| (place, rule)));
            }
        }
    }
    fired
}

/// What the router made of it, over all its decisions.
fn by_router(book: &RuleBook, all: &[Dated], order: &[usize], age: i64, live: bool) -> BTreeSet<(usize, &'static str)> {
    let books = RuleBooks::new(vec![PreparedBook::new(book.clone())]);
    let mut replay = Replay::new(books, ReplayOptions::default());
    let long_after = Timestamp::from_jiff(instant(date(2026, 7, 20).at(9, 0, 0, 0)));
    let mut fired = BTreeSet::new();
    for (step, place) in order.iter().enumerate() {
        let event = event(*place, &all[*place], age);
        let late = long_after.plus_millis(i64::try_from(step).unwrap() * 60_000);
        let receipt = if live { event.occurred_at } else { late };
        let results = replay.submit(&event, receipt).unwrap();
        if is_over(all, &order[..step], *place) {
            assert!(!results.tasks.iter().any(sends_out), "somebody is sent to look for a child who is back");
        }
        for decision in &results.decisions {
            for rule in &decision.fired {
                let of = rule.event_id.as_ref().or(decision.event_id.as_ref()).unwrap();
                let place: usize = of[24..].parse().unwrap();
                if let Some(name) = RULES.into_iter().find(|name| *name == rule.rule) {
                    assert!(fired.insert((place, name)), "{name} fired twice for one event");
                }
            }
        }
    }
    fired
}

/// Whether what came before already showed that the absence was over: a return, or a start more than 14 days later. One sooner
/// ends nothing: nobody has said that the child was back.
fn is_over(all: &[Dated], known: &[usize], place: usize) -> bool {
    let shows = |other: &usize| {
        let ms = |place: usize| Timestamp::from_jiff(instant(moment(&all[place]))).0;
        let later_ms = ms(*other) - ms(place);
        match all[*other].what {
            Happening::Back => later_ms > 0,
            Happening::Missing { .. } => later_ms > 14 * 24 * 60 * 60 * 1000,
            Happening::SelfHarm { .. } => false,
        }
    };
    matches!(all[place].what, Happening::Missing { .. }) && known.iter().any(shows)
}

fn sends_out(task: &Task) -> bool {
    ["Find the child", "Share what is known", "Tell the police"].iter().any(|action| task.action.starts_with(action))
}

#[test]
fn the_router_fires_what_a_person_would_count_out_in_any_order_of_arrival() {
    let book = book(&shipped());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    runner
        .run(&history(), |(all, order, age)| {
            let expected = by_hand(&all, age);
            prop_assert_eq!(&by_router(&book, &all, &order, age, false), &expected, "arriving late, in any order");
            let mut in_order: Vec<usize> = (0..all.len()).collect();
            in_order.sort_by_key(|place| moment(&all[*place]));
            prop_assert_eq!(&by_router(&book, &all, &in_order, age, true), &expected, "arriving as it happened");
            Ok(())
        })
        .unwrap();
}
