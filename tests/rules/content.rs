//! What a loaded book says: its name, order, counts, reasons, bases and ladders.

use std::collections::BTreeMap;

use jiff::civil::{self, date};
use pathway_router::engine::model::scalar::{FactValue, Level};
use pathway_router::engine::rules::book::{Aggregate, Window};
use pathway_router::engine::rules::expression::Truth;
use pathway_router::engine::rules::facts::{FactTable, KindId};
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::{RuleBook, load};
use proptest::prelude::*;

use crate::book::{FACTS, RULES, book, default_book, files};

fn kind(name: &str) -> KindId {
    KindId::of(name).expect("a kind")
}

fn code(text: &str) -> FactValue {
    FactValue::Code(text.to_owned())
}

/// A table of one kind with some facts set.
fn table(book: &RuleBook, of: &str, facts: &[(&str, FactValue)]) -> FactTable {
    let mut table = book.facts.table(kind(of));
    for (name, value) in facts {
        assert!(book.facts.set(&mut table, book.facts.id(name).expect("a fact"), value), "{name}");
    }
    table
}

fn reload(files: &[SourceFile]) -> RuleBook {
    load(files).expect("no faults")
}

#[test]
fn the_default_book_has_no_fault() {
    assert!(!default_book().rules.is_empty());
}

#[test]
fn rules_that_read_the_outcome_come_after_those_that_make_it() {
    let book = book();
    let strata: Vec<_> = book.rules.iter().map(|rule| (rule.id.as_str(), rule.stratum)).collect();
    assert_eq!(strata, [("R02", 2), ("R05", 1), ("R10", 0), ("R11", 0), ("R13", 0)]);
    assert_eq!(book.strata(), 3);
}

#[test]
fn the_name_of_a_book_is_its_content() {
    let plain = book().hash;
    let mut turned = files("", "");
    turned.reverse();
    assert_eq!(reload(&turned).hash, plain, "order of files");
    let commented = format!("# a comment\n\n{}", RULES.replace(" = ", "   =   "));
    assert_eq!(reload(&files("rules.toml", &commented)).hash, plain, "layout and comments");
    let (first, second) = RULES.split_at(RULES.find("[R13]").expect("R13"));
    let mut parted = files("rules.toml", second);
    parted.push(SourceFile { name: "rules/missing.toml".to_owned(), text: first.to_owned() });
    assert_eq!(reload(&parted).hash, plain, "rules in another file");
    let changed = RULES.replace("history.missing_90d >= 3", "history.missing_90d >= 4");
    assert_ne!(reload(&files("rules.toml", &changed)).hash, plain, "a condition");
    let facts = FACTS.replace("absent means not claimed", "absent means not claimed by anyone");
    assert_ne!(reload(&files("facts.toml", &facts)).hash, plain, "a reason");
}

#[test]
fn a_missing_fact_leaves_open_only_what_it_decides() {
    let book = book();
    let mut table = table(&book, "missing.started", &[("event.grade", code("medium"))]);
    let judgement = book.judge(0, &table);
    assert!(judgement.fired.is_empty());
    let age = book.facts.id("child.age_years").expect("a fact");
    let open: Vec<_> = judgement.unknown.iter().map(|unknown| (unknown.rule.id.as_str(), &unknown.missing)).collect();
    assert_eq!(open, [("R10", &vec![age])], "the grade is known: only the age is to be found out");
    table.set_int(age, 15);
    assert!(book.judge(0, &table).unknown.is_empty());
    table.set_int(age, 12);
    assert_eq!(book.judge(0, &table).fired.iter().map(|rule| &rule.id).collect::<Vec<_>>(), ["R10"]);
}

#[test]
fn timer_rules_wait() {
    let book = book();
    let timers: Vec<_> = book.timers(kind("missing.started")).map(|rule| rule.id.as_str()).collect();
    assert_eq!(timers, ["R11"]);
    let table = table(&book, "missing.started", &[("status.missing_open", FactValue::Bool(true))]);
    assert!(book.judge(0, &table).fired.is_empty());
    assert_eq!(book.rule("R11").expect("R11").truth(&table), Truth::True);
}

#[test]
fn absence_means_what_the_book_says() {
    let book = book();
    let mut table = table(&book, "missing.started", &[]);
    let before = table.clone();
    let absences = book.facts.absences(kind("missing.started"));
    absences.fill(&mut table);
    let changed = book.facts.iter().filter(|(id, _)| table.slot(*id) != before.slot(*id));
    let danger = book.facts.id("event.immediate_danger").expect("a fact");
    assert_eq!(changed.map(|(id, _)| id).collect::<Vec<_>>(), [danger]);
    assert_eq!(book.facts.value(&table, danger), Some(FactValue::Bool(false)));
    table.set_bool(danger, true);
    absences.fill(&mut table);
    assert_eq!(book.facts.value(&table, danger), Some(FactValue::Bool(true)), "what is said stands");
}

#[test]
fn a_value_of_another_type_or_schema_is_missing() {
    let book = book();
    let mut table = table(&book, "missing.started", &[]);
    let grade = book.facts.id("event.grade").expect("a fact");
    for value in [code("of a later schema"), FactValue::Int(1), FactValue::Bool(true)] {
        assert!(!book.facts.set(&mut table, grade, &value));
        assert!(!table.is_known(grade));
    }
}

