//! Reading TOML one entry at a time with spans, so that every fault of every file is reported at once.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::{RuleFault, SourceFile, Span};

/// The most names a hint lists.
const NAMES_LISTED_MAX: usize = 30;

/// Faults found so far.
#[derive(Default)]
pub struct Faults {
    found: Vec<RuleFault>,
}

impl Faults {
    pub fn add(&mut self, file: &SourceFile, span: Span, problem: impl Into<String>, write_instead: impl Into<String>) {
        let (line, column) = file.line_and_column(span.start);
        let fault = RuleFault {
            file: file.name.clone(),
            line,
            column,
            span,
            problem: problem.into(),
            write_instead: write_instead.into(),
        };
        if !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of files and places.
    pub fn into_sorted(mut self) -> Vec<RuleFault> {
        self.found.sort_by(|one, other| (&one.file, one.span.start).cmp(&(&other.file, other.span.start)));
        self.found
    }
}

/// A string of a file, where it stands, and where its text starts within the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Text<'i> {
    pub file: &'i SourceFile,
    pub text: &'i str,
    /// With the quotes.
    pub span: Span,
}

impl Text<'_> {
    /// Where the text itself starts, and whether the file holds it as it reads (no backslashes, no folded lines).
    pub fn inner(&self) -> (usize, bool) {
        let raw = self.file.text.get(self.span.start..self.span.end).unwrap_or_default();
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
        let body = raw.get(quotes..).unwrap_or_default();
        let trimmed = match quotes {
            3 if body.starts_with("\r\n") => 2,
            3 if body.starts_with('\n') => 1,
            _ => 0,
        };
        let start = self.span.start.saturating_add(quotes).saturating_add(trimmed);
        let as_read = self.file.text.get(start..).is_some_and(|rest| rest.starts_with(self.text));
        (start, as_read)
    }
}

/// One table of a file, being read key by key. `finish` reports keys nobody asked for.
pub struct Table<'i> {
    pub file: &'i SourceFile,
    pub table: &'i DeTable<'i>,
    /// The table's own place: its header or braces.
    pub span: Span,
    /// What it is, for messages: `rule R13`.
    pub what: String,
    asked: Vec<&'static str>,
}

/// A key of a table with its value.
pub type Entry<'i> = (&'i Spanned<Cow<'i, str>>, &'i Spanned<DeValue<'i>>);

pub fn span_of<T>(spanned: &Spanned<T>) -> Span {
    spanned.span().into()
}

