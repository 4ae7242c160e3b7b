//! Asking the family for agreement was said to be unsafe: who acts hears of it before they contact them, and who decides is asked how.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::persons::{acts, who_says};
use super::{Asked, Raising};
use crate::engine::context::StepError;
use crate::engine::history::{agreement, is_open};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::history::HeldTask;

pub const AGREEMENT_RULE: &str = "agreement";
pub const UNSAFE_TITLE: &str = "Asking for agreement was said to be unsafe";
pub const UNSAFE_ACTION: &str =
    "Decide who speaks to the family, and how: asking for their agreement was said to be unsafe";

/// What stands before what a sender wrote.
pub const REASON_GIVEN: &str = " Reason given:";

/// A reason as it was given, made a sentence of its own.
pub fn reason_given(reason: Option<&str>) -> String {
    let Some(reason) = reason.map(str::trim_end).filter(|reason| !reason.is_empty()) else { return String::new() };
    let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{REASON_GIVEN} {reason}{stop}")
}

/// A reason as it was given, to stand where a full stop follows.
pub fn before_stop(reason: &str) -> &str {
    reason.trim_end().trim_end_matches('.')
}

impl<'b> Raising<'b> {
    /// What the recipient must know before they contact the family.
    pub(super) fn unsafe_to_ask(&self, asked: &Asked<'_>) -> Option<String> {
        if !acts(&asked.relation) {
            return None;
        }
        let stands = self.is_unsafe_to_ask();
        if !(stands || asked.needs_agreement && self.was_said_before()) {
            return None;
        }
        let mut said: BTreeSet<String> =
            agreement::unsafe_by(self.history).map(|entry| who_says(&self.context.keys, entry)).collect();
        if let Some(referral) = self.referral.filter(|_| said.is_empty() && self.says_unsafe()) {
            said.insert(format!("{}, {}", referral.event.source.partner, referral.event.source.unit));
        }
        if self.decides(&asked.address.agency) {
            let by = if said.is_empty() {
                "an earlier event".to_owned()
            } else {
                said.into_iter().collect::<Vec<_>>().join("; ")
            };
            let why = reason_given(self.why_unsafe());
            return Some(format!(
                "Asking the family for agreement was said to be unsafe, by {by}.{why} They have not refused: decide who speaks to them, \
                 and tell those who act."
            ));
        }
        let ring = self.whom_to_ring();
        let otherwise = if stands { "" } else { " It was said since that the family agreed." };
        Some(format!(
            "Asking the family for agreement was said to be unsafe: ask {ring} before you contact them.{otherwise}"
        ))
    }

    /// It stands, or the event at hand says so, which may be kept beside another.
    fn is_unsafe_to_ask(&self) -> bool {
        agreement::is_unsafe(self.history, None) || self.says_unsafe()
    }

    fn says_unsafe(&self) -> bool {
        let said = self.referral.and_then(|referral| referral.event.agreement.as_ref());
        said.is_some_and(|said| said.state == Some(AgreementState::UnsafeToAsk))
    }

    /// Agreement was given, by whatever sender, after another said that asking was unsafe.
    fn was_said_before(&self) -> bool {
        agreement::ever_unsafe(self.history).next().is_some()
    }

    /// The reason, where the event at hand gives it: it is kept nowhere.
    fn why_unsafe(&self) -> Option<&str> {
        let said = self.referral?.event.agreement.as_ref()?;
        said.reason.as_deref().filter(|_| said.state == Some(AgreementState::UnsafeToAsk))
    }

    /// Those who act are sent to the front door: so it must hold a task that says why.
    pub(super) fn ask_how_to_ask(&self, open: &mut Vec<Asked<'b>>) -> Result<(), StepError> {
        let stands = self.is_unsafe_to_ask();
        let before = !stands && self.was_said_before();
        let concerned = |task: &&Asked<'_>| acts(&task.relation) && (stands || (before && task.needs_agreement));
        let soonest = open.iter().filter(concerned).min_by_key(|task| task.due.at);
        let Some(soonest) = soonest.filter(|_| self.referral.is_some()) else { return Ok(()) };
        // What else it holds then says so as long as it stands; once agreement is given, nothing but this question does.
        let of_front_door = |task: &Asked<'_>| self.decides(&task.address.agency) && task.relation.wants_answer();
        let since = agreement::settled_at(self.history).filter(|_| before);
        let is_asked = |task: &Arc<HeldTask>| {
            task.action == UNSAFE_ACTION
                && since.map_or_else(|| is_open(&task.state), |settled| task.raised_at >= settled)
        };
        if (stands && open.iter().any(of_front_door)) || self.history.tasks.iter().any(is_asked) {
            return Ok(());
        }
        let due = self.no_later_than(&soonest.due)?;
        let entry = Arc::clone(&soonest.entry);
        let why = if stands {
            "Those who act were told to ask the front door before they contact the family.".to_owned()
        } else {
            let said: BTreeSet<String> =
                agreement::ever_unsafe(self.history).map(|entry| who_says(&self.context.keys, entry)).collect();
            let said = said.into_iter().collect::<Vec<_>>().join("; ");
            format!(
                "The family is said to have agreed to help, and it was said before that asking them was unsafe, by {said}. The service \
                 was told to ask the front door first."
            )
        };
        open.push(self.own_duty(AGREEMENT_RULE, UNSAFE_TITLE, why, UNSAFE_ACTION, due, &entry).into());
        Ok(())
    }
}
