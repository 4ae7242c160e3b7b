//! What an agency may see, in plain words: nothing of its list is left out.

use std::collections::BTreeSet;

use super::capitalised;
use crate::engine::model::detail;
use crate::engine::rules::RuleBook;
use crate::engine::rules::names::FieldNames;

/// What a reader is told of the child, the family, the sender and the event, in that order; what else is listed follows.
const FIELDS: [(&str, &str); 27] = [
    ("child.*", "everything about the child"),
    ("child.given_names", "given names"),
    ("child.family_name", "family name"),
    ("child.date_of_birth", "date of birth"),
    ("child.due_date", "due date"),
    ("child.nhs_number", "NHS number"),
    ("child.upn", "unique pupil number"),
    ("child.school_urn", "school"),
    ("child.gp_ods", "GP practice"),
    ("child.locality", "locality"),
    ("child.addresses", "addresses"),
    ("child.sex", "sex"),
    ("child.ethnicity", "ethnicity"),
    ("child.disability_or_send", "disability or special needs"),
    ("child.first_language", "first language"),
    ("child.interpreter_needed", "need of an interpreter"),
    ("carers", "parents and carers"),
    ("narrative", "the account in the sender's words"),
    ("voice_of_child", "what the child said"),
    ("level", "the proposed level"),
    ("call_back", "whom to ring back"),
    ("partner_reference", "the sender's reference"),
    ("event.kind", "what was reported"),
    ("event.occurred_at", "when it happened"),
    ("event.source", "who reported it"),
    (
        "event.*",
        "all that the sender says of the event: what, when and who reported it, coded facts and text (places, whose employee a suspect is)",
    ),
    ("history.*", "counts over the child's history"),
];

/// The same of what only some events carry, where its name says too little.
const TEXTS: [(&str, &str); 10] = [
    ("event.place", "where it happened or the child was last seen"),
    ("event.place_ref", "the place, as the sender refers to it"),
    ("event.person_ref", "the person, as the sender refers to them"),
    ("event.group_ref", "the group, as the sender refers to it"),
    ("event.employer", "the accused person's employer"),
    ("event.employer_agency", "the employer's agency"),
    ("event.employer_unit", "the employer's unit"),
    ("event.role", "the accused person's role"),
    ("event.last_seen_at", "when the child was last seen"),
    ("event.ended_at", "when the child came back"),
];

/// Fields and facts in plain words. `kinds`: only what events of one of these carry; None: all.
pub fn fields(book: &RuleBook, seen: &FieldNames, kinds: Option<&BTreeSet<&'static str>>) -> String {
    let listed = |name: &str| FIELDS.iter().any(|(field, _)| *field == name);
    let known = FIELDS.into_iter().filter(|(field, _)| seen.contains(*field)).map(|(_, words)| words.to_owned());
    let plans = "plans and flags, who holds the case and who placed the child".to_owned();
    let plans = Some(plans).filter(|_| seen.contains("status.*"));
    let others = seen.iter().filter(|name| !listed(name) && *name != "status.*");
    let labels: BTreeSet<String> = others.filter_map(|name| one_field(book, name, kinds)).collect();
    let words: Vec<String> = known.chain(plans).chain(labels).collect();
    if words.is_empty() { "nothing".to_owned() } else { capitalised(&words.join(", ")) }
}

/// A fact by its label, any other field by its name. None: events of these kinds carry none.
fn one_field(book: &RuleBook, name: &str, kinds: Option<&BTreeSet<&'static str>>) -> Option<String> {
    if let Some(fact) = book.facts.id(name).and_then(|id| book.facts.get(id)) {
        let is_carried = kinds.is_none_or(|kinds| kinds.iter().any(|kind| fact.is_of_kind(kind)));
        return is_carried.then(|| fact.label.clone());
    }
    let field = name.split_once('.').map_or(name, |(_, field)| field);
    let has_field =
        |kind: &str| detail::fields(kind).is_some_and(|fields| fields.iter().any(|(known, _)| *known == field));
    let is_of_kinds = || detail::KINDS.iter().any(|(kind, _)| has_field(kind));
    if name.starts_with("event.")
        && is_of_kinds()
        && !kinds.is_none_or(|kinds| kinds.iter().any(|kind| has_field(kind)))
    {
        return None;
    }
    let words = TEXTS.iter().find(|(known, _)| *known == name).map(|(_, words)| (*words).to_owned());
    Some(words.unwrap_or_else(|| field.replace('_', " ")))
}
