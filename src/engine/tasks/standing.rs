//! What stands of a child when a task is raised: plans and flags, who holds the case, and what was counted.

use std::sync::Arc;

use super::{Asked, Raising, Why};
use crate::engine::decide::Verdict;
use crate::engine::disclose::{FieldInWords, in_words};
use crate::engine::facts::holds as status_holds;
use crate::engine::history::allocated_worker;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;

/// What is so of the child, as far as is recorded, and is shown to whoever may see it: the status, and the fact's name.
const STANDING: [(&str, &str); 9] = [
    ("ce_flag", "status.ce_flag"),
    ("cin", "status.cin"),
    ("cpp", "status.cpp"),
    ("cpp_ever", "status.cpp_ever"),
    ("lac", "status.lac"),
    ("missing_open", "status.missing_open"),
    ("open_plan", "status.open_plan"),
    ("out_of_area", "status.out_of_area"),
    ("placed_by_other", "status.placed_by_other"),
];

/// What is told of one entry, and the plans and flags that are open as it is looked at; and what was counted by one verdict: the tasks
/// that come of them share them.
#[derive(Default)]
pub(super) struct Standing<'b> {
    of: Option<Arc<Entry>>,
    of_event: Vec<FieldInWords>,
    open: Vec<FieldInWords>,
    /// None: nothing is worked out yet.
    by: Option<Option<Arc<Verdict<'b>>>>,
    of_case: Vec<FieldInWords>,
}

impl Standing<'_> {
    pub(super) fn of_event(&self) -> &[FieldInWords] {
        &self.of_event
    }

    /// By the facts' names.
    pub(super) fn open(&self) -> &[FieldInWords] {
        &self.open
    }

    /// Who holds the case, and what was counted: by the facts' names.
    pub(super) fn of_case(&self) -> &[FieldInWords] {
        &self.of_case
    }
}

impl<'b> Raising<'b> {
    fn case_in_words(&self, verdict: Option<&Verdict<'b>>) -> Vec<FieldInWords> {
        let rules = &self.book.rules;
        let mut standing: Vec<FieldInWords> = Vec::new();
        if let Some(worker) = allocated_worker(self.history, self.at) {
            standing.push(("status.allocated_worker".into(), worker.into()));
        }
        if let Some(placed_by) = self.placed_by() {
            standing.push(("status.placing_authority".into(), placed_by.into()));
        }
        if let Some(verdict) = verdict {
            let counted = rules.aggregates.iter().filter_map(|count| {
                let many = verdict.table.slot(count.fact).filter(|many| *many > 0)?;
                Some((rules.facts.name(count.fact).to_owned().into(), many.to_string().into()))
            });
            standing.extend(counted);
        }
        standing.sort_by(|(one, _), (other, _)| one.cmp(other));
        standing
    }

    /// What is told of an entry, the plans and flags that are open now, who holds the case, and what was counted.
    pub(super) fn known_of<'k>(
        &self,
        asked: &Asked<'b>,
        referral: &Referral,
        known: &'k mut Standing<'b>,
    ) -> &'k Standing<'b> {
        let entry = &asked.entry;
        if !known.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, entry)) {
            let authority = self.book.rules.authority.as_deref();
            let holds = |(status, _): &&(&str, &str)| status_holds(self.history, entry, status, self.at, authority);
            known.of = Some(Arc::clone(entry));
            known.of_event = in_words(entry, &referral.event);
            known.open = STANDING.iter().filter(holds).map(|(_, name)| ((*name).into(), "true".into())).collect();
        }
        let mut verdicts = asked.reasons.iter().filter_map(|(_, _, why)| match why {
            Some(Why::FromFacts { verdict, .. }) => Some(verdict),
            Some(Why::Plain(_) | Why::Numbers { .. }) | None => None,
        });
        let verdict = verdicts.next();
        if known.by.as_ref().is_none_or(|by| by.as_ref().map(Arc::as_ptr) != verdict.map(Arc::as_ptr)) {
            known.by = Some(verdict.cloned());
            known.of_case = self.case_in_words(verdict.map(AsRef::as_ref));
        }
        known
    }
}
