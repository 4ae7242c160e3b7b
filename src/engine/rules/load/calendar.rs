//! `calendar.toml`: handed to the calendar, its faults given a place in the file.

use toml::de::{DeTable, DeValue};

use super::{Document, Part};
use crate::engine::calendar::{Calendar, CalendarFile};
use crate::engine::rules::fault::Span;
use crate::engine::rules::read::{Faults, span_of};

/// The book's calendar; the pinned one where the book has none.
pub fn read(documents: &[Document<'_>], faults: &mut Faults) -> Calendar {
    let Some(document) = documents.iter().find(|document| document.part == Part::Calendar) else {
        return Calendar::pinned();
    };
    if !document.broken.is_empty() {
        return Calendar::pinned();
    }
    let file: CalendarFile = match toml::from_str(&document.file.text) {
        Ok(file) => file,
        Err(error) => {
            let span = error.span().unwrap_or_default().into();
            let is_unquoted_date = error.message().contains("invalid type: map, expected a string");
            let (problem, remedy) = if is_unquoted_date {
                ("a date stands without quotes", "write it as text: \"2026-04-13\"")
            } else {
                (error.message(), "see the calendar's form in docs/rules.md")
            };
            faults.add(document.file, span, problem, remedy);
            return Calendar::pinned();
        }
    };
    match Calendar::from_file(&file) {
        Ok(calendar) => calendar,
        Err(found) => {
            for fault in found {
                let span = place(&document.table, &fault.path);
                faults.add(document.file, span, format!("{}: {}", fault.path, fault.problem), "correct this entry");
            }
            Calendar::pinned()
        }
    }
}

/// Where a path such as `school.0.terms.2` stands; as far as it can be followed.
fn place(root: &DeTable<'_>, path: &str) -> Span {
    let mut span = Span::default();
    let mut steps = path.split('.');
    let Some(first) = steps.next() else { return span };
    let Some((_, mut value)) = root.iter().find(|(key, _)| key.get_ref() == first) else { return span };
    span = span_of(value);
    for step in steps {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.iter().find(|(key, _)| key.get_ref() == step).map(|(_, value)| value),
            DeValue::Array(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        let Some(next) = next else { return span };
        value = next;
        span = span_of(value);
    }
    span
}
