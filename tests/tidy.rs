//! House rules that no compiler checks: first lines, sizes, layers, and what the engine must never touch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::{Source, code_only, functions};

#[path = "tidy/source.rs"]
mod source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// The floors of the house, lowest first. A module may import its own floor and those below, never above.
const FLOORS: &[&[&str]] = &[
    &["engine"],
    &["broker", "config", "telemetry", "wire"],
    &["http", "import", "replay", "runtime", "simulate"],
    &["cli"],
    &["main", "lib"],
];

/// What the engine must not name: anything that reads a clock, a file, the network, the machine, or waits.
const FORBIDDEN_IN_ENGINE: &[&str] = &[
    "tokio",
    "rdkafka",
    "prometheus",
    "rusqlite",
    "axum",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "std::time",
    "std::io",
    "println",
    "print",
    "eprintln",
    "eprint",
    "dbg",
    "now()",
    "rand::rng",
    "new_v4",
    "now_v7",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folders`, in a stable order.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    paths.iter().map(|path| Source::read(&root(), path)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Fails with every fault at once, one a line, each `file:line: what is wrong; what to do`.
fn check(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let faults = sources(&["src", "tests", "benches"])
        .iter()
        .filter(|source| !source.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 12))
        .map(|source| format!("{}:1: the first line must be `//! what this file is for`", source.name))
        .collect();
    check(faults);
}

#[test]
fn no_file_is_too_long() {
    let faults = sources(&["src", "tests", "benches"])
        .iter()
        .filter(|source| source.text.lines().count() > FILE_LINES_MAX)
        .map(|source| {
            let lines = source.text.lines().count();
            format!(
                "{}:{FILE_LINES_MAX}: {lines} lines, at most {FILE_LINES_MAX}; split it by what changes together",
                source.name
            )
        })
        .collect();
    check(faults);
}

#[test]
fn no_function_is_too_long() {
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for function in functions(&source.code) {
            if function.lines > FUNCTION_LINES_MAX {
                faults.push(format!(
                    "{}:{}: fn {} has {} lines, at most {FUNCTION_LINES_MAX}; name its parts and take them out",
                    source.name, function.line, function.name, function.lines
                ));
            }
        }
    }
    check(faults);
}

#[test]
fn modules_lie_beside_their_folder() {
    let faults = sources(&["src", "tests", "benches"])
        .iter()
        .filter(|source| source.name.ends_with("/mod.rs"))
        .map(|source| format!("{}:1: call it `foo.rs` beside `foo/`, not `mod.rs`", source.name))
        .collect();
    check(faults);
}

#[test]
fn exceptions_are_argued() {
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for (number, line) in source.numbered_code() {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                let advice = "write `#[expect(lint, reason = \"…\")]` instead";
                faults.push(format!("{}:{number}: a bare allow; {advice}", source.name));
            }
        }
        for (start, _) in source.code.match_indices("[expect(") {
            let end = source.code[start..].find(")]").map_or(source.code.len(), |length| start + length);
            if !source.code[start..end].contains("reason") {
                let number = source.code[..start].matches('\n').count() + 1;
                faults.push(format!("{}:{number}: an exception without `reason = \"…\"`; say why", source.name));
            }
        }
    }
    check(faults);
}

/// Those of the engine. More than a hundred: a folder that was moved would leave nothing to look at.
fn engine() -> Vec<Source> {
    let engine: Vec<Source> = sources(&["src"]).into_iter().filter(|source| source.module() == "engine").collect();
    assert!(engine.len() > 100, "only {} files of the engine were found", engine.len());
    engine
}

#[test]
fn the_engine_is_pure() {
    let mut faults = Vec::new();
    for source in engine() {
        for (number, line) in source.numbered_code() {
            for word in impure(line) {
                faults.push(format!(
                    "{}:{number}: `{word}` in the engine; take what it gives as an argument instead",
                    source.name
                ));
            }
        }
    }
    check(faults);
}

/// What a line of the engine names that it must not. Of `std::io` what neither reads nor writes anything may stay.
fn impure(line: &str) -> Vec<&'static str> {
    let line = line.replace("std::io::sink", "").replace("std::io::BufRead", "");
    let grouped = ["use std::{", "use std as", "use ::std"].into_iter().filter(|start| line.contains(start));
    grouped.chain(FORBIDDEN_IN_ENGINE.iter().copied().filter(|word| names(&line, word))).collect()
}

#[test]
fn what_reads_a_clock_or_a_file_is_found_however_it_is_written() {
    for impure_line in [
        "use std::{env, fs, thread};",
        "use std::fs::read_to_string;",
        "println!(x);",
        "std::io::stdin().lines()",
        "use std::time::Instant as I;",
        "let at = I::now();",
        "let at = jiff::Zoned::now();",
    ] {
        assert!(!impure(impure_line).is_empty(), "{impure_line}");
    }
    for pure_line in
        ["let now = event.receipt;", "from_writer(std::io::sink(), config)", "fn printed(&self)", "raising.now"]
    {
        assert_eq!(impure(pure_line), Vec::<&str>::new(), "{pure_line}");
    }
}

