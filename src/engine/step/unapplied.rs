//! A recorded decision that changes nothing: whoever recorded it is told why, and a person where harm could follow.

use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use crate::engine::context::StepError;
use crate::engine::model::decision::Disposition;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;

const UNAPPLIED_RULE: &str = "decision-not-applied";
const TITLE: &str = "A decision that was not applied";
const ACTION: &str = "Look again at a recorded decision: it changed nothing, and somebody may rely on it";

/// Why a decision changes nothing, and what to do instead.
pub struct Unapplied {
    problem: &'static str,
    /// Somebody may go without what they need: a person is asked, too.
    is_asked: bool,
}

impl Unapplied {
    /// Nobody goes without anything.
    pub fn because(problem: &'static str) -> Self {
        Self { problem, is_asked: false }
    }

    pub fn and_asked(problem: &'static str) -> Self {
        Self { problem, is_asked: true }
    }

    pub fn tell(&self, draft: &mut Draft<'_>, referral: &Referral, entry: &Arc<Entry>) -> Result<(), StepError> {
        let problem = self.problem;
        draft.disposed(Disposition::Refused);
        draft.decision.notes.push(format!("Not applied: {problem}."));
        if self.is_asked {
            let cause = &referral.event.event_id;
            let raising = draft.raising(Some(referral), cause);
            let due = raising.deadline_from_now(&OWN_DUTY)?;
            let why = format!("A decision was recorded of this child and not applied: {problem}.");
            let wanted = raising.own_duty(UNAPPLIED_RULE, TITLE, why, ACTION, due, entry);
            draft.raise(Some(referral), cause, &[], vec![wanted])?;
        }
        let words = format!("This was not applied: {problem}.");
        draft.tell_sender(&referral.event, FeedbackStatus::NotApplied, &[&words]);
        Ok(())
    }
}
