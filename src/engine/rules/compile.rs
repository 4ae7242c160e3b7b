//! Rules as bitmaps: each fact's value selects, in one look-up, the alternatives of all rules that it leaves standing.
//!
//! A condition becomes alternatives (rows), each a conjunction with one part a fact. For every value a fact can be
//! told apart by, two bitmaps say which rows its part makes true and which it does not make false. A judgement ANDs
//! them over the facts: Kleene's logic exactly, because distribution and De Morgan hold in it and nothing is cancelled.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Rule;
use super::expression::{Expr, Truth};
use super::facts::{FactId, FactTable, Facts, KindId};
use super::load::rules::Places;
use super::read::Faults;
use crate::engine::model::scalar::FactType;

/// The most alternatives one rule may spell out.
pub const ROWS_PER_RULE_MAX: usize = 256;

const WORD_BITS: usize = 64;

/// All strata and kinds, compiled.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// By stratum, then by kind.
    plans: Vec<Vec<Plan>>,
}

/// The rules of one stratum for one kind of event.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    rows: Vec<Row>,
    columns: Vec<Column>,
    /// The rows that exist, a bit each.
    all: Vec<u64>,
}

/// One alternative of a rule's condition: all parts must hold.
#[derive(Clone, Debug)]
struct Row {
    /// Place in the book's list of rules.
    rule: usize,
    parts: Parts,
}

/// For each fact, what is asked of it alone: expressions that read no other fact.
type Parts = BTreeMap<FactId, Vec<Expr>>;

/// What the value of one fact does to the rows.
#[derive(Clone, Debug)]
struct Column {
    fact: FactId,
    shape: Shape,
    /// For each entry of `shape` and each word of rows: rows made true, rows not made false.
    masks: Vec<Mask>,
}

#[derive(Clone, Copy, Debug)]
struct Mask {
    made_true: u64,
    not_false: u64,
}

/// How a value finds its entry; entry 0 is "missing".
#[derive(Clone, Debug)]
enum Shape {
    /// Flags and codes: entry 1 + value.
    Direct,
    /// Numbers: entry 1 + how many of these starts of intervals the value has reached.
    Intervals(Vec<i64>),
}

/// What a plan finds of one rule.
pub struct Found<'p> {
    plan: &'p Plan,
    /// Place in the book's list of rules.
    pub rule: usize,
    /// Else it is unknown.
    pub fired: bool,
    /// Of an unknown rule, the rows that no fact made false.
    standing: &'p [usize],
}

/// Compiles every rule that is judged on arrival. Conditions with too many alternatives are faults.
pub fn compile(rules: &[Rule], facts: &Facts, strata: usize, places: &Places<'_>, faults: &mut Faults) -> Compiled {
    let mut too_large = BTreeSet::new();
    let plans = (0..strata).map(|stratum| {
        let of_kind = KindId::all().map(|kind| {
            let judged = rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| rule.stratum == stratum && rule.timer.is_none() && rule.on.contains(kind.name()));
            Plan::of(judged, kind, facts, &mut too_large)
        });
        of_kind.collect()
    });
    let plans = plans.collect();
    for id in too_large {
        if let Some((file, span)) = places.get(id) {
            let problem = format!("the condition of rule {id} spells out more than {ROWS_PER_RULE_MAX} alternatives");
            faults.add(file, *span, problem, "split it into several rules, or use `in` for lists of codes");
        }
    }
    Compiled { plans }
}

impl Compiled {
    pub fn plan(&self, stratum: usize, kind: KindId) -> Option<&Plan> {
        self.plans.get(stratum)?.get(usize::from(kind.0))
    }

    pub fn strata(&self) -> usize {
        self.plans.len()
    }
}

