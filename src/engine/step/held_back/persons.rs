//! Whoever must not learn of it is named only after tasks went out: those who hold them hear that there is such a person, the front
//! door who it is, or which of those who were told was not to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{not_passed_on, suspect};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::entry::A_PERSON;
use crate::engine::history::{held_back_of, holds, is_open};
use crate::engine::model::history::{Entry, HeldBack, HeldTask};
use crate::engine::model::inbox::Referral;
use crate::engine::step::draft::{Draft, within_the_hour_at};
use crate::engine::tasks::route::{Address, is_suppressed};
use crate::engine::tasks::{HELD_BACK_RULE, Wanted};

const TITLE: &str = "Someone must not learn of this";
const DECIDE_ACTION: &str = "Decide who must not learn of this, and tell those who act already";
const ASK_ACTION: &str = "Before you speak to the family: ask the front door who must not learn of this";
const TOLD_TITLE: &str = "Told already, and not to be told";
const TOLD_APART_ACTION: &str = "Decide at once: someone was told who, by another record of the child, must not be";
const TOLD_ACTION: &str = "Decide at once: someone was told who, by a later report, must not be";

const COMPLETED: &str = "completed";
const DECLINED: &str = "declined";

fn is_person(route: &HeldBack) -> bool {
    route.agency == A_PERSON
}

/// A later report or a correction holds back what the event did not: `first` is the event as it was known, `kept` with what is held
/// back now.
pub fn named_too_late(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    (first, kept): (&Arc<Entry>, &Arc<Entry>),
) -> Result<(), StepError> {
    ask_about_told(draft, referral, cause, (first, kept))?;
    not_passed_on::hold_back(draft, referral)?;
    // The event at hand may be the first one, and the later word one that waited for it.
    if let Some(referral) = referral.filter(|referral| referral.event.event_id == cause) {
        let asked = suspect::ask_which_agency(draft, &referral.event, kept, kept.level)?;
        let newly = |route: &&HeldBack| !first.held_back.contains(route);
        let as_kept =
            Entry { held_back: kept.held_back.iter().filter(newly).cloned().collect(), ..kept.as_ref().clone() };
        let where_at = suspect::ask(draft, &Arc::new(as_kept), kept.level)?;
        draft.raise(Some(referral), cause, &[], asked.into_iter().chain(where_at).collect())?;
    }
    if !kept.held_back.iter().any(|route| is_person(route) && !first.held_back.contains(route)) {
        return Ok(());
    }
    let why = "A later report says who must not learn of this. Tasks had gone out before it came.";
    let own = put_to_front_door(draft, referral, cause, kept, why)?;
    let mut wanted = vec![own.clone()];
    for holder in holders(draft, Some(kept)).into_iter().filter(|holder| holder.is_of(kept)) {
        wanted.push(word_to(draft, &holder, &own));
    }
    draft.raise(referral, cause, &[], wanted)?;
    tell_others(draft, cause, kept, why).map(drop)
}

/// An event of its own names a person who must not learn of it: its tasks say so, and those who act for the child already hear it.
pub fn named_anew(draft: &mut Draft<'_>, referral: &Referral, entry: &Arc<Entry>) -> Result<(), StepError> {
    if !entry.held_back.iter().any(is_person) {
        return Ok(());
    }
    let why =
        "A later event says that someone must not learn of it. Tasks about this child had gone out before it came.";
    let cause = &referral.event.event_id;
    let mut raised = draft.decision.tasks.iter();
    let raising = draft.raising(Some(referral), cause);
    let is_known = raised.any(|task| raising.decides(&task.agency));
    if tell_others(draft, cause, entry, why)? && !is_known {
        let wanted = put_to_front_door(draft, Some(referral), cause, entry, why)?;
        draft.raise(Some(referral), cause, &[], vec![wanted])?;
    }
    Ok(())
}

fn put_to_front_door<'w>(
    draft: &Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    of: &Arc<Entry>,
    why: &str,
) -> Result<Wanted<'w>, StepError> {
    let level = of.level.max(draft.history.case_level);
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&within_the_hour_at(level))?;
    let own = raising.own_duty(HELD_BACK_RULE, TITLE, why.to_owned(), DECIDE_ACTION, due, of);
    Ok(Wanted { level, ..own })
}

/// One open task of each who acts for the child and does not know yet that there is such a person, the latest: not of those whom the
/// record at hand asks something, for that says so itself. `waited_for`: an event that came after word of the person, and had gone out
/// under another key before.
fn holders(draft: &Draft<'_>, waited_for: Option<&Entry>) -> Vec<Arc<HeldTask>> {
    let known_before = held_back_of(&draft.before).iter().any(is_person);
    let front_door = &draft.book.rules.front_door;
    let held_back = held_back_of(&draft.history);
    let raising = draft.raising(None, "");
    let asked_now = |task: &HeldTask| {
        let mut raised = draft.decision.tasks.iter();
        raised.any(|now| now.agency == task.agency && now.unit == task.unit && now.role == task.role)
    };
    let mut latest: BTreeMap<Address, Arc<HeldTask>> = BTreeMap::new();
    for task in draft.history.tasks.iter().filter(|task| is_open(&task.state) && task.chases.is_none()) {
        let moved_here = || waited_for.is_some_and(|entry| task.is_of(entry)) && !draft.before.tasks.contains(task);
        let is_unknowing = !known_before || moved_here();
        if is_unknowing && !raising.decides(&task.agency) && task.action != ASK_ACTION && !asked_now(task) {
            let address = Address::of_holder(task);
            // Who must not learn of it at all is asked about apart.
            if !is_suppressed(&address, front_door, &held_back) {
                latest.insert(address, Arc::clone(task));
            }
        }
    }
    latest.into_values().collect()
}

