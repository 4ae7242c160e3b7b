//! What stands of a child when a task is raised: plans and flags, who holds the case, and what was counted.

use super::{Asked, Raising, Why};
use crate::engine::facts::holds as status_holds;
use crate::engine::history::allocated_worker;

/// What is so of the child, as far as is recorded, and is shown to whoever may see it.
const STANDING: [&str; 9] =
    ["cin", "cpp", "lac", "ce_flag", "open_plan", "cpp_ever", "out_of_area", "placed_by_other", "missing_open"];

impl<'b> Raising<'b> {
    /// The plans and flags that are open now, who holds the case, and what was counted: by the facts' names.
    pub(super) fn standing(&self, asked: &Asked<'b>) -> Vec<(String, String)> {
        let (rules, open) = (&self.book.rules, |said: bool| said.then(|| "true".to_owned()));
        let authority = rules.authority.as_deref();
        let held = STANDING.iter().filter_map(|name| {
            let holds = open(status_holds(self.history, &asked.entry, name, self.at, authority))?;
            Some((format!("status.{name}"), holds))
        });
        let mut standing: Vec<(String, String)> = held.collect();
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
}
