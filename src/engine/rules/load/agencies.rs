//! `agencies.toml`, `bases.toml` and `ladders.toml`: who may be told, why, and how silence escalates.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::{Document, Names, Part, check_known, check_name, clock, date, level};
use crate::engine::calendar::Clock;
use crate::engine::disclose::{HAPPENED_AT, SENT_BY};
use crate::engine::history::entry::{A_PERSON, AN_ADDRESS};
use crate::engine::rules::book::{Agency, Basis, Ladder, LadderStep, UnitKind};
use crate::engine::rules::catalogue;
use crate::engine::rules::directory::{Directory, as_meant};
use crate::engine::rules::facts::Facts;
use crate::engine::rules::names::FieldNames;
use crate::engine::rules::read::{Faults, Table, Text, instead, listed, span_of};

fn of<'d, 'i>(documents: &'d [Document<'i>], part: Part) -> impl Iterator<Item = &'d Document<'i>> {
    documents.iter().filter(move |document| document.part == part)
}

/// The keys of a part's tables.
pub fn names(documents: &[Document<'_>], part: Part) -> BTreeSet<String> {
    let keys = of(documents, part).flat_map(|document| document.table.keys()).map(toml::Spanned::get_ref);
    // An agency written with a capital is told once, where it stands, and not wherever it is named.
    let as_named = keys
        .flat_map(|key| [key.to_string(), if part == Part::Agencies { key.to_lowercase() } else { key.to_string() }]);
    as_named.collect()
}

/// Each agency's listed roles; what is wrong with them is found when the agency is read.
pub fn roles(documents: &[Document<'_>]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for document in of(documents, Part::Agencies) {
        for (key, value) in &document.table {
            let DeValue::Table(table) = value.get_ref() else { continue };
            let roles = match table.get("roles").map(toml::Spanned::get_ref) {
                Some(DeValue::Array(items)) => {
                    items.iter().filter_map(|item| item.get_ref().as_str()).map(str::to_owned).collect()
                }
                Some(DeValue::String(role)) => BTreeSet::from([role.to_string()]),
                _ => BTreeSet::new(),
            };
            found.insert(key.get_ref().to_string(), roles);
        }
    }
    found
}

/// Every agency with what it may see.
pub fn read(documents: &[Document<'_>], names: &Names, facts: &Facts, faults: &mut Faults) -> BTreeMap<String, Agency> {
    let mut agencies = BTreeMap::new();
    for document in of(documents, Part::Agencies) {
        for (key, table) in document.entries("agency", faults) {
            check_name(key, "an agency's name", faults);
            if key.text == catalogue::REFERRER {
                let problem = "`referrer` is whoever sends the event, not an agency";
                faults.add(key.file, key.span, problem, "give the agency another name");
            }
            for (marker, what) in
                [(A_PERSON, "whoever must not learn of a referral"), (AN_ADDRESS, "a confidential address")]
            {
                if key.text == marker {
                    let problem = format!("`{marker}` stands for {what}, not for an agency");
                    faults.add(key.file, key.span, problem, "give the agency another name");
                }
            }
            agencies.insert(key.text.to_owned(), agency(key, table, names, facts, faults));
        }
    }
    agencies
}

fn agency(key: Text<'_>, mut table: Table<'_>, names: &Names, facts: &Facts, faults: &mut Faults) -> Agency {
    let owned = |text: Option<Text<'_>>| text.map(|text| text.text.to_owned());
    let title = owned(table.required(faults, "title", "\"what people call it\"")).unwrap_or_default();
    let units = units(&mut table, faults);
    let unit = table.text(faults, "unit", "\"checs\"");
    let out_of_hours_unit = table.text(faults, "out_of_hours_unit", "\"edt\"");
    let senior = table.text(faults, "senior", "\"head-of-service\"");
    senior.into_iter().for_each(|role| check_name(role, "a role", faults));
    for text in [unit, out_of_hours_unit, senior].into_iter().flatten() {
        if units != UnitKind::One {
            let problem = format!("{}: its unit is told by the child, so it has no fixed one", table.what);
            faults.add(text.file, text.span, problem, "take this out, or write units = \"one\"");
        }
    }
    let localities = table.texts(faults, "localities", "[\"crewe\"]");
    if let Some(first) = localities.as_ref().and_then(|texts| texts.first())
        && units != UnitKind::Locality
    {
        let problem = format!("{}: `localities` is for units = \"locality\"", table.what);
        faults.add(first.file, first.span, problem, "take it out, or write units = \"locality\"");
    }
    let otherwise = table.text(faults, "otherwise", "\"social-care\"");
    if let Some(otherwise) = otherwise {
        check_known(otherwise, "agency", &names.agencies, faults);
    }
    let set = |texts: Vec<Text<'_>>| texts.into_iter().map(|text| text.text.to_owned()).collect();
    let roles = table.texts(faults, "roles", "[\"manager\"]").unwrap_or_default();
    for role in &roles {
        check_name(*role, "a role", faults);
    }
    let sees = fields(&mut table, "sees", facts, faults).unwrap_or_default();
    let minimum = fields(&mut table, "minimum", facts, faults);
    let agency = Agency {
        name: key.text.to_owned(),
        title,
        units,
        unit: owned(unit),
        out_of_hours_unit: owned(out_of_hours_unit),
        localities: localities.map(set),
        otherwise: owned(otherwise),
        roles: set(roles),
        senior: owned(senior),
        seen_groups: sees.iter().filter_map(|seen| seen.strip_suffix(".*")).map(str::to_owned).collect(),
        sees,
        minimum: minimum.unwrap_or_else(|| catalogue::MINIMUM_FIELDS.iter().map(|field| (*field).to_owned()).collect()),
        confidential_addresses: table.flag(faults, "confidential_addresses").unwrap_or(false),
        children_only: table.flag(faults, "children_only").unwrap_or(false),
    };
    table.finish(faults);
    agency
}

/// Other authorities are known by the directory alone.
pub fn check_directory(
    documents: &[Document<'_>],
    agencies: &BTreeMap<String, Agency>,
    directory: &Directory,
    faults: &mut Faults,
) {
    if directory.authorities.is_some() {
        return;
    }
    for document in of(documents, Part::Agencies) {
        for (key, _) in &document.table {
            let agency = agencies.get(key.get_ref().as_ref());
            if agency.is_some_and(|agency| agency.units == UnitKind::Authority) {
                let problem = format!("agency {}: units = \"authority\", and no authority is listed", key.get_ref());
                let instead = "add directory.toml with [authority.\"Stockport\"] and the like";
                faults.add(document.file, span_of(key), problem, instead);
            }
        }
    }
}

fn units(table: &mut Table<'_>, faults: &mut Faults) -> UnitKind {
    let known = [
        ("one", UnitKind::One),
        ("school", UnitKind::School),
        ("practice", UnitKind::Practice),
        ("locality", UnitKind::Locality),
        ("authority", UnitKind::Authority),
    ];
    let Some(text) = table.text(faults, "units", "\"one\"") else { return UnitKind::One };
    let found = known.iter().find(|(name, _)| *name == text.text).map(|(_, kind)| *kind);
    if found.is_none() {
        let problem = format!("{}: units cannot be `{}`", table.what, text.text);
        faults.add(text.file, text.span, problem, format!("write one of {}", listed(known.map(|(name, _)| name))));
    }
    found.unwrap_or(UnitKind::One)
}

fn fields(table: &mut Table<'_>, key: &'static str, facts: &Facts, faults: &mut Faults) -> Option<FieldNames> {
    let (_, value) = table.value(key)?;
    // Seeing nothing is a thing to say: an empty list is no fault here.
    if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
        return Some(FieldNames::default());
    }
    let texts = table.texts(faults, key, "[\"child.given_names\", \"event.*\"]")?;
    let child: Vec<String> = catalogue::CHILD_FIELDS.iter().map(|field| format!("child.{field}")).collect();
    let others = catalogue::other_event_fields();
    let readable = facts.iter().map(|(_, fact)| fact.name.as_str()).filter(|name| !name.starts_with("result."));
    let known: BTreeSet<&str> = catalogue::TASK_FIELDS
        .iter()
        .chain(catalogue::FIELD_GROUPS)
        .copied()
        .chain(child.iter().map(String::as_str))
        .chain(others.iter().map(String::as_str))
        .chain(readable)
        .chain([HAPPENED_AT, SENT_BY])
        .collect();
    for text in &texts {
        if !known.contains(text.text) {
            let problem = format!("{}: there is nothing to see called `{}`", table.what, text.text);
            let near = crate::engine::rules::read::nearest(text.text, known.iter().copied());
            let hint = near.map_or_else(
                || {
                    format!(
                        "write a fact, child.<field>, {}",
                        listed(catalogue::TASK_FIELDS.iter().chain(catalogue::FIELD_GROUPS))
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            faults.add(text.file, text.span, problem, hint);
        }
    }
    Some(texts.into_iter().map(|text| text.text.to_owned()).collect())
}

/// Every basis for sharing.
pub fn bases(documents: &[Document<'_>], names: &Names, faults: &mut Faults) -> BTreeMap<String, Basis> {
    let mut bases: BTreeMap<String, Basis> = BTreeMap::new();
    let mut stand_ins = Vec::new();
    for document in of(documents, Part::Bases) {
        for (key, mut table) in document.entries("basis", faults) {
            let plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
            if !(key.text.starts_with(|first: char| first.is_ascii_uppercase()) && key.text.chars().all(plain)) {
                let problem = format!("`{}` is not the name of a basis", key.text);
                faults.add(key.file, key.span, problem, "use a capital letter, then letters, digits and hyphens");
            }
            let title = table.required(faults, "title", "\"Public task\"");
            let statement = table.required(faults, "statement", "\"the power or duty, and the grounds\"");
            let in_force_from = date(&mut table, "in_force_from", faults);
            let until_then = table.text(faults, "until_then", "\"P\"");
            if table.table.contains_key("in_force_from") != table.table.contains_key("until_then") {
                let problem = format!("{}: `in_force_from` and `until_then` go together", table.what);
                faults.add(key.file, key.span, problem, "write both, or neither");
            }
            if let Some(text) = until_then
                && check_known(text, "basis", &names.bases, faults)
            {
                stand_ins.push(text);
            }
            table.finish(faults);
            let owned = |text: Option<Text<'_>>| text.map(|text| text.text.to_owned());
            let basis = Basis {
                letter: key.text.to_owned(),
                title: owned(title).unwrap_or_default(),
                statement: owned(statement).unwrap_or_default().into(),
                in_force_from,
                until_then: owned(until_then),
            };
            bases.insert(key.text.to_owned(), basis);
        }
    }
    for text in stand_ins {
        if bases.get(text.text).is_some_and(|basis| basis.until_then.is_some()) {
            let problem = format!("`{}` is itself not in force from the beginning", text.text);
            faults.add(text.file, text.span, problem, "name a basis without `in_force_from`");
        }
    }
    bases
}

/// Every ladder, in the order of names.
pub fn ladders(documents: &[Document<'_>], names: &Names, faults: &mut Faults) -> Vec<Ladder> {
    let mut ladders: Vec<Ladder> = Vec::new();
    for document in of(documents, Part::Ladders) {
        for (key, mut table) in document.entries("ladder", faults) {
            check_name(key, "a ladder's name", faults);
            let title = table.required(faults, "title", "\"Unacknowledged\"");
            let levels = table.texts(faults, "levels", "[\"L4b\"]");
            let levels = levels.map(|texts| texts.into_iter().filter_map(|text| level(text, faults)).collect());
            let bases = table.texts(faults, "basis", "\"P\"").map(|texts| letters(&texts, names, faults));
            if bases.is_none() && !table.table.contains_key("basis") {
                table.lacks(faults, "basis", "\"P\"");
            }
            let example = "[{ after = \"1 wd\", do = \"Acknowledge the task\" }]";
            let steps: Vec<Table<'_>> = table.tables(faults, "steps", example, "step");
            if steps.is_empty() && !table.table.contains_key("steps") {
                table.lacks(faults, "steps", example);
            }
            let steps: Vec<LadderStep> = steps.into_iter().filter_map(|table| step(table, names, faults)).collect();
            let example = "[{ role = \"team-manager\", do = \"See that it is done\" }]";
            let overdue = table.tables(faults, "overdue", example, "overdue");
            let overdue = overdue.into_iter().filter_map(|table| step_after(Some(Clock::Now), table, names, faults));
            let overdue: Vec<LadderStep> = overdue.collect();
            overlap(&ladders, levels.as_ref(), key, faults);
            table.finish(faults);
            ladders.push(Ladder {
                name: key.text.to_owned(),
                title: title.map(|text| text.text.to_owned()).unwrap_or_default(),
                levels,
                bases: bases.unwrap_or_default(),
                steps,
                overdue,
            });
        }
    }
    ladders
}

fn overlap(
    ladders: &[Ladder],
    levels: Option<&BTreeSet<crate::engine::model::scalar::Level>>,
    key: Text<'_>,
    faults: &mut Faults,
) {
    let same = ladders.iter().find(|other| match (&other.levels, levels) {
        (Some(theirs), Some(ours)) => !theirs.is_disjoint(ours),
        (None, None) => true,
        (_, _) => false,
    });
    if let Some(other) = same {
        let problem = format!("ladders {} and {} are for the same level", other.name, key.text);
        faults.add(key.file, key.span, problem, "give each level one ladder");
    }
}

fn step(mut table: Table<'_>, names: &Names, faults: &mut Faults) -> Option<LadderStep> {
    let after = table.required(faults, "after", "\"1 wd\"").and_then(|text| clock(text, faults));
    step_after(after, table, names, faults)
}

fn step_after(after: Option<Clock>, mut table: Table<'_>, names: &Names, faults: &mut Faults) -> Option<LadderStep> {
    let to = table.text(faults, "to", "\"partnership\"");
    if let Some(to) = to {
        check_known(to, "agency", &names.agencies, faults);
    }
    let role = table.text(faults, "role", "\"team-manager\"");
    if let Some(role) = role {
        check_name(role, "a role", faults);
    }
    let action = table.required(faults, "do", "\"Acknowledge the task\"");
    table.finish(faults);
    Some(LadderStep {
        after: after?,
        to: to.map(|text| text.text.to_owned()),
        role: role.map(|text| text.text.to_owned()),
        action: action?.text.to_owned(),
    })
}

/// Bases by name: `"P"`, `"V,P"` or a list.
pub fn letters(texts: &[Text<'_>], names: &Names, faults: &mut Faults) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        for letter in text.text.split(',').map(str::trim) {
            // Without any there is one fault, and no letter to be written.
            if !names.bases.contains(letter) && !names.bases.is_empty() {
                let problem = format!("there is no basis `{letter}`");
                faults.add(text.file, text.span, problem, instead(letter, names.bases.iter().map(String::as_str)));
            } else if !found.iter().any(|known| known == letter) {
                found.push(letter.to_owned());
            }
        }
    }
    found
}

/// Agencies by their names and titles as people write them; where two are written alike, the first by name.
pub fn meant(agencies: &BTreeMap<String, Agency>) -> BTreeMap<String, String> {
    let mut meant = BTreeMap::new();
    for agency in agencies.values() {
        for written in [&agency.name, &agency.title] {
            meant.entry(as_meant(written)).or_insert_with(|| agency.name.clone());
        }
    }
    meant
}
