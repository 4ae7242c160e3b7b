//! A lift of a held-back route is taken back: from now on the route is shut, and whoever was told while it was open is recalled.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::lifted::{fired_for, named_by};
use super::not_passed_on::leave_place;
use crate::engine::context::StepError;
use crate::engine::history::decisions::DECISION;
use crate::engine::history::entry::{self, A_PERSON, AN_ADDRESS, SUSPECT, SUSPECT_SENDER, UNKNOWN_SUSPECT, is_marker};
use crate::engine::history::routes::{
    is_suspect_told_of, lifted_by, lifted_of, shut_again, suspect_is_known, suspect_is_there_too,
};
use crate::engine::history::{RECALLED, held_back_of, is_open};
use crate::engine::identity::Keys;
use crate::engine::model::codes::{HeldBackFor, HumanDecision};
use crate::engine::model::detail::DecisionRecorded;
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History, Lifted};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::RuleBook;
use crate::engine::step::about;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, within_the_hour_at};
use crate::engine::step::recall::{Recall, breach, end, recalls};
use crate::engine::step::word::{Word, tell_each};
use crate::engine::tasks::route::{Address, is_suppressed};
use crate::engine::tasks::{HELD_BACK_RULE, TOLD_BY_MISTAKE, Wanted, Why};

const TITLE: &str = "A lifted route is held back again";
const ACTION: &str = "See what a held-back agency learned while its route was open, and that the child is safe";
const SHUT_ACTION: &str = "Know that a route is held back again: nothing had gone out by it";
const NOT_PASSED_ON_ACTION: &str = "Know that a route is held back again: what was to be passed on by it, and is not said to have been, is held back, too";
const MARKER_ACTION: &str = "See who was told meanwhile what was to be kept from someone, and tell those who act";
const BREACH_ACTION: &str = "Information breach: an agency was told that should not have been; look into it";
const RUNG_BACK: &str = " Whoever had passed it on to them rings them.";
const COMPLETED: &str = "completed";
const CONFIRMATION_TITLE: &str = "A confirmation of a held-back route no longer stands";
const CONFIRMATION_ACTION: &str =
    "Decide whether the route stays held back: the decision that had confirmed it was taken back";
const STILL_ASKED: &str = "Where the suspect works is still not recorded: until it is, nothing goes to those who work with children \
(route_confirmed with the agency and unit, and held_back_for: suspect).";

const RECALL: Recall =
    Recall { rule: HELD_BACK_RULE, title: TITLE, why: "You were told of this by mistake.", action: TOLD_BY_MISTAKE };

/// Whoever was to find out a unit, or the child, and has passed a task on by the route: nobody else knows to whom.
const RING_BACK: Word = Word {
    rule: HELD_BACK_RULE,
    title: TITLE,
    why: "The route by which you passed it on had been opened by mistake.",
    action: "Ring whom you passed this on to: it was by mistake; they are to stop, and not to use it",
    wants_answer: true,
};

/// What is shut, and what went out meanwhile.
struct Shut {
    routes: BTreeSet<HeldBack>,
    lifted: BTreeSet<Lifted>,
    /// From when on whoever was told should not have been. None: nobody.
    open_since: Option<Timestamp>,
}

/// What a person confirms is held back from now on, also where nothing holds it back so far. That a suspect works there is said by
/// naming that reason, or understood where nothing else holds that agency back; else the question where they work stays open.
pub fn hold(keys: &Keys, rules: &RuleBook, history: &mut History, recorded: &DecisionRecorded, by: &mut Entry) {
    let routes = |cause: &str| {
        let agency = recorded.agency.as_deref().unwrap_or_default();
        entry::routes(rules, agency, recorded.unit.as_deref(), cause)
    };
    let own = routes(SUSPECT);
    if own.is_empty() {
        return;
    }
    let held_back = held_back_of(history);
    let touches = |route: &&HeldBack| own.iter().any(|own| own.covers(route) || route.covers(own));
    let stands = held_back.iter().filter(touches).any(|route| route.cause != UNKNOWN_SUSPECT);
    let is_settled = stands || !confirms(keys, rules, history, recorded).is_empty();
    let of_suspect = match recorded.held_back_for {
        Some(HeldBackFor::Suspect) => true,
        Some(HeldBackFor::Wish | HeldBackFor::Unknown) => false,
        None => !is_settled && is_suspect_told_of(history),
    };
    if !of_suspect {
        // What another confirmation holds back, or had before it was lifted, is held by each: either may be withdrawn.
        let is_own = |route: &HeldBack| route.is_wish() && touches(&route);
        let confirmed = |entry: &Arc<Entry>| {
            entry.kind == DECISION
                && !entry.withdrawn
                && (entry.held_back.iter().any(is_own) || entry.lifted.iter().any(|lifted| is_own(&lifted.route())))
        };
        if !is_settled || history.entries.iter().any(confirmed) {
            by.hold_back(routes("asked"));
        }
        return;
    }
    suspect_is_known(history, &own, by);
    let held_back = held_back_of(history);
    let is_shut = |own: &HeldBack| held_back.iter().any(|route| route.cause == SUSPECT && route.covers(own));
    if !own.iter().all(is_shut) {
        suspect_is_there_too(history, &own, by);
    }
}

