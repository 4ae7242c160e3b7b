//! The end of each step: what is asked of every history, whatever came; then the history within its bounds, and the decision last.

use super::deadlines::{forgotten, ladder, overdue};
use super::decisions::{closed, refusal, services};
use super::draft::Draft;
use super::held_back::{not_passed_on, suspect};
use super::{Step, death, whom_to_ring};
use crate::engine::context::StepError;
use crate::engine::history::folding::{Folded, fold, note_when};
use crate::engine::history::keeping::Keeping;
use crate::engine::ids::derived;
use crate::engine::model::decision::Disposition;

impl Draft<'_> {
    /// Closes the step: the history within its bounds, the decision last.
    pub fn finish(mut self) -> Result<Step, StepError> {
        not_passed_on::hold_back(&mut self, None)?;
        suspect::warn_of_earlier_senders(&mut self)?;
        self.say_what_is_held_back(None)?;
        death::take_up_if_ended(&mut self)?;
        closed::ask_if_missing_after_all(&mut self)?;
        services::warn_once_social_care_acts(&mut self)?;
        services::warn_who_waits_again(&mut self)?;
        services::let_go_on(&mut self)?;
        refusal::tell_what_was_kept(&mut self)?;
        overdue::take_up_undone(&mut self);
        ladder::arm(&mut self.history, &self.book.rules, self.at);
        // What is new is not too old to be kept.
        self.history.updated_at = self.history.updated_at.max(self.at);
        let keeping = Keeping::by(&self.book.rules);
        let folded = fold(&mut self.history, self.at, &keeping);
        self.note_folded(&folded);
        if !folded.owes_nothing() {
            forgotten::tell(&mut self, &folded)?;
            ladder::arm(&mut self.history, &self.book.rules, self.at);
            note_when(&mut self.history, &keeping);
        }
        whom_to_ring::settle(&mut self);
        let raised = &self.decision.tasks;
        self.decision.task_changes = forgotten::task_changes(&self.before, &self.history, raised, &folded, self.at);
        self.decision.case_level = self.history.case_level;
        let disposition = disposition_symbol(self.decision.disposition);
        self.decision.decision_id = derived(&["decision", &self.decision.decision_id, disposition]);
        Ok(self.into_step())
    }

    /// Says what is remembered in numbers alone from now on.
    fn note_folded(&mut self, folded: &Folded) {
        let notes = &mut self.decision.notes;
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                notes.push(format!("{count} {what}."));
            }
        };
        note(folded.entries, "older entries were folded into counts");
        note(
            folded.counted,
            "of them lie within a window that rules count in: what they count from now on may be short",
        );
        note(folded.statuses, "older words on statuses, between the first and the latest, are remembered no longer");
    }
}

/// The disposition as it stands in the id of a decision.
fn disposition_symbol(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Judged => "judged",
        Disposition::Retransmission => "retransmission",
        Disposition::Duplicate => "duplicate",
        Disposition::Forwarded => "forwarded",
        Disposition::Backfilled => "backfilled",
        Disposition::AwaitingOriginal => "awaiting_original",
        Disposition::Refused => "refused",
        Disposition::Unknown => "unknown",
    }
}
