//! `directory.toml`: localities, schools, practices and authorities, each entry checked where it stands.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{Document, Part, tables};
use crate::engine::rules::directory::{Authority, Directory, Locality, PHASES, Practice, School, URN_DIGITS, plain};
use crate::engine::rules::read::{Faults, Table, Text, instead, listed, span_of};

const KINDS: [&str; 4] = ["locality", "school", "practice", "authority"];

/// The book's directory; one that says nothing where the book has none.
pub fn read(documents: &[Document<'_>], faults: &mut Faults) -> Directory {
    let mut directory = Directory::default();
    let Some(document) = documents.iter().find(|document| document.part == Part::Directory) else { return directory };
    for (key, value) in &document.table {
        let kind = key.get_ref().as_ref();
        if document.is_broken(span_of(key)) {
            continue;
        }
        let DeValue::Table(entries) = value.get_ref() else {
            let problem = format!("`{kind}` is no table of the directory");
            faults.add(document.file, span_of(key), problem, "write a heading such as [school.999001]");
            continue;
        };
        match kind {
            "locality" => directory.localities = Some(named(document, entries, "locality", faults, locality)),
            "school" => directory.schools = Some(schools(document, entries, faults)),
            "practice" => directory.practices = Some(practices(document, entries, faults)),
            "authority" => directory.authorities = Some(named(document, entries, "authority", faults, authority)),
            _ => {
                let problem = format!("a directory has no `{kind}`");
                faults.add(document.file, span_of(key), problem, instead(kind, KINDS));
            }
        }
    }
    directory
}

/// The entries of a table, by their names in small letters.
fn named<'d, T>(
    document: &'d Document<'_>,
    entries: &'d toml::de::DeTable<'_>,
    what: &str,
    faults: &mut Faults,
    read: impl Fn(Text<'d>, &mut Table<'d>, &mut Faults) -> T,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for (key, mut table) in tables(document, entries, what, faults) {
        let entry = read(key, &mut table, faults);
        table.finish(faults);
        if found.insert(plain(key.text), entry).is_some() {
            let problem = format!("{what} {}: given twice, written otherwise", key.text);
            faults.add(key.file, key.span, problem, "give it once");
        }
    }
    found
}

fn locality<'d>(key: Text<'d>, table: &mut Table<'d>, faults: &mut Faults) -> Locality {
    let title = owned(table.required(faults, "title", "\"Crewe\""));
    let hub =
        table.text(faults, "hub", "\"crewe-hub\"").map_or_else(|| key.text.to_owned(), |text| text.text.to_owned());
    Locality { title, hub }
}

fn authority<'d>(key: Text<'d>, table: &mut Table<'d>, faults: &mut Faults) -> Authority {
    Authority { name: key.text.to_owned(), unit: owned(table.required(faults, "unit", "\"stockport\"")) }
}

fn owned(text: Option<Text<'_>>) -> String {
    text.map(|text| text.text.to_owned()).unwrap_or_default()
}

/// Schools by URN. A safeguarding unit is the URN of a school of this directory.
fn schools<'d>(
    document: &'d Document<'_>,
    entries: &'d toml::de::DeTable<'_>,
    faults: &mut Faults,
) -> BTreeMap<String, School> {
    let known: Vec<String> = entries.keys().map(|key| key.get_ref().to_string()).collect();
    named(document, entries, "school", faults, |key, table, faults| {
        if key.text.len() != URN_DIGITS || !key.text.bytes().all(|byte| byte.is_ascii_digit()) {
            let problem = format!("`{}` is not a school's URN", key.text);
            faults.add(key.file, key.span, problem, "write its six digits: [school.999001]");
        }
        let name = owned(table.required(faults, "name", "\"Example Primary School\""));
        let phase = table.required(faults, "phase", "\"primary\"");
        if let Some(phase) = phase.filter(|phase| !PHASES.contains(&phase.text)) {
            let problem = format!("school {}: there is no phase `{}`", key.text, phase.text);
            faults.add(phase.file, phase.span, problem, format!("write one of {}", listed(PHASES)));
        }
        let shared = table.text(faults, "safeguarding_unit", "\"999001\"");
        if let Some(shared) = shared.filter(|shared| !known.iter().any(|urn| urn == shared.text)) {
            let problem = format!("school {}: its safeguarding unit is no school of this directory", key.text);
            faults.add(shared.file, shared.span, problem, "write the URN of a school listed here, or leave it out");
        }
        let safeguarding_unit = shared.map_or_else(|| key.text.to_owned(), |text| text.text.to_owned());
        School { name, phase: owned(phase), safeguarding_unit }
    })
}

/// Practices by ODS code in capitals. One that was merged leads, in the end, to one that was not.
fn practices<'d>(
    document: &'d Document<'_>,
    entries: &'d toml::de::DeTable<'_>,
    faults: &mut Faults,
) -> BTreeMap<String, Practice> {
    let mut found: BTreeMap<String, Practice> = BTreeMap::new();
    let mut merged: Vec<(String, Text<'d>)> = Vec::new();
    for (key, mut table) in tables(document, entries, "practice", faults) {
        let code = key.text.trim().to_uppercase();
        if !(code.starts_with(|first: char| first.is_ascii_uppercase())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            let problem = format!("`{}` is not a practice's ODS code", key.text);
            faults.add(key.file, key.span, problem, "write a letter, then digits and letters: [practice.N81001]");
        }
        let name = owned(table.required(faults, "name", "\"Example Surgery\""));
        let into = table.text(faults, "merged_into", "\"N81001\"");
        table.finish(faults);
        merged.extend(into.map(|into| (code.clone(), into)));
        let merged_into = into.map(|into| into.text.trim().to_uppercase());
        if found.insert(code, Practice { name, merged_into }).is_some() {
            let problem = format!("practice {}: given twice, written otherwise", key.text);
            faults.add(key.file, key.span, problem, "give it once");
        }
    }
    for (code, into) in merged {
        let mut at = code.clone();
        let mut steps = 0_usize;
        while let Some(next) = found.get(&at).and_then(|practice| practice.merged_into.clone()) {
            at = next;
            steps = steps.saturating_add(1);
            if steps > found.len() {
                let problem = format!("practice {code}: merged round in a circle");
                faults.add(into.file, into.span, problem, "leave `merged_into` out of the one that stands");
                break;
            }
        }
        if steps <= found.len() && !found.contains_key(&at) {
            let problem = format!("practice {code}: merged into one that this directory does not list");
            faults.add(into.file, into.span, problem, format!("add [practice.{at}]"));
        }
    }
    found
}
