//! Who must not learn of it, and who may answer when the sender is rung: notes on a task.

use super::asking::before_stop;
use super::{Asked, Raising, Relation};
use crate::engine::disclose::Permit;
use crate::engine::history::entry::{A_PERSON, of_wish};
use crate::engine::history::senders;
use crate::engine::identity::Keys;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldBack};

impl Raising<'_> {
    /// A wish that names a person and no agency holds back no route: whoever acts must know of it; whoever decides, and whoever
    /// is trusted with hidden addresses, whom it is about and why.
    pub(super) fn persons_not_to_tell(&self, permit: Permit<'_>) -> Option<String> {
        let persons = self.persons();
        if persons.is_empty() {
            return None;
        }
        let agency = permit.agency;
        let trusted = agency.confidential_addresses && !permit.minimum && permit.allows("carers");
        Some(if self.decides(&agency.name) {
            format!(
                "The sender asks that these do not learn of this: {}. Decide, and tell those who act.",
                persons.join("; ")
            )
        } else if trusted {
            format!("These must not learn of this: {}.", persons.join("; "))
        } else {
            let ring = self.whom_to_ring();
            format!("A certain person must not learn of this: ask {ring} whom before you speak to anyone.")
        })
    }

    /// Another event of this child said that a person must not learn of it. Who that is was not kept: whoever acts is sent to
    /// whoever decides, and they to those who said so.
    pub(super) fn persons_of_earlier(&self, asked: &Asked<'_>) -> Option<String> {
        if !self.persons().is_empty()
            || !acts(&asked.relation)
            || !self.held_back().iter().any(|route| route.agency == A_PERSON)
        {
            return None;
        }
        if !self.decides(&asked.address.agency) {
            let ring = self.whom_to_ring();
            return Some(format!(
                "An earlier referral says that someone must not learn of this: ask {ring} who before you speak to the family."
            ));
        }
        let names = |entry: &Entry| !entry.withdrawn && entry.held_back.iter().any(|route| route.agency == A_PERSON);
        let said: Vec<String> = self
            .history
            .entries
            .iter()
            .filter(|entry| names(entry))
            .map(|entry| who_says(&self.context.keys, entry))
            .collect();
        Some(format!(
            "An earlier referral says that someone must not learn of this, and who: {}. See what you were told then, and tell those \
             who act.",
            said.join("; ")
        ))
    }

    /// Everyone whom the sender asks not to tell, as they are called, and why.
    pub(super) fn persons(&self) -> Vec<String> {
        let wishes = self.referral.map(|referral| referral.event.do_not_inform.as_slice()).unwrap_or_default();
        let of_person = wishes.iter().filter(|wish| wish.agency.is_none());
        let told = of_person.filter_map(|wish| {
            let person = wish.person.as_ref()?;
            Some(wish.reason.as_ref().map_or(person.clone(), |reason| format!("{person} ({reason})")))
        });
        told.collect()
    }

    /// Whoever must act hears of it though the sender asks otherwise: so who of them reads it is theirs to restrict.
    pub(super) fn wish_against_own(&self, agency: &str) -> Option<String> {
        let event = &self.referral.filter(|_| self.acts_as_front_door(agency))?.event;
        let mut wishes = event.do_not_inform.iter();
        let at_own = |route: &HeldBack| route.agency == agency;
        let wish = wishes.find(|wish| of_wish(&self.book.rules, wish).iter().any(at_own))?;
        let why = wish.reason.as_ref().map_or(String::new(), |reason| format!(": {}", before_stop(reason)));
        Some(format!(
            "The sender asks that your own agency does not learn of this{why}. You are told because the duty to act is yours: \
             restrict who reads it, and record why."
        ))
    }

    /// Whoever rings the sender may reach the suspect. What a clock or a withdrawal asks is about an event that somebody sent, too.
    pub(super) fn suspect_may_answer(&self, asked: &Asked<'_>) -> Option<String> {
        let reader = &asked.address.agency;
        let Some(event) = self.referral.map(|referral| &referral.event) else {
            return self.not_to_be_rung(&asked.entry.source, reader).filter(|_| acts(&asked.relation));
        };
        let note = self.not_to_be_rung(&event.source, reader)?;
        // A rule may ask whoever reads this to ring the sender: it must say which of the two holds.
        let is_asked = self.acts_as_front_door(reader);
        let is_999_open = is_asked && event.immediate_danger == Some(true) && event.emergency_call_made != Some(true);
        let instead =
            if is_999_open { " Nobody has said that 999 was rung: ring it yourself, and not the sender." } else { "" };
        Some(format!("{note}{instead}"))
    }

    /// Said of a sender who is of the suspect's own agency. That a suspect is there is read by whoever decides alone: others are told
    /// neither whose route it is nor why.
    pub fn not_to_be_rung(&self, sender: &Source, reader: &str) -> Option<String> {
        if !self.may_reach_suspect(sender) {
            return None;
        }
        let is_decider = self.decides(reader);
        let says = match self.decides(&self.book.rules.front_door) {
            true => "social care has".to_owned(),
            false if is_decider => "you have".to_owned(),
            false => format!("{} has", self.whom_to_ring()),
        };
        Some(if is_decider {
            format!(
                "The sender is of the suspect's own agency: do not ring them back before {says} said whom to speak to."
            )
        } else {
            format!("Do not ring the sender back before {says} said whom to speak to.")
        })
    }

    /// Whether whoever rings this sender may reach the suspect.
    pub fn may_reach_suspect(&self, sender: &Source) -> bool {
        self.held_back().iter().any(|route| route.is_suspects_own(&self.context.keys, sender))
    }
}

/// A word about an answer, a rung and the digest send nobody to the family.
pub(super) fn acts(relation: &Relation) -> bool {
    match relation {
        Relation::Usual | Relation::Follows(_) | Relation::Besides(_) => true,
        Relation::Chases(_) | Relation::Word(_) | Relation::Digest => false,
    }
}

/// Whom to ask about an earlier event, and by which reference: of what several reported each of them, for which of them said it is
/// not kept.
pub fn who_says(keys: &Keys, entry: &Entry) -> String {
    let rung_on = |(name, number): (String, Option<String>)| {
        number.map_or(name.clone(), |number| format!("{name}, to be rung on {number}"))
    };
    let others: Vec<String> = senders::others(keys, entry).into_iter().map(rung_on).collect();
    let first = first_says(keys, entry);
    if others.is_empty() {
        return first;
    }
    format!("{first}; or whoever reported it, too ({}): ask each of them", others.join("; or "))
}

fn first_says(keys: &Keys, entry: &Entry) -> String {
    let reference =
        entry.partner_reference.as_ref().map_or(String::new(), |reference| format!(", reference {reference}"));
    let ring = senders::first(keys, entry).map_or(String::new(), |number| format!(", to be rung on {number}"));
    format!("{}, {}{reference}{ring}", entry.source.partner, entry.source.unit)
}
