//! The rule book: loaded from TOML, checked with every fault at once, compiled to bitmaps.

pub mod book;
pub mod catalogue;
mod compile;
mod condition;
pub mod directory;
pub mod expression;
pub mod facts;
pub mod fault;
mod hash;
mod load;
pub mod names;
pub mod read;
mod strata;
pub mod supposing;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;

use book::{Agency, Aggregate, Basis, Ladder, Rule};
use compile::Compiled;
use directory::{Directory, as_meant};
use expression::Truth;
use facts::{FactId, FactTable, Facts, KindId};
use fault::{RuleFault, SourceFile};

use crate::engine::calendar::Calendar;
use crate::engine::model::scalar::{Level, Timestamp};

/// A partnership's rules, checked and compiled. Named by `hash`, in force from `effective_from` by receipt.
#[derive(Clone, Debug)]
pub struct RuleBook {
    /// SHA-256 of the content, 64 hex digits: the same whatever the files' order, layout and comments.
    pub hash: String,
    pub name: String,
    pub title: String,
    pub effective_from: Timestamp,
    pub retention_days: i64,
    /// The agency that triages what no rule gives a person.
    pub front_door: String,
    /// The authority whose book this is, as statuses write it; None: every placing authority is another.
    pub authority: Option<String>,
    /// Who is asked, in this order, when the front door is itself the suspect's own agency, and may then say whether its
    /// route is lifted.
    pub stand_ins: Vec<String>,
    /// Agencies that, beside the front door, look into how a child died, and act for the other children.
    pub look_into_deaths: BTreeSet<String>,
    /// The agency that looks into information breaches; None: nobody is told of one.
    pub told_of_breaches: Option<String>,
    /// In the order of ids.
    pub rules: Vec<Rule>,
    pub facts: Facts,
    /// In the order of names.
    pub aggregates: Vec<Aggregate>,
    pub agencies: BTreeMap<String, Agency>,
    /// Agencies by what is written for them: name or title, as `as_meant` has it.
    meant: BTreeMap<String, String>,
    pub bases: BTreeMap<String, Basis>,
    pub ladders: Vec<Ladder>,
    pub calendar: Calendar,
    pub directory: Directory,
    compiled: Compiled,
    /// Those of `rules` that ask for something to be completed by its deadline.
    to_complete: Vec<usize>,
}

/// What the rules of one stratum say of one event.
#[derive(Clone, Default, Debug)]
pub struct Judgement<'b> {
    /// In the order of ids.
    pub fired: Vec<&'b Rule>,
    /// In the order of ids.
    pub unknown: Vec<Unknown<'b>>,
}

/// A rule that missing facts kept from being decided.
#[derive(Clone, Debug)]
pub struct Unknown<'b> {
    pub rule: &'b Rule,
    /// The facts that block it, by id.
    pub missing: Vec<FactId>,
}

/// Reads a rule book, or everything that is wrong with it.
pub fn load(files: &[SourceFile]) -> Result<RuleBook, Vec<RuleFault>> {
    load::load(files)
}

/// The same of files that a person gives: there one that is empty is a fault, too.
///
/// # Errors
/// Every fault of every file.
pub fn load_given(files: &[SourceFile]) -> Result<RuleBook, Vec<RuleFault>> {
    load::load_given(files)
}

impl RuleBook {
    /// The agency meant by a name or title, whatever its case and spaces.
    pub fn agency_meant(&self, written: &str) -> Option<&Agency> {
        self.agencies.get(self.meant.get(&as_meant(written))?)
    }

    /// What people call an agency; one that the book does not know, by its name.
    pub fn title_of<'s>(&'s self, agency: &'s str) -> &'s str {
        self.agencies.get(agency).map_or(agency, |agency| &agency.title)
    }

    /// Whether each unit of the agency answers for itself alone. False for an agency of one unit, however that is
    /// addressed (in hours, out of hours); an agency the book does not know is taken to have many.
    pub fn has_many_units(&self, agency: &str) -> bool {
        self.agencies.get(agency).is_none_or(|agency| agency.units != book::UnitKind::One)
    }

