//! From the files of a rule book to a checked and compiled one, with every fault of every file at once.

mod agencies;
mod calendar;
mod directory;
mod facts;
mod head;
pub mod rules;
mod together;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;
use toml::de::{DeTable, DeValue};

use super::RuleBook;
use super::catalogue;
use super::compile;
use super::fault::{RuleFault, SourceFile, Span};
use super::hash;
use super::read::{Faults, Table, Text, instead, span_of};
use super::strata;
use crate::engine::calendar::Clock;
use crate::engine::model::scalar::Level;

/// The most files a rule book may have, and the most bytes one of them.
const FILES_MAX: usize = 1_000;
const FILE_BYTES_MAX: usize = 1_000_000;

/// What a file of the book holds, told by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    Book,
    Rules,
    Facts,
    Bases,
    Agencies,
    Calendar,
    Directory,
    Ladders,
}

impl Part {
    const NAMES: [(&'static str, Part); 8] = [
        ("book.toml", Part::Book),
        ("rules.toml", Part::Rules),
        ("facts.toml", Part::Facts),
        ("bases.toml", Part::Bases),
        ("agencies.toml", Part::Agencies),
        ("calendar.toml", Part::Calendar),
        ("directory.toml", Part::Directory),
        ("ladders.toml", Part::Ladders),
    ];

    fn of(name: &str) -> Option<Part> {
        let exact = Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        // Not in a folder below: what is put away there would count still.
        let among_rules =
            name.strip_prefix("rules/").is_some_and(|file| file.ends_with(".toml") && !file.contains('/'));
        exact.or(among_rules.then_some(Part::Rules))
    }

    /// The key of this part in the canonical content.
    pub fn key(self) -> &'static str {
        match self {
            Part::Book => "book",
            Part::Rules => "rules",
            Part::Facts => "facts",
            Part::Bases => "bases",
            Part::Agencies => "agencies",
            Part::Calendar => "calendar",
            Part::Directory => "directory",
            Part::Ladders => "ladders",
        }
    }
}

/// One file, parsed.
pub struct Document<'i> {
    pub part: Part,
    pub file: &'i SourceFile,
    pub table: DeTable<'i>,
    /// Where the TOML itself is broken.
    broken: Vec<usize>,
}

impl Document<'_> {
    /// Whether a table holds broken TOML, so that what it seems to lack is no further fault.
    pub fn is_broken(&self, table: Span) -> bool {
        let rest = self.file.text.get(table.start..).unwrap_or_default();
        let length = rest.match_indices("\n[").next().map_or(rest.len(), |(place, _)| place);
        let end = table.start.saturating_add(length);
        self.broken.iter().any(|place| (table.start..=end).contains(place))
    }

    /// The tables of the file, each read as `what` and its key. Other values are faults.
    pub fn entries<'d>(&'d self, what: &str, faults: &mut Faults) -> Vec<(Text<'d>, Table<'d>)> {
        tables(self, &self.table, what, faults)
    }
}

/// The tables within a table, each with its key. Values that are no tables are faults.
pub fn tables<'d>(
    document: &'d Document<'_>,
    parent: &'d DeTable<'_>,
    what: &str,
    faults: &mut Faults,
) -> Vec<(Text<'d>, Table<'d>)> {
    let mut found = Vec::new();
    for (key, value) in parent {
        let name = Text { file: document.file, text: key.get_ref(), span: span_of(key) };
        let DeValue::Table(table) = value.get_ref() else {
            if !document.is_broken(span_of(key)) {
                let problem = format!("`{}` stands outside any {what}", name.text);
                faults.add(document.file, span_of(key), problem, format!("put it under a heading: [{what}-name]"));
            }
            continue;
        };
        let gap = if what.ends_with('.') { "" } else { " " };
        let entry = Table::new(document.file, table, span_of(key), format!("{what}{gap}{}", name.text));
        if !document.is_broken(span_of(key)) {
            found.push((name, entry));
        }
    }
    found
}

/// What is known before any condition is read.
pub struct Names {
    pub agencies: BTreeSet<String>,
    pub bases: BTreeSet<String>,
    /// Agencies with the roles they list.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    pub retention_days: i64,
}

