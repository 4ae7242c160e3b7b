//! What a task says of the other children named with its child, and to whom.

use super::{Asked, Raising, Relation};
use crate::engine::disclose::{Disclosed, Permit};
use crate::engine::family::{Kin, is_unclear, read};
use crate::engine::history::entry::FAMILY_UNCLEAR;
use crate::engine::model::event::Sibling;
use crate::engine::model::scalar::FactValue;

/// What this child is to the one whose event names them: who harmed whom.
const NAMED_AS: &str = "event.named_as";
/// What the children are whom this child's event names, where any is of another family.
const CHILDREN_NAMED: &str = "event.children_named";

impl Raising<'_> {
    /// Who is what to whom, in the sender's words, for those who may see it.
    pub(super) fn show_others(&self, permit: Permit<'_>, disclosed: &mut Disclosed) {
        let Some(referral) = self.referral else { return };
        let (name, words) = match &referral.named_with {
            Some(named) => (NAMED_AS, named.relationship.clone().into_iter().collect()),
            None if self.named_as(|kin| kin != Kin::Same).is_empty() => return,
            None => {
                let others = referral.event.siblings.iter();
                (CHILDREN_NAMED, others.filter_map(|other| other.relationship.clone()).collect::<Vec<String>>())
            }
        };
        if !words.is_empty() && permit.allows(name) {
            disclosed.facts.push((name.into(), words.join("; ").into()));
            disclosed.fields.push(name.into());
        }
    }

    /// What names no child, or by nothing that its reader is shown, is found by keys alone: whoever held nothing of them cannot know who
    /// it is. Of an unborn child the mother says it. Whoever is to see no name is to know none.
    pub(super) fn names_nobody(&self, asked: &Asked<'_>, permit: Permit<'_>) -> Option<String> {
        let event = &self.referral?.event;
        let child = &event.child;
        let by_mother = child.due_date.is_some() && !event.carers.is_empty() && permit.allows("carers");
        let is_named = by_mother || child.is_named_to(|field| permit.allows(field));
        let may_know = ["child.nhs_number", "child.upn", "child.given_names", "child.family_name"];
        let is_unknown = !is_named
            && may_know.iter().any(|field| permit.allows(field))
            && asked.relation == Relation::Usual
            && self.follows(asked).is_none();
        is_unknown.then(|| {
            let ring = self.whom_to_ring();
            format!("Who the child is cannot be said here: ask {ring}, or whoever sent it.")
        })
    }

    /// Whoever decides sees the children of one family together, and knows of those who are of another; nobody else is told of
    /// the others.
    pub(super) fn about_others(&self, asked: &Asked<'_>) -> Vec<String> {
        let is_theirs = self.acts_as_front_door(&asked.address.agency);
        let Some(referral) = self.referral.filter(|_| is_theirs) else { return Vec::new() };
        if let Some(named) = &referral.named_with {
            let source = &referral.event.source;
            let named_in =
                format!("this child is named in event {} of {}, {}", named.event_id, source.partner, source.unit);
            let is_unclear = is_unclear(named.relationship.as_deref(), &referral.event.detail)
                || asked.entry.facts.get(FAMILY_UNCLEAR) == Some(&FactValue::Bool(true));
            return vec![if is_unclear {
                format!(
                    "Of one family or not: {named_in}, and whether the two children are of one family cannot be told from \
                     what was said: find out. Until then nothing of the one is for the other."
                )
            } else if named.is_apart() {
                format!(
                    "Another family: {named_in}, about a child of another family. Nothing of the one family is for the \
                     other: carers and agreement are this family's own, to be found out."
                )
            } else {
                format!("One family: {named_in}. Look at the children together.")
            }];
        }
        let count = |kin: Kin| self.named_as(|said| said == kin).len();
        let mut notes = Vec::new();
        if let at_home @ 1.. = count(Kin::Same) {
            notes.push(format!("One family: children named with this one: {at_home}. Look at them together."));
        }
        if let elsewhere @ 1.. = count(Kin::Other) {
            notes.push(format!(
                "Another family: children of other families named with this one: {elsewhere}. Each comes to you on their \
                 own; nothing of the one family is for the other."
            ));
        }
        if let unclear @ 1.. = count(Kin::Unclear) {
            notes.push(format!(
                "Of one family or not: children named with this one of whom that cannot be told from what was said: {unclear}. \
                 Each comes to you on their own: find out."
            ));
        }
        notes
    }

    /// Who is named with the child and said to be that.
    fn named_as(&self, is_meant: impl Fn(Kin) -> bool) -> Vec<&Sibling> {
        let event = self.referral.map(|referral| &referral.event);
        let others = event.into_iter().flat_map(|event| event.siblings.iter().map(move |other| (event, other)));
        let meant = others.filter(|(event, other)| is_meant(read(other.relationship.as_deref(), &event.detail)));
        meant.map(|(_, other)| other).collect()
    }
}
