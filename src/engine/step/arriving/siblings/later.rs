//! A child whom only a later report of the event names, or a correction of it: sent on as the first report would have.

use serde_json::{Map, Value, json};

use super::{Asked, NAMED_MAX, ONE_FAMILY, SIBLINGS, ask_front_door, same, send_to_each, serves};
use crate::engine::context::StepError;
use crate::engine::history::entry;
use crate::engine::model::detail::{Detail, KINDS, fields as fields_of};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::FactValue;
use crate::engine::rules::book::Rule;
use crate::engine::step::draft::Draft;

/// Sends on whom the report at hand names and no report before it did. True: someone was.
pub fn named_later(draft: &mut Draft<'_>, referral: &Referral, cause: &str, first: &Entry) -> Result<bool, StepError> {
    let known = draft.history.entries.iter().find(|entry| same(entry, first)).cloned();
    let Some(entry) = known.filter(|_| !referral.event.siblings.is_empty()) else { return Ok(false) };
    let fired = || entry.fired.iter().filter_map(|id| draft.book.rules.rule(id));
    let over_again = fired().find(|rule| rule.flags.contains(SIBLINGS));
    let Some(rule) = over_again.or_else(|| fired().find(|rule| rule.flags.contains(ONE_FAMILY))) else {
        return Ok(false);
    };
    let asked = Asked { entry: &entry, rule: &rule.id, same_event: over_again.is_some(), level: entry.level };
    if !serves(referral, &asked) {
        ask_front_door(draft, Some(referral), cause, &entry)?;
        return Ok(true);
    }
    let sent =
        send_to_each(draft, referral, &asked, |subject| !entry.named.iter().any(|named| named.subject == subject));
    if sent > 0 && referral.event.siblings.len() > NAMED_MAX {
        ask_front_door(draft, Some(referral), cause, &entry)?;
    }
    Ok(sent > 0)
}

/// Where a rule sent the event itself on before, it is sent on over again: each child is told once, and of what is new.
pub fn as_sent_on_before<'f>(draft: &Draft<'f>, asked: &mut Asked<'f>) {
    let rules = &draft.book.rules;
    let is_incident = |rule: &&'f Rule| rule.flags.contains(SIBLINGS);
    if let Some(rule) = asked.entry.fired.iter().filter_map(|id| rules.rule(id)).find(is_incident) {
        asked.rule = &rule.id;
        asked.same_event = true;
    }
}

/// A correction that names other children, as the event it corrects would have named them. `corrected`: that event's entry
/// with what is corrected.
pub fn as_first_told(referral: &Referral, corrected: &Entry) -> Option<Referral> {
    let (_, record) = KINDS.iter().find(|(kind, _)| *kind == corrected.kind)?;
    let fields = fields_of(&corrected.kind)?.iter();
    let told = fields.filter_map(|(field, _)| Some(((*field).to_owned(), json_of(corrected.facts.get(*field)?))));
    let told: Map<String, Value> = told.collect();
    let detail: Detail = serde_json::from_value(json!({ *record: told })).ok()?;
    let flag = |name: &str| match corrected.facts.get(name) {
        Some(FactValue::Bool(flag)) => Some(*flag),
        Some(FactValue::Int(_) | FactValue::Code(_)) | None => None,
    };
    let event = ReferralEvent {
        detail,
        occurred_at: corrected.occurred_at,
        police_reference: corrected.police_reference.clone(),
        immediate_danger: flag(entry::DANGER),
        emergency_call_made: flag(entry::EMERGENCY_CALL),
        reply_to: None,
        ..referral.event.clone()
    };
    Some(Referral { event, ..referral.clone() })
}

fn json_of(value: &FactValue) -> Value {
    match value {
        FactValue::Bool(flag) => json!(flag),
        FactValue::Int(number) => json!(number),
        FactValue::Code(symbol) => json!(symbol),
    }
}

/// The entry of a corrected event with what the correction says of others: that they are named.
pub fn naming_others(referral: Option<&Referral>, corrected: &mut Entry) {
    if referral.is_some_and(|referral| !referral.event.siblings.is_empty()) {
        corrected.facts.insert(entry::SIBLINGS_NAMED.to_owned(), FactValue::Bool(true));
    }
}
