//! The rule book as the engine uses it: rules, history counts, agencies, bases and ladders, all checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil;

use super::catalogue::REFERRER;
use super::expression::{Condition, Truth};
use super::facts::{FactId, FactTable, Facts};
use super::fault::Span;
use super::names::FieldNames;
use super::template::Template;
use crate::engine::calendar::Clock;
use crate::engine::model::history::HeldTask;
use crate::engine::model::scalar::{FactValue, Level};

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// `R13`, `R08-low`.
    pub id: String,
    pub title: String,
    /// What the rule says, in plain words.
    pub sentence: String,
    /// Where it comes from.
    pub source: String,
    pub on: BTreeSet<&'static str>,
    /// None: always.
    pub when: Option<Condition>,
    /// The level it proposes; None: it adds none.
    pub level: Option<Level>,
    pub bases: Vec<String>,
    pub why: Template,
    pub tasks: Vec<TaskRule>,
    /// Added to the sender's feedback.
    pub tell_referrer: Option<String>,
    /// Judged when this has passed, not on arrival.
    pub timer: Option<TimerRule>,
    /// Of `catalogue::FLAGS`.
    pub flags: BTreeSet<&'static str>,
    /// Every fact read by `when`, the tasks' conditions and `why`.
    pub reads: Vec<FactId>,
    /// Judged after every earlier stratum.
    pub stratum: usize,
    pub place: Place,
}

/// Where something stands in the files of the book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Relative to the book's folder.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub span: Span,
}

/// When a timer rule is judged: when a tick passes `from` and `after`.
#[derive(Clone, PartialEq, Debug)]
pub struct TimerRule {
    pub after: Clock,
    /// Of `catalogue::ANCHORS`.
    pub from: &'static str,
}

/// What a rule asks of some recipients.
#[derive(Clone, PartialEq, Debug)]
pub struct TaskRule {
    pub to: Vec<Recipient>,
    pub action: String,
    pub by: Clock,
    /// Of `catalogue::ANCHORS`; receipt where the event has none.
    pub from: &'static str,
    pub acknowledge: Option<Clock>,
    /// It must be done by its clock, not answered alone: else who is above its recipient is told.
    pub completed_by_due: bool,
    /// Kinds of event that say so, too, without an answer to the task.
    pub settled_by: BTreeSet<&'static str>,
    /// What a named person may record that says so.
    pub settled_by_decisions: BTreeSet<&'static str>,
    /// That a case is closed does not end it: the duty is not the case's.
    pub outlives_closing: bool,
    /// The service needs the family's agreement.
    pub needs_agreement: bool,
    /// The task's own, else the rule's.
    pub bases: Vec<String>,
    /// Only the agency's minimum fields.
    pub minimum: bool,
    /// To be read in the daily digest: it asks for nothing, and its recipient is not thereby given a task.
    pub digest: bool,
    /// A further condition, for this task alone.
    pub when: Option<Condition>,
}

impl TaskRule {
    /// Whether a rule that fired asks this task.
    pub fn applies(&self, table: &FactTable) -> Truth {
        self.when.as_ref().map_or(Truth::True, |condition| condition.truth(table))
    }

    /// Whether somebody holds this, for themselves or in the place of whom it was meant for.
    pub fn is_asked_of(&self, task: &HeldTask) -> bool {
        let is_meant = |to: &Recipient| to.agency == task.agency || task.in_place_of.as_ref() == Some(&to.agency);
        self.action == task.action && (self.to.iter().any(is_meant) || self.to_is_referrer())
    }

    pub fn to_is_referrer(&self) -> bool {
        self.to.iter().any(|to| to.agency == REFERRER)
    }
}

/// An agency, or a role within it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Recipient {
    pub agency: String,
    pub role: Option<String>,
}

/// A count over a subject's history, read as `history.<name>`.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregate {
    pub name: String,
    pub fact: FactId,
    pub kinds: BTreeSet<&'static str>,
    pub condition: Option<EntryCondition>,
    pub window: Window,
    /// Entries of one missing episode count once.
    pub once_per_episode: bool,
    /// Bounds on the entry's level, both included; an entry without a level is outside any bound, save of these kinds.
    pub min_level: Option<Level>,
    pub max_level: Option<Level>,
    pub without_level: BTreeSet<&'static str>,
    /// Whether the event being judged counts.
    pub includes_judged: bool,
}

/// A condition over one entry's own coded facts.
#[derive(Clone, PartialEq, Debug)]
pub struct EntryCondition {
    pub condition: Condition,
    /// For each fact read: its name within an entry, and its definition.
    pub(super) fields: Vec<(FactId, String, super::facts::Fact)>,
}

impl Aggregate {
    /// Whether the level bounds depend on the judgement itself, so that it can only be read in a later stratum.
    pub fn reads_level(&self) -> bool {
        self.includes_judged && self.has_level_bounds()
    }

    fn has_level_bounds(&self) -> bool {
        self.min_level.is_some() || self.max_level.is_some()
    }

