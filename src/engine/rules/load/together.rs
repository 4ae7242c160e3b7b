//! What is wrong between the files of a book, though each is sound by itself: it would fault, or fall silent, at work.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::head::Head;
use super::rules::Places;
use super::{Document, Part};
use crate::engine::calendar::{Calendar, Clock, london_date};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::book::{Ladder, LadderStep, Rule};
use crate::engine::rules::catalogue;
use crate::engine::rules::directory::Directory;
use crate::engine::rules::facts::Facts;
use crate::engine::rules::fault::{SourceFile, Span};
use crate::engine::rules::read::{Faults, listed, nearest, span_of};
use crate::engine::schema::names;

const HOUR_MINUTES: u32 = 60;
const DAY_MINUTES: u32 = 24 * HOUR_MINUTES;
/// The same day is eight hours.
const SAME_DAY_MINUTES: u32 = 8 * HOUR_MINUTES;

/// The calendar knows the day from which the book counts.
pub(super) fn check_calendar(documents: &[Document<'_>], head: &Head, calendar: &Calendar, faults: &mut Faults) {
    let (first, last) = calendar.span();
    let day = london_date(head.effective_from);
    if head.effective_from == Timestamp::default() || (first <= day && day <= last) {
        return;
    }
    let problem = format!("the bank holidays are listed from {first} to {last}, and the book counts from {day} on");
    let remedy = "list every bank holiday of that time, or set `effective_from` in book.toml within it";
    let Some((file, span)) =
        place(documents, Part::Calendar, "bank_holidays").or_else(|| place(documents, Part::Book, "effective_from"))
    else {
        return;
    };
    faults.add(file, span, problem, remedy);
}

/// A calendar of a school that the directory does not list counts for nobody: its number is mistyped, or the school is forgotten.
pub(super) fn check_schools(documents: &[Document<'_>], directory: &Directory, faults: &mut Faults) {
    let Some(schools) = &directory.schools else { return };
    let calendars = documents.iter().filter(|document| document.part == Part::Calendar);
    for document in calendars {
        let Some(DeValue::Array(entries)) = document.table.get("school").map(Spanned::get_ref) else { continue };
        let urns = entries.iter().filter_map(|entry| entry.get_ref().as_table()?.get("urn"));
        for urn in urns {
            let Some(text) = urn.get_ref().as_str().filter(|text| !schools.contains_key(*text)) else { continue };
            let problem = format!("directory.toml lists no school `{text}`: this calendar would count for nobody");
            let known = schools.keys().map(String::as_str);
            let remedy = nearest(text, known).map_or_else(
                || format!("add [school.{text}] to directory.toml, or take the calendar out"),
                |near| format!("did you mean `{near}`?"),
            );
            faults.add(document.file, span_of(urn), problem, remedy);
        }
    }
}

/// A role of a ladder need be listed nowhere. One that stands there once, and nearly as one that is listed or stands there more often, is
/// mistyped: nobody would be told.
pub(super) fn check_ladder_roles(
    documents: &[Document<'_>],
    listed: &BTreeMap<String, BTreeSet<String>>,
    faults: &mut Faults,
) {
    let mut said: Vec<(&SourceFile, Span, &str)> = Vec::new();
    for document in documents.iter().filter(|document| document.part == Part::Ladders) {
        let ladders = document.table.values().filter_map(|ladder| ladder.get_ref().as_table());
        let steps = ladders.flat_map(|ladder| ["steps", "overdue"].map(|name| ladder.get(name))).flatten();
        for step in steps.filter_map(|steps| steps.get_ref().as_array()).flatten() {
            let Some(role) = step.get_ref().as_table().and_then(|step| step.get("role")) else { continue };
            said.extend(role.get_ref().as_str().map(|text| (document.file, span_of(role), text)));
        }
    }
    let stands_often = |name: &str| said.iter().filter(|(_, _, other)| *other == name).count() > 1;
    let listed: BTreeSet<&str> = listed.values().flatten().map(String::as_str).collect();
    let often = said.iter().map(|(_, _, role)| *role).filter(|role| stands_often(role));
    let known: BTreeSet<&str> = often.chain(listed).collect();
    let names: Vec<&str> = known.iter().copied().collect();
    for (file, span, role) in said.iter().filter(|(_, _, role)| !known.contains(role)) {
        if let Some(near) = names::nearest(role, &names) {
            let problem = format!("`{role}` is a role nowhere else, and `{near}` is");
            faults.add(file, *span, problem, format!("did you mean `{near}`?"));
        }
    }
}

/// Silence goes up at every level, and by rungs that follow one another.
pub(super) fn check_ladders(documents: &[Document<'_>], ladders: &[Ladder], faults: &mut Faults) {
    let Some(first) = ladders.first() else { return };
    if ladders.iter().all(|ladder| ladder.levels.is_some())
        && let Some((file, span)) = place(documents, Part::Ladders, &first.name)
    {
        let named = ladders.iter().flat_map(|ladder| ladder.levels.iter().flatten()).map(|level| level.symbol());
        let problem = format!(
            "every ladder is for levels that it names ({}): the silence of other tasks, and of those without a level, is told to nobody",
            listed(named.collect::<Vec<_>>())
        );
        faults.add(file, span, problem, "leave `levels` out of one ladder: it is for all the others");
    }
    for ladder in ladders {
        let mut below: Option<&LadderStep> = None;
        for step in &ladder.steps {
            let earlier = below.filter(|below| match (minutes(&below.after), minutes(&step.after)) {
                (Some(below), Some(above)) => above <= below,
                (_, _) => false,
            });
            if let (Some(earlier), Some((file, span))) = (earlier, place(documents, Part::Ladders, &ladder.name)) {
                let problem = format!(
                    "ladder {}: the rung after {} stands above the one after {}, and would be told no later",
                    ladder.name, step.after, earlier.after
                );
                faults.add(
                    file,
                    span,
                    problem,
                    "write the rungs in the order of their clocks, each later than the one before",
                );
            }
            below = Some(step);
        }
    }
}

/// What a built-in fact looks back on is kept as long.
pub(super) fn check_reach(rules: &[Rule], facts: &Facts, head: &Head, places: &Places<'_>, faults: &mut Faults) {
    for (name, days) in catalogue::REACHES_BACK_DAYS {
        let Some(id) = facts.id(name).filter(|_| *days > head.retention_days) else { continue };
        for rule in rules.iter().filter(|rule| rule.reads.contains(&id)) {
            let Some((file, span)) = places.get(&rule.id) else { continue };
            let problem = format!(
                "rule {}: `{name}` looks {days} days back, but history is kept for {}",
                rule.id, head.retention_days
            );
            faults.add(file, *span, problem, format!("raise `retention_days` in book.toml to {days} or more"));
        }
    }
}

/// How long a clock runs, as near as two can be compared without a calendar.
pub(super) fn minutes(clock: &Clock) -> Option<u32> {
    match clock {
        Clock::Now => Some(0),
        Clock::Minutes(minutes) => Some(u32::from(*minutes)),
        Clock::Hours(hours) => Some(u32::from(*hours).saturating_mul(HOUR_MINUTES)),
        Clock::SameDay => Some(SAME_DAY_MINUTES),
        Clock::WorkingDays(days) => Some(u32::from(*days).saturating_mul(DAY_MINUTES)),
        Clock::NextSessionDay
        | Clock::TimeOfDay { .. }
        | Clock::TimeThatDay { .. }
        | Clock::TimeOnWorkingDay { .. }
        | Clock::OnTheDay => None,
    }
}

/// Where a key of the file of this part stands.
fn place<'d>(documents: &'d [Document<'_>], part: Part, key: &str) -> Option<(&'d SourceFile, Span)> {
    let documents = documents.iter().filter(|document| document.part == part);
    let mut found = documents.filter_map(|document| {
        let (name, _) = document.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((document.file, span_of(name)))
    });
    found.next()
}
