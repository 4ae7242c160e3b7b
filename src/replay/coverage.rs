//! What scenarios have shown of a rule book: which rules fired, and which way each comparison of a condition came out.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::decision::{Decision, Trigger};
use crate::engine::model::history::Entry;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::Rule;
use crate::engine::rules::expression::{Condition, Predicate, Test, Truth};
use crate::engine::rules::facts::{Fact, FactId, FactTable, KindId};

/// What was seen so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    pub fired: BTreeSet<String>,
    seen: BTreeMap<Place, Seen>,
}

/// A comparison: the rule or count it stands in, which of its conditions, and which comparison in that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    of: String,
    condition: usize,
    comparison: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Seen {
    held: bool,
    failed: bool,
    unknown: bool,
}

/// Something no scenario has shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gap {
    /// `rules/missing.toml:12`, or the file alone.
    pub file: String,
    /// The rule's id, or the count's name.
    pub of: String,
    /// `never fired`, or the comparison and how it was never seen.
    pub problem: String,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}: {}", self.file, self.of, self.problem)
    }
}

impl Seen {
    fn note(&mut self, truth: Truth) {
        match truth {
            Truth::True => self.held = true,
            Truth::False => self.failed = true,
            Truth::Unknown => self.unknown = true,
        }
    }

    fn join(&mut self, other: Seen) {
        self.held |= other.held;
        self.failed |= other.failed;
        self.unknown |= other.unknown;
    }

    /// In words, how it was never seen.
    fn lacks(self, can_be_unknown: bool) -> Option<String> {
        let ways = [(self.held, "true"), (self.failed, "false"), (self.unknown || !can_be_unknown, "unknown")];
        let lacking: Vec<&str> = ways.into_iter().filter(|(seen, _)| !seen).map(|(_, way)| way).collect();
        (!lacking.is_empty()).then(|| lacking.join(" or "))
    }
}

impl Coverage {
    /// Adds what another scenario has shown.
    pub fn join(&mut self, other: Coverage) {
        self.fired.extend(other.fired);
        for (place, seen) in other.seen {
            self.seen.entry(place).or_default().join(seen);
        }
    }

    /// Takes in a decision: the rules that fired, and the comparisons of every rule for its kind on the facts it used.
    pub fn decided(&mut self, book: &RuleBook, decision: &Decision) {
        self.fired.extend(decision.fired.iter().map(|fired| fired.rule.clone()));
        let Some(kind) = decision.event_kind.as_deref().and_then(KindId::of) else { return };
        if decision.facts.is_empty() {
            return;
        }
        let mut table = book.facts.table(kind);
        for used in &decision.facts {
            let Some(id) = book.facts.id(&used.name) else { continue };
            match &used.value {
                Some(value) => _ = book.facts.set(&mut table, id, value),
                None => table.set_missing(id),
            }
        }
        let by_clock = decision.trigger == Trigger::Timer;
        for rule in book.rules.iter().filter(|rule| rule.on.contains(kind.name()) && rule.timer.is_some() == by_clock) {
            self.judged(rule, &table);
        }
    }

    fn judged(&mut self, rule: &Rule, table: &FactTable) {
        for (condition, written) in conditions(rule).into_iter().enumerate() {
            self.note(&rule.id, condition, written, &|id| table.slot(id));
        }
    }

    /// Takes in an entry of a history: what counts ask of it.
    pub fn remembered(&mut self, book: &RuleBook, entry: &Entry) {
        for aggregate in book.aggregates.iter().filter(|aggregate| aggregate.kinds.contains(entry.kind.as_str())) {
            let Some(written) = &aggregate.condition else { continue };
            self.note(&aggregate.name, 0, &written.condition, &|id| written.slot(id, &entry.facts));
        }
    }

    fn note(&mut self, of: &str, condition: usize, written: &Condition, slot: &dyn Fn(FactId) -> Option<i64>) {
        for (comparison, test) in tests(written).into_iter().enumerate() {
            let place = Place { of: of.to_owned(), condition, comparison };
            self.seen.entry(place).or_default().note(test.predicate.truth(slot(test.fact)));
        }
    }

    /// How many comparisons the conditions of a book hold.
    pub fn comparisons(book: &RuleBook) -> usize {
        let of_rules = book.rules.iter().flat_map(conditions);
        let of_counts = book.aggregates.iter().filter_map(|aggregate| Some(&aggregate.condition.as_ref()?.condition));
        of_rules.chain(of_counts).map(|condition| tests(condition).len()).sum()
    }

    /// Everything in a book that was not shown.
    pub fn gaps(&self, book: &RuleBook) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for rule in &book.rules {
            let file = format!("{}:{}", rule.place.file, rule.place.line);
            if !self.fired.contains(&rule.id) {
                gaps.push(Gap { file: file.clone(), of: rule.id.clone(), problem: "never fired".to_owned() });
            }
            for (condition, written) in conditions(rule).into_iter().enumerate() {
                self.gaps_of(book, &file, &rule.id, condition, written, &mut gaps);
            }
        }
        for aggregate in &book.aggregates {
            let Some(written) = &aggregate.condition else { continue };
            self.gaps_of(book, "facts.toml", &aggregate.name, 0, &written.condition, &mut gaps);
        }
        gaps
    }

    fn gaps_of(
        &self,
        book: &RuleBook,
        file: &str,
        of: &str,
        condition: usize,
        written: &Condition,
        gaps: &mut Vec<Gap>,
    ) {
        for (comparison, test) in tests(written).into_iter().enumerate() {
            let place = Place { of: of.to_owned(), condition, comparison };
            let seen = self.seen.get(&place).copied().unwrap_or_default();
            if let Some(way) = seen.lacks(can_be_unknown(book, test)) {
                let problem = format!("`{}` was never {way}", test.written);
                let gap = Gap { file: file.to_owned(), of: of.to_owned(), problem };
                if !gaps.contains(&gap) {
                    gaps.push(gap);
                }
            }
        }
    }
}

/// The rule's own condition and those of its tasks, in order.
fn conditions(rule: &Rule) -> Vec<&Condition> {
    rule.when.iter().chain(rule.tasks.iter().filter_map(|task| task.when.as_ref())).collect()
}

fn tests(condition: &Condition) -> Vec<&Test> {
    let mut tests = Vec::new();
    condition.expr.tests(&mut |test| tests.push(test));
    tests
}

/// What INTAKE takes in no event without.
const REQUIRED: &str = "event.decision";

/// A fact that is always known, or whose absence means something, leaves nothing unknown; `has()` always knows.
fn can_be_unknown(book: &RuleBook, test: &Test) -> bool {
    let leaves_open = |fact: &Fact| !fact.always_known && fact.absent.is_none() && fact.name != REQUIRED;
    test.predicate != Predicate::Known && book.facts.get(test.fact).is_some_and(leaves_open)
}
