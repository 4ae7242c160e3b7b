//! How long a judgement takes: 40 rules with 115 tests of facts, compiled, plainly evaluated, and by the CEL interpreter.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use cel::{Context, Program, Value};
use criterion::{Criterion, criterion_group, criterion_main};
use pathway_router::engine::model::scalar::{FactType, FactValue};
use pathway_router::engine::rules::facts::{FactTable, KindId};
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::{Judgement, RuleBook, load};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RULES: usize = 40;
const TESTS: usize = 115;
const EVENTS: usize = 1_024;
const KIND: &str = "self_harm.reported";

const FLAGS: &[&str] = &[
    "event.first_known",
    "event.superficial",
    "event.overdose",
    "event.intent_stated",
    "event.admitted",
    "event.abuse_indicator",
    "event.multi_agency_plan",
    "event.immediate_danger",
    "child.home_educated",
    "status.cin",
    "status.cpp",
    "status.lac",
    "status.ce_flag",
];
const COUNTS: &[&str] = &["self_harm_90d", "self_harm_12m", "missing_90d", "below_l4_90d"];
const SETTINGS: &[&str] = &["a_and_e", "school", "home", "custody"];

fn one_of<'n>(random: &mut ChaCha8Rng, names: &[&'n str]) -> &'n str {
    names[random.random_range(0..names.len())]
}

/// One test of a fact that a self-harm event can carry.
fn test(random: &mut ChaCha8Rng) -> String {
    match random.random_range(0..10) {
        0..5 => format!("{}{}", one_of(random, &["", "", "!"]), one_of(random, FLAGS)),
        5..7 => format!("child.age_years {} {}", one_of(random, &[">=", "<"]), random.random_range(1..17)),
        7 => format!("history.{} >= {}", one_of(random, COUNTS), random.random_range(1..7)),
        8 => format!("event.setting == '{}'", one_of(random, SETTINGS)),
        _ => format!("event.setting in ['{}', '{}']", one_of(random, &SETTINGS[..2]), one_of(random, &SETTINGS[2..])),
    }
}

/// A made-up book of 40 rules for one kind of event.
fn book() -> RuleBook {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut rules = String::new();
    for rule in 0..RULES {
        let tests = TESTS / RULES + usize::from(rule < TESTS % RULES);
        let join = if rule % 4 == 0 { " || " } else { " && " };
        let condition = (0..tests).map(|_| test(&mut random)).collect::<Vec<_>>().join(join);
        rules += &format!("[R{rule:02}]\ntitle = 't'\nsentence = 's'\nsource = 's'\non = '{KIND}'\nlevel = 'L2'\n");
        rules += &format!("when = \"{condition}\"\n");
    }
    let count = |name: &&str| format!("[history.{name}]\nlabel = 'x'\ncount = '{KIND}'\nwindow = '90d'\n");
    let head = "name = 'bench'\ntitle = 't'\neffective_from = 2026-01-01T00:00:00Z\nfront_door = 'social-care'";
    let files = [
        ("book.toml", head.to_owned()),
        ("rules.toml", rules),
        ("facts.toml", COUNTS.iter().map(count).collect()),
        ("bases.toml", "[P]\ntitle = 't'\nstatement = 's'".to_owned()),
        ("agencies.toml", "[social-care]\ntitle = 't'".to_owned()),
    ];
    let files: Vec<SourceFile> =
        files.into_iter().map(|(name, text)| SourceFile { name: name.to_owned(), text }).collect();
    load(&files).expect("a book without faults")
}

/// The files of the book that comes with the router.
fn default_files() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/cheshire-east");
    let mut files = Vec::new();
    for part in ["", "rules/"] {
        for entry in std::fs::read_dir(folder.join(part)).expect("the default book") {
            let path = entry.expect("a readable folder").path();
            if path.is_file() {
                let name = format!("{part}{}", path.file_name().expect("a name").to_string_lossy());
                files.push(SourceFile { name, text: std::fs::read_to_string(&path).expect("a readable file") });
            }
        }
    }
    files
}