impl Plan {
    fn of<'r>(
        rules: impl Iterator<Item = (usize, &'r Rule)>,
        kind: KindId,
        facts: &Facts,
        too_large: &mut BTreeSet<&'r str>,
    ) -> Self {
        let mut rows = Vec::new();
        let kind_fact = facts.id("event.kind");
        for (place, rule) in rules {
            let condition = rule.when.as_ref().map_or(Expr::Constant(true), |when| when.expr.clone());
            let settled = settle(condition, kind_fact, i64::from(kind.0));
            match alternatives(&settled, true) {
                Some(found) => rows.extend(found.into_iter().map(|parts| Row { rule: place, parts })),
                None => {
                    too_large.insert(&rule.id);
                }
            }
        }
        let words = rows.len().div_ceil(WORD_BITS);
        let read: BTreeSet<FactId> = rows.iter().flat_map(|row| row.parts.keys().copied()).collect();
        let columns = read.into_iter().map(|fact| Column::of(fact, facts, &rows, words)).collect();
        let all = (0..words).map(|word| bits(&rows, word, |_| true)).collect();
        Plan { rows, columns, all }
    }

    /// Rows made true and rows not made false, one word at a time.
    fn words<'p>(&'p self, table: &'p FactTable) -> impl Iterator<Item = (usize, Mask)> + 'p {
        self.all.iter().enumerate().map(move |(word, all)| {
            let mut left = Mask { made_true: *all, not_false: *all };
            for column in &self.columns {
                let mask = column.mask(table, word, self.all.len());
                left.made_true &= mask.made_true;
                left.not_false &= mask.not_false;
                if left.not_false == 0 {
                    break;
                }
            }
            (word, left)
        })
    }

    /// Every rule that fired or is unknown, in the order of the book.
    pub fn judge(&self, table: &FactTable, visit: &mut dyn FnMut(Found<'_>)) {
        // A rule's rows lie side by side: it is settled when the next rule's begin.
        let mut current: Option<(usize, bool)> = None;
        let mut standing: Vec<usize> = Vec::new();
        let mut settle = |current: Option<(usize, bool)>, standing: &[usize]| {
            if let Some((rule, fired)) = current {
                visit(Found { plan: self, rule, fired, standing });
            }
        };
        for (word, mask) in self.words(table) {
            let mut left = mask.not_false;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                let place = word.saturating_mul(WORD_BITS).saturating_add(usize::try_from(bit).unwrap_or_default());
                let Some(row) = self.rows.get(place) else { continue };
                let fired_before = match current {
                    Some((rule, fired)) if rule == row.rule => fired,
                    _ => {
                        settle(current, &standing);
                        standing.clear();
                        false
                    }
                };
                let fired = fired_before || mask.made_true >> bit & 1 == 1;
                current = Some((row.rule, fired));
                if !fired {
                    standing.push(place);
                }
            }
        }
        settle(current, &standing);
    }
}

impl Found<'_> {
    /// The missing facts that keep its standing rows from being true, by id.
    pub fn missing(&self, table: &FactTable) -> Vec<FactId> {
        let rows = self.standing.iter().filter_map(|place| self.plan.rows.get(*place));
        let parts = rows.flat_map(|row| &row.parts).filter(|(fact, _)| !table.is_known(**fact));
        let blocking = parts.filter(|(_, asked)| asked_of(asked, None) == Truth::Unknown);
        let mut missing: Vec<FactId> = blocking.map(|(fact, _)| *fact).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}

impl Column {
    fn of(fact: FactId, facts: &Facts, rows: &[Row], words: usize) -> Self {
        let (shape, values) = match facts.get(fact).map_or(FactType::Int, |fact| fact.value_type) {
            FactType::Bool => (Shape::Direct, vec![0, 1]),
            FactType::Code(symbols) => (Shape::Direct, (0_i64..).take(symbols.len()).collect()),
            FactType::Int => {
                let starts = interval_starts(fact, rows);
                let lowest = starts.first().map_or(0, |first| first.saturating_sub(1));
                let values = std::iter::once(lowest).chain(starts.iter().copied()).collect();
                (Shape::Intervals(starts), values)
            }
        };
        let entries = std::iter::once(None).chain(values.into_iter().map(Some));
        let masks = entries.flat_map(|slot| {
            (0..words).map(move |word| {
                let truth = |row: &Row| row.parts.get(&fact).map_or(Truth::True, |asked| asked_of(asked, slot));
                Mask {
                    made_true: bits(rows, word, |row| truth(row) == Truth::True),
                    not_false: bits(rows, word, |row| truth(row) != Truth::False),
                }
            })
        });
        Column { fact, shape, masks: masks.collect() }
    }

