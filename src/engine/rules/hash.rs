//! The name of a rule book: SHA-256 of its content, whatever the order of files and keys, layout and comments.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::load::Document;

/// 64 hex digits.
pub fn of(documents: &[Document<'_>]) -> String {
    // Files of one part are one table: their keys are unique across them.
    let mut parts: BTreeMap<&str, BTreeMap<&str, &DeValue<'_>>> = BTreeMap::new();
    for document in documents {
        let part = parts.entry(document.part.key()).or_default();
        part.extend(document.table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())));
    }
    let mut digest = Sha256::new();
    for (part, entries) in parts {
        text(&mut digest, part);
        table(&mut digest, entries);
    }
    hex::encode(digest.finalize())
}

fn text(digest: &mut Sha256, text: &str) {
    digest.update(format!("s{}:", text.len()));
    digest.update(text);
}

fn table<'v>(digest: &mut Sha256, entries: BTreeMap<&'v str, &'v DeValue<'v>>) {
    digest.update(format!("t{}:", entries.len()));
    for (key, entry) in entries {
        text(digest, key);
        value(digest, entry);
    }
}

fn value(digest: &mut Sha256, value_: &DeValue<'_>) {
    match value_ {
        DeValue::String(content) => text(digest, content),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default();
            digest.update(format!("i{number};"));
        }
        DeValue::Float(number) => digest.update(format!("f{};", number.as_str())),
        DeValue::Boolean(flag) => digest.update(format!("b{flag};")),
        DeValue::Datetime(instant) => digest.update(format!("d{instant};")),
        DeValue::Array(items) => {
            digest.update(format!("a{}:", items.len()));
            items.iter().for_each(|item| value(digest, item.get_ref()));
        }
        DeValue::Table(entries) => table(digest, sorted(entries)),
    }
}

fn sorted<'t>(entries: &'t DeTable<'_>) -> BTreeMap<&'t str, &'t DeValue<'t>> {
    entries.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect()
}
