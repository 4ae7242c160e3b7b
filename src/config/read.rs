//! Reads a TOML file table by table: takes the keys it knows, and reports every other key and every wrong value.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::ConfigFault;

/// What the parser says of a key, or of a table, that is there already.
const DUPLICATE: &str = "duplicate key";

/// The file being read, and what was found wrong with it.
pub(super) struct Reading<'a> {
    file: &'a Path,
    text: &'a str,
    pub(super) faults: Vec<ConfigFault>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, faults: Vec::new() }
    }

    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    /// The document as a table; what does not parse is reported, and the rest is read.
    pub(super) fn parse(&mut self) -> Table<'a> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let twice = errors.iter().filter(|error| error.message() == DUPLICATE).filter_map(toml::de::Error::span);
        let headed_twice: BTreeSet<usize> =
            twice.map(|span| self.line(&span)).filter(|line| self.heading(*line) == Some(*line)).collect();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let heading = self.heading(self.line(&span));
            match error.message() {
                // In a table that stands twice each key is told as one, too: to rename or remove it would harm.
                DUPLICATE if heading.is_some_and(|it| it < self.line(&span) && headed_twice.contains(&it)) => {}
                DUPLICATE => self.stands_twice(&span),
                message => {
                    self.fault(&span, format!("this is not TOML: {message}"), "write `key = value` lines");
                }
            }
        }
        Table { path: String::new(), span: 0..0, entries: document.into_inner(), known: BTreeSet::new() }
    }

    /// The line of the heading under which a line stands, or which it is.
    fn heading(&self, line: usize) -> Option<usize> {
        let above = self.text.lines().zip(1..).take(line);
        above.filter(|(text, _)| text.trim_start().starts_with('[')).map(|(_, number)| number).last()
    }

    /// As where a token is made anew for a holder who has one: the same command again.
    fn stands_twice(&mut self, span: &Range<usize>) {
        let name = self.text.get(span.clone()).unwrap_or_default().to_owned();
        let line = self.line(span);
        let above: Vec<&str> = self.text.lines().take(line - 1).collect();
        let is_header = |line: &&str| line.trim_start().starts_with('[');
        // A key belongs to the table above it, in which another name may stand for another holder.
        let this = self.text.lines().nth(line - 1).unwrap_or_default();
        let begins =
            if is_header(&this) { 0 } else { above.iter().rposition(is_header).map_or(0, |header| header + 1) };
        let of = |line: &str| line.split(['=', ']', '#']).next().unwrap_or_default().trim().to_owned();
        let first = above.iter().skip(begins).position(|line| of(line) == of(this)).map(|place| begins + place + 1);
        let first = first.map(|line| format!(", first in line {line}")).unwrap_or_default();
        self.fault(
            span,
            format!("`{name}` stands twice{first}"),
            "give the new one another name, or remove one of the two",
        );
    }

    /// The line a span starts on, counted from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    pub(super) fn fault(&mut self, span: &Range<usize>, problem: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(ConfigFault {
            file: self.file.to_owned(),
            line: Some(self.line(span)),
            span: Some(span.clone()),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }
}

