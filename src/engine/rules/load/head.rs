//! `book.toml`: the book's name, since when it is in force, and which agencies have a part that no rule gives them.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::{Document, Part, agencies, check_known, check_name};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::fault::Span;
use crate::engine::rules::read::{Faults, Table, span_of};

/// 25 months, in days.
const RETENTION_DAYS_DEFAULT: i64 = 762;

pub struct Head {
    pub name: String,
    pub title: String,
    pub effective_from: Timestamp,
    pub retention_days: i64,
    pub front_door: String,
    pub authority: Option<String>,
    pub stand_ins: Vec<String>,
    pub look_into_deaths: BTreeSet<String>,
    pub told_of_breaches: Option<String>,
}

pub fn read(documents: &[Document<'_>], faults: &mut Faults) -> Head {
    let mut head = Head {
        name: String::new(),
        title: String::new(),
        effective_from: Timestamp::default(),
        retention_days: RETENTION_DAYS_DEFAULT,
        front_door: String::new(),
        authority: None,
        stand_ins: Vec::new(),
        look_into_deaths: BTreeSet::new(),
        told_of_breaches: None,
    };
    let Some(document) = documents.iter().find(|document| document.part == Part::Book) else { return head };
    let mut table = Table::new(document.file, &document.table, Span::default(), "the book");
    if let Some(name) = table.required(faults, "name", "\"cheshire-east\"") {
        check_name(name, "a book's name", faults);
        name.text.clone_into(&mut head.name);
    }
    if let Some(title) = table.required(faults, "title", "\"Thresholds of need\"") {
        title.text.clone_into(&mut head.title);
    }
    if let Some(instant) = effective_from(&mut table, faults) {
        head.effective_from = instant;
    }
    if let Some((days, span)) = table.number(faults, "retention_days", "762") {
        if (1..=36_500).contains(&days) {
            head.retention_days = days;
        } else {
            faults.add(
                document.file,
                span,
                "`retention_days` is out of range",
                "write a number of days from 1 to 36500",
            );
        }
    }
    let known = agencies::names(documents, Part::Agencies);
    if let Some(agency) = table.required(faults, "front_door", "\"social-care\"") {
        check_known(agency, "agency", &known, faults);
        agency.text.clone_into(&mut head.front_door);
    }
    let mut named = |key, example| {
        let texts = table.texts(faults, key, example).unwrap_or_default();
        let found = texts.into_iter().filter(|name| check_known(*name, "agency", &known, faults));
        found.map(|name| name.text.to_owned()).collect::<Vec<String>>()
    };
    head.stand_ins = named("stand_ins", "[\"lado\"]");
    head.look_into_deaths = named("look_into_deaths", "[\"police\"]").into_iter().collect();
    if let Some(agency) = table.text(faults, "told_of_breaches", "\"partnership\"")
        && check_known(agency, "agency", &known, faults)
    {
        head.told_of_breaches = Some(agency.text.to_owned());
    }
    head.authority = table.text(faults, "authority", "\"Cheshire East\"").map(|text| text.text.to_owned());
    table.finish(faults);
    head
}

const EFFECTIVE_FROM_EXAMPLE: &str = "2026-01-01T00:00:00Z";

fn effective_from(table: &mut Table<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let Some((_, value)) = table.value("effective_from") else {
        table.lacks(faults, "effective_from", EFFECTIVE_FROM_EXAMPLE);
        return None;
    };
    let text = match value.get_ref() {
        DeValue::Datetime(instant) => instant.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    if instant.is_none() {
        let problem = "`effective_from` is not an instant with its offset from UTC";
        faults.add(table.file, span_of(value), problem, format!("write effective_from = {EFFECTIVE_FROM_EXAMPLE}"));
    }
    instant.map(Timestamp::from_jiff)
}