/// Reads a rule book, or everything that is wrong with it.
pub fn load(files: &[SourceFile]) -> Result<RuleBook, Vec<RuleFault>> {
    let mut faults = Faults::default();
    let documents = parse(files, &mut faults);
    let head = head::read(&documents, &mut faults);
    let names = Names {
        agencies: agencies::names(&documents, Part::Agencies),
        bases: agencies::names(&documents, Part::Bases),
        roles: agencies::roles(&documents),
        retention_days: head.retention_days,
    };
    let (facts, aggregates) = facts::read(&documents, &names, &mut faults);
    let agencies = agencies::read(&documents, &names, &facts, &mut faults);
    let bases = agencies::bases(&documents, &names, &mut faults);
    let ladders = agencies::ladders(&documents, &names, &mut faults);
    let calendar = calendar::read(&documents, &mut faults);
    together::check_calendar(&documents, &head, &calendar, &mut faults);
    together::check_ladders(&documents, &ladders, &mut faults);
    together::check_ladder_roles(&documents, &names.roles, &mut faults);
    let directory = directory::read(&documents, &mut faults);
    together::check_schools(&documents, &directory, &mut faults);
    agencies::check_directory(&documents, &agencies, &directory, &mut faults);
    let (mut rules, places) = rules::read(&documents, &names, &facts, &mut faults);
    rules::check_overdue(&rules, &ladders, &places, &mut faults);
    together::check_reach(&rules, &facts, &head, &places, &mut faults);
    let strata = strata::assign(&mut rules, &facts, &aggregates, &places, &mut faults);
    let compiled = compile::compile(&rules, &facts, strata, &places, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into_sorted());
    }
    let asks = |rule: &super::Rule| rule.tasks.iter().any(|task| task.completed_by_due);
    let to_complete = rules.iter().enumerate().filter(|(_, rule)| asks(rule)).map(|(place, _)| place).collect();
    Ok(RuleBook {
        hash: hash::of(&documents),
        name: head.name,
        title: head.title,
        effective_from: head.effective_from,
        retention_days: head.retention_days,
        front_door: head.front_door,
        authority: head.authority,
        stand_ins: head.stand_ins,
        look_into_deaths: head.look_into_deaths,
        told_of_breaches: head.told_of_breaches,
        rules,
        facts,
        aggregates,
        meant: agencies::meant(&agencies),
        agencies,
        bases,
        ladders,
        calendar,
        directory,
        compiled,
        to_complete,
    })
}

/// The same of files that a person gives: that one of them is empty is a fault. Of a book that was published it is not, as it counts by its content.
pub fn load_given(files: &[SourceFile]) -> Result<RuleBook, Vec<RuleFault>> {
    let loaded = load(files);
    let mut faults = Faults::default();
    for file in files.iter().filter(|file| file.text.trim().is_empty()) {
        let instead = "put back what stood in it, as from a backup; if nothing is to stand there, remove the file";
        faults.add(file, Span::default(), "the file is empty", instead);
    }
    if faults.is_empty() {
        return loaded;
    }
    let others = loaded.err().unwrap_or_default();
    let is_told = |fault: &RuleFault| !others.iter().any(|other| other.file == fault.file);
    Err(faults.into_sorted().into_iter().filter(is_told).chain(others.clone()).collect())
}

fn parse<'i>(files: &'i [SourceFile], faults: &mut Faults) -> Vec<Document<'i>> {
    let mut documents: Vec<Document<'i>> = Vec::new();
    for file in files.iter().take(FILES_MAX) {
        let start = Span::default();
        let Some(part) = Part::of(&file.name) else {
            let known = Part::NAMES.iter().map(|(name, _)| *name).chain(["rules/*.toml"]);
            let small = Some(file.name.to_lowercase()).filter(|small| Part::of(small).is_some());
            let instead = small.map_or_else(|| instead(&file.name, known), |small| format!("call it `{small}`"));
            faults.add(file, start, "this file has no place in a rule book", instead);
            continue;
        };
        if file.text.len() > FILE_BYTES_MAX {
            faults.add(file, start, "the file is longer than 1 MB", "split it (rules may stand in rules/*.toml)");
            continue;
        }
        if documents.iter().any(|other| other.file.name == file.name) {
            faults.add(file, start, "the file is given twice", "give it once");
            continue;
        }
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        let mut broken = Vec::new();
        let twice = headed_twice(&file.text);
        for error in errors {
            let span: Span = error.span().unwrap_or_default().into();
            broken.push(span.start);
            let of_twice = twice.iter().find(|(_, part)| (part.start..=part.end).contains(&span.start));
            if let Some((heading, part)) = of_twice.filter(|_| error.message().contains("duplicate")) {
                let end = part.start.saturating_add(heading.len());
                let problem = format!("{heading} stands twice in this file");
                faults.add(file, Span { start: part.start, end }, problem, "give one of the two another name");
                continue;
            }
            faults.add(file, span, format!("this is not TOML: {}", error.message()), toml_hint(error.message()));
        }
        documents.push(Document { part, file, table: table.into_inner(), broken });
    }
    for (name, part) in Part::NAMES {
        let optional = matches!(part, Part::Calendar | Part::Directory | Part::Ladders | Part::Facts);
        if !optional && !documents.iter().any(|document| document.part == part) {
            let missing = SourceFile { name: name.to_owned(), text: String::new() };
            faults.add(&missing, Span::default(), "the rule book lacks this file", format!("add {name}"));
        }
    }
    documents
}