/// Events of one kind, with this share missing of the facts that can be.
fn events(book: &RuleBook, kind: &str, missing: f64) -> Vec<FactTable> {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let kind = KindId::of(kind).expect("a kind");
    let event = |_| {
        let mut table = book.facts.table(kind);
        for (id, fact) in book.facts.iter() {
            let kept = fact.name == "event.kind" || fact.name.starts_with("result.") || !fact.is_of_kind(kind.name());
            if kept || (!fact.always_known && random.random_bool(missing)) {
                continue;
            }
            match fact.value_type {
                FactType::Bool => table.set_bool(id, random.random_bool(0.2)),
                FactType::Int => table.set_int(id, random.random_range(0..17)),
                FactType::Code(symbols) => {
                    book.facts.set(&mut table, id, &FactValue::Code(one_of(&mut random, symbols).to_owned()));
                }
            }
        }
        table
    };
    (0..EVENTS).map(event).collect()
}

/// The same facts as CEL sees them.
fn context(book: &RuleBook, table: &FactTable) -> Context<'static, 'static> {
    let mut groups: HashMap<&str, HashMap<String, Value>> = HashMap::new();
    for (id, fact) in book.facts.iter() {
        let (Some(value), Some((group, field))) = (book.facts.value(table, id), fact.name.split_once('.')) else {
            continue;
        };
        let value = match value {
            FactValue::Bool(flag) => Value::from(flag),
            FactValue::Int(number) => Value::from(number),
            FactValue::Code(code) => Value::from(code),
        };
        groups.entry(group).or_default().insert(field.to_owned(), value);
    }
    let mut context = Context::default();
    for (group, values) in groups {
        context.add_variable_from_value(group, values);
    }
    context
}

fn forty_rules(criterion: &mut Criterion) {
    let book = book();
    let events = self::events(&book, KIND, 0.1);
    let mut group = criterion.benchmark_group("judge 40 rules, 115 tests");
    let known = self::events(&book, KIND, 0.0);
    for (name, events) in [("compiled", &events), ("compiled, nothing missing", &known)] {
        let mut turn = events.iter().cycle();
        group.bench_function(name, |bencher| {
            let mut judgement = Judgement::default();
            bencher.iter(|| {
                book.judge_into(0, turn.next().expect("events"), &mut judgement);
                black_box(judgement.fired.len())
            });
        });
    }
    let mut turn = events.iter().cycle();
    group.bench_function("plain", |bencher| {
        bencher.iter(|| black_box(book.judge_plainly(0, turn.next().expect("events"))));
    });
    let conditions = book.rules.iter().filter_map(|rule| rule.when.as_ref());
    let programs: Vec<Program> = conditions.map(|when| Program::compile(&when.text).expect("a condition")).collect();
    let contexts: Vec<Context<'_, '_>> = events.iter().take(64).map(|table| context(&book, table)).collect();
    let mut turn = contexts.iter().cycle();
    group.bench_function("cel interpreter", |bencher| {
        bencher.iter(|| {
            let context = turn.next().expect("events");
            programs.iter().filter(|program| black_box(program.execute(context)).is_ok()).count()
        });
    });
    group.finish();
}

fn default_book(criterion: &mut Criterion) {
    let files = default_files();
    let book = load(&files).expect("a book without faults");
    let mut group = criterion.benchmark_group("default book");
    for kind in ["self_harm.reported", "missing.started", "education.absence"] {
        let events = self::events(&book, kind, 0.1);
        let mut turn = events.iter().cycle();
        group.bench_function(format!("judge every stratum, {kind}"), |bencher| {
            let mut judgement = Judgement::default();
            bencher.iter(|| {
                let table = turn.next().expect("events");
                for stratum in 0..book.strata() {
                    book.judge_into(stratum, table, &mut judgement);
                    black_box(judgement.fired.len());
                }
            });
        });
    }
    group.sample_size(20);
    group.bench_function("load", |bencher| bencher.iter(|| load(&files).is_ok()));
    group.finish();
}

criterion_group!(benches, forty_rules, default_book);
criterion_main!(benches);
