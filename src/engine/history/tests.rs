//! What a subject's history keeps, recognises and folds.

use std::sync::Arc;

use super::entry::bare;
use super::joining::merge;
use super::routes::{lift_routes, opened_by, suspect_is_known};
use super::{Known, corroborate, held_back_of, insert, newly_held_back, recognise};
use crate::engine::codec::encode;
use crate::engine::history::episodes::missing_open;
use crate::engine::history::folding::{
    ENTRIES_MAX, FOLDED_EVENTS_MAX, FORGOTTEN_TOGETHER, STATUSES_MAX, WAITED_FOR_MAX, fold,
};
use crate::engine::history::keeping::Keeping;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldBack, History, Status, Timer};
use crate::engine::model::scalar::{FactValue, Timestamp};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// By a book without counts of its own.
fn days(retention_days: i64) -> Keeping<'static> {
    Keeping { retention_days, counts: &[] }
}

fn happened(kind: &str, id: &str, partner: &str, hours: i64) -> Entry {
    let source = Source { partner: partner.to_owned(), agency: Some(partner.to_owned()), unit: String::new() };
    let happened = bare(id, source, Timestamp(hours * HOUR));
    Entry { kind: kind.to_owned(), content_digest: format!("digest of {id}"), ..happened }
}

fn known(entries: &[Entry]) -> History {
    let mut history = History::default();
    for entry in entries {
        insert(&mut history, entry.clone());
    }
    history
}

#[test]
fn the_same_id_and_content_is_a_retransmission_and_other_content_a_duplicate() {
    let first = happened("concern.reported", "a", "school", 1);
    let history = known(std::slice::from_ref(&first));
    assert_eq!(recognise(&history, &first), Known::Retransmission);
    let other_content = Entry { content_digest: "another".to_owned(), ..first.clone() };
    assert_eq!(recognise(&history, &other_content), Known::Duplicate(0));
    let of_another_sender = Entry { source: happened("x", "a", "police", 1).source, ..first };
    assert_eq!(recognise(&history, &of_another_sender), Known::New);
}

#[test]
fn a_retransmitted_corroboration_is_a_retransmission() {
    let mut first = happened("missing.started", "a", "police", 1);
    let second = happened("missing.started", "b", "school", 2);
    corroborate(&mut first, &second);
    assert_eq!(recognise(&known(&[first]), &second), Known::Retransmission);
}

#[test]
fn another_source_s_start_within_an_open_episode_is_the_same_episode() {
    let history = known(&[happened("missing.started", "a", "police", 10)]);
    assert_eq!(recognise(&history, &happened("missing.started", "b", "school", 12)), Known::Duplicate(0));
    assert_eq!(recognise(&history, &happened("missing.started", "b", "school", 9)), Known::Duplicate(0));
    assert_eq!(recognise(&history, &happened("missing.started", "b", "police", 12)), Known::New);
}

#[test]
fn a_start_after_the_return_is_another_episode() {
    let history =
        known(&[happened("missing.started", "a", "police", 10), happened("missing.ended", "b", "police", 20)]);
    assert_eq!(recognise(&history, &happened("missing.started", "c", "school", 30)), Known::New);
    assert_eq!(recognise(&history, &happened("missing.started", "c", "school", 15)), Known::Duplicate(0));
    assert_eq!(recognise(&history, &happened("missing.ended", "c", "school", 21)), Known::Duplicate(1));
}

#[test]
fn one_police_reference_names_one_incident_but_many_regrades() {
    let referenced =
        |kind: &str, id: &str| Entry { police_reference: Some("CP-1".to_owned()), ..happened(kind, id, "police", 10) };
    let history = known(&[referenced("concern.reported", "a"), referenced("missing.regraded", "b")]);
    assert_eq!(recognise(&history, &referenced("concern.reported", "c")), Known::Duplicate(0));
    assert_eq!(recognise(&history, &referenced("missing.regraded", "c")), Known::New);
}

#[test]
fn a_withdrawn_entry_hides_no_later_report() {
    let withdrawn = Entry { withdrawn: true, ..happened("missing.started", "a", "police", 10) };
    assert_eq!(recognise(&known(&[withdrawn]), &happened("missing.started", "b", "school", 11)), Known::New);
}