/// What taking back a decision to lift shuts again. False: it lifted nothing that is still open.
pub fn lift_withdrawn(draft: &mut Draft<'_>, cause: &str, decision: &Arc<Entry>) -> Result<bool, StepError> {
    let lifted = lifted_by(&draft.history, decision);
    let shut = Shut { routes: routes_of(&lifted), open_since: since(&lifted), lifted };
    shut_and_tell(draft, None, cause, decision, &shut)
}

/// A confirmation is taken back. What it alone had held back is open again by that. What it had shut after a lift, or of a suspect, stays shut until
/// a person lifts it, for the lift is remembered no longer: they are asked. Whether they are.
pub fn confirmation_withdrawn(
    draft: &mut Draft<'_>,
    cause: &str,
    decision: &Arc<Entry>,
    before: &History,
) -> Result<bool, StepError> {
    let held_back = held_back_of(&draft.history);
    if held_back.is_empty() || held_back != held_back_of(before) {
        return Ok(false);
    }
    let why = format!(
        "A decision that had confirmed a held-back route was withdrawn by those who had recorded it. What it had shut stays so until it is \
         lifted (route_lifted), also where it had been lifted before. Held back: {}.",
        in_words(&draft.book.rules, &held_back)
    );
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&within_the_hour_at(draft.history.case_level))?;
    let own = raising.own_duty(HELD_BACK_RULE, CONFIRMATION_TITLE, why, CONFIRMATION_ACTION, due, decision);
    let wanted = Wanted { level: draft.history.case_level, ..own };
    draft.raise(None, cause, &[], vec![wanted]).map(|_| true)
}

fn routes_of(lifted: &BTreeSet<Lifted>) -> BTreeSet<HeldBack> {
    lifted.iter().map(Lifted::route).collect()
}

fn since<'l>(lifted: impl IntoIterator<Item = &'l Lifted>) -> Option<Timestamp> {
    lifted.into_iter().map(|lifted| lifted.at).min()
}

/// A person confirms that a route stays held back: one that was lifted before, or that nothing held back.
pub fn confirmed(
    draft: &mut Draft<'_>,
    referral: &Referral,
    entry: &Arc<Entry>,
    recorded: &DecisionRecorded,
    before: &History,
) -> Result<(), StepError> {
    if recorded.decision != Some(HumanDecision::RouteConfirmed) {
        return Ok(());
    }
    let names_agency = recorded.agency.as_deref().is_some_and(|agency| !is_marker(agency));
    if names_agency && held_back_of(&draft.history).iter().any(|route| route.cause == UNKNOWN_SUSPECT) {
        draft.decision.notes.push(STILL_ASKED.to_owned());
        draft.sender_words.push(STILL_ASKED);
    }
    let lifted = confirms(&draft.context.keys, &draft.book.rules, before, recorded);
    let held_before = held_back_of(before);
    let mut routes = held_back_of(&draft.history);
    routes.retain(|route| !held_before.iter().any(|held| held.covers(route)));
    let open_since = since(&lifted).into_iter().chain(open_since(before, &routes)).min();
    routes.extend(routes_of(&lifted));
    shut_and_tell(draft, Some(referral), &referral.event.event_id, entry, &Shut { routes, lifted, open_since })
        .map(drop)
}

/// From when on those at a suspect's route should not have been told, where that is said only now: since a person had opened what was
/// held back until somebody says where they work, else since the suspect was told of.
fn open_since(before: &History, newly: &BTreeSet<HeldBack>) -> Option<Timestamp> {
    let suspects: Vec<&HeldBack> = newly.iter().filter(|route| route.is_of_suspect()).collect();
    if suspects.is_empty() {
        return None;
    }
    let lifted = before.entries.iter().flat_map(|entry| &entry.lifted);
    let opened = since(lifted.filter(|lifted| suspects.iter().any(|route| lifted.route().covers(route))));
    let is_about = |entry: &&Arc<Entry>| entry.held_back.iter().any(HeldBack::is_of_suspect);
    opened.or_else(|| before.entries.iter().filter(is_about).map(|entry| entry.received_at).min())
}

