//! A person says what becomes of a held-back route: what it kept from going out, and is still called for, goes out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::Draft;
use super::findings::{as_it_stands, findings_of};
use super::suspect::HELD_BACK_RULE;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::held_back_of;
use crate::engine::intake::standing::stands_in;
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, HeldBack, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::tasks::Finding;

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
    draft.take(raised);
    Ok(any)
}

/// A decision of one who stands in for the front door, about a child of whom they were asked nothing.
pub fn is_not_theirs(draft: &Draft<'_>, event: &ReferralEvent) -> bool {
    let Some(agency) = event.source.agency.as_deref().filter(|agency| stands_in(agency)) else { return false };
    let decides = matches!(event.detail, Detail::DecisionRecorded(_)) && agency != draft.book.rules.front_door;
    let mut held = draft.history.tasks.iter();
    let was_asked = held.any(|task| task.agency == agency && task.rules.iter().any(|rule| rule == HELD_BACK_RULE));
    decides && !was_asked
}

pub fn refuse(draft: &mut Draft<'_>, event: &ReferralEvent) {
    let problem = "only the front door decides about a held-back route of this child";
    draft.disposed(Disposition::Refused);
    draft.decision.notes.push(format!("Not applied: {problem}."));
    draft.tell_sender(event, FeedbackStatus::NotApplied, &[&format!("This was not applied: {problem}.")]);
}

/// Nothing is asked for what was withdrawn, was history from the first, or a person closed the case on.
fn is_open(history: &History, entry: &Entry) -> bool {
    let closed = history.last_decision.as_ref().filter(|decision| decision.closed);
    let closed_since = closed.is_some_and(|decision| decision.at >= entry.received_at);
    !entry.withdrawn && !entry.backfilled && !entry.fired.is_empty() && !closed_since
}

/// The rules that fired for an entry and hold as things stand: a child who is back is not looked for.
fn fired_for<'a>(draft: &Draft<'a>, entry: &Arc<Entry>) -> Vec<Finding<'a>> {
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