#[test]
fn absent_and_away_are_not_missing_and_a_return_ends_it() {
    let graded = |id: &str, kind: &str, hours: i64, grade: &str| {
        let mut entry = happened(kind, id, "police", hours);
        entry.facts.insert("grade".to_owned(), FactValue::Code(grade.to_owned()));
        entry
    };
    let missing_open = |history: &History, at: Timestamp| missing_open(history, &happened("x", "x", "x", 0), at);
    let away = known(&[graded("a", "missing.started", 1, "away")]);
    assert!(!missing_open(&away, Timestamp(2 * HOUR)));
    let regraded = known(&[graded("a", "missing.started", 1, "away"), graded("b", "missing.regraded", 3, "medium")]);
    assert!(!missing_open(&regraded, Timestamp(2 * HOUR)));
    assert!(missing_open(&regraded, Timestamp(4 * HOUR)));
    let back = known(&[graded("a", "missing.started", 1, "high"), happened("missing.ended", "b", "police", 5)]);
    assert!(!missing_open(&back, Timestamp(6 * HOUR)));
}

#[test]
fn what_is_too_old_or_too_much_folds_into_counts() {
    let a_day = 24;
    let mut history = known(&[
        happened("missing.ended", "old", "police", 0),
        Entry { withdrawn: true, ..happened("missing.ended", "old and withdrawn", "police", 1) },
        happened("missing.ended", "kept", "police", 100 * a_day),
    ]);
    assert_eq!(fold(&mut history, Timestamp(110 * a_day * HOUR), &days(90)).entries, 2);
    assert_eq!(history.folded.get("missing.ended"), Some(&1));
    for number in 0..ENTRIES_MAX {
        insert(&mut history, happened("concern.reported", &number.to_string(), "school", 101 * a_day));
    }
    assert_eq!(fold(&mut history, Timestamp(110 * a_day * HOUR), &days(90)).entries, 1);
    assert_eq!(history.entries.len(), ENTRIES_MAX);
    assert_eq!(history.folded.get("missing.ended"), Some(&2));
}