    /// Whether an agency serves children alone, and is given no task about anyone of 18 or older.
    pub fn is_for_children_alone(&self, agency: &str) -> bool {
        self.agencies.get(agency).is_some_and(|agency| agency.children_only)
    }

    /// How many strata there are; judge them in order from 0, setting `result.*` facts (and history counts that
    /// read the level) in between.
    pub fn strata(&self) -> usize {
        self.compiled.strata()
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        let place = self.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok()?;
        self.rules.get(place)
    }

    /// The rules that ask for something to be completed by its deadline, in the order of ids.
    pub fn to_complete(&self) -> impl Iterator<Item = &Rule> {
        self.to_complete.iter().filter_map(|place| self.rules.get(*place))
    }

    /// What the rules of one stratum say of an event on arrival (timer rules are never judged here).
    pub fn judge(&self, stratum: usize, table: &FactTable) -> Judgement<'_> {
        let mut judgement = Judgement::default();
        self.judge_into(stratum, table, &mut judgement);
        judgement
    }

    /// As `judge`, into a judgement made before, whose room is used again.
    pub fn judge_into<'b>(&'b self, stratum: usize, table: &FactTable, judgement: &mut Judgement<'b>) {
        judgement.fired.clear();
        judgement.unknown.clear();
        let Some(plan) = self.compiled.plan(stratum, table.kind()) else { return };
        plan.judge(table, &mut |found| {
            let Some(rule) = self.rules.get(found.rule) else { return };
            if found.fired {
                judgement.fired.push(rule);
            } else {
                judgement.unknown.push(Unknown { rule, missing: found.missing(table) });
            }
        });
    }

    /// As `judge`, by the plain evaluator: slow and obvious, to test the compiled form against.
    pub fn judge_plainly(&self, stratum: usize, table: &FactTable) -> Judgement<'_> {
        let kind = table.kind().name();
        let mut judgement = Judgement::default();
        for rule in &self.rules {
            if rule.stratum != stratum || rule.timer.is_some() || !rule.on.contains(kind) {
                continue;
            }
            match rule.truth(table) {
                Truth::True => judgement.fired.push(rule),
                Truth::False => {}
                Truth::Unknown => judgement.unknown.push(Unknown { rule, missing: rule.missing(table) }),
            }
        }
        judgement
    }

    /// Timer rules that apply to a kind of event, in the order of ids. Judge one with `Rule::truth` when it is due.
    pub fn timers(&self, kind: KindId) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.timer.is_some() && rule.on.contains(kind.name()))
    }

    /// The basis that a letter stands for on a London date of receipt.
    pub fn basis_at(&self, letter: &str, received: civil::Date) -> Option<&Basis> {
        let basis = self.bases.get(letter)?;
        match (basis.in_force_from, &basis.until_then) {
            (Some(from), Some(earlier)) if received < from => self.bases.get(earlier),
            (_, _) => Some(basis),
        }
    }

    /// The ladder that a task of this level climbs when nobody answers.
    pub fn ladder(&self, level: Option<Level>) -> Option<&Ladder> {
        let named = |ladder: &&Ladder| {
            level.is_some_and(|level| ladder.levels.as_ref().is_some_and(|levels| levels.contains(&level)))
        };
        self.ladders.iter().find(named).or_else(|| self.ladders.iter().find(|ladder| ladder.levels.is_none()))
    }

    /// The fact that says whether an agency has been given a task by the strata judged so far.
    pub fn agency_fact(&self, agency: &str) -> Option<FactId> {
        self.facts.id(&format!("result.agencies.{agency}"))
    }
}

impl Rule {
    pub fn truth(&self, table: &FactTable) -> Truth {
        self.when.as_ref().map_or(Truth::True, |condition| condition.truth(table))
    }

    /// The missing facts that its condition reads.
    pub fn missing(&self, table: &FactTable) -> Vec<FactId> {
        self.when.as_ref().map(|condition| condition.missing(table)).unwrap_or_default()
    }
}
