//! What a subject's history keeps, recognises and folds.

use std::sync::Arc;

use super::joining::merge;
use super::{Known, corroborate, held_back_of, insert, recognise};
use crate::engine::history::episodes::missing_open;
use crate::engine::history::folding::{ENTRIES_MAX, WAITED_FOR_MAX, fold};
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldBack, History, Timer};
use crate::engine::model::scalar::{FactValue, Timestamp};

const HOUR: i64 = 60 * 60 * 1000;

fn happened(kind: &str, id: &str, partner: &str, hours: i64) -> Entry {
    Entry {
        event_id: id.to_owned(),
        source: Source { partner: partner.to_owned(), agency: Some(partner.to_owned()), unit: String::new() },
        kind: kind.to_owned(),
        content_digest: format!("digest of {id}"),
        partner_reference: None,
        police_reference: None,
        episode_ref: None,
        occurred_at: Timestamp(hours * HOUR),
        received_at: Timestamp(hours * HOUR),
        anchors: std::collections::BTreeMap::new(),
        date_only: false,
        facts: std::collections::BTreeMap::new(),
        held_back: Vec::new(),
        level: None,
        fired: Vec::new(),
        corroborated_by: Vec::new(),
        backfilled: false,
        withdrawn: false,
        named: Vec::new(),
        known_as: None,
        traceparent: None,
        call_back: None,
    }
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
    let days = 24;
    let mut history = known(&[
        happened("missing.started", "old", "police", 0),
        Entry { withdrawn: true, ..happened("missing.started", "old and withdrawn", "police", 1) },
        happened("missing.started", "kept", "police", 100 * days),
    ]);
    assert_eq!(fold(&mut history, Timestamp(110 * days * HOUR), 90).entries, 2);
    assert_eq!(history.folded.get("missing.started"), Some(&1));
    for number in 0..ENTRIES_MAX {
        insert(&mut history, happened("concern.reported", &number.to_string(), "school", 101 * days));
    }
    assert_eq!(fold(&mut history, Timestamp(110 * days * HOUR), 90).entries, 1);
    assert_eq!(history.entries.len(), ENTRIES_MAX);
    assert_eq!(history.folded.get("missing.started"), Some(&2));
}

#[test]
fn joining_two_histories_keeps_each_happening_once_and_in_order() {
    let mut into = known(&[happened("missing.started", "a", "police", 10)]);
    let from = known(&[
        happened("concern.reported", "c", "school", 5),
        happened("missing.started", "a", "police", 10),
        happened("missing.started", "d", "school", 11),
    ]);
    let added = merge(&mut into, from);
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
    merge(&mut history, other);
    assert!(history.entries.iter().all(|entry| entry.corroborated_by.is_empty()));
    assert_eq!(history.entries.len(), 2);
}

#[test]
fn a_route_held_back_outlives_the_entry_that_asked_for_it() {
    let mut history = History::default();
    let route = HeldBack { agency: "school".to_owned(), unit: None, cause: "asked".to_owned() };
    insert(&mut history, Entry { held_back: vec![route.clone()], ..happened("concern.reported", "old", "police", 24) });
    insert(&mut history, happened("concern.reported", "new", "police", 900 * 24));
    fold(&mut history, Timestamp(900 * 24 * HOUR), 762);
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
        let folded = fold(&mut history, Timestamp(hour * HOUR), 762);
        assert!(history.entries.len() <= ENTRIES_MAX + WAITED_FOR_MAX);
        told.extend(
            Some(folded.timers.into_iter().map(|timer| timer.event_id).collect())
                .filter(|gone: &Vec<_>| !gone.is_empty()),
        );
    }
    assert_eq!(told.len(), 3, "a word for each: {told:?}");
    let each: std::collections::BTreeSet<&String> = told.iter().flatten().collect();
    assert_eq!(each.len(), told.iter().map(Vec::len).sum::<usize>());
    assert_eq!(each.len() + history.timers.len(), 700, "no clock goes unsaid");
}
