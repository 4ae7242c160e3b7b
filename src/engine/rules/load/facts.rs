//! `facts.toml`: labels, what absence means, and counts over a subject's history.

use toml::de::DeValue;

use super::{Document, Names, Part, kinds, level, tables};
use crate::engine::model::scalar::{FactType, FactValue};
use crate::engine::rules::book::{Aggregate, EntryCondition, Window};
use crate::engine::rules::catalogue;
use crate::engine::rules::condition::{self, Reading, Scope};
use crate::engine::rules::expression::Condition;
use crate::engine::rules::facts::{Absent, Fact, FactId, Facts};
use crate::engine::rules::read::{Faults, Table, Text, instead, listed, span_of};

const GROUPS: [&str; 5] = ["event", "child", "status", "result", "history"];

/// Every fact conditions may read, and the counts.
pub fn read(documents: &[Document<'_>], names: &Names, faults: &mut Faults) -> (Facts, Vec<Aggregate>) {
    let mut facts = built_in(names);
    let of_facts = || documents.iter().filter(|document| document.part == Part::Facts);
    let mut histories = Vec::new();
    for document in of_facts() {
        for (group, value) in &document.table {
            let DeValue::Table(table) = value.get_ref() else {
                let problem = format!("`{}` stands outside any fact", group.get_ref());
                faults.add(document.file, span_of(group), problem, "put it under a heading: [event.grade]");
                continue;
            };
            match group.get_ref().as_ref() {
                "history" => histories.extend(tables(document, table, "history count", faults)),
                name if GROUPS.contains(&name) => {
                    for (key, entry) in tables(document, table, &format!("fact {name}."), faults) {
                        describe(&format!("{name}.{}", key.text), key, entry, &mut facts, faults);
                    }
                }
                other => {
                    let problem = format!("there is no group of facts `{other}`");
                    faults.add(document.file, span_of(group), problem, instead(other, GROUPS));
                }
            }
        }
    }
    let ids: Vec<Option<FactId>> = histories.iter().map(|(key, _)| declare(*key, &mut facts, faults)).collect();
    let mut aggregates = Vec::new();
    for ((key, table), id) in histories.into_iter().zip(ids) {
        let Some(id) = id else { continue };
        aggregates.extend(count(key, id, table, names, &mut facts, faults));
    }
    aggregates.sort_by(|one, other| one.name.cmp(&other.name));
    (facts, aggregates)
}

fn built_in(names: &Names) -> Facts {
    let mut facts = Facts::default();
    let mut add = |name: &str, label: &str, value_type, always_known, kinds| {
        let (name, label) = (name.to_owned(), label.to_owned());
        facts.add(Fact { name, label, value_type, always_known, absent: None, kinds });
    };
    add("event.kind", "the kind of event", FactType::Code(catalogue::kinds()), true, None);
    for fact in catalogue::BUILT_IN {
        add(fact.name, fact.label, fact.value_type, fact.always_known, fact.kinds.map(<[_]>::to_vec));
    }
    for (name, (value_type, kinds)) in catalogue::event_fields() {
        let label = name.trim_start_matches("event.").replace('_', " ");
        add(&name, &label, value_type, false, Some(kinds));
    }
    for agency in &names.agencies {
        let label = format!("whether {agency} has been given a task");
        add(&format!("result.agencies.{agency}"), &label, FactType::Bool, true, None);
    }
    facts
}

/// `[event.grade]`: a label, and what absence means.
fn describe(name: &str, key: Text<'_>, mut table: Table<'_>, facts: &mut Facts, faults: &mut Faults) {
    let Some(id) = facts.id(name) else {
        let group = name.split('.').next().unwrap_or_default();
        let hint =
            instead(name, facts.iter().map(|(_, fact)| fact.name.as_str()).filter(|known| known.starts_with(group)));
        faults.add(key.file, key.span, format!("there is no fact `{name}`"), hint);
        return;
    };
    let label = table.text(faults, "label", "\"what the fact is, in plain words\"");
    let Some(fact) = facts.get_mut(id) else { return };
    if let Some(label) = label {
        label.text.clone_into(&mut fact.label);
    }
    if !fact.always_known {
        fact.absent = absent(fact, &mut table, faults);
    }
    table.finish(faults);
}

fn absent(fact: &Fact, table: &mut Table<'_>, faults: &mut Faults) -> Option<Absent> {
    let entry = table.value("absent");
    let because = table.text(faults, "because", "\"why absence means that\"");
    let (key, value) = entry?;
    let written = match value.get_ref() {
        DeValue::Boolean(flag) => Some(FactValue::Bool(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(FactValue::Int),
        DeValue::String(text) if text == "ask" => return None,
        DeValue::String(text) => Some(FactValue::Code(text.to_string())),
        _ => None,
    };
    let Some(written) = written.filter(|written| fact.encode(written).is_some()) else {
        let wanted = match fact.value_type {
            FactType::Bool => "write true, false or \"ask\"".to_owned(),
            FactType::Int => "write a whole number or \"ask\"".to_owned(),
            FactType::Code(symbols) => format!("write \"ask\" or one of {}", listed(symbols)),
        };
        faults.add(table.file, span_of(value), format!("`{}` cannot have this value", fact.name), wanted);
        return None;
    };
    let Some(because) = because else {
        faults.add(
            table.file,
            span_of(key),
            format!("{}: `absent` is given without its reason", table.what),
            "add because = \"why absence means that\", or leave `absent` out to ask",
        );
        return None;
    };
    Some(Absent { value: written, because: because.text.to_owned() })
}

/// Gives a history count its fact, so that any condition may read it.
fn declare(key: Text<'_>, facts: &mut Facts, faults: &mut Faults) -> Option<FactId> {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    if !(key.text.starts_with(|first: char| first.is_ascii_lowercase()) && key.text.chars().all(plain)) {
        let problem = format!("`{}` is not the name of a history count", key.text);
        faults.add(key.file, key.span, problem, "use small letters, digits and _, a letter first");
        return None;
    }
    facts.add(Fact {
        name: format!("history.{}", key.text),
        label: key.text.replace('_', " "),
        value_type: FactType::Int,
        always_known: true,
        absent: None,
        kinds: None,
    })
}

fn count(
    key: Text<'_>,
    fact: FactId,
    mut table: Table<'_>,
    names: &Names,
    facts: &mut Facts,
    faults: &mut Faults,
) -> Option<Aggregate> {
    if let Some(label) = table.required(faults, "label", "\"times missing in 90 days\"")
        && let Some(fact) = facts.get_mut(fact)
    {
        label.text.clone_into(&mut fact.label);
    }
    let counted = table.texts(faults, "count", "[\"missing.started\"]");
    if counted.is_none() && !table.table.contains_key("count") {
        table.lacks(faults, "count", "[\"missing.started\"]");
    }
    let kinds = kinds(&counted.unwrap_or_default(), faults);
    let written = table.text(faults, "where", "\"event.grade != 'away'\"");
    let condition = written.and_then(|text| {
        let scope = Scope { facts, kinds: &kinds, reading: Reading::Entry };
        let condition = condition::read(text, &table.what, &scope, faults)?;
        Some(entry_condition(condition, facts))
    });
    let window = window(&mut table, names, faults);
    let once_per_episode = one_of(&mut table, faults, "once_per", &["episode"]).is_some();
    let min_level = table.text(faults, "min_level", "\"L2\"").and_then(|text| level(text, faults));
    let max_level = table.text(faults, "max_level", "\"L3\"").and_then(|text| level(text, faults));
    let without_level = table.texts(faults, "without_level", "[\"concern.reported\"]");
    let without_level = super::kinds(&without_level.unwrap_or_default(), faults);
    let judged = one_of(&mut table, faults, "judged", &["include", "exclude"]);
    let bounded = written.is_some() || once_per_episode || min_level.is_some() || max_level.is_some();
    if window == Some(Window::Ever) && bounded {
        faults.add(
            table.file,
            key.span,
            format!("{}: `ever` counts what has been folded away by kind alone", table.what),
            "take `where`, `once_per` and level bounds out, or give the window an end",
        );
    }
    table.finish(faults);
    Some(Aggregate {
        name: key.text.to_owned(),
        fact,
        kinds,
        condition,
        window: window?,
        once_per_episode,
        min_level,
        max_level,
        without_level,
        includes_judged: judged != Some("exclude"),
    })
}

fn entry_condition(condition: Condition, facts: &Facts) -> EntryCondition {
    let fields = condition.reads.iter().filter_map(|id| {
        let fact = facts.get(*id)?;
        Some((*id, fact.name.trim_start_matches("event.").to_owned(), fact.clone()))
    });
    EntryCondition { fields: fields.collect(), condition }
}

fn one_of(
    table: &mut Table<'_>,
    faults: &mut Faults,
    key: &'static str,
    words: &[&'static str],
) -> Option<&'static str> {
    let text = table.text(faults, key, "..")?;
    let word = words.iter().find(|word| **word == text.text).copied();
    if word.is_none() {
        let problem = format!("{}: `{key}` cannot be `{}`", table.what, text.text);
        faults.add(text.file, text.span, problem, format!("write {}", listed(words)));
    }
    word
}

fn window(table: &mut Table<'_>, names: &Names, faults: &mut Faults) -> Option<Window> {
    let text = table.required(faults, "window", "\"90d\"")?;
    let trimmed = text.text.trim();
    let number =
        |unit: &str| -> Option<i64> { trimmed.strip_suffix(unit)?.trim().parse().ok().filter(|number| *number > 0) };
    let window = if trimmed == "ever" {
        Some(Window::Ever)
    } else {
        number("months").or(number("month")).map(Window::Months).or(number("d").map(Window::Days))
    };
    let Some(window) = window else {
        faults.add(
            text.file,
            text.span,
            format!("`{trimmed}` is not a window"),
            "write \"90d\", \"12 months\" or \"ever\"",
        );
        return None;
    };
    let days = window.days_at_most().unwrap_or_default();
    if days > names.retention_days {
        faults.add(
            text.file,
            text.span,
            format!("the window reaches {days} days back, but history is kept for {}", names.retention_days),
            "shorten it, or raise `retention_days` in book.toml",
        );
    }
    Some(window)
}
