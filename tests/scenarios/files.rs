//! Every scenario shipped with a rule book comes out as its file says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pathway_router::engine::rules::catalogue::OWN_RULES;
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::{self, RuleBook};
use pathway_router::replay::coverage::Coverage;
use pathway_router::replay::{Replay, Results, report, scenario};

/// The rule book in a folder, its scenarios left out.
pub fn book(folder: &Path) -> RuleBook {
    rules::load(&sources(folder)).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The files of a rule book.
pub fn sources(folder: &Path) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = Vec::new();
    for path in toml_files(folder).into_iter().chain(toml_files(&folder.join("rules"))) {
        let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        files.push(SourceFile { name, text: fs::read_to_string(&path).unwrap() });
    }
    files
}

pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/cheshire-east")
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_shipped_scenario_comes_out_as_expected() {
    let book = book(&shipped());
    let files = toml_files(&shipped().join("scenarios"));
    assert!(files.len() >= 20, "only {} scenario files found", files.len());
    let mut differences = String::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = scenario::parse(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let ran = scenario::run(&scenario, &text, &book).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        differences.push_str(&report::side_by_side(&name, &ran));
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn every_rule_that_is_named_stands_in_the_book_or_is_known_as_the_router_s_own() {
    let book = book(&shipped());
    let mut named = BTreeSet::new();
    for path in toml_files(&shipped().join("scenarios")) {
        let text = fs::read_to_string(&path).unwrap();
        let scenario = scenario::parse(&text).unwrap();
        let mut watch = |results: &Results, _: &Replay| {
            named.extend(results.tasks.iter().flat_map(|task| &task.reasons).map(|reason| reason.rule.clone()));
            named.extend(results.decisions.iter().flat_map(|decision| &decision.fired).map(|fired| fired.rule.clone()));
        };
        scenario::run_watched(&scenario, &text, &book, &mut watch).unwrap();
    }
    let own: BTreeSet<&str> = named.iter().map(String::as_str).filter(|name| book.rule(name).is_none()).collect();
    let unknown: Vec<&&str> = own.iter().filter(|name| !OWN_RULES.contains(name)).collect();
    assert!(unknown.is_empty(), "OWN_RULES lacks {unknown:?}");
    assert!(own.len() > 20, "only {own:?}");
}

#[test]
fn a_scenario_that_expects_otherwise_is_reported() {
    let text = r#"
title = "expects the wrong thing"
[child.sam]
date_of_birth = "2011-02-03"
[[step]]
at = "2026-03-12 10:00"
event = "missing.started"
from = "police/force-control"
child = "sam"
detail = { grade = "medium" }
[step.expect]
level = "L2"
tasks = []
"#;
    let scenario = scenario::parse(text).unwrap();
    let ran = scenario::run(&scenario, text, &book(&shipped())).unwrap();
    let shown = report::side_by_side("wrong.toml", &ran);
    assert!(shown.contains("wrong.toml:5: step 1"), "{shown}");
    assert!(shown.contains("L2") && shown.contains("L3") && shown.contains("police"), "{shown}");
}

#[test]
fn every_rule_and_every_comparison_is_shown_every_way_and_has_a_near_miss() {
    let book = book(&shipped());
    let (mut coverage, mut silent) = (Coverage::default(), BTreeSet::new());
    for path in toml_files(&shipped().join("scenarios")) {
        let text = fs::read_to_string(&path).unwrap();
        let scenario = scenario::parse(&text).unwrap();
        coverage.join(scenario::run(&scenario, &text, &book).unwrap().coverage);
        silent.extend(near_misses(&text.parse().unwrap(), &book));
    }
    let without = |found: &BTreeSet<String>| -> Vec<String> {
        book.rules.iter().map(|rule| rule.id.clone()).filter(|id| !found.contains(id)).collect()
    };
    assert_eq!(without(&coverage.fired), Vec::<String>::new(), "rules that fire in no scenario");
    let gaps: Vec<String> = coverage.gaps(&book).iter().map(ToString::to_string).collect();
    assert!(gaps.is_empty(), "no scenario shows:\n{}", gaps.join("\n"));
    assert_eq!(without(&silent), Vec::<String>::new(), "rules without a near miss");
}

#[test]
fn what_no_scenario_shows_is_told() {
    let text = r#"
title = "one report"
[child.sam]
date_of_birth = "2011-02-03"
[[step]]
at = "2026-03-12 10:00"
event = "missing.started"
from = "police/force-control"
child = "sam"
detail = { grade = "medium" }
"#;
    let book = book(&shipped());
    let ran = scenario::run(&scenario::parse(text).unwrap(), text, &book).unwrap();
    let told: Vec<String> = ran.coverage.gaps(&book).iter().map(ToString::to_string).collect();
    let expected = [
        "R10: never fired",
        "R10: `child.age_years < 13` was never true or unknown",
        "R10: `event.grade == 'high'` was never true",
        "missing_90d: `event.grade in ['absent', 'away']` was never true",
        "R42: never fired",
    ];
    for gap in expected {
        assert!(told.iter().any(|line| line.ends_with(gap)), "{gap} is not among\n{}", told.join("\n"));
    }
    assert!(!told.iter().any(|line| line.contains("R08-medium: never fired")));
}

/// The rules that a scenario's steps name as staying silent on an event of a kind that they are `on`: on any other they are
/// silent whatever their condition says.
fn near_misses(scenario: &toml::Table, book: &RuleBook) -> Vec<String> {
    let steps = scenario.get("step").and_then(toml::Value::as_array).into_iter().flatten();
    let named = |step: &toml::Value| {
        let kind = step.get("event")?.as_str()?.to_owned();
        let silent = step.get("expect")?.get("not_rules")?.as_array()?.clone();
        Some(silent.into_iter().filter_map(move |id| Some((kind.clone(), id.as_str()?.to_owned()))))
    };
    let could_fire =
        |(kind, id): &(String, String)| book.rules.iter().any(|rule| rule.id == *id && rule.on.contains(kind.as_str()));
    steps.filter_map(named).flatten().filter(could_fire).map(|(_, id)| id).collect()
}
