//! What stands of a child when a task is raised: plans and flags, who holds the case, and what was counted.

use std::sync::Arc;

use super::{Asked, Raising, Why};
use crate::engine::facts::holds as status_holds;
use crate::engine::history::allocated_worker;
use crate::engine::model::history::Entry;

/// What is so of the child, as far as is recorded, and is shown to whoever may see it.
const STANDING: [&str; 9] =
    ["cin", "cpp", "lac", "ce_flag", "open_plan", "cpp_ever", "out_of_area", "placed_by_other", "missing_open"];

/// The plans and flags that are open as one entry is looked at: the tasks that come of it share them.
#[derive(Default)]
pub(super) struct Standing {
    of: Option<Arc<Entry>>,
    open: Vec<(String, String)>,
}

impl<'b> Raising<'b> {
    /// The plans and flags that are open now, who holds the case, and what was counted: by the facts' names.
    pub(super) fn standing(&self, asked: &Asked<'b>, known: &mut Standing) -> Vec<(String, String)> {
        let rules = &self.book.rules;
        let mut standing = self.open(&asked.entry, known).to_vec();
        if let Some(worker) = allocated_worker(self.history, self.at) {
            standing.push(("status.allocated_worker".to_owned(), worker.to_owned()));
        }
        if let Some(placed_by) = self.placed_by() {
            standing.push(("status.placing_authority".to_owned(), placed_by));
        }
        let verdicts = asked.reasons.iter().filter_map(|(_, _, why)| match why {
            Some(Why::FromFacts { verdict, .. }) => Some(verdict),
            Some(Why::Plain(_) | Why::Numbers { .. }) | None => None,
        });
        if let Some(verdict) = verdicts.into_iter().next() {
            let counted = rules.aggregates.iter().filter_map(|count| {
                let many = verdict.table.slot(count.fact).filter(|many| *many > 0)?;
                Some((rules.facts.name(count.fact).to_owned(), many.to_string()))
            });
            standing.extend(counted);
        }
        standing
    }

    /// The plans and flags that are open now.
    fn open<'k>(&self, entry: &Arc<Entry>, known: &'k mut Standing) -> &'k [(String, String)] {
        if !known.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, entry)) {
            let authority = self.book.rules.authority.as_deref();
            let holds = |name: &&&str| status_holds(self.history, entry, name, self.at, authority);
            let open = STANDING.iter().filter(holds).map(|name| (format!("status.{name}"), "true".to_owned()));
            *known = Standing { of: Some(Arc::clone(entry)), open: open.collect() };
        }
        &known.open
    }
}
