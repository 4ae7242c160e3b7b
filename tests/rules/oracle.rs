//! The compiled form, the plain evaluator and the CEL interpreter give the same answers, missing facts and all.

use std::collections::{BTreeMap, HashMap};

use cel::{Context, ExecutionError, Program, Value};
use pathway_router::engine::model::scalar::FactType;
use pathway_router::engine::rules::book::Rule;
use pathway_router::engine::rules::expression::Truth;
use pathway_router::engine::rules::facts::{Fact, FactTable, KindId};
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::{RuleBook, load};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::book::{default_book, files, written};

const BOOKS: u32 = 500;
const EVENTS_PER_BOOK: usize = 50;
const EVENTS_OF_DEFAULT_BOOK: u32 = 5_000;

/// Kinds that a random rule is for, and the facts it may then read.
const SCOPES: &[(&[&str], &[&str])] = &[
    (&["exploitation.screened"], &["event.score", "event.exploitation", "event.any_high_factor", "event.disclosure"]),
    (&["concern.reported"], &["event.proposed_level", "event.concern"]),
    (&["concern.reported", "exploitation.screened"], &[]),
    (&["concerns"], &[]),
];

const COMMON: &[&str] = &[
    "event.kind",
    "event.immediate_danger",
    "child.age_years",
    "child.unborn",
    "status.cpp",
    "history.missing_90d",
    "result.level",
];

const NUMBERS: &[i64] = &[-1, 0, 1, 3, 4, 13, i64::MAX];

fn fact_of(name: &str) -> Fact {
    let book = crate::book::book();
    let id = book.facts.id(name).expect("a fact");
    book.facts.get(id).expect("a fact").clone()
}

/// A comparison, membership, flag or presence test of one fact.
fn test(fact: Fact) -> BoxedStrategy<String> {
    let name = fact.name.clone();
    let presence = Just(format!("has({name})")).boxed();
    let order = select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let value = match fact.value_type {
        FactType::Bool => {
            let flag =
                prop_oneof![Just(name.clone()), Just(format!("{name} == true")), Just(format!("false != {name}")),];
            return prop_oneof![9 => flag, 1 => presence].boxed();
        }
        FactType::Int => select(NUMBERS).prop_map(|number| number.to_string()).boxed(),
        FactType::Code(symbols) => select(symbols).prop_map(|symbol| format!("'{symbol}'")).boxed(),
    };
    let ordered = pathway_router::engine::rules::catalogue::is_ordered(fact.value_type);
    let order = if ordered { order.boxed() } else { select(&["==", "!="][..]).boxed() };
    let list_name = name.clone();
    let list = prop::collection::vec(value.clone(), 1..4)
        .prop_map(move |values| format!("{list_name} in [{}]", values.join(", ")));
    let comparison = (order, value, any::<bool>()).prop_map(move |(sign, value, fact_first)| {
        if fact_first { format!("{name} {sign} {value}") } else { format!("{value} {sign} {name}") }
    });
    prop_oneof![6 => comparison, 3 => list, 1 => presence].boxed()
}

fn condition(facts: &[&str]) -> BoxedStrategy<String> {
    let mut tests: Vec<BoxedStrategy<String>> = facts.iter().chain(COMMON).map(|name| test(fact_of(name))).collect();
    tests.push(Just("'police' in result.agencies".to_owned()).boxed());
    tests.push(select(&["true", "false"][..]).prop_map(str::to_owned).boxed());
    let test = proptest::strategy::Union::new(tests);
    test.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
    .boxed()
}

/// A rule: the kinds it is for, and its condition.
fn rule() -> BoxedStrategy<(usize, String)> {
    let scopes = SCOPES.iter().enumerate().map(|(place, (_, facts))| (Just(place), condition(facts)).boxed());
    proptest::strategy::Union::new(scopes.collect::<Vec<_>>()).boxed()
}

fn rules_file(rules: &[(usize, String)]) -> String {
    let rule = |(number, (scope, condition)): (usize, &(usize, String))| {
        let (kinds, _) = SCOPES[*scope];
        format!(
            "[R{number:02}]\ntitle = 't'\nsentence = 's'\nsource = 's'\ntell_referrer = 'x'\non = {kinds:?}\nwhen = \"{condition}\"\n"
        )
    };
    rules.iter().enumerate().map(rule).collect()
}

/// One number for the kind and one for each fact, to be read as missing or as a value.
type Dice = (usize, Vec<u8>);

fn dice(facts: usize) -> impl Strategy<Value = Dice> {
    (any::<prop::sample::Index>().prop_map(|index| index.index(10_000)), prop::collection::vec(any::<u8>(), facts))
}

/// The facts of a random event: about a third of those that can be missing are.
fn table(book: &RuleBook, kinds: &[&str], (kind, dice): &Dice) -> FactTable {
    let kind = KindId::of(kinds[kind % kinds.len()]).expect("a kind");
    let mut table = book.facts.table(kind);
    for ((id, fact), die) in book.facts.iter().zip(dice) {
        if fact.name == "event.kind" || (!fact.always_known && die % 3 == 0) || !fact.is_of_kind(kind.name()) {
            continue;
        }
        let die = i64::from(*die) / 3;
        match fact.value_type {
            FactType::Bool => table.set_bool(id, die % 2 == 0),
            FactType::Int => {
                let near = NUMBERS[die as usize % NUMBERS.len()];
                table.set_int(id, near.saturating_add(die / 28 - 1));
            }
            FactType::Code(symbols) => {
                let symbol = symbols[die as usize % symbols.len()].to_owned();
                assert!(book.facts.set(
                    &mut table,
                    id,
                    &pathway_router::engine::model::scalar::FactValue::Code(symbol)
                ));
            }
        }
    }
    table
}