    /// Whether an entry of one of its kinds with these facts (names without `event.`) counts; what is unknown counts.
    pub fn counts(&self, facts: &BTreeMap<String, FactValue>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.truth(facts) != Truth::False)
    }

    /// Whether an entry's level lies within the bounds.
    pub fn level_within(&self, kind: &str, level: Option<Level>) -> bool {
        match level {
            Some(level) => {
                self.min_level.is_none_or(|lowest| level >= lowest)
                    && self.max_level.is_none_or(|highest| level <= highest)
            }
            None => !self.has_level_bounds() || self.without_level.contains(kind),
        }
    }
}

impl EntryCondition {
    pub fn truth(&self, facts: &BTreeMap<String, FactValue>) -> Truth {
        self.condition.expr.truth(&|id| self.slot(id, facts))
    }

    /// The encoded value of a fact it reads, as an entry with these facts has it; None: missing.
    pub fn slot(&self, id: FactId, facts: &BTreeMap<String, FactValue>) -> Option<i64> {
        let (_, field, fact) = self.fields.iter().find(|(of, _, _)| *of == id)?;
        let value = facts.get(field).or_else(|| fact.absent.as_ref().map(|absent| &absent.value))?;
        fact.encode(value)
    }
}

/// How far back a count reaches: both ends included, by London dates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    Days(i64),
    Months(i64),
    /// All kept entries, and the folded counts of the kinds.
    Ever,
}

impl Window {
    /// How many days before `judged` the window starts; None: at the beginning.
    pub fn days_before(self, judged: civil::Date) -> Option<i64> {
        match self {
            Window::Days(days) => Some(days),
            Window::Months(months) => {
                let span = jiff::Span::new().try_months(months).ok()?;
                let start = judged.checked_sub(span).ok()?;
                start.until(judged).ok().map(|span| i64::from(span.get_days()))
            }
            Window::Ever => None,
        }
    }

    /// The most days the window can span; None: without end.
    pub fn days_at_most(self) -> Option<i64> {
        match self {
            Window::Days(days) => Some(days),
            Window::Months(months) => {
                let years = months.div_euclid(12);
                let leap_days = years.saturating_add(3).div_euclid(4);
                let rest = months.rem_euclid(12).saturating_mul(31);
                Some(years.saturating_mul(365).saturating_add(leap_days).saturating_add(rest))
            }
            Window::Ever => None,
        }
    }
}

/// An agency that tasks may go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agency {
    pub name: String,
    pub title: String,
    pub units: UnitKind,
    /// For an agency of one unit: how it is addressed, if it is.
    pub unit: Option<String>,
    /// Addressed instead outside working hours.
    pub out_of_hours_unit: Option<String>,
    /// Localities that have a unit; None: all have.
    pub localities: Option<BTreeSet<String>>,
    /// Who is told when the unit is not known; None: the front door.
    pub otherwise: Option<String>,
    pub roles: BTreeSet<String>,
    /// For an agency of one unit: who takes what cannot wait while someone of it is accused; None: nobody.
    pub senior: Option<String>,
    /// What may be seen: task fields, `child.<field>`, facts, and groups (`event.*`).
    pub sees: FieldNames,
    /// The groups among them, without their `.*`: asked for every field of every task.
    pub seen_groups: BTreeSet<String>,
    /// What is seen of a task marked `minimum`.
    pub minimum: FieldNames,
    pub confidential_addresses: bool,
    /// Serves children alone: from the eighteenth birthday it is given no task.
    pub children_only: bool,
}

impl Agency {
    /// Whether this agency may see a field (`child.upn`, `narrative`) or fact (`event.grade`).
    pub fn may_see(&self, field: &str) -> bool {
        let in_group = || field.split_once('.').is_some_and(|(group, _)| self.seen_groups.contains(group));
        self.sees.contains(field) || in_group()
    }
}

/// Whether an agency is one, or many that must not see one another's tasks, and by what a child's unit is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnitKind {
    One,
    /// By the child's school URN.
    School,
    /// By the practice's ODS code.
    Practice,
    /// By the child's home locality.
    Locality,
    /// By the authority that placed a looked-after child.
    Authority,
}

/// Why something may be shared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basis {
    pub letter: String,
    pub title: String,
    /// Shared with every task that names it.
    pub statement: Arc<str>,
    /// Received before this London date, `until_then` stands in.
    pub in_force_from: Option<civil::Date>,
    pub until_then: Option<String>,
}

/// How silence escalates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ladder {
    pub name: String,
    pub title: String,
    /// Levels of the tasks it is for; None: those no other ladder names, and tasks without a level.
    pub levels: Option<BTreeSet<Level>>,
    pub bases: Vec<String>,
    pub steps: Vec<LadderStep>,
    /// Who is told when a task that must be completed by its deadline is not; `after` is the deadline itself.
    pub overdue: Vec<LadderStep>,
}

/// One rung: when the clock has passed unanswered, who is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LadderStep {
    pub after: Clock,
    /// None: the task's own agency.
    pub to: Option<String>,
    pub role: Option<String>,
    pub action: String,
}

/// What a `why` may not tell: whether a reader with `sees` may be given it.
pub fn may_see_all(agency: &Agency, facts: &Facts, template: &Template) -> bool {
    template.reads().all(|fact| agency.may_see(facts.name(fact)))
}