fn word_to<'w>(draft: &Draft<'_>, holder: &HeldTask, own: &Wanted<'w>) -> Wanted<'w> {
    // Whoever was told the minimum is told no more now.
    let minimum = draft.book.rules.agencies.get(&holder.agency).is_some_and(|agency| !agency.minimum.is_empty());
    Wanted { address: Address::of_holder(holder), action: ASK_ACTION.to_owned(), minimum, ..own.clone() }
}

/// Those who act on other events of the child hear nothing of this one but that there is such a person. True: somebody was told.
fn tell_others(draft: &mut Draft<'_>, cause: &str, of: &Arc<Entry>, why: &str) -> Result<bool, StepError> {
    let own = put_to_front_door(draft, None, cause, of, why)?;
    let mut wanted = Vec::new();
    for holder in holders(draft, None).into_iter().filter(|holder| !holder.is_of(of)) {
        let Some(entry) = draft.history.entries.iter().find(|entry| holder.is_of(entry)).cloned() else { continue };
        wanted.push(Wanted { entry, ..word_to(draft, &holder, &own) });
    }
    let told = !wanted.is_empty();
    draft.raise(None, cause, &[], wanted)?;
    Ok(told)
}

/// A later report asks that someone is not told who was told already: a person decides what to do about it.
fn ask_about_told(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    (first, kept): (&Arc<Entry>, &Arc<Entry>),
) -> Result<(), StepError> {
    let newly = kept.held_back.iter().filter(|route| !first.held_back.contains(route));
    let actions = told_already(draft, newly, |task| task.is_of(kept));
    if actions.is_empty() {
        return Ok(());
    }
    let at_hand = referral.filter(|referral| referral.event.event_id == cause);
    let wishes = at_hand.iter().flat_map(|referral| &referral.event.do_not_inform);
    let reasons: Vec<&str> = wishes.filter_map(|wish| wish.reason.as_deref()).collect();
    let given = match at_hand {
        None => "is not kept: ask the sender".to_owned(),
        Some(_) if reasons.is_empty() => "none".to_owned(),
        Some(_) => reasons.join("; "),
    };
    let why = format!(
        "A later report or correction asks that someone is not told who was told already: {}. Reason given: {given}.",
        actions.join("; ")
    );
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&Clock::Hours(1))?;
    let wanted = raising.own_duty(HELD_BACK_RULE, TOLD_TITLE, why, TOLD_ACTION, due, kept);
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// Two records became one: who was told by the one while the other held their route back is put to a person, whichever of the two the
/// other passed everything on to.
pub fn told_by_one_record(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let Some(joined) = draft.joined.clone() else { return Ok(()) };
    let before = Arc::clone(&draft.before);
    let mut actions = BTreeSet::new();
    let shut_now = held_back_of(&draft.history);
    for (own, other) in [(&before, &joined), (&joined, &before)] {
        for route in held_back_of(other).intersection(&shut_now) {
            let is_shut =
                |entry: &&Arc<Entry>| !(entry.withdrawn && route.is_wish()) && entry.held_back.contains(route);
            let shut_at = other.entries.iter().filter(is_shut).map(|entry| entry.received_at).min();
            // Whoever was to pass it on has told them by when they said so.
            let told_at = |task: &HeldTask| if task.agency == route.agency { task.raised_at } else { task.state_at };
            // What no entry holds back any more was held back before those that are kept.
            let was_shut = |task: &HeldTask| shut_at.is_none_or(|shut_at| told_at(task) >= shut_at);
            actions.extend(told_already(draft, std::iter::once(route), |task| holds(own, task) && was_shut(task)));
        }
    }
    let Some(latest) = draft.history.entries.last().filter(|_| !actions.is_empty()) else { return Ok(()) };
    let why = format!(
        "Two records became one. By one of them someone was told whose route the other held back: {}.",
        actions.into_iter().collect::<Vec<_>>().join("; ")
    );
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&Clock::Hours(1))?;
    let wanted = raising.own_duty(HELD_BACK_RULE, TOLD_TITLE, why, TOLD_APART_ACTION, due, latest);
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}

/// What those at these routes hold and should not have been told of.
pub fn told_already<'r>(
    draft: &Draft<'_>,
    routes: impl Iterator<Item = &'r HeldBack>,
    is_meant: impl Fn(&HeldTask) -> bool,
) -> Vec<String> {
    let front_door = &draft.book.rules.front_door;
    let routes: Vec<&HeldBack> = routes.collect();
    let is_at = |task: &HeldTask, route: &HeldBack| {
        route.agency == task.agency && (route.unit.is_none() || task.unit.is_none() || route.unit == task.unit)
    };
    let meant = || draft.history.tasks.iter().filter(|task| is_meant(task));
    // Whoever has done what they were asked, or declined it, knows of it as well as who holds it.
    let is_known = |state: &str| is_open(state) || [COMPLETED, DECLINED].contains(&state);
    let known = meant().filter(|task| is_known(&task.state) && task.agency != *front_door);
    let told = known.filter(|task| routes.iter().any(|route| is_at(task, route)));
    // Whoever was asked to pass it on has done so.
    let is_for = |task: &HeldTask, route: &HeldBack| task.in_place_of.as_ref() == Some(&route.agency);
    let done = meant().filter(|task| task.state == COMPLETED);
    let told = told.chain(done.filter(|task| routes.iter().any(|route| is_for(task, route))));
    let actions: BTreeSet<&str> = told.map(|task| task.action.as_str()).collect();
    actions.into_iter().map(str::to_owned).collect()
}
