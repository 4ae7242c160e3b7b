//! A person says what becomes of a held-back route: what it kept from going out, and is still called for, goes out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::shut_again::confirms;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::entry::{SUSPECT, UNKNOWN_SUSPECT, is_marker, suspects_sender};
use crate::engine::history::{held_back_of, routes};
use crate::engine::identity::Keys;
use crate::engine::model::codes::{HeldBackFor, HumanDecision};
use crate::engine::model::detail::{DecisionRecorded, Detail};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::history::{Entry, HeldBack, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::rules::RuleBook;
use crate::engine::step::decisions::unapplied::{Unapplied, is_known};
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::step::findings::{as_it_stands, findings_of};
use crate::engine::tasks::{Finding, HELD_BACK_RULE, Raised};

const OWN_ROUTE_TITLE: &str = "A suspect's own agency lifts its route";
const OWN_ROUTE_ACTION: &str = "Confirm or lift the route of the accused one's own agency, in its place";

/// Most events looked at again, the latest first: far more than are open for a child at once.
const LOOKED_AT_MAX: usize = 64;

/// `before`: the history as it was when the route was still shut.
pub fn send_what_was_held_back(draft: &mut Draft<'_>, referral: &Referral, before: &History) -> Result<(), StepError> {
    let opened = opened_since(draft, before);
    if !opened.is_empty() && !send(draft, Some(referral), &referral.event.event_id, &opened)? {
        draft.decision.notes.push("Nothing that was held back is still called for.".to_owned());
    }
    Ok(())
}

/// A wish not to inform ended with the event that said so: what it alone kept from going out for other events goes out, and
/// names no child, for whoever withdraws may have spoken of the wrong one.
pub fn wish_ended(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let opened = opened_since(draft, before);
    if opened.is_empty() { Ok(()) } else { send(draft, None, cause, &opened).map(drop) }
}

/// Why a decision about routes opens and shuts none: nothing was held back that it speaks of. `before`: as it was then.
pub fn of_no_route(keys: &Keys, rules: &RuleBook, before: &History, recorded: &DecisionRecorded) -> Option<Unapplied> {
    let held_back = held_back_of(before);
    let is_asked_where = held_back.iter().any(|route| route.cause == UNKNOWN_SUSPECT);
    let opens_none = || opened_by(keys, rules, before, recorded).is_disjoint(&held_back);
    let never_said = |marker: &str| {
        let said = held_back.iter().any(|route| route.agency == marker);
        is_marker(marker) && !said && routes::lifted_of(before, marker, None).is_empty()
    };
    let problem = match (recorded.decision, &recorded.agency) {
        (Some(HumanDecision::RouteLifted), Some(_)) if opens_none() => {
            "no route of that agency is held back for the child as they are named here: \
             name the agency whose route it is, and the child by the reply_to of the task that asked"
        }
        (Some(HumanDecision::RouteLifted), None) if !is_asked_where => {
            "name in agency whose route is lifted: without one it says that a suspect works for none of ours, \
             and of the child as they are named here that is not asked"
        }
        (Some(HumanDecision::RouteConfirmed), None) if is_asked_where => {
            "name in agency, and unit, where the suspect works: until then nothing goes to those who work with children"
        }
        (Some(HumanDecision::RouteConfirmed), None) => "name in agency, and unit, whose route stays held back",
        (Some(HumanDecision::RouteConfirmed), Some(marker)) if never_said(marker) => {
            "nothing of that kind was said of the child as they are named here: \
             name the child by the reply_to of the task that asked"
        }
        (_, _) => return None,
    };
    // What stays held back, though somebody believes that it was sent.
    let relied_on = !held_back.is_empty() || !is_known(before);
    Some(if relied_on { Unapplied::and_asked(problem) } else { Unapplied::because(problem) })
}

fn opened_since(draft: &Draft<'_>, before: &History) -> BTreeSet<HeldBack> {
    let still_shut = held_back_of(&draft.history);
    held_back_of(before).difference(&still_shut).cloned().collect()
}

/// False: nothing is still called for.
fn send(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    opened: &BTreeSet<HeldBack>,
) -> Result<bool, StepError> {
    let mut findings = Vec::new();
    let called_for = draft.history.entries.iter().rev().filter(|entry| is_open(&draft.history, entry));
    for entry in called_for.take(LOOKED_AT_MAX) {
        findings.extend(fired_for(draft, entry));
    }
    let raised = draft.raising(referral, cause).raise_lifted(&findings, opened)?;
    let any = !raised.tasks.is_empty();
    // Who decides about one route reads of the others there.
    draft.take(Raised { ring: None, ..raised });
    Ok(any)
}

/// The routes that a decision to lift one opens: those of the reason that it names. One that names none opens nothing where a wish
/// and a suspect both hold back, for whoever was asked about the one may not know of the other.
pub fn opened_by(keys: &Keys, rules: &RuleBook, history: &History, recorded: &DecisionRecorded) -> BTreeSet<HeldBack> {
    let mut meant = meant_by(keys, rules, history, recorded);
    // Whoever names one unit may answer a question about a wish that holds back every unit.
    let of_agency = DecisionRecorded { unit: None, ..recorded.clone() };
    let of_agency = meant_by(keys, rules, history, &of_agency).into_iter().filter(|route| route.unit.is_none());
    let holding: BTreeSet<HeldBack> = meant.iter().cloned().chain(of_agency).collect();
    let suspects = || holding.iter().filter(|route| route.is_of_suspect()).count();
    match recorded.held_back_for {
        Some(HeldBackFor::Wish) => meant.retain(HeldBack::is_wish),
        Some(HeldBackFor::Suspect) => meant.retain(HeldBack::is_of_suspect),
        None if suspects() == 0 || suspects() == holding.len() => {}
        None | Some(HeldBackFor::Unknown) => meant.clear(),
    }
    meant
}

/// The held-back routes of the agency, and unit, that a decision names, for whatever reason.
fn meant_by(keys: &Keys, rules: &RuleBook, history: &History, recorded: &DecisionRecorded) -> BTreeSet<HeldBack> {
    if let Some(marker) = recorded.agency.as_deref().filter(|agency| is_marker(agency)) {
        return routes::opened_by(history, marker, None);
    }
    let Some((agency, units)) = named_by(keys, rules, recorded) else { return BTreeSet::new() };
    routes::opened_by(history, &agency, units.as_deref())
}

/// The agency, and units of it, that a decision names; one that is none of the book by the name it has as a sender, as that is kept.
pub fn named_by(keys: &Keys, rules: &RuleBook, recorded: &DecisionRecorded) -> Option<(String, Option<Vec<String>>)> {
    let written = recorded.agency.as_deref()?;
    if let Some(agency) = rules.agency_meant(written) {
        let units = recorded.unit.as_ref().map(|unit| rules.directory.units_meant(agency, unit));
        return Some((agency.name.clone(), units));
    }
    let (agency, unit) = suspects_sender(keys, written, recorded.unit.as_deref())?;
    Some((agency, recorded.unit.as_ref().map(|_| unit.into_iter().collect())))
}

/// Why a decision about a held-back route is not applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Of one who stands in for the front door, about a child of whom they were asked nothing.
    NotTheirs,
    /// Of the accused one's own agency.
    OwnRoute,
    NoSuchAgency,
    /// What it names is not what is held back.
    NoSuchUnit,
    /// A wish and a suspect both hold the route back, and it does not say which is meant.
    TwoReasons,
    /// To be held back, and there is no such unit.
    NobodysUnit,
}

