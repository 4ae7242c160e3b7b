//! Held-back routes that a person lifts, or shuts again: which they are, and what a lift leaves behind to be taken back by.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry::{SUSPECT, SUSPECT_SENDER, UNKNOWN_SUSPECT};
use crate::engine::identity::Keys;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldBack, History, Lifted};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::directory::as_meant;

impl HeldBack {
    /// A sender asked that they are not told.
    pub fn is_wish(&self) -> bool {
        self.cause == "asked"
    }

    /// A suspect works there, or may.
    pub fn is_of_suspect(&self) -> bool {
        [SUSPECT, SUSPECT_SENDER, UNKNOWN_SUSPECT].contains(&self.cause.as_str())
    }

    /// Whether what this holds back includes all of the other.
    pub fn covers(&self, other: &HeldBack) -> bool {
        self.agency == other.agency && (self.unit.is_none() || self.unit == other.unit)
    }

    /// Whether whoever sent something is of the suspect's own agency, so that the suspect may answer there.
    pub fn is_suspects_own(&self, keys: &Keys, source: &Source) -> bool {
        [SUSPECT, SUSPECT_SENDER].contains(&self.cause.as_str()) && self.is_of(keys, source)
    }

    /// Whether it is the route by which whoever sent something hears. One who is no agency of the book goes by the name they send under.
    pub fn is_of(&self, keys: &Keys, source: &Source) -> bool {
        if self.cause == SUSPECT_SENDER {
            let is_named = |kept: &String, name: &str| *kept == keys.sender_name(&as_meant(name));
            return is_named(&self.agency, &source.partner)
                && self.unit.as_ref().is_none_or(|unit| is_named(unit, &source.unit));
        }
        source.agency.as_ref().is_some_and(|name| is_one_name(name, &self.agency))
            && self.unit.as_ref().is_none_or(|unit| is_one_name(unit, &source.unit))
    }
}

/// What holds a sender's route back is written by people, as is what lifts it: case, blanks and hyphens are alike in both.
fn is_one_name(one: &str, other: &str) -> bool {
    as_meant(one) == as_meant(other)
}

fn is_among(units: &[String], unit: &str) -> bool {
    units.iter().any(|one| is_one_name(one, unit))
}

/// The held-back routes that a lift of an agency opens, or of these units of it alone: of them, what is held back of every
/// unit stays so.
pub fn opened_by(history: &History, agency: &str, units: Option<&[String]>) -> BTreeSet<HeldBack> {
    let is_meant = |route: &HeldBack| {
        let of_unit = |units: &[String]| route.unit.as_ref().is_some_and(|unit| is_among(units, unit));
        is_one_name(&route.agency, agency) && units.is_none_or(of_unit)
    };
    let routes = history.entries.iter().flat_map(|entry| &entry.held_back);
    routes.chain(history.held_back.iter().flatten()).filter(|route| is_meant(route)).cloned().collect()
}

/// A person lifted routes that were held back: from now on they are open, for every event.
pub fn lift_routes(history: &mut History, lifted: &BTreeSet<HeldBack>, by: &Entry) {
    lift(history, |route| lifted.contains(route), by, &[]);
}

/// A person said where a suspect works, of whom that was not known: these routes alone are held back from now on. None: it
/// is no agency of the book.
pub fn suspect_is_known(history: &mut History, own: &[HeldBack], by: &Entry) {
    lift(history, |route| route.cause == UNKNOWN_SUSPECT, by, own);
}

/// A suspect works there, too, or after all: held back with the events that are about a suspect; where none is kept, with the
/// decision that says so.
pub fn suspect_is_there_too(history: &mut History, own: &[HeldBack], by: &mut Entry) {
    let is_about_suspect = |entry: &&mut Arc<Entry>| {
        entry.held_back.iter().any(HeldBack::is_of_suspect)
            || entry.lifted.iter().any(|lifted| lifted.route().is_of_suspect())
    };
    let mut any = false;
    for entry in history.entries.iter_mut().filter(is_about_suspect) {
        Arc::make_mut(entry).hold_back(own.iter().cloned());
        any = true;
    }
    if !any {
        by.hold_back(own.iter().cloned());
    }
}

/// Whether anything ever said of this child was about a suspect, whether their route is held back or was lifted.
pub fn is_suspect_told_of(history: &History) -> bool {
    let lifted = history.entries.iter().flat_map(|entry| &entry.lifted);
    let held_back = history.entries.iter().flat_map(|entry| &entry.held_back).chain(history.held_back.iter().flatten());
    held_back.cloned().chain(lifted.map(Lifted::route)).any(|route| route.is_of_suspect())
}

