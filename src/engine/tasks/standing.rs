//! What stands of a child when a task is raised: plans and flags, who holds the case, and what was counted.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Asked, Raising, Why};
use crate::engine::disclose::{FieldInWords, in_words};
use crate::engine::facts::holds as status_holds;
use crate::engine::history::allocated_worker;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;

/// What is so of the child, as far as is recorded, and is shown to whoever may see it.
const STANDING: [&str; 9] =
    ["cin", "cpp", "lac", "ce_flag", "open_plan", "cpp_ever", "out_of_area", "placed_by_other", "missing_open"];

/// What is told of one entry, and the plans and flags that are open as it is looked at: the tasks that come of it share them.
#[derive(Default)]
pub(super) struct Standing {
    of: Option<Arc<Entry>>,
    of_event: Vec<FieldInWords>,
    open: Vec<FieldInWords>,
}

impl Standing {
    pub(super) fn of_event(&self) -> &[FieldInWords] {
        &self.of_event
    }

    /// By the facts' names.
    pub(super) fn open(&self) -> &[FieldInWords] {
        &self.open
    }
}

impl<'b> Raising<'b> {
    /// Who holds the case, and what was counted: by the facts' names.
    pub(super) fn case_in_words(&self, asked: &Asked<'b>) -> Vec<FieldInWords> {
        let rules = &self.book.rules;
        let mut standing: Vec<FieldInWords> = Vec::new();
        if let Some(worker) = allocated_worker(self.history, self.at) {
            standing.push((Cow::Borrowed("status.allocated_worker"), worker.to_owned()));
        }
        if let Some(placed_by) = self.placed_by() {
            standing.push((Cow::Borrowed("status.placing_authority"), placed_by));
        }
        let verdicts = asked.reasons.iter().filter_map(|(_, _, why)| match why {
            Some(Why::FromFacts { verdict, .. }) => Some(verdict),
            Some(Why::Plain(_) | Why::Numbers { .. }) | None => None,
        });
        if let Some(verdict) = verdicts.into_iter().next() {
            let counted = rules.aggregates.iter().filter_map(|count| {
                let many = verdict.table.slot(count.fact).filter(|many| *many > 0)?;
                Some((Cow::Owned(rules.facts.name(count.fact).to_owned()), many.to_string()))
            });
            standing.extend(counted);
        }
        standing
    }

    /// What is told of an entry, and the plans and flags that are open now.
    pub(super) fn known_of<'k>(
        &self,
        entry: &Arc<Entry>,
        referral: &Referral,
        known: &'k mut Standing,
    ) -> &'k Standing {
        if !known.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, entry)) {
            let authority = self.book.rules.authority.as_deref();
            let holds = |name: &&&str| status_holds(self.history, entry, name, self.at, authority);
            let open =
                STANDING.iter().filter(holds).map(|name| (Cow::Owned(format!("status.{name}")), "true".to_owned()));
            *known = Standing {
                of: Some(Arc::clone(entry)),
                of_event: in_words(entry, &referral.event),
                open: open.collect(),
            };
        }
        known
    }
}
