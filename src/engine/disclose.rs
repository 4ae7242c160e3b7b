//! What each agency may see: permitted fields only, refused by default.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::calendar::{day_in_words, instant_in_words, london_date};
use super::history::entry::{ENTRY_FACTS, is_address_confidential};
use super::model::detail::{KINDS, fields};
use super::model::event::{Address, Carer, Child, Practitioner, ReferralEvent, VoiceOfChild};
use super::model::field_name::FieldName;
use super::model::history::Entry;
use super::model::scalar::Told;
use super::model::task::ChildView;
use super::rules::book::Agency;

mod withheld;

use withheld::Withheld;

/// What a task says of the event itself.
const EVENT_KIND: &str = "event.kind";
pub const HAPPENED_AT: &str = "event.occurred_at";
pub const SENT_BY: &str = "event.source";

/// A sealed address: it means something to the router alone.
const OTHERS_ADDRESS: &str = "other_reply_to";

/// The part of an event that one recipient is shown, and the names of the fields in it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Disclosed {
    pub child: Option<ChildView>,
    pub narrative: Option<String>,
    pub voice_of_child: Option<VoiceOfChild>,
    pub carers: Vec<Carer>,
    pub call_back: Option<Practitioner>,
    pub partner_reference: Option<String>,
    /// In no order; of two of one name the later holds.
    pub facts: Vec<FieldInWords>,
    /// What was shown, for the audit record: in no order, and some of it twice.
    pub fields: Vec<FieldName>,
}

/// One recipient's eyes: the agency's list, or its shorter one where a rule says the minimum.
#[derive(Clone, Copy, Debug)]
pub struct Permit<'a> {
    pub agency: &'a Agency,
    pub minimum: bool,
    /// Where the child lives must not get known, whatever the event at hand says of its addresses.
    pub address_confidential: bool,
}

impl Permit<'_> {
    /// Whether the agency's list names this field.
    pub fn allows(&self, field: &str) -> bool {
        if self.minimum { self.agency.minimum.contains(field) } else { self.agency.may_see(field) }
    }

    fn pick<T: Clone>(&self, fields: &mut Vec<FieldName>, name: &'static str, value: Option<&T>) -> Option<T> {
        let value = value?;
        if !self.allows(name) {
            return None;
        }
        fields.push(name.into());
        Some(value.clone())
    }

    /// Shows an event to this recipient, an address in the sender's words included (`withheld`). `unverified`: identifiers that failed their check.
    pub fn show(&self, event: &ReferralEvent, unverified: &[String]) -> Disclosed {
        let mut fields = Vec::new();
        let child = self.show_child(event, unverified, &mut fields);
        let narrative = self.pick(&mut fields, "narrative", event.narrative.as_ref());
        let voice_of_child = self.pick(&mut fields, "voice_of_child", event.voice_of_child.as_ref());
        let carers = if self.allows("carers") && !event.carers.is_empty() {
            fields.push("carers".into());
            event.carers.clone()
        } else {
            Vec::new()
        };
        let call_back = self.pick(&mut fields, "call_back", Some(&event.practitioner));
        let partner_reference = self.pick(&mut fields, "partner_reference", event.partner_reference.as_ref());
        Disclosed {
            child: Some(child),
            narrative,
            voice_of_child,
            carers,
            call_back,
            partner_reference,
            facts: Vec::new(),
            fields,
        }
    }

    /// Adds those of the words that this recipient may see.
    pub fn show_words(&self, words: &[FieldInWords], disclosed: &mut Disclosed) {
        let seen = disclosed.facts.len();
        disclosed.facts.extend(words.iter().filter(|(name, _)| self.allows(name)).cloned());
        let shown = disclosed.facts.get(seen..).unwrap_or_default();
        disclosed.fields.extend(shown.iter().map(|(name, _)| name.clone()));
    }

    fn show_child(&self, event: &ReferralEvent, unverified: &[String], fields: &mut Vec<FieldName>) -> ChildView {
        let child: &Child = &event.child;
        let mut view = ChildView {
            nhs_number: self.pick(fields, "child.nhs_number", child.nhs_number.as_ref()),
            upn: self.pick(fields, "child.upn", child.upn.as_ref()),
            given_names: self.pick(fields, "child.given_names", child.given_names.as_ref()),
            family_name: self.pick(fields, "child.family_name", child.family_name.as_ref()),
            date_of_birth: self.pick(fields, "child.date_of_birth", child.date_of_birth.as_ref()),
            due_date: self.pick(fields, "child.due_date", child.due_date.as_ref()),
            school_urn: self.pick(fields, "child.school_urn", child.school_urn.as_ref()),
            gp_ods: self.pick(fields, "child.gp_ods", child.gp_ods.as_ref()),
            locality: self.pick(fields, "child.locality", child.locality.as_ref()),
            sex: self.pick(fields, "child.sex", child.sex.as_ref()),
            ethnicity: self.pick(fields, "child.ethnicity", child.ethnicity.as_ref()),
            disability_or_send: self.pick(fields, "child.disability_or_send", child.disability_or_send.as_ref()),
            first_language: self.pick(fields, "child.first_language", child.first_language.as_ref()),
            interpreter_needed: self.pick(fields, "child.interpreter_needed", child.interpreter_needed.as_ref()),
            ..ChildView::default()
        };
        self.show_addresses(&child.addresses, self.is_confidential(event), &mut view, fields);
        let shown_wrong = |name: &&String| {
            (name.as_str() == "nhs_number" && view.nhs_number.is_some())
                || (name.as_str() == "upn" && view.upn.is_some())
        };
        view.unverified = unverified.iter().filter(shown_wrong).cloned().collect();
        view
    }

    /// A confidential address is withheld from all but the agencies named for it; that it is withheld is said.
    fn show_addresses(
        &self,
        addresses: &[Address],
        all_confidential: bool,
        view: &mut ChildView,
        fields: &mut Vec<FieldName>,
    ) {
        let confidential = |address: &Address| address.confidential || all_confidential;
        if !self.allows("child.addresses") {
            // Whoever knows the child may hold an address of its own: that this one is confidential is said, and nothing of it.
            view.address_withheld = self.allows("child.given_names") && addresses.iter().any(confidential);
            return;
        }
        let visible = |address: &&Address| !confidential(address) || self.agency.confidential_addresses;
        view.addresses = addresses.iter().filter(visible).cloned().collect();
        view.address_withheld = view.addresses.len() < addresses.len();
        if !view.addresses.is_empty() {
            fields.push("child.addresses".into());
        }
    }
}