/// One table of the file. Take every key it may have, then call `finish`.
pub(super) struct Table<'a> {
    /// `http`, `partners.police`; empty for the document.
    pub(super) path: String,
    pub(super) span: Range<usize>,
    entries: DeTable<'a>,
    known: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.insert(key);
        self.entries.remove(key)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The table of this name; an empty one if the file has none.
    pub(super) fn table(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Table<'a> {
        let path = self.name(key);
        match self.take(key) {
            Some(value) => into_table(reading, path, value),
            None => Table { path, span: self.span.clone(), entries: DeTable::new(), known: BTreeSet::new() },
        }
    }

    /// The table of this name, if the file has one.
    pub(super) fn optional_table(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<Table<'a>> {
        let is_there = self.entries.contains_key(key);
        let table = self.table(reading, key);
        is_there.then_some(table)
    }

    /// Every entry as a named table: `[partners.police]`, `[partners.gp]`.
    pub(super) fn named_tables(self, reading: &mut Reading<'_>) -> Vec<(String, Table<'a>)> {
        let path = self.path;
        let name = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        self.entries
            .into_iter()
            .map(|(key, value)| {
                let key = key.get_ref().to_string();
                let table = into_table(reading, name(&key), value);
                (key, table)
            })
            .collect()
    }

    pub(super) fn text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<(String, Range<usize>)> {
        let name = self.name(key);
        let value = self.take(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::String(text) if !text.trim().is_empty() => Some((text.into_owned(), span)),
            other => {
                let problem = format!("`{name}` must be text, not {}", type_of(&other));
                reading.fault(&span, problem, format!("write {key} = \"…\""));
                None
            }
        }
    }

    /// As `text`, but the key must be there.
    pub(super) fn required_text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> (String, Range<usize>) {
        let present = self.entries.contains_key(key);
        let found = self.text(reading, key);
        if !present {
            let span = self.span.clone();
            reading.fault(&span, format!("`{}` is missing", self.name(key)), format!("write {key} = \"…\""));
        }
        found.unwrap_or_default()
    }

    pub(super) fn whole(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let name = self.name(key);
        let Some(value) = self.take(key) else { return default };
        let number = match value.get_ref() {
            DeValue::Integer(integer) => u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let problem = format!("`{name}` must be a whole number from {} to {}", range.start(), range.end());
                reading.fault(&value.span(), problem, format!("write {key} = {default}"));
                default
            }
        }
    }

    /// One of the words listed, paired with what they mean; the first is the default.
    pub(super) fn word<T: Copy>(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        first: (&'static str, T),
        others: &[(&'static str, T)],
    ) -> T {
        let name = self.name(key);
        let Some(value) = self.take(key) else { return first.1 };
        let all = || std::iter::once(&first).chain(others);
        let found = value.get_ref().as_str().and_then(|text| all().find(|(word, _)| *word == text));
        match found {
            Some((_, meaning)) => *meaning,
            None => {
                let words: Vec<_> = all().map(|(word, _)| format!("\"{word}\"")).collect();
                reading.fault(
                    &value.span(),
                    format!("`{name}` must be one of {}", words.join(", ")),
                    format!("write {key} = {}", words.join(" or ")),
                );
                first.1
            }
        }
    }

    /// A list of texts, or the word "any".
    pub(super) fn list_or_any(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<Vec<String>> {
        let name = self.name(key);
        let value = self.take(key);
        let span = value.as_ref().map_or(self.span.clone(), Spanned::span);
        let wrong = |reading: &mut Reading<'_>| {
            let problem = format!("`{name}` must be a list of names, or the word \"any\"");
            reading.fault(&span, problem, format!("write {key} = [\"main\"] or {key} = \"any\""));
            Some(Vec::new())
        };
        match value.map(Spanned::into_inner) {
            Some(DeValue::String(text)) if text == "any" => None,
            Some(DeValue::Array(items)) if !items.is_empty() => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                texts.map_or_else(|| wrong(reading), Some)
            }
            Some(_) | None => wrong(reading),
        }
    }

    /// Reports the keys nobody took.
    pub(super) fn finish(self, reading: &mut Reading<'_>) {
        let known: Vec<&str> = self.known.iter().copied().collect();
        for (key, _) in &self.entries {
            let name = if self.path.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{}.{}", self.path, key.get_ref())
            };
            let remedy = match nearest(key.get_ref(), &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            reading.fault(&key.span(), format!("`{name}` is not a known setting"), remedy);
        }
    }
}

fn into_table<'a>(reading: &mut Reading<'_>, path: String, value: Spanned<DeValue<'a>>) -> Table<'a> {
    let span = value.span();
    let entries = match value.into_inner() {
        DeValue::Table(entries) => entries,
        other => {
            let problem = format!("`{path}` must be a table, not {}", type_of(&other));
            reading.fault(&span, problem, format!("write [{path}] on a line of its own"));
            DeTable::new()
        }
    };
    Table { path, span, entries, known: BTreeSet::new() }
}

fn type_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "empty text".to_owned(),
        other => other.type_str().to_owned(),
    }
}

/// The known word at most two edits away.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().map(|k| (edits(word, k), *k)).filter(|(distance, _)| *distance <= 2).min().map(|(_, k)| k)
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