/// The same facts as CEL sees them: maps without the missing ones.
fn context(book: &RuleBook, table: &FactTable) -> Context<'static, 'static> {
    let mut groups: BTreeMap<&str, HashMap<String, Value>> = BTreeMap::new();
    let mut agencies: Vec<Value> = Vec::new();
    for group in ["event", "child", "status", "history", "result"] {
        groups.insert(group, HashMap::new());
    }
    for (id, fact) in book.facts.iter() {
        let Some(value) = book.facts.value(table, id) else { continue };
        if let Some(agency) = fact.name.strip_prefix("result.agencies.") {
            if table.slot(id) == Some(1) {
                agencies.push(Value::from(agency));
            }
            continue;
        }
        let (group, field) = fact.name.split_once('.').expect("a dotted name");
        use pathway_router::engine::model::scalar::FactValue;
        let value = match value {
            FactValue::Bool(flag) => Value::from(flag),
            FactValue::Int(number) => Value::from(number),
            FactValue::Code(code) => Value::from(code),
        };
        groups.get_mut(group).expect("a group").insert(field.to_owned(), value);
    }
    groups.get_mut("result").expect("a group").insert("agencies".to_owned(), Value::from(agencies));
    let mut context = Context::default();
    for (group, values) in groups {
        context.add_variable_from_value(group, values);
    }
    context
}

fn by_cel(program: &Program, context: &Context<'_, '_>) -> Truth {
    match program.execute(context) {
        Ok(value) if value == Value::from(true) => Truth::True,
        Ok(value) if value == Value::from(false) => Truth::False,
        Err(ExecutionError::NoSuchKey(_)) => Truth::Unknown,
        other => panic!("CEL gives no truth: {other:?}"),
    }
}

fn programs(book: &RuleBook) -> BTreeMap<String, Program> {
    let of = |rule: &Rule| {
        let text = rule.when.as_ref().map_or("true", |when| &when.text);
        (rule.id.clone(), Program::compile(text).expect("CEL reads what the loader read"))
    };
    book.rules.iter().map(of).collect()
}

/// How many rules were compared.
fn check(book: &RuleBook, programs: &BTreeMap<String, Program>, table: &FactTable) -> Result<usize, TestCaseError> {
    let context = context(book, table);
    let mut compared = 0;
    for stratum in 0..book.strata() {
        let compiled = book.judge(stratum, table);
        let plain = book.judge_plainly(stratum, table);
        let fired = |judgement: &pathway_router::engine::rules::Judgement<'_>| {
            judgement.fired.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(fired(&compiled), fired(&plain));
        let unknown = |judgement: &pathway_router::engine::rules::Judgement<'_>| {
            judgement.unknown.iter().map(|unknown| unknown.rule.id.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(unknown(&compiled), unknown(&plain));
        for (one, other) in compiled.unknown.iter().zip(&plain.unknown) {
            prop_assert!(!one.missing.is_empty(), "{} names nothing to find out", one.rule.id);
            prop_assert!(one.missing.iter().all(|fact| other.missing.contains(fact)));
        }
        let kind = table.kind().name();
        for rule in book.rules.iter().filter(|rule| rule.stratum == stratum && rule.on.contains(kind)) {
            let expected = by_cel(&programs[&rule.id], &context);
            prop_assert_eq!(rule.truth(table), expected, "{} {:?}", rule.id, rule.when.as_ref().map(|when| &when.text));
            if rule.timer.is_none() {
                prop_assert_eq!(fired(&plain).contains(&rule.id), expected == Truth::True);
                prop_assert_eq!(unknown(&plain).contains(&rule.id), expected == Truth::Unknown);
            }
            compared += 1;
        }
    }
    Ok(compared)
}

fn load_all(files: &[SourceFile]) -> Option<RuleBook> {
    match load(files) {
        Ok(book) => Some(book),
        Err(faults) => {
            let faults = written(&faults);
            assert!(faults.lines().all(|fault| fault.contains("alternatives")), "{faults}");
            None
        }
    }
}

/// Judges random events by random books of so many rules, and returns how many events were judged.
fn judge_random(cases: u32, rules: std::ops::Range<usize>, events_per_book: usize) -> usize {
    let facts = crate::book::book().facts.len();
    let events = prop::collection::vec(dice(facts), events_per_book);
    let strategy = (prop::collection::vec(rule(), rules), events);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let judged = std::cell::Cell::new(0);
    let outcome = runner.run(&strategy, |(rules, events)| {
        let Some(book) = load_all(&files("rules.toml", &rules_file(&rules))) else { return Ok(()) };
        let programs = programs(&book);
        for dice in &events {
            let table = table(&book, &["exploitation.screened", "concern.reported", "neglect.assessed"], dice);
            check(&book, &programs, &table)?;
            judged.set(judged.get() + 1);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    judged.get()
}

#[test]
fn random_books_judge_as_cel_does() {
    let judged = judge_random(BOOKS, 1..9, EVENTS_PER_BOOK);
    assert!(judged >= 20_000, "only {judged} events were judged");
}

/// So many alternatives that one kind needs several words of bitmap.
#[test]
fn random_wide_books_judge_as_cel_does() {
    assert!(judge_random(8, 50..60, 10) > 0);
}

#[test]
fn the_default_book_judges_as_cel_does() {
    let book = default_book();
    let programs = programs(&book);
    let kinds: Vec<&str> = pathway_router::engine::rules::catalogue::concerns().collect();
    let config = Config { cases: EVENTS_OF_DEFAULT_BOOK, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&dice(book.facts.len()), |dice| {
        check(&book, &programs, &table(&book, &kinds, &dice))?;
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