#[test]
fn no_order_of_the_engine_s_hash_maps_is_relied_on() {
    let (mut faults, mut looked_at) = (Vec::new(), 0);
    for source in engine() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, name) in source.hash_maps_gone_through() {
            looked_at += 1;
            let above = &lines[number.saturating_sub(5)..number];
            if !above.iter().any(|line| line.contains("no order") || line.contains("any order")) {
                faults.push(format!(
                    "{}:{number}: `{name}` is gone through in no order; take a `BTreeMap`, or say above why it may be `in any order`",
                    source.name
                ));
            }
        }
    }
    check(faults);
    assert!(looked_at > 4, "only {looked_at} places were found: those of `State` are more");
}

/// `line` contains `word` as whole path segments.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        !line[..start].ends_with(part) && !line[start + word.len()..].starts_with(part)
    })
}

/// Top-level module -> modules it imports, each with the place of its first import.
fn imports() -> BTreeMap<String, BTreeMap<String, String>> {
    let modules: BTreeSet<&str> = FLOORS.iter().flat_map(|floor| floor.iter().copied()).collect();
    let mut graph: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources(&["src"]) {
        let edges = graph.entry(source.module().to_owned()).or_default();
        for (number, imported) in source.crate_imports() {
            if modules.contains(imported.as_str()) && imported != source.module() {
                edges.entry(imported).or_insert_with(|| format!("{}:{number}", source.name));
            }
        }
    }
    graph
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn imports_point_downwards() {
    let mut faults = Vec::new();
    for (module, imported) in imports() {
        let Some(floor) = floor_of(&module) else {
            faults.push(format!("src/{module}.rs:1: give the new module `{module}` a floor in tests/tidy.rs"));
            continue;
        };
        for (below, place) in imported {
            if floor_of(&below).is_some_and(|other| other > floor) {
                faults.push(format!(
                    "{place}: `{module}` imports `{below}`, which lies above it; move what both need down"
                ));
            }
        }
    }
    check(faults);
}

#[test]
fn imports_have_no_circle() {
    let graph = imports();
    let mut faults = Vec::new();
    for module in graph.keys() {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&String> = graph[module].keys().collect();
        while let Some(next) = waiting.pop() {
            if reached.insert(next) {
                waiting.extend(graph.get(next).into_iter().flat_map(BTreeMap::keys));
            }
        }
        if reached.contains(module) {
            let places: Vec<_> = graph[module].iter().map(|(to, place)| format!("{place} imports {to}")).collect();
            faults.push(format!("src/{module}.rs:1: `{module}` imports itself by a circle: {}", places.join(", ")));
        }
    }
    check(faults);
}

#[test]
fn the_engine_s_records_import_only_records() {
    let mut faults = Vec::new();
    for source in sources(&["src/engine/model"]) {
        for (number, line) in source.numbered_code() {
            if line.contains("crate::") && !line.contains("crate::engine::model::") {
                faults.push(format!("{}:{number}: records must not import what works on them", source.name));
            }
        }
    }
    check(faults);
}

#[test]
fn the_scanner_sees_what_goes_through_a_hash_map() {
    let text = "struct S {\n    held: HashMap<u8, u8>,\n    sorted: BTreeMap<u8, u8>,\n}\nfn f(s: &S) {\n    let (mut a, b) = \
                (HashSet::new(), 1);\n    s.held\n        .iter();\n    s.sorted.iter();\n    s.held.get(&1);\n    for x in \
                &a {}\n    for y in &s.held {}\n    a.retain(|_| true);\n}\n";
    let source = Source { name: "s.rs".to_owned(), text: text.to_owned(), code: code_only(text) };
    let found = source.hash_maps_gone_through();
    let found: Vec<_> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(found, [(7, "held"), (11, "a"), (12, "held"), (13, "a")]);
}

#[test]
fn the_scanner_sees_code_only() {
    let text = "//! a\nlet s = \"fn x() { }\"; // fn y() {\nlet c = '{'; let r = r#\"\"fn\"#;\nfn <'a> z() {\n}\n";
    let code = code_only(text);
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(!code.contains("fn x") && !code.contains("fn y") && !code.contains("'{'"), "{code}");
    let found = functions("fn one(\n a: [u8; 2],\n) {\n  { }\n}\ntrait T { fn two(); }\n");
    let found: Vec<_> = found.iter().map(|function| (function.name.as_str(), function.line, function.lines)).collect();
    assert_eq!(found, [("one", 1, 5)]);
}
