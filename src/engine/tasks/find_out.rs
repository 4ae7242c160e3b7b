//! Unknown is never treated as no: a rule that missing facts kept open becomes work to find them out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Deadline, Finding, Raising, Wanted};
use crate::engine::context::StepError;
use crate::engine::decide::Verdict;
use crate::engine::model::decision::RuleUnknown;
use crate::engine::model::history::Entry;
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::book::{Rule, TaskRule};
use crate::engine::rules::expression::Truth;
use crate::engine::rules::facts::{FactId, FactTable};

/// The id under which find-out tasks give their reason.
pub const FIND_OUT_RULE: &str = "find-out";

/// What missing facts kept open.
#[derive(Clone, Debug, Default)]
pub struct Open {
    pub unknown: Vec<RuleUnknown>,
    /// The facts to find out, when knowing them could matter.
    labels: BTreeSet<String>,
    /// The shortest clock left open.
    due: Option<Deadline>,
}

impl<'b> Raising<'b> {
    /// Which rules were left open for an entry, and whether knowing more could add a level, a recipient or a shorter
    /// deadline to what `findings` already give.
    pub fn left_open(
        &self,
        entry: &Arc<Entry>,
        verdict: &Verdict<'b>,
        findings: &[Finding<'b>],
    ) -> Result<Open, StepError> {
        let given = self.given(findings)?;
        let mut open = Open::default();
        for unknown in &verdict.unknown {
            let asked = unknown.rule.tasks.iter().filter(|task| task.applies(&verdict.table) != Truth::False);
            let adds = self.adds(unknown.rule, asked, verdict.level, &given, entry)?;
            let missing = unknown.missing.clone();
            self.note(&mut open, unknown.rule, &missing, adds);
        }
        for rule in &verdict.fired {
            let asked = || rule.tasks.iter().filter(|task| task.applies(&verdict.table) == Truth::Unknown);
            let missing = missing_conditions(asked(), &verdict.table);
            if !missing.is_empty() {
                let adds = self.adds(rule, asked(), Some(Level::L4b), &given, entry)?;
                self.note(&mut open, rule, &missing, adds);
            }
        }
        Ok(open)
    }

    fn note(&self, open: &mut Open, rule: &Rule, missing: &[FactId], adds: Option<Option<Deadline>>) {
        let facts = &self.book.rules.facts;
        open.unknown.push(RuleUnknown {
            rule: rule.id.clone(),
            missing: missing.iter().map(|fact| facts.name(*fact).to_owned()).collect(),
            could_matter: adds.is_some(),
        });
        let Some(due) = adds else { return };
        open.labels.extend(missing.iter().map(|fact| facts.label(*fact).to_owned()));
        if let Some(due) = due {
            let shorter = open.due.as_ref().is_none_or(|present| due.at < present.at);
            if shorter {
                open.due = Some(due);
            }
        }
    }

    /// What recipients are given already: agency and the earliest deadline.
    fn given(&self, findings: &[Finding<'b>]) -> Result<Vec<(String, Timestamp)>, StepError> {
        let mut given = Vec::new();
        for finding in findings {
            for task in &finding.rule.tasks {
                if task.applies(&finding.verdict.table) == Truth::True {
                    let due = self.deadline(task, &finding.entry)?;
                    given.extend(task.to.iter().map(|recipient| (recipient.agency.clone(), due.at)));
                }
            }
        }
        Ok(given)
    }

    /// Some: the rule could add something; with the shortest clock of its tasks that would.
    fn adds<'t>(
        &self,
        rule: &Rule,
        tasks: impl Iterator<Item = &'t TaskRule>,
        level: Option<Level>,
        given: &[(String, Timestamp)],
        entry: &Entry,
    ) -> Result<Option<Option<Deadline>>, StepError> {
        let raises = rule.level > level;
        let mut shortest: Option<Deadline> = None;
        let mut adds = raises;
        for task in tasks {
            let due = self.deadline(task, entry)?;
            let new = task
                .to
                .iter()
                .any(|recipient| !given.iter().any(|(agency, at)| *agency == recipient.agency && *at <= due.at));
            adds |= new;
            if (new || raises) && shortest.as_ref().is_none_or(|present| due.at < present.at) {
                shortest = Some(due);
            }
        }
        Ok(adds.then_some(shortest))
    }

    /// The one task that asks for everything left open; None when nothing that matters was.
    pub fn find_out<'w>(&self, open: &Open, entry: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
        if open.labels.is_empty() {
            return Ok(None);
        }
        let due = match &open.due {
            Some(due) => due.clone(),
            None => self.deadline_from_now(&crate::engine::calendar::Clock::WorkingDays(1))?,
        };
        let labels: Vec<&str> = open.labels.iter().map(String::as_str).collect();
        let source = &entry.source;
        let why = format!(
            "Not said, and it could change what must be done: {}. Correct event {} of {}, {}.",
            labels.join("; "),
            entry.event_id,
            source.partner,
            source.unit
        );
        let title = "Something that matters is not known";
        let action = "Find out what was not said, and record it by a correction";
        Ok(Some(self.own_duty(FIND_OUT_RULE, title, why, action, due, entry)))
    }
}

fn missing_conditions<'t>(tasks: impl Iterator<Item = &'t TaskRule>, table: &FactTable) -> Vec<FactId> {
    let mut missing: BTreeSet<FactId> = BTreeSet::new();
    for condition in tasks.filter_map(|task| task.when.as_ref()) {
        missing.extend(condition.missing(table));
    }
    missing.into_iter().collect()
}