    fn mask(&self, table: &FactTable, word: usize, words: usize) -> Mask {
        let entry = match (table.slot(self.fact), &self.shape) {
            (None, _) => 0,
            (Some(value), Shape::Direct) => usize::try_from(value).unwrap_or_default().saturating_add(1),
            (Some(value), Shape::Intervals(starts)) => {
                starts.partition_point(|start| *start <= value).saturating_add(1)
            }
        };
        let place = entry.saturating_mul(words).saturating_add(word);
        self.masks.get(place).copied().unwrap_or(Mask { made_true: 0, not_false: 0 })
    }
}

/// The rows of one word for which something holds.
fn bits(rows: &[Row], word: usize, holds: impl Fn(&Row) -> bool) -> u64 {
    let first = word.saturating_mul(WORD_BITS);
    let rows = rows.iter().skip(first).take(WORD_BITS).enumerate();
    rows.fold(0, |so_far, (bit, row)| if holds(row) { so_far | 1_u64 << bit } else { so_far })
}

fn asked_of(asked: &[Expr], slot: Option<i64>) -> Truth {
    asked.iter().fold(Truth::True, |so_far, expr| so_far.and(expr.truth(&|_| slot)))
}

/// Where a number starts to be told apart from a smaller one: each constant, and the number after it.
fn interval_starts(fact: FactId, rows: &[Row]) -> Vec<i64> {
    let mut starts = BTreeSet::new();
    for expr in rows.iter().filter_map(|row| row.parts.get(&fact)).flatten() {
        expr.tests(&mut |test| {
            for constant in test.predicate.constants() {
                starts.insert(*constant);
                starts.extend(constant.checked_add(1));
            }
        });
    }
    starts.into_iter().collect()
}

/// The condition with a known fact's tests replaced by their truth.
fn settle(expr: Expr, known: Option<FactId>, value: i64) -> Expr {
    let each = |parts: Vec<Expr>| parts.into_iter().map(|part| settle(part, known, value)).collect();
    match expr {
        Expr::Test(test) if Some(test.fact) == known => {
            Expr::Constant(test.predicate.truth(Some(value)) == Truth::True)
        }
        Expr::Not(inner) => Expr::Not(Box::new(settle(*inner, known, value))),
        Expr::And(parts) => Expr::And(each(parts)),
        Expr::Or(parts) => Expr::Or(each(parts)),
        Expr::Constant(_) | Expr::Test(_) => expr,
    }
}

/// The alternatives under which `expr` is `wanted`. None: more than the limit.
fn alternatives(expr: &Expr, wanted: bool) -> Option<Vec<Parts>> {
    if let [fact] = expr.reads().as_slice() {
        let asked = if wanted { expr.clone() } else { Expr::Not(Box::new(expr.clone())) };
        return Some(vec![Parts::from([(*fact, vec![asked])])]);
    }
    match (expr, wanted) {
        (Expr::Constant(flag), _) => Some(if *flag == wanted { vec![Parts::new()] } else { Vec::new() }),
        (Expr::Test(test), _) => Some(vec![Parts::from([(test.fact, vec![expr.clone()])])]),
        (Expr::Not(inner), _) => alternatives(inner, !wanted),
        (Expr::Or(parts), true) | (Expr::And(parts), false) => {
            let mut rows = Vec::new();
            for part in parts {
                rows.extend(alternatives(part, wanted)?);
                if rows.len() > ROWS_PER_RULE_MAX {
                    return None;
                }
            }
            Some(rows)
        }
        (Expr::And(parts), true) | (Expr::Or(parts), false) => {
            let mut rows = vec![Parts::new()];
            for part in parts {
                rows = joined(&rows, &alternatives(part, wanted)?)?;
            }
            Some(rows)
        }
    }
}

/// Every alternative of one with every alternative of the other. None: more than the limit.
fn joined(one: &[Parts], other: &[Parts]) -> Option<Vec<Parts>> {
    if one.len().saturating_mul(other.len()) > ROWS_PER_RULE_MAX {
        return None;
    }
    let mut rows = Vec::new();
    for first in one {
        for second in other {
            let mut both = first.clone();
            for (fact, asked) in second {
                both.entry(*fact).or_default().extend(asked.iter().cloned());
            }
            rows.push(both);
        }
    }
    Some(rows)
}