/// What a value is, in a writer's words.
fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a`, `b` and `c`: what may be written, in order.
pub fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}

/// The name most like a misspelt one, if any is close: at most a third of its last part is wrong.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| {
            let last_part = name.rsplit('.').next().filter(|part| *part != "*");
            let length = last_part.unwrap_or(name).chars().count();
            length > 2 && *distance <= (length / 3).max(1)
        })
        .min()
        .map(|(_, name)| name)
}

/// Edit distance, where two letters exchanged count as one slip.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut last = None;
    for (line, from) in one.chars().enumerate() {
        let mut next = vec![line.saturating_add(1)];
        for (column, to) in other.iter().enumerate() {
            let swap = at(&row, column).saturating_add(usize::from(from != *to));
            let add = at(&next, column).saturating_add(1);
            let drop = at(&row, column.saturating_add(1)).saturating_add(1);
            let previous = column.checked_sub(1);
            let exchanged = previous.is_some_and(|left| other.get(left) == Some(&from) && last == Some(*to));
            let exchange =
                previous.filter(|_| exchanged).map_or(usize::MAX, |left| at(&before, left).saturating_add(1));
            next.push(swap.min(add).min(drop).min(exchange));
        }
        before = std::mem::replace(&mut row, next);
        last = Some(from);
    }
    at(&row, other.len())
}

/// "did you mean" where a name is close, else the list of names.
pub fn instead<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(wrong, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.len() > NAMES_LISTED_MAX => "no name is like it: docs/rules.md lists them all".to_owned(),
        None => format!("write one of {}", listed(names)),
    }
}

impl<'i> Table<'i> {
    pub fn new(file: &'i SourceFile, table: &'i DeTable<'i>, span: Span, what: impl Into<String>) -> Self {
        Self { file, table, span, what: what.into(), asked: Vec::new() }
    }

    /// The value of a key, if it is written.
    pub fn value(&mut self, key: &'static str) -> Option<Entry<'i>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key)
    }

    fn wrong_type(&self, faults: &mut Faults, key: &str, value: &Spanned<DeValue<'i>>, wanted: &str, example: &str) {
        let problem = format!("{}: `{key}` is {}, not {wanted}", self.what, kind_of(value.get_ref()));
        faults.add(self.file, span_of(value), problem, format!("write `{key} = {example}`"));
    }

    /// Text that is not empty; `example` says what to write.
    pub fn text(&mut self, faults: &mut Faults, key: &'static str, example: &str) -> Option<Text<'i>> {
        let (_, value) = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => {
                Some(Text { file: self.file, text, span: span_of(value) })
            }
            DeValue::String(_) => {
                let problem = format!("{}: `{key}` is empty", self.what);
                faults.add(self.file, span_of(value), problem, format!("write `{key} = {example}`"));
                None
            }
            _ => {
                self.wrong_type(faults, key, value, "text", example);
                None
            }
        }
    }

    /// As `text`; a fault if the key is not written.
    pub fn required(&mut self, faults: &mut Faults, key: &'static str, example: &str) -> Option<Text<'i>> {
        let text = self.text(faults, key, example);
        if text.is_none() && !self.table.contains_key(key) {
            self.lacks(faults, key, example);
        }
        text
    }

    pub fn lacks(&self, faults: &mut Faults, key: &str, example: &str) {
        faults.add(self.file, self.span, format!("{} lacks `{key}`", self.what), format!("add `{key} = {example}`"));
    }

    pub fn flag(&mut self, faults: &mut Faults, key: &'static str) -> Option<bool> {
        let (_, value) = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong_type(faults, key, value, "true or false", "true");
                None
            }
        }
    }

    pub fn number(&mut self, faults: &mut Faults, key: &'static str, example: &str) -> Option<(i64, Span)> {
        let (_, value) = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(faults, key, value, "a whole number", example);
        }
        number.map(|number| (number, span_of(value)))
    }

    /// A list of texts; one text alone is a list of one. An empty list is a fault.
    pub fn texts(&mut self, faults: &mut Faults, key: &'static str, example: &str) -> Option<Vec<Text<'i>>> {
        let (_, value) = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(vec![Text { file: self.file, text, span: span_of(value) }]),
            DeValue::Array(items) if !items.is_empty() => Some(self.items(faults, key, items, example)),
            DeValue::Array(_) => {
                let problem = format!("{}: `{key}` is an empty list", self.what);
                faults.add(self.file, span_of(value), problem, format!("write `{key} = {example}`"));
                None
            }
            _ => {
                self.wrong_type(faults, key, value, "a list of texts", example);
                None
            }
        }
    }

    fn items(&self, faults: &mut Faults, key: &str, items: &'i DeArray<'i>, example: &str) -> Vec<Text<'i>> {
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Text { file: self.file, text, span: span_of(item) }),
                _ => self.wrong_type(faults, key, item, "a list of texts", example),
            }
        }
        texts
    }

    /// A list of tables, each to be read as `what`.
    pub fn tables(&mut self, faults: &mut Faults, key: &'static str, example: &str, what: &str) -> Vec<Table<'i>> {
        let Some((_, value)) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(faults, key, value, "a list of tables", example);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => {
                    tables.push(Table::new(self.file, table, span_of(item), format!("{}, {what}", self.what)));
                }
                _ => self.wrong_type(faults, key, item, "a list of tables", example),
            }
        }
        tables
    }

    /// Reports keys that were never asked for.
    pub fn finish(self, faults: &mut Faults) {
        for (key, _) in self.table {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                let problem = format!("{}: there is no key `{}`", self.what, key.get_ref());
                faults.add(self.file, span_of(key), problem, instead(key.get_ref(), self.asked.iter().copied()));
            }
        }
    }
}
