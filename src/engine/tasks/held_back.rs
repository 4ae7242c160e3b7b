//! Why a route is held back, every reason, and how that is put to whoever decides.

use std::sync::Arc;

use super::persons::acts;
use super::{Asked, Raising};
use crate::engine::history::decisions::decided;
use crate::engine::history::entry::{UNKNOWN_SUSPECT, is_marker, of_wish};
use crate::engine::model::decision::Suppressed;
use crate::engine::model::history::{Entry, HeldBack};

impl Raising<'_> {
    /// With every reason: who lifts a wish must know that a suspect is there, too.
    pub(super) fn suppressed(&self, task: &Asked<'_>, routes: &[&HeldBack]) -> Suppressed {
        let mut reasons: Vec<String> = routes.iter().map(|route| self.why_held_back(route)).collect();
        reasons.dedup();
        self.not_sent(task, &reasons.join("; and "))
    }

    /// The reason as the sender gave it, when the event at hand carries it.
    fn why_held_back(&self, route: &HeldBack) -> String {
        if route.cause == "suspect" {
            return "the suspect's own route".to_owned();
        }
        if route.cause == UNKNOWN_SUSPECT {
            return "the suspect works with children, and where is not known".to_owned();
        }
        let wishes = self.referral.map(|referral| referral.event.do_not_inform.as_slice()).unwrap_or_default();
        let wish = wishes.iter().find(|wish| of_wish(&self.book.rules, wish).contains(route));
        match wish.map(|wish| wish.reason.as_ref()) {
            Some(Some(reason)) => format!("the sender asked that they are not told: {reason}"),
            Some(None) => "the sender asked that they are not told".to_owned(),
            None => self.who_held_it_back(route).to_owned(),
        }
    }

    /// Of a wish that the event at hand does not say: a sender's, or a named person's, who confirmed a route that nothing held.
    fn who_held_it_back(&self, route: &HeldBack) -> &'static str {
        let holding =
            || self.history.entries.iter().filter(|entry| !entry.withdrawn && entry.held_back.contains(route));
        let is_by_decision = |entry: &Arc<Entry>| decided(entry) == Some("route_confirmed");
        if holding().any(|entry| !is_by_decision(entry)) {
            "the sender asked that they are not told"
        } else if holding().any(is_by_decision) {
            "a named person confirmed that they are not told"
        } else {
            "a sender asked, or a named person confirmed, that they are not told"
        }
    }

    /// Whom to ask before anything is done: the front door, and where somebody there is accused whoever stands in for it. In words
    /// that do not say which of the two holds.
    pub(super) fn whom_to_ring(&self) -> String {
        let rules = &self.book.rules;
        let decides = self.front_door(None).agency;
        if decides == rules.front_door {
            return format!("the front door{}", self.context.on_front_door_phone());
        }
        let title = rules.title_of(&decides);
        let short = title.split([':', '(']).next().unwrap_or(title).trim_end();
        let mut letters = short.chars();
        let (first, rest) = (letters.next(), letters.as_str());
        // A name in capitals stays one.
        let is_word = rest.starts_with(|letter: char| letter.is_lowercase());
        let first = first.map_or(String::new(), |first| match is_word {
            true => first.to_lowercase().to_string(),
            false => first.to_string(),
        });
        format!("the {first}{rest}")
    }

    /// Some route of the child is held back, and what is asked may send its reader there: to agree with the police, to share with
    /// whoever sees the child. It says neither whose nor why, for whoever is accused may hear of it.
    pub(super) fn before_others(&self, asked: &Asked<'_>) -> Option<String> {
        let front_door = &self.book.rules.front_door;
        let is_route = |route: &&HeldBack| {
            let holds_none_back = route.is_wish() && route.agency == *front_door;
            !is_marker(&route.agency) && !holds_none_back
        };
        let reads_why = asked.address.agency == *front_door || asked.address.agency == self.front_door(None).agency;
        if reads_why || !acts(&asked.relation) || !self.held_back.iter().any(|route| is_route(&route)) {
            return None;
        }
        let ring = self.whom_to_ring();
        Some(format!(
            "Ring {ring} before you speak to other services about this. Keeping the child safe does not wait for it."
        ))
    }

    pub(super) fn question(&self, suppressed: &Suppressed, routes: &[&HeldBack]) -> String {
        let title = self.book.rules.agencies.get(&suppressed.agency).map_or("", |agency| agency.title.as_str());
        let suspects = routes.iter().filter(|route| route.is_of_suspect()).count();
        let then = if suspects > 0 && suspects < routes.len() {
            "Decide about each reason by itself (held_back_for: suspect, or wish), and record why: it is sent once both are lifted."
        } else if suspects > 0 && routes.iter().all(|route| route.cause == UNKNOWN_SUSPECT) {
            "Record where they work (route_confirmed, held_back_for: suspect), or lift this route: it is sent once that is known \
             or lifted."
        } else {
            "Confirm this or lift it, and record why: lifting sends it."
        };
        format!("Not told: {title} (\"{}\"), because {}. {then}", suppressed.action, suppressed.reason)
    }
}
