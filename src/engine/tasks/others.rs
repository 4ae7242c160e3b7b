//! What a task says of the other children named with its child, and to whom.

use std::borrow::Cow;

use super::{Asked, Raising, Relation};
use crate::engine::disclose::{Disclosed, Permit};
use crate::engine::family::is_shared;
use crate::engine::model::event::Sibling;

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
            None if self.of_other_families().is_empty() => return,
            None => {
                let others = referral.event.siblings.iter();
                (CHILDREN_NAMED, others.filter_map(|other| other.relationship.clone()).collect::<Vec<String>>())
            }
        };
        if !words.is_empty() && permit.allows(name) {
            disclosed.facts.insert(name.to_owned(), words.join("; "));
            disclosed.fields.insert(Cow::Borrowed(name));
        }
    }

    /// What is corrected of an incident reaches the others by their keys alone: whoever held nothing of them cannot know who it is.
    pub(super) fn names_nobody(&self, asked: &Asked<'_>) -> Option<String> {
        let event = &self.referral.filter(|referral| referral.named_with.is_some())?.event;
        let is_named = event.child.given_names.is_some() || event.child.family_name.is_some();
        let is_unknown = !is_named && asked.relation == Relation::Usual && self.follows(asked).is_none();
        is_unknown.then(|| {
            let ring = self.whom_to_ring();
            format!("Who the child is cannot be said here: ask {ring}, or whoever sent it.")
        })
    }

    /// Whoever decides sees the children of one family together, and knows of those who are of another; nobody else is told of
    /// the others.
    pub(super) fn about_others(&self, agency: &str) -> Vec<String> {
        let Some(referral) = self.referral.filter(|_| agency == self.book.rules.front_door) else { return Vec::new() };
        let event = &referral.event;
        if let Some(named) = &referral.named_with {
            let source = &event.source;
            let named_in =
                format!("this child is named in event {} of {}, {}", named.event_id, source.partner, source.unit);
            return vec![if named.is_of_another_family() {
                format!(
                    "Another family: {named_in}, about a child of another family. Nothing of the one family is for the \
                     other: carers and agreement are this family's own, to be found out."
                )
            } else {
                format!("One family: {named_in}. Look at the children together.")
            }];
        }
        let elsewhere = self.of_other_families().len();
        let at_home = event.siblings.len().saturating_sub(elsewhere);
        let mut notes = Vec::new();
        if at_home > 0 {
            notes.push(format!("One family: children named with this one: {at_home}. Look at them together."));
        }
        if elsewhere > 0 {
            notes.push(format!(
                "Another family: children of other families named with this one: {elsewhere}. Each comes to you on their \
                 own; nothing of the one family is for the other."
            ));
        }
        notes
    }

    fn of_other_families(&self) -> Vec<&Sibling> {
        let event = self.referral.map(|referral| &referral.event);
        let others = event.into_iter().flat_map(|event| event.siblings.iter().map(move |other| (event, other)));
        let apart = others.filter(|(event, other)| !is_shared(other.relationship.as_deref(), &event.detail));
        apart.map(|(_, other)| other).collect()
    }
}
