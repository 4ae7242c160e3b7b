//! docs/rules.md is complete, and its first rule with its scenario works as it stands there.

use pathway_router::engine::model::detail::fields;
use pathway_router::engine::rules::catalogue::{
    ANCHORS, BUILT_IN, CHILD_FIELDS, FLAGS, TASK_FIELDS, is_concern, kinds,
};
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::load;
use pathway_router::replay::scenario;

use crate::book::{default_files, written};

const DOCS: &str = include_str!("../../docs/rules.md");

#[test]
fn every_name_a_book_may_use_is_documented() {
    let names = ANCHORS.iter().chain(FLAGS).chain(TASK_FIELDS).chain(CHILD_FIELDS).copied();
    let names = names.chain(BUILT_IN.iter().map(|fact| fact.name));
    let missing: Vec<&str> = names.filter(|name| !DOCS.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/rules.md does not name {missing:?}");
}

#[test]
fn every_kind_and_field_is_documented() {
    for kind in kinds() {
        let mark = if is_concern(kind) { "" } else { " *" };
        let row = DOCS.lines().find(|line| line.starts_with(&format!("| `{kind}`{mark} |")));
        let row = row.unwrap_or_else(|| panic!("docs/rules.md has no row for {kind}"));
        let facts = row.split(" | ").nth(1).expect("a column of facts");
        for (field, value_type) in fields(kind).unwrap_or_default() {
            let name = format!("`{field}`");
            assert!(row.contains(&name), "{kind} {field}");
            assert_eq!(facts.contains(&name), value_type.is_some(), "{kind} {field} in the column of facts");
        }
    }
}

/// The example in the page that starts with `# example: <name>`.
fn example(name: &str) -> &'static str {
    let (_, rest) = DOCS.split_once(&format!("```toml\n# example: {name}\n")).expect("an example");
    rest.split("```").next().expect("an end")
}

#[test]
fn the_first_rule_does_what_its_scenario_says() {
    let mut files = default_files();
    for file in files.iter_mut().filter(|file| file.name == "facts.toml") {
        file.text += &format!("\n{}", example(&file.name));
    }
    files.push(SourceFile { name: "rules.toml".to_owned(), text: example("rules.toml").to_owned() });
    let book = load(&files).unwrap_or_else(|faults| panic!("{}", written(&faults)));
    let text = example("scenarios/r90-absent-again.toml");
    let scenario = scenario::parse(text).expect("a scenario");
    let ran = scenario::run(&scenario, text, &book).expect("a scenario that runs");
    assert!(ran.differences.is_empty(), "{:#?}", ran.differences);
    assert!(ran.coverage.fired.contains("R90"));
    let told = "scenarios/r28-r30-absence.toml";
    assert!(DOCS.contains(told), "what else is to be amended");
    for file in std::fs::read_dir("rules/cheshire-east/scenarios").expect("the book's scenarios") {
        let path = file.expect("a scenario").path();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let scenario = scenario::parse(&text).expect("a scenario");
        let ran = scenario::run(&scenario, &text, &book).expect("a scenario that runs");
        let is_told = path.ends_with(told);
        assert_eq!(ran.differences.len(), usize::from(is_told), "{}: {:#?}", path.display(), ran.differences);
    }
}