impl Permit<'_> {
    fn is_confidential(&self, event: &ReferralEvent) -> bool {
        self.address_confidential || is_address_confidential(&event.detail)
    }

    /// The addresses, the child's and those of children named with it, that this recipient may not see: they may stand in what
    /// the sender wrote, too.
    pub fn withheld(&self, event: &ReferralEvent) -> Withheld {
        let all = self.is_confidential(event);
        let children = std::iter::once(&event.child).chain(event.siblings.iter().map(|other| &other.child));
        let addresses = children.flat_map(|child| &child.addresses);
        Withheld::of(addresses.filter(|address| !self.agency.confidential_addresses && (all || address.confidential)))
    }
}

/// A field by its full name, and what is told of it to whoever may see it.
pub type FieldInWords = (FieldName, Arc<str>);

/// All that may be told of an event, whoever is told: its coded facts, what else its sender said of it (where, when last seen, whose
/// employee), and what happened, when, and who says so. By the fields' names, as tasks say it.
pub fn in_words(entry: &Entry, event: &ReferralEvent) -> Vec<FieldInWords> {
    let mut words: Vec<FieldInWords> =
        entry.facts.iter().map(|(name, value)| (fact_name(name), value.to_string().into())).collect();
    event.detail.other_fields(&mut |name, told| {
        if name == OTHERS_ADDRESS {
            return;
        }
        let told = match told {
            Told::Text(text) => text,
            Told::Instant(at) => instant_in_words(at),
        };
        words.push((fact_name(name), told.into()));
    });
    let when = if entry.date_only {
        day_in_words(london_date(entry.occurred_at))
    } else {
        instant_in_words(entry.occurred_at)
    };
    words.push((EVENT_KIND.into(), entry.kind.replace(['.', '_'], " ").into()));
    words.push((HAPPENED_AT.into(), when.into()));
    words.push((SENT_BY.into(), format!("{}, {}", entry.source.partner, entry.source.unit).into()));
    words.sort_by(|(one, _), (other, _)| one.cmp(other));
    words
}

/// The full name of a fact kept with an entry: `event.grade`, `child.age_years`.
fn fact_name(kept_as: &str) -> FieldName {
    match FULL_NAMES.get(kept_as) {
        Some(full) => FieldName::Known(full),
        None => full_name(kept_as).into(),
    }
}

fn full_name(kept_as: &str) -> String {
    if kept_as.contains('.') { kept_as.to_owned() } else { format!("event.{kept_as}") }
}

/// Of the fields of every kind: each event has a dozen of them.
static FULL_NAMES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let of_kinds = KINDS.iter().filter_map(|(kind, _)| fields(kind)).flatten().map(|(name, _)| *name);
    of_kinds.chain(ENTRY_FACTS).map(|name| (name, full_name(name))).collect()
});