/// The lifted routes that a decision to confirm one shuts again.
pub fn confirms(keys: &Keys, rules: &RuleBook, history: &History, recorded: &DecisionRecorded) -> BTreeSet<Lifted> {
    if recorded.decision != Some(HumanDecision::RouteConfirmed) {
        return BTreeSet::new();
    }
    if let Some(marker) = recorded.agency.as_deref().filter(|agency| is_marker(agency)) {
        return lifted_of(history, marker, None);
    }
    let Some((agency, units)) = named_by(keys, rules, recorded) else { return BTreeSet::new() };
    lifted_of(history, &agency, units.as_deref())
}

/// False: nothing is shut.
fn shut_and_tell(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    shut: &Shut,
) -> Result<bool, StepError> {
    if shut.routes.is_empty() {
        return Ok(false);
    }
    let (told, stood_in) = told_by(draft, shut);
    let (passed_on, waits): (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) =
        stood_in.into_iter().partition(|task| task.state == COMPLETED);
    let events: Vec<Arc<Entry>> = {
        let all = told.iter().chain(&passed_on);
        let is_told_of = |event: &&Arc<Entry>| all.clone().any(|task| task.is_of(event));
        draft.history.entries.iter().filter(is_told_of).cloned().collect()
    };
    let instead = ask_seniors(draft, referral, cause, (&told, &events), &shut.routes)?;
    let about = events.last().unwrap_or(entry);
    recall(draft, cause, about, (&told, &events), (&passed_on, &shut.routes))?;
    end(draft, &told);
    tell_each(draft, &format!("{cause}\0ring back"), &passed_on, &RING_BACK, &AT_HIGHEST_LEVEL)?;
    // Lifted again, it is to be passed on again.
    leave_place(draft, &passed_on);
    shut_again(&mut draft.history, &shut.lifted);
    let words = in_words(&draft.book.rules, &shut.routes);
    let again = if shut.lifted.is_empty() { "Held back" } else { "Held back again" };
    draft.decision.notes.push(format!("{again} from now on: {words}."));
    let went_out: Vec<&Arc<HeldTask>> = told.iter().chain(&passed_on).collect();
    if went_out.is_empty() && shut.lifted.is_empty() {
        return Ok(true);
    }
    let raising = draft.raising(None, cause);
    let (why, action, clock) = if shut.routes.iter().any(|route| is_marker(&route.agency)) {
        let why = format!("{again}: {words}. Whoever was asked something meanwhile was not told of it.");
        (Why::Plain(why), MARKER_ACTION, &within_the_hour_at(draft.history.case_level))
    } else if went_out.is_empty() && !waits.is_empty() {
        let why = format!("{again}: {words}. What was to be passed on by it is not said to have been.");
        (Why::Plain(why), NOT_PASSED_ON_ACTION, &crate::engine::step::draft::OWN_DUTY)
    } else if went_out.is_empty() {
        let why = format!("{again}: {words}. Nothing had gone out by it.");
        (Why::Plain(why), SHUT_ACTION, &crate::engine::step::draft::OWN_DUTY)
    } else {
        let asked: BTreeSet<String> = went_out.iter().map(|task| format!("\"{}\"", task.action)).collect();
        let asked = asked.into_iter().collect::<Vec<_>>().join("; ");
        let why = format!(
            "{again}: {words}. While it was open this was asked of them: {asked}. They are asked to stop; they may know of the child by \
             now.{}{instead}",
            if passed_on.is_empty() { "" } else { RUNG_BACK }
        );
        let why = if events.is_empty() { Why::Plain(why) } else { about::in_words(&draft.context.keys, &why, &events) };
        (why, ACTION, &within_the_hour_at(draft.history.case_level))
    };
    let due = raising.deadline_from_now(clock)?;
    let own = raising.own_duty(HELD_BACK_RULE, TITLE, why, action, due, about);
    let wanted = Wanted { level: draft.history.case_level.filter(|_| !went_out.is_empty()), ..own };
    draft.raise(None, cause, &[], vec![wanted])?;
    Ok(true)
}

