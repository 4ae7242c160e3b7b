//! A sender takes a wish not to inform back: it stands, as every held-back route, until a person lifts it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::correction::DO_NOT_INFORM;
use crate::engine::history::entry::{A_PERSON, ADDRESS_CONFIDENTIAL, AN_ADDRESS, confidential_address};
use crate::engine::history::held_back_of;
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::history::{Entry, HeldBack};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::FactValue;
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::tasks::HELD_BACK_RULE;
use crate::engine::tasks::asking::reason_given;

const ASK_ACTION: &str =
    "Lift the route, or confirm that it stays held back: the sender takes the wish not to tell back";
const TITLE: &str = "A wish not to inform was taken back";
const ADDRESS_TITLE: &str = "An address is said to be confidential no longer";
const ADDRESS_ACTION: &str =
    "Say that the address may be shown, or that it stays withheld: the sender says that it is not confidential";
const ASKED: &str = "asked";

/// Whether a correction says nothing but that a wish is taken back.
pub fn is_all(correction: &EventCorrected) -> bool {
    !correction.changes.is_empty() && correction.changes.keys().all(|name| name == DO_NOT_INFORM)
}

/// The routes of an event that its sender no longer asks to hold back; the error says, in words, that there are none.
pub fn taken_back(entry: &Entry, correction: &EventCorrected) -> Result<Vec<HeldBack>, String> {
    if !correction.changes.contains_key(DO_NOT_INFORM) {
        return Ok(Vec::new());
    }
    let asked = entry.held_back.iter().filter(|route| route.cause == ASKED);
    let routes: Vec<HeldBack> = asked.cloned().collect();
    if routes.is_empty() {
        return Err("nobody is held back by a wish in its original".to_owned());
    }
    Ok(routes)
}

/// Puts it to whoever decides: the same day where the case is at the highest level.
pub fn ask(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    (routes, reason): (&[HeldBack], Option<&str>),
) -> Result<(), StepError> {
    if routes.is_empty() {
        return Ok(());
    }
    let whom = |route: &HeldBack| {
        if route.agency == A_PERSON {
            return format!("someone whom the sender named (agency \"{A_PERSON}\")");
        }
        let agency = draft.book.rules.agencies.get(&route.agency);
        let title = agency.map_or(route.agency.as_str(), |agency| agency.title.as_str());
        route.unit.as_ref().map_or(title.to_owned(), |unit| format!("{title}, unit {unit}"))
    };
    let held_back: BTreeSet<String> = routes.iter().map(whom).collect();
    let listed = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join("; ");
    let given = reason_given(reason);
    let why = format!(
        "Not told by the sender's wish: {}. The sender takes that wish back.{given} Nothing goes to them before a named person \
         lifts the route (route_lifted, with the agency).",
        listed(held_back)
    );
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let mut wanted = raising.own_duty(HELD_BACK_RULE, TITLE, why, ASK_ACTION, due, entry);
    let (suspects, others): (BTreeSet<HeldBack>, BTreeSet<HeldBack>) =
        other_reasons(draft, entry, routes).into_iter().partition(HeldBack::is_of_suspect);
    if !others.is_empty() {
        let others = listed(others.iter().map(whom).collect());
        wanted.notes.push(format!("Held back for another reason, too, which lifting would end: {others}."));
    }
    if !suspects.is_empty() {
        let suspects = listed(suspects.iter().map(whom).collect());
        wanted.notes.push(format!(
            "Held back for a suspect, too, which lifting the wish (held_back_for: wish) does not end: {suspects}."
        ));
    }
    draft.decision.notes.push("The wish not to inform stands until a person lifts it.".to_owned());
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// The sender says that an address which was confidential is so no longer: it stays withheld, and whoever decides hears how that ends.
pub fn ask_about_address(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let says_no_longer = correction.changes.get(ADDRESS_CONFIDENTIAL) == Some(&FactValue::Bool(false));
    if !says_no_longer || !entry.held_back.contains(&confidential_address()) {
        return Ok(());
    }
    let why = format!(
        "The sender says now that where the child lives is not confidential. It stays withheld until a named person lifts that \
         (route_lifted, agency \"{AN_ADDRESS}\").{}",
        reason_given(correction.reason.as_deref())
    );
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let wanted = raising.own_duty(HELD_BACK_RULE, ADDRESS_TITLE, why, ADDRESS_ACTION, due, entry);
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// Routes to the same agencies that a suspect, or the wish of another event, holds back.
fn other_reasons(draft: &Draft<'_>, entry: &Entry, routes: &[HeldBack]) -> BTreeSet<HeldBack> {
    let mut without = draft.history.clone();
    for present in without.entries.iter_mut().filter(|present| present.is_same_event(entry)) {
        Arc::make_mut(present).held_back.retain(|route| route.cause != ASKED);
    }
    let same_agency = |other: &HeldBack| routes.iter().any(|route| route.agency == other.agency);
    held_back_of(&without).into_iter().filter(same_agency).collect()
}