#[test]
fn reasons_name_their_facts() {
    let book = book();
    let rule = book.rule("R10").expect("R10");
    let table = table(&book, "missing.started", &[("event.grade", code("high"))]);
    let dates = |_| "1 May, 10 June".to_owned();
    assert_eq!(rule.why.render(&book.facts, &table, &dates), "Graded high; aged not known.");
    let rule = book.rule("R13").expect("R13");
    assert_eq!(rule.why.render(&book.facts, &table, &dates), "Missing 0 times in 90 days: 1 May, 10 June.");
    let rule = book.rule("R05").expect("R05");
    assert_eq!(rule.why.render(&book.facts, &table, &dates), "Many smaller concerns", "the title stands in");
}

fn count<'b>(book: &'b RuleBook, name: &str) -> &'b Aggregate {
    book.aggregates.iter().find(|aggregate| aggregate.name == name).expect("a count")
}

#[test]
fn what_is_unknown_of_an_entry_counts() {
    let book = book();
    let missing = count(&book, "missing_90d");
    let facts = |grade: &str| BTreeMap::from([("grade".to_owned(), code(grade))]);
    assert!(missing.counts(&facts("medium")));
    assert!(missing.counts(&BTreeMap::new()));
    assert!(!missing.counts(&facts("away")));
    assert!(!missing.kinds.contains("missing.regraded"));
    assert!(missing.once_per_episode);
}

#[test]
fn level_bounds_leave_out_what_has_no_level() {
    let book = book();
    let below = count(&book, "below_l4_90d");
    assert!(below.reads_level());
    assert!(below.level_within("concern.reported", Some(Level::L1)));
    assert!(below.level_within("concern.reported", Some(Level::L3)));
    assert!(!below.level_within("concern.reported", Some(Level::L4a)));
    assert!(!below.level_within("concern.reported", None));
    let mut with_some = below.clone();
    with_some.without_level.insert("concern.reported");
    assert!(with_some.level_within("concern.reported", None), "no rule gave it a level: it is below level 4");
    assert!(!with_some.level_within("education.absence", None));
    assert!(!with_some.level_within("concern.reported", Some(Level::L4a)));
    assert!(count(&book, "missing_90d").level_within("missing.started", None));
}

#[test]
fn windows_count_back_from_the_day_judged() {
    let judged = date(2026, 6, 10);
    assert_eq!(Window::Days(90).days_before(judged), Some(90));
    assert_eq!(Window::Months(12).days_before(judged), Some(365));
    assert_eq!(Window::Months(12).days_before(date(2024, 6, 10)), Some(366));
    assert_eq!(Window::Ever.days_before(judged), None);
}

#[test]
fn no_window_of_months_is_longer_than_it_says() {
    for months in 1..60 {
        let most = Window::Months(months).days_at_most().expect("an end");
        let mut day: civil::Date = date(2019, 1, 1);
        while day < date(2029, 1, 1) {
            assert!(Window::Months(months).days_before(day).expect("an end") <= most, "{months} months before {day}");
            day = day.tomorrow().expect("a date");
        }
    }
    assert_eq!(Window::Months(25).days_at_most(), Some(762));
}

#[test]
fn a_basis_is_that_of_the_day_of_receipt() {
    let book = book();
    let letter = |day| book.basis_at("D", day).expect("a basis").letter.clone();
    assert_eq!(letter(date(2026, 9, 29)), "P");
    assert_eq!(letter(date(2026, 9, 30)), "D");
}

#[test]
fn a_ladder_is_chosen_by_level() {
    let step = "steps = [{ after = '1 wd', do = 'Answer' }]";
    let text = format!(
        "[usual]\ntitle = 't'\nbasis = 'P'\n{step}\n[urgent]\ntitle = 't'\nbasis = 'P'\nlevels = 'L4b'\n{step}\n"
    );
    let book = reload(&files("ladders.toml", &text));
    let name = |level| book.ladder(level).expect("a ladder").name.clone();
    assert_eq!([name(Some(Level::L4b)), name(Some(Level::L2)), name(None)], ["urgent", "usual", "usual"]);
}

#[test]
fn an_agency_sees_what_is_named() {
    let book = book();
    let police = &book.agencies["police"];
    assert!(police.may_see("event.grade") && police.may_see("child.given_names"));
    assert!(
        !police.may_see("event.harm_disclosed") && !police.may_see("child.family_name") && !police.may_see("level")
    );
    let care = &book.agencies["social-care"];
    assert!(care.may_see("event.harm_disclosed") && care.may_see("child.family_name") && !care.may_see("status.cpp"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is cut out of or put into a file, loading ends with a book or with faults that lie within it.
    #[test]
    fn broken_files_are_faults(from in 0..RULES.len(), length in 0..40_usize, put in "[\\PC\\n\"'\\[\\]{}=&|!\\\\]{0,6}") {
        let floor = |place: usize| RULES.floor_char_boundary(place.min(RULES.len()));
        let text = format!("{}{put}{}", &RULES[..floor(from)], &RULES[floor(from + length)..]);
        if let Err(faults) = load(&files("rules.toml", &text)) {
            prop_assert!(!faults.is_empty());
            for fault in faults.iter().filter(|fault| fault.file == "rules.toml") {
                prop_assert!(fault.span.start <= text.len() && fault.span.start <= fault.span.end);
                prop_assert!(fault.line >= 1 && fault.column >= 1);
            }
        }
    }

    /// No condition, however odd, is more than a fault.
    #[test]
    fn odd_conditions_are_faults(condition in "[a-z.()\\[\\]'!&|<>=0-9 ,?:{}-]{0,40}") {
        let text = format!("[R1]\ntitle = 't'\nsentence = 's'\nsource = 's'\non = 'concerns'\nlevel = 'L2'\nwhen = \"{condition}\"\n");
        let _ = load(&files("rules.toml", &text));
    }
}