/// Who was told by a route while it was open, of what is theirs and not about routes; and who was to pass it on by the route.
fn told_by(draft: &Draft<'_>, shut: &Shut) -> (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) {
    let Some(open_since) = shut.open_since else { return (Vec::new(), Vec::new()) };
    let front_door = &draft.book.rules.front_door;
    let address = |task: &HeldTask, in_place_of: Option<String>| {
        let (agency, unit) = (task.agency.clone(), task.unit.clone());
        Address { agency, unit, role: None, in_place_of }
    };
    let is_direct = |task: &Arc<HeldTask>| is_suppressed(&address(task, None), front_door, &shut.routes);
    let went_by_it = |task: &&Arc<HeldTask>| {
        let is_word = task.rules.iter().any(|rule| rule == HELD_BACK_RULE) && task.agency != *front_door;
        task.raised_at >= open_since
            && task.state != RECALLED
            && !is_word
            && is_suppressed(&address(task, task.in_place_of.clone()), front_door, &shut.routes)
    };
    draft.history.tasks.iter().filter(went_by_it).cloned().partition(is_direct)
}

/// What cannot wait, and nobody acts in the place of whoever is asked to stop, is asked at once of the senior whom the book names: as
/// if the route had never been opened. In words, for whoever decides.
fn ask_seniors(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    (told, events): (&[Arc<HeldTask>], &[Arc<Entry>]),
    routes: &BTreeSet<HeldBack>,
) -> Result<String, StepError> {
    let findings: Vec<_> = events.iter().flat_map(|event| fired_for(draft, event)).collect();
    let held: Vec<&HeldTask> = told.iter().filter(|task| is_open(&task.state)).map(AsRef::as_ref).collect();
    let raised = draft.raising(referral, cause).before_shut(routes).raise_for_seniors(&findings, routes, &held)?;
    let asked = |task: &crate::engine::model::task::Task| {
        let agency = draft.book.rules.title_of(&task.agency);
        format!("{agency}, {}: \"{}\"", task.role.as_deref().unwrap_or_default(), task.action)
    };
    let words: Vec<String> = raised.tasks.iter().map(asked).collect();
    draft.take(raised);
    Ok(if words.is_empty() {
        String::new()
    } else {
        format!(" What cannot wait was asked instead of {}.", words.join("; "))
    })
}

/// One recall for each who was told, of each event: it follows what they hold of it, and goes by the route by which they were told. The breach
/// names those, too, to whom somebody else passed it on.
fn recall(
    draft: &mut Draft<'_>,
    cause: &str,
    about: &Arc<Entry>,
    (told, events): (&[Arc<HeldTask>], &[Arc<Entry>]),
    (passed_on, routes): (&[Arc<HeldTask>], &BTreeSet<HeldBack>),
) -> Result<(), StepError> {
    let due = draft.raising(None, cause).deadline_from_now(&within_the_hour_at(draft.history.case_level))?;
    let mut recalled = Vec::new();
    for event in events {
        let of_event: Vec<Arc<HeldTask>> = told.iter().filter(|task| task.is_of(event)).cloned().collect();
        recalled.extend(recalls(draft, &RECALL, event, &of_event)?);
    }
    let is_of_none = |task: &&Arc<HeldTask>| !events.iter().any(|event| task.is_of(event));
    let of_none: Vec<Arc<HeldTask>> = told.iter().filter(is_of_none).cloned().collect();
    recalled.extend(recalls(draft, &RECALL, about, &of_none)?);
    recalled.iter_mut().for_each(|recall| recall.due = due.clone());
    let to_them = passed_on.iter().filter_map(|task| {
        let agency = task.in_place_of.clone()?;
        Some(Arc::new(HeldTask { agency, ..HeldTask::clone(task) }))
    });
    let shared: Vec<Arc<HeldTask>> = told.iter().cloned().chain(to_them).collect();
    let breach = breach(draft, HELD_BACK_RULE, about, &shared)?;
    recalled.extend(breach.map(|breach| Wanted { action: BREACH_ACTION.to_owned(), ..breach }));
    let raised = draft.raising(None, cause).before_shut(routes).raise(&[], recalled)?;
    draft.take(raised);
    Ok(())
}

fn in_words(rules: &RuleBook, routes: &BTreeSet<HeldBack>) -> String {
    let of_route = |route: &HeldBack| {
        if route.agency == A_PERSON {
            return "someone whom a sender named".to_owned();
        }
        if route.agency == AN_ADDRESS {
            return "the confidential address".to_owned();
        }
        if route.cause == SUSPECT_SENDER {
            return "what is sent under the name that was given for the suspect's".to_owned();
        }
        let title = rules.title_of(&route.agency);
        let unit = route.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}"));
        format!("{title}{unit}")
    };
    routes.iter().map(of_route).collect::<Vec<_>>().join("; ")
}
