//! Asking the family for agreement was said to be unsafe: who acts hears of it before they contact them, and who decides is asked how.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::persons::{acts, who_says};
use super::{Asked, Raising, Relation};
use crate::engine::context::StepError;
use crate::engine::history::{agreement, is_open};
use crate::engine::model::codes::AgreementState;

pub const AGREEMENT_RULE: &str = "agreement";
pub const UNSAFE_TITLE: &str = "Asking for agreement was said to be unsafe";
pub const UNSAFE_ACTION: &str =
    "Decide who speaks to the family, and how: asking for their agreement was said to be unsafe";

impl<'b> Raising<'b> {
    /// What the recipient must know before they contact the family.
    pub(super) fn unsafe_to_ask(&self, asked: &Asked<'_>) -> Option<String> {
        if !acts(&asked.relation) {
            return None;
        }
        let stands = agreement::is_unsafe(self.history, None);
        let said: BTreeSet<String> = agreement::unsafe_by(self.history).map(|entry| who_says(entry)).collect();
        if !stands && (!asked.needs_agreement || said.is_empty()) {
            return None;
        }
        if asked.address.agency == self.book.rules.front_door {
            let by = if said.is_empty() {
                "an earlier event".to_owned()
            } else {
                said.into_iter().collect::<Vec<_>>().join("; ")
            };
            let why = self.why_unsafe().map_or(String::new(), |why| format!(" Reason given: {why}"));
            return Some(format!(
                "Asking the family for agreement was said to be unsafe, by {by}.{why} They have not refused: decide who speaks to them, \
                 and tell those who act."
            ));
        }
        let ring = self.context.on_front_door_phone();
        let otherwise = if stands { "" } else { " Another said since that agreement was given." };
        Some(format!(
            "Asking the family for agreement was said to be unsafe: ask the front door{ring} before you contact them.{otherwise}"
        ))
    }

    /// The reason, where the event at hand gives it: it is kept nowhere.
    fn why_unsafe(&self) -> Option<&str> {
        let said = self.referral?.event.agreement.as_ref()?;
        said.reason.as_deref().filter(|_| said.state == Some(AgreementState::UnsafeToAsk))
    }

    /// Those who act are sent to the front door: so it must hold a task that says why.
    pub(super) fn ask_how_to_ask(&self, open: &mut Vec<Asked<'b>>) -> Result<(), StepError> {
        let front_door = &self.book.rules.front_door;
        let acting = open.iter().filter(|task| acts(&task.relation)).min_by_key(|task| task.due.at);
        let Some(soonest) = acting.filter(|_| self.referral.is_some() && agreement::is_unsafe(self.history, None))
        else {
            return Ok(());
        };
        let is_asked = open.iter().any(|task| task.address.agency == *front_door && task.relation != Relation::Digest);
        let mut held = self.history.tasks.iter();
        if is_asked || held.any(|task| task.action == UNSAFE_ACTION && is_open(&task.state)) {
            return Ok(());
        }
        let due = self.no_later_than(&soonest.due)?;
        let entry = Arc::clone(&soonest.entry);
        let why = "Those who act were told to ask the front door before they contact the family.".to_owned();
        open.push(self.own_duty(AGREEMENT_RULE, UNSAFE_TITLE, why, UNSAFE_ACTION, due, &entry).into());
        Ok(())
    }
}