/// The headings that stand in a file already, each with its part of it: there every key is a duplicate.
fn headed_twice(text: &str) -> Vec<(&str, Span)> {
    let mut headings: Vec<(&str, Span)> = Vec::new();
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let end = start.saturating_add(line.len());
        match line.trim_end().split_once(']') {
            Some((name, _)) if line.starts_with('[') && !line.starts_with("[[") => {
                let heading = text.get(start..start.saturating_add(name.len()).saturating_add(1)).unwrap_or_default();
                headings.push((heading, Span { start, end }));
            }
            _ => {
                if let Some((_, part)) = headings.last_mut() {
                    part.end = end;
                }
            }
        }
        start = end;
    }
    let is_again = |place: &usize| {
        let earlier = headings.iter().take(*place);
        headings.get(*place).is_some_and(|(heading, _)| earlier.into_iter().any(|(other, _)| other == heading))
    };
    (0..headings.len()).filter(is_again).filter_map(|place| headings.get(place).copied()).collect()
}

fn toml_hint(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "keep one of the two"
    } else if message.contains("quote") || message.contains("string") {
        "close the text with the quote it opened with"
    } else if message.contains("array") || message.contains("inline table") {
        "close the bracket, and part the items by commas"
    } else {
        "write key = value, with text in \"quotes\""
    }
}

/// Names of books, agencies, ladders: small letters, digits and hyphens.
pub fn check_name(name: Text<'_>, what: &str, faults: &mut Faults) {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    if !(name.text.starts_with(|first: char| first.is_ascii_lowercase()) && name.text.chars().all(plain)) {
        let problem = format!("`{}` is not {what}", name.text);
        faults.add(name.file, name.span, problem, "use small letters, digits and hyphens, a letter first");
    }
}

/// Whether a name is one of those known; a fault if not.
pub fn check_known(name: Text<'_>, what: &str, known: &BTreeSet<String>, faults: &mut Faults) -> bool {
    let found = known.contains(name.text);
    if !found {
        let problem = format!("there is no {what} `{}`", name.text);
        faults.add(name.file, name.span, problem, instead(name.text, known.iter().map(String::as_str)));
    }
    found
}

/// A clock as the calendar reads it.
pub fn clock(text: Text<'_>, faults: &mut Faults) -> Option<Clock> {
    match text.text.parse() {
        Ok(clock) => Some(clock),
        Err(error) => {
            faults.add(text.file, text.span, format!("`{}` is not a clock", text.text), clock_hint(&error.to_string()));
            None
        }
    }
}

fn clock_hint(error: &str) -> String {
    error.strip_prefix("not a clock: ").unwrap_or(error).to_owned()
}

pub fn level(text: Text<'_>, faults: &mut Faults) -> Option<Level> {
    let level = Level::parse(text.text);
    if level.is_none() {
        let problem = format!("there is no level `{}`", text.text);
        faults.add(text.file, text.span, problem, "write one of L1 L2 L3 L4a L4b");
    }
    level
}

/// A date written as TOML's own or as text.
pub fn date(table: &mut Table<'_>, key: &'static str, faults: &mut Faults) -> Option<civil::Date> {
    let (_, value) = table.value(key)?;
    let text = match value.get_ref() {
        DeValue::Datetime(date) => date.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    // Ten characters: a date and nothing beside it.
    let date: Option<civil::Date> = if text.len() == 10 { text.parse().ok() } else { None };
    if date.is_none() {
        let problem = format!("{}: `{key}` is not a date", table.what);
        faults.add(table.file, span_of(value), problem, format!("write {key} = 2026-09-30"));
    }
    date
}

/// Kinds by name, by prefix (`missing.*`) or all `concerns`.
pub fn kinds(texts: &[Text<'_>], faults: &mut Faults) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for text in texts {
        if text.text == "concerns" {
            found.extend(catalogue::concerns());
            continue;
        }
        let prefix = text.text.strip_suffix('*').filter(|prefix| prefix.ends_with('.'));
        let matching = |kind: &&&str| prefix.map_or(**kind == text.text, |prefix| kind.starts_with(prefix));
        let before = found.len();
        let named: Vec<&'static str> = catalogue::kinds().iter().filter(matching).copied().collect();
        for kind in &named {
            if catalogue::NEVER_JUDGED.contains(kind) {
                let problem = format!("`{kind}` is applied to its original, never judged itself");
                faults.add(text.file, text.span, problem, "name the kinds of the original");
            }
        }
        found.extend(named.iter().copied());
        if named.is_empty() {
            let known = catalogue::kinds().iter().copied().chain(["concerns"]);
            faults.add(
                text.file,
                text.span,
                format!("there is no event kind `{}`", text.text),
                instead(text.text, known),
            );
        } else if found.len() == before {
            faults.add(text.file, text.span, format!("`{}` is already named", text.text), "name it once");
        }
    }
    found
}