impl Problem {
    fn words(self) -> &'static str {
        match self {
            Self::NotTheirs => "only the front door decides about a held-back route of this child",
            Self::OwnRoute => {
                "the route is a suspect's own, and their agency does not lift it: another is asked in its place"
            }
            Self::NoSuchAgency => "it names no agency of the rule book",
            Self::NoSuchUnit => {
                "no route of that unit alone is held back; what is held back of every unit is lifted by naming the agency alone"
            }
            Self::TwoReasons => {
                "a wish and a suspect both hold that route back: say in held_back_for which is meant (wish, or suspect), and record a \
                 decision for each that is lifted; until then nothing is opened"
            }
            Self::NobodysUnit => {
                "no unit of that agency is known by what unit says: name one of the directory, or leave it out for all of them"
            }
        }
    }
}

pub fn problem(draft: &Draft<'_>, event: &ReferralEvent) -> Option<Problem> {
    let Detail::DecisionRecorded(recorded) = &event.detail else { return None };
    if is_not_theirs(draft, event) {
        return Some(Problem::NotTheirs);
    }
    let of_routes = [HumanDecision::RouteLifted, HumanDecision::RouteConfirmed];
    let decided = recorded.decision.filter(|decided| of_routes.contains(decided))?;
    let (keys, rules) = (&draft.context.keys, &draft.book.rules);
    let agency = recorded.agency.as_ref()?;
    if is_marker(agency) {
        return None;
    }
    let Some(meant) = rules.agency_meant(agency) else {
        let (held, lifted) =
            (meant_by(keys, rules, &draft.history, recorded), confirms(keys, rules, &draft.history, recorded));
        return (held.is_empty() && lifted.is_empty()).then_some(Problem::NoSuchAgency);
    };
    if decided != HumanDecision::RouteLifted {
        let is_nobodys = |unit: &String| rules.directory.units_meant(meant, unit).is_empty();
        return recorded.unit.as_ref().is_some_and(is_nobodys).then_some(Problem::NobodysUnit);
    }
    let own = |route: &HeldBack| route.cause == SUSPECT && event.source.agency.as_ref() == Some(&route.agency);
    let routes = meant_by(keys, rules, &draft.history, recorded);
    if recorded.held_back_for != Some(HeldBackFor::Wish) && routes.iter().any(own) {
        return Some(Problem::OwnRoute);
    }
    if recorded.held_back_for.is_none()
        && !routes.is_empty()
        && opened_by(keys, rules, &draft.history, recorded).is_empty()
    {
        return Some(Problem::TwoReasons);
    }
    (recorded.unit.is_some() && routes.is_empty()).then_some(Problem::NoSuchUnit)
}