#[test]
fn joining_two_histories_keeps_each_happening_once_and_in_order() {
    let mut into = known(&[happened("missing.started", "a", "police", 10)]);
    let from = known(&[
        happened("concern.reported", "c", "school", 5),
        happened("missing.started", "a", "police", 10),
        happened("missing.started", "d", "school", 11),
    ]);
    let added = merge(&mut into, from, Timestamp(0));
    assert_eq!(added.iter().map(|entry| entry.event_id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(into.entries.iter().map(|entry| entry.event_id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    let joined: Vec<&Arc<Entry>> = into.entries.iter().filter(|entry| !entry.corroborated_by.is_empty()).collect();
    assert_eq!(joined.len(), 1);
}

#[test]
fn what_was_taken_back_under_one_key_is_no_witness_under_another() {
    let mut history = History::default();
    insert(
        &mut history,
        Entry { police_reference: Some("CP-1".to_owned()), ..happened("concern.reported", "a", "police", 5) },
    );
    let mut other = History::default();
    insert(
        &mut other,
        Entry {
            police_reference: Some("CP-1".to_owned()),
            withdrawn: true,
            ..happened("concern.reported", "b", "school", 6)
        },
    );
    merge(&mut history, other, Timestamp(0));
    assert!(history.entries.iter().all(|entry| entry.corroborated_by.is_empty()));
    assert_eq!(history.entries.len(), 2);
}

#[test]
fn a_route_held_back_outlives_the_entry_that_asked_for_it() {
    let mut history = History::default();
    let route = HeldBack { agency: "school".to_owned(), unit: None, cause: "asked".to_owned() };
    insert(&mut history, Entry { held_back: vec![route.clone()], ..happened("concern.reported", "old", "police", 24) });
    insert(&mut history, happened("concern.reported", "new", "police", 900 * 24));
    fold(&mut history, Timestamp(900 * 24 * HOUR), &days(762));
    assert_eq!(history.entries.len(), 1);
    assert!(held_back_of(&history).contains(&route));
}

#[test]
fn clocks_that_are_too_many_are_forgotten_together_and_each_once() {
    let mut history = History::default();
    let mut told: Vec<Vec<String>> = Vec::new();
    for hour in 0..700_i64 {
        let id = format!("e{hour}");
        insert(&mut history, happened("missing.started", &id, "police", hour));
        let rule = "R11-24h".to_owned();
        history.timers.push(Timer { due_at: Timestamp(9_000 * HOUR), rule, event_id: id, partner: None });
        let folded = fold(&mut history, Timestamp(hour * HOUR), &days(762));
        assert!(history.entries.len() <= ENTRIES_MAX + WAITED_FOR_MAX);
        told.extend(
            Some(folded.timers.into_iter().map(|timer| timer.event_id).collect())
                .filter(|gone: &Vec<_>| !gone.is_empty()),
        );
    }
    assert_eq!(told.len(), 3, "a word for each: {told:?}");
    assert!(told.iter().all(|gone| gone.len() == FORGOTTEN_TOGETHER), "{told:?}");
    let each: std::collections::BTreeSet<&String> = told.iter().flatten().collect();
    assert_eq!(each.len(), told.iter().map(Vec::len).sum::<usize>());
    assert_eq!(each.len() + history.timers.len(), 700, "no clock goes unsaid");
}

fn asked(agency: &str) -> HeldBack {
    HeldBack { agency: agency.to_owned(), unit: None, cause: "asked".to_owned() }
}

#[test]
fn a_wish_of_an_entry_that_is_folded_ends_with_no_other_event() {
    let mut history = History::default();
    let wish = Entry { held_back: vec![asked("school")], ..happened("concern.reported", "old", "gp", 0) };
    insert(&mut history, wish);
    insert(&mut history, happened("concern.reported", "of another", "ambulance", 800 * 24));
    fold(&mut history, Timestamp(800 * DAY), &days(762));
    for entry in &mut history.entries {
        Arc::make_mut(entry).withdrawn = true;
    }
    assert_eq!(held_back_of(&history), [asked("school")].into());
}

#[test]
fn newly_held_back_is_what_was_not_held_back_before() {
    let mut before = History { held_back: Some(vec![asked("gp")]), ..History::default() };
    for (hour, (id, agency)) in [("one", "school"), ("two", "camhs"), ("three", "school")].into_iter().enumerate() {
        let entry = happened("concern.reported", id, "ambulance", i64::try_from(hour).unwrap());
        insert(&mut before, Entry { held_back: vec![asked(agency)], ..entry });
    }
    let check = |now: &History, expected: &[&str]| {
        let agencies: Vec<&str> =
            newly_held_back(&before, now).into_iter().map(|route| route.agency.as_str()).collect();
        assert_eq!(agencies, expected);
        let (was, is) = (held_back_of(&before), held_back_of(now));
        assert_eq!(agencies.len(), is.difference(&was).count());
    };
    check(&before.clone(), &[]);
    let changed = |at: usize, change: &dyn Fn(&mut Entry)| {
        let mut now = before.clone();
        change(Arc::make_mut(&mut now.entries[at]));
        now
    };
    check(&changed(0, &|entry| entry.hold_back([asked("lado")])), &["lado"]);
    check(&changed(1, &|entry| entry.hold_back([asked("school")])), &[]);
    check(&changed(2, &|entry| entry.withdrawn = true), &[]);
    let mut now = before.clone();
    let newest = happened("concern.reported", "four", "ambulance", 9);
    insert(&mut now, Entry { held_back: vec![asked("sarc"), asked("gp")], ..newest });
    now.entries.remove(0);
    check(&now, &["sarc"]);
    now.entries.clear();
    now.held_back = Some(vec![asked("police")]);
    check(&now, &["police"]);
}

#[test]
fn a_route_stays_held_back_when_no_entry_is_left_until_a_person_lifts_it() {
    let suspect = HeldBack { cause: "suspect".to_owned(), ..asked("school") };
    for withdrawn in [false, true] {
        let mut history = History::default();
        let held_back = vec![suspect.clone(), asked("camhs")];
        insert(&mut history, Entry { withdrawn, held_back, ..happened("sexual_abuse.alleged", "old", "gp", 0) });
        fold(&mut history, Timestamp(800 * DAY), &days(762));
        assert!(history.entries.is_empty());
        let expected = if withdrawn { vec![suspect.clone()] } else { vec![suspect.clone(), asked("camhs")] };
        assert_eq!(held_back_of(&history), expected.into_iter().collect(), "withdrawn: {withdrawn}");
        let opened = opened_by(&history, "school", None);
        lift_routes(&mut history, &opened, &happened("decision.recorded", "lift", "council", 801 * 24));
        assert!(!held_back_of(&history).contains(&suspect));
    }
}

#[test]
fn where_a_suspect_works_settles_also_what_folded_entries_held_back() {
    let open = HeldBack { cause: super::entry::UNKNOWN_SUSPECT.to_owned(), ..asked("camhs") };
    let own = HeldBack { cause: "suspect".to_owned(), ..asked("school") };
    let mut history = History { held_back: Some(vec![open]), ..History::default() };
    let by = happened("decision.recorded", "where", "council", 1);
    suspect_is_known(&mut history, std::slice::from_ref(&own), &by);
    assert_eq!(held_back_of(&history), [own].into());
}

#[test]
fn what_no_rule_counts_goes_first_and_what_one_does_never_unsaid() {
    let mut history = History::default();
    insert(&mut history, happened("concern.reported", "first", "school", 0));
    for hour in 1..600_i64 {
        insert(&mut history, happened("information.requested", &format!("check {hour}"), "police", hour));
        let folded = fold(&mut history, Timestamp(hour * HOUR), &days(762));
        assert_eq!((folded.counted, history.covered_since), (0, None));
    }
    assert!(history.entries.iter().any(|entry| entry.event_id == "first"));
    for hour in 600..900_i64 {
        insert(&mut history, happened("concern.reported", &format!("concern {hour}"), "school", hour));
        let counted = fold(&mut history, Timestamp(hour * HOUR), &days(762)).counted;
        assert_eq!(counted > 0, hour >= 600 + 255, "at {hour}");
    }
    let cut = history.entries.iter().map(|entry| entry.occurred_at).min().unwrap();
    assert!(history.covered_since.is_some_and(|since| since <= cut && since > Timestamp(600 * HOUR)));
}

#[test]
fn the_same_again_of_what_is_folded_changes_nothing_for_as_long_as_it_would_have_been_kept() {
    let first = happened("concern.reported", "11111111-0000-4000-8000-000000000001", "school", 0);
    let mut told_twice = first.clone();
    let second = happened("concern.reported", "22222222-0000-4000-8000-000000000001", "police", 1);
    corroborate(&mut told_twice, &second);
    let mut history = known(&[told_twice]);
    for hour in 1..=i64::try_from(ENTRIES_MAX).unwrap() {
        insert(&mut history, happened("concern.reported", &hour.to_string(), "school", hour));
    }
    fold(&mut history, Timestamp(300 * HOUR), &days(762));
    assert_eq!(history.entries.len(), ENTRIES_MAX);
    assert_eq!(recognise(&history, &first), Known::Retransmission);
    assert_eq!(recognise(&history, &second), Known::Retransmission);
    let other_content = Entry { content_digest: "another".to_owned(), ..first.clone() };
    assert_eq!(recognise(&history, &other_content), Known::New, "what it says now is judged");
    fold(&mut history, Timestamp(800 * DAY), &days(762));
    assert_eq!(history.folded_events, None, "forgotten in its time");
}

#[test]
fn an_import_that_is_folded_is_known_again_by_its_sender_and_what_an_earlier_release_kept_by_its_id() {
    let id = "11111111-0000-4000-8000-000000000001";
    let imported = |partner: &str| Entry { backfilled: true, ..happened("missing.started", id, partner, 0) };
    let mut history = known(&[imported("police"), happened("concern.reported", "b", "school", 800 * 24)]);
    fold(&mut history, Timestamp(800 * DAY), &days(762));
    assert_eq!(history.entries.len(), 1);
    assert_eq!(recognise(&history, &imported("police")), Known::Retransmission);
    assert_eq!(recognise(&history, &imported("social-care")), Known::New, "another's event, which counts");
    assert_eq!(recognise(&history, &Entry { backfilled: false, ..imported("police") }), Known::New);

    let kept = i64::from_be_bytes(*b"\x11\x11\x11\x11\0\0\x40\0");
    let earlier = History { folded_ids: vec![kept], ..History::default() };
    assert_eq!(recognise(&earlier, &imported("police")), Known::Retransmission);
}

#[test]
fn a_folded_event_takes_a_few_bytes_and_there_are_only_so_many() {
    let mut history = History::default();
    let count = FOLDED_EVENTS_MAX + 2 * ENTRIES_MAX;
    for minute in 0..i64::try_from(count).unwrap() {
        let id = uuid::Uuid::from_u128(minute.unsigned_abs().into()).to_string();
        let entry = happened("concern.reported", &id, "school", 0);
        let at = Timestamp(20_000 * DAY + minute * 60_000);
        insert(&mut history, Entry { received_at: at, ..entry });
        if history.entries.len() >= 2 * ENTRIES_MAX {
            fold(&mut history, at, &days(762));
        }
    }
    fold(&mut history, Timestamp(20_010 * DAY), &days(762));
    assert_eq!(history.folded_events.as_ref().map(Vec::len), Some(FOLDED_EVENTS_MAX));
    let with = encode(&history).unwrap().len();
    history.folded_events = None;
    let without = encode(&history).unwrap().len();
    let each = (with - without) / FOLDED_EVENTS_MAX;
    assert!(each <= 14, "{each} bytes for each event");
}

fn word(status: &str, open: bool, day: i64) -> Status {
    Status {
        status: status.to_owned(),
        open,
        since: Timestamp(day * DAY),
        category: None,
        placing_authority: None,
        out_of_area: None,
        allocated_worker: None,
        event_id: None,
        partner: None,
    }
}

#[test]
fn a_plan_is_not_forgotten_whatever_is_said_of_others() {
    let mut history = History { statuses: vec![word("cpp", true, 0), word("lac", true, 1)], ..History::default() };
    history.statuses.push(word("ce_flag", true, 2));
    let first_said_closed = word("ce_flag", false, 3);
    history.statuses.push(first_said_closed.clone());
    for day in 4..700 {
        history.statuses.push(word("ce_flag", false, day));
        let folded = fold(&mut history, Timestamp(day * DAY), &days(762));
        assert_eq!(folded.statuses, 0, "what is said over again is no loss");
    }
    assert_eq!(history.statuses.len(), STATUSES_MAX);
    for kept in [word("cpp", true, 0), word("lac", true, 1), first_said_closed, word("ce_flag", false, 699)] {
        assert!(history.statuses.contains(&kept), "{kept:?}");
    }
    for day in 700..1_400 {
        history.statuses.push(word("cin", day % 2 == 0, day));
        fold(&mut history, Timestamp(day * DAY), &days(762));
    }
    assert_eq!(history.statuses.len(), STATUSES_MAX);
    assert!(history.statuses.contains(&word("cpp", true, 0)) && history.statuses.contains(&word("cin", true, 700)));
}

/// A child of 12 on 1 January 2020, of whom nothing comes after.
#[test]
fn what_is_left_of_a_child_goes_when_they_are_grown_and_all_of_it() {
    let start = 18_262 * 24;
    let mut seen = happened("concern.reported", "a", "school", start);
    seen.facts.insert("child.age_years".to_owned(), FactValue::Int(12));
    let mut plain = known(std::slice::from_ref(&seen));
    let mut planned = History { statuses: vec![word("cpp", true, 18_262)], ..plain.clone() };
    for history in [&mut plain, &mut planned] {
        history.updated_at = Timestamp(start * HOUR);
        fold(history, Timestamp((start + 764 * 24) * HOUR), &days(762));
        assert!(history.entries.is_empty());
    }
    assert!(plain.holds_nothing() && plain.fold_at.is_none(), "{plain:?}");
    assert_eq!(planned.grown_by, Some(2026));
    let until = planned.fold_at.unwrap();
    // Midnight after 762 days from 1 January 2027.
    assert_eq!(until, Timestamp((20_819 + 762 + 1) * DAY));
    fold(&mut planned, until.plus_millis(-DAY), &days(762));
    assert!(!planned.statuses.is_empty(), "for the whole childhood");
    fold(&mut planned, until, &days(762));
    assert!(planned.holds_nothing(), "{planned:?}");
}
