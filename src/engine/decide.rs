//! Judging one entry: strata, levels, what fired and what is unknown.

use std::collections::BTreeSet;

use super::facts::{AsOf, Counting, PreparedBook, open_plan};
use super::history::entry::is_adult;
use super::model::history::{Entry, History};
use super::model::scalar::Level;
use super::rules::Unknown;
use super::rules::book::{Recipient, Rule};
use super::rules::catalogue::{ALLOCATED_WORKER, OPEN_CASE};
use super::rules::expression::Truth;
use super::rules::facts::{FactTable, KindId};

/// Which rules take part: those judged on arrival, or one timer rule that has come due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment<'a> {
    Arrival,
    /// The timer rule with this id. Later strata are judged with it, for what it names may be what they wait for.
    Timer(&'a str),
}

/// What the rules say of one entry.
#[derive(Clone, Debug)]
pub struct Verdict<'b> {
    /// In the order of ids.
    pub fired: Vec<&'b Rule>,
    /// Rules that missing facts kept from being decided.
    pub unknown: Vec<Unknown<'b>>,
    /// The highest level among the rules that fired.
    pub level: Option<Level>,
    /// The facts as they stood at the end.
    pub table: FactTable,
    pub as_of: AsOf,
}

impl Verdict<'_> {
    pub fn fires(&self, rule: &str) -> bool {
        self.fired.iter().any(|fired| fired.id == rule)
    }
}

/// Judges an entry of `history` by `book`. None for a kind the catalogue does not know.
pub fn judge<'b>(
    book: &'b PreparedBook,
    history: &History,
    entry: &Entry,
    as_of: AsOf,
    moment: Moment<'_>,
) -> Option<Verdict<'b>> {
    let kind = KindId::of(&entry.kind)?;
    let mut table = book.rules.facts.table(kind);
    let mut counting = Counting::of(book, history, entry, as_of);
    book.gather(history, entry, as_of, &mut counting, &mut table);
    let mut verdict = Verdict { fired: Vec::new(), unknown: Vec::new(), level: None, table, as_of };
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let plan_is_open = open_plan(history, entry, as_of.statuses);
    let is_grown = is_adult(entry, entry.received_at);
    for stratum in 0..book.rules.strata().max(1) {
        if stratum > 0 {
            counting.fill_by(verdict.level, &mut verdict.table);
            book.set_results(verdict.level, &named, &mut verdict.table);
            named.clear();
            book.set_turns_18(entry, &verdict.fired, &mut verdict.table);
        }
        let fired = fired_in(book, stratum, moment, &mut verdict);
        for rule in fired {
            verdict.level = verdict.level.max(rule.level);
            let agencies = named_by(rule, &verdict.table, plan_is_open);
            named.extend(agencies.into_iter().filter(|agency| !is_grown || !book.rules.is_for_children_alone(agency)));
            verdict.fired.push(rule);
        }
    }
    verdict.fired.sort_by(|left, right| left.id.cmp(&right.id));
    Some(verdict)
}

/// The rules of one stratum that fire; what is unknown is noted in the verdict.
fn fired_in<'b>(
    book: &'b PreparedBook,
    stratum: usize,
    moment: Moment<'_>,
    verdict: &mut Verdict<'b>,
) -> Vec<&'b Rule> {
    let due = match moment {
        Moment::Arrival => None,
        Moment::Timer(id) => book.rules.rule(id).filter(|rule| rule.timer.is_some()),
    };
    if stratum == 0 && moment != Moment::Arrival {
        return due
            .filter(|rule| rule.stratum == 0 && rule.truth(&verdict.table) != Truth::False)
            .into_iter()
            .collect();
    }
    let judgement = book.rules.judge(stratum, &verdict.table);
    verdict.unknown.extend(judgement.unknown);
    let due = due.filter(|rule| rule.stratum == stratum && rule.truth(&verdict.table) != Truth::False);
    judgement.fired.into_iter().chain(due).collect()
}

/// The agencies that a rule which fired names. What is told to those who hold the open case is no referral to their agency.
fn named_by<'b>(rule: &'b Rule, table: &FactTable, plan_is_open: bool) -> Vec<&'b str> {
    if rule.flags.contains(OPEN_CASE) {
        return Vec::new();
    }
    let holds_case = |recipient: &&Recipient| plan_is_open && recipient.role.as_deref() == Some(ALLOCATED_WORKER);
    let asked = rule.tasks.iter().filter(|task| !task.digest && task.applies(table) == Truth::True);
    let named = asked.flat_map(|task| &task.to).filter(|recipient| !holds_case(recipient));
    named.map(|recipient| recipient.agency.as_str()).collect()
}