/// `instead`: what is held back in their place.
fn lift(history: &mut History, is_lifted: impl Fn(&HeldBack) -> bool, by: &Entry, instead: &[HeldBack]) {
    for entry in history.entries.iter_mut().filter(|entry| entry.held_back.iter().any(&is_lifted)) {
        let entry = Arc::make_mut(entry);
        let lifted = entry.held_back.extract_if(.., |route| is_lifted(route)).map(|route| lifted_route(route, by));
        entry.lifted.extend(lifted);
        entry.held_back.extend(instead.iter().cloned());
    }
    let (open, shut): (Vec<HeldBack>, Vec<HeldBack>) =
        history.held_back.take().unwrap_or_default().into_iter().partition(|route| is_lifted(route));
    let instead = if open.is_empty() { &[] } else { instead };
    hold_back(history, shut.into_iter().chain(instead.iter().cloned()));
    // Whatever entry held them is folded: the latest remembers that they were lifted.
    let place = history.entries.iter().rposition(|entry| !entry.withdrawn).filter(|_| !open.is_empty());
    if let Some(latest) = place.and_then(|place| history.entries.get_mut(place)) {
        Arc::make_mut(latest).lifted.extend(open.into_iter().map(|route| lifted_route(route, by)));
    }
}

fn lifted_route(route: HeldBack, by: &Entry) -> Lifted {
    Lifted {
        agency: route.agency,
        unit: route.unit,
        cause: route.cause,
        at: by.received_at,
        event_id: by.event_id.clone(),
        partner: by.source.partner.clone(),
    }
}

/// One happening, reported twice: what either holds back is held back, and what was lifted of either was.
pub(super) fn join(present: &mut Entry, other: &Entry) {
    present.hold_back(other.held_back.iter().cloned());
    present.lifted.extend(other.lifted.iter().cloned());
    present.lifted.sort();
    present.lifted.dedup();
}

/// Routes that no entry holds back any more, and that stay so all the same.
pub(super) fn hold_back(history: &mut History, routes: impl IntoIterator<Item = HeldBack>) {
    let mut kept = history.held_back.take().unwrap_or_default();
    kept.extend(routes);
    kept.sort();
    kept.dedup();
    history.held_back = (!kept.is_empty()).then_some(kept);
}

/// The routes that were held back at an instant, as far as that is kept: also those that a person has lifted since.
pub fn held_back_at(history: &History, at: Timestamp) -> BTreeSet<HeldBack> {
    held_back_as_it_stood(history, at, |entry| !entry.withdrawn)
}

/// The same, where it is known of what is withdrawn whether it stood then: a wish ended with it.
pub fn held_back_as_it_stood(history: &History, at: Timestamp, stood: impl Fn(&Entry) -> bool) -> BTreeSet<HeldBack> {
    let entries = history.entries.iter().filter(|entry| entry.received_at <= at);
    let of_entry = |entry: &Arc<Entry>| {
        let lifted_since = entry.lifted.iter().filter(|lifted| lifted.at > at).map(Lifted::route);
        let mut routes: Vec<HeldBack> = lifted_since.chain(entry.held_back.iter().cloned()).collect();
        routes.retain(|route| !route.is_wish() || stood(entry));
        routes
    };
    entries.flat_map(of_entry).collect()
}

/// The routes that were lifted and are shut by taking back that decision, if it lifted any.
pub fn lifted_by(history: &History, decision: &Entry) -> BTreeSet<Lifted> {
    let is_by = |lifted: &&Lifted| lifted.event_id == decision.event_id && lifted.partner == decision.source.partner;
    held_but_for_lift(history).filter(is_by).cloned().collect()
}

/// The routes of an agency, or of these units of it, that were lifted and are not held back now.
pub fn lifted_of(history: &History, agency: &str, units: Option<&[String]>) -> BTreeSet<Lifted> {
    let is_meant = |lifted: &&Lifted| {
        let of_unit = |units: &[String]| lifted.unit.as_ref().is_none_or(|unit| is_among(units, unit));
        is_one_name(&lifted.agency, agency) && lifted.cause != UNKNOWN_SUSPECT && units.is_none_or(of_unit)
    };
    held_but_for_lift(history).filter(is_meant).cloned().collect()
}

/// What was lifted, and would be held back else: a wish that was taken back holds back nothing.
fn held_but_for_lift(history: &History) -> impl Iterator<Item = &Lifted> {
    let lifted = history.entries.iter().flat_map(|entry| entry.lifted.iter().map(move |lifted| (entry, lifted)));
    lifted.filter(|(entry, lifted)| !(entry.withdrawn && lifted.route().is_wish())).map(|(_, lifted)| lifted)
}

/// A lift is taken back: for what comes from now on, its routes are held back again.
pub fn shut_again(history: &mut History, routes: &BTreeSet<Lifted>) {
    for entry in history.entries.iter_mut().filter(|entry| entry.lifted.iter().any(|lifted| routes.contains(lifted))) {
        let entry = Arc::make_mut(entry);
        let shut: Vec<Lifted> = entry.lifted.extract_if(.., |lifted| routes.contains(lifted)).collect();
        entry.hold_back(shut.iter().map(Lifted::route));
    }
}