/// A decision of one who stands in for the front door, about a child of whom they were asked nothing.
fn is_not_theirs(draft: &Draft<'_>, event: &ReferralEvent) -> bool {
    let Some(agency) = event.source.agency.as_ref() else { return false };
    let mut held = draft.history.tasks.iter();
    let was_asked = held.any(|task| task.agency == *agency && task.rules.iter().any(|rule| rule == HELD_BACK_RULE));
    *agency != draft.book.rules.front_door && !was_asked
}

/// The sender is told why. What the accused one's own agency wanted to lift is put to whoever is asked in its place.
pub fn refuse(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry, problem: Problem) -> Result<(), StepError> {
    let event = &referral.event;
    let words = problem.words();
    let arriving = Arc::new(arriving);
    if problem == Problem::OwnRoute {
        let raising = draft.raising(Some(referral), &event.event_id);
        let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
        let why = "The accused one's own agency recorded that its route is lifted. It stays held back: that is not its to decide."
            .to_owned();
        let wanted = raising.own_duty(HELD_BACK_RULE, OWN_ROUTE_TITLE, why, OWN_ROUTE_ACTION, due, &arriving);
        draft.raise(Some(referral), &event.event_id, &[], vec![wanted])?;
    }
    let unapplied = match problem {
        // Whoever is asked in place of the front door has been, just now, or was asked nothing.
        Problem::OwnRoute | Problem::NotTheirs => Unapplied::because(words),
        Problem::NoSuchAgency | Problem::NoSuchUnit | Problem::TwoReasons | Problem::NobodysUnit => {
            Unapplied::and_asked(words)
        }
    };
    unapplied.tell(draft, event, Some(referral), &arriving)
}

/// Nothing is asked for what was withdrawn, was history from the first, or a person closed the case on.
pub fn is_open(history: &History, entry: &Entry) -> bool {
    let closed = history.last_decision.as_ref().filter(|decision| decision.closed);
    let closed_since = closed.is_some_and(|decision| decision.at >= entry.received_at);
    !entry.withdrawn && !entry.backfilled && !entry.fired.is_empty() && !closed_since
}

/// The rules that fired for an entry and hold as things stand: a child who is back is not looked for.
pub fn fired_for<'a>(draft: &Draft<'a>, entry: &Arc<Entry>) -> Vec<Finding<'a>> {
    let lowered = lowered_to(&draft.history, entry);
    let arrival = judge(draft.book, &draft.history, entry, as_it_stands(draft, entry), Moment::Arrival).map(Arc::new);
    let mut findings: Vec<Finding<'a>> = arrival.iter().flat_map(|verdict| findings_of(entry, verdict, &[])).collect();
    for id in &entry.fired {
        if draft.book.rules.rule(id).is_some_and(|rule| rule.timer.is_some()) {
            let now = AsOf::instant(draft.at);
            let verdict = judge(draft.book, &draft.history, entry, now, Moment::Timer(id)).map(Arc::new);
            let due = verdict.iter().flat_map(|verdict| findings_of(entry, verdict, &[]));
            findings.extend(due.filter(|finding| finding.rule.id == *id));
        }
    }
    findings.retain(|finding| {
        let above = lowered.is_some_and(|level| finding.rule.level > Some(level));
        entry.fired.contains(&finding.rule.id) && !above
    });
    findings
}

/// The level that a person gave the case since this entry, if they gave one.
fn lowered_to(history: &History, entry: &Entry) -> Option<Level> {
    let decision = history.last_decision.as_ref().filter(|decision| decision.at >= entry.received_at)?;
    decision.level
}
