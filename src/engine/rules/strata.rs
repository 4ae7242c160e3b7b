//! Which rules are judged after which: a rule that reads the outcome comes after those that make it.

use std::collections::BTreeSet;

use super::book::{Aggregate, Rule};
use super::facts::{FactId, Facts};
use super::load::rules::Places;
use super::read::{Faults, listed};

/// Depends on every deadline given before.
const DEADLINE: &str = "result.turns_18_before_deadline";

/// Gives every rule its stratum, from 0, and returns how many strata there are. Circles are faults.
pub fn assign(
    rules: &mut [Rule],
    facts: &Facts,
    aggregates: &[Aggregate],
    places: &Places<'_>,
    faults: &mut Faults,
) -> usize {
    let before = dependencies(rules, facts, aggregates);
    let mut placed: Vec<Option<usize>> = vec![None; rules.len()];
    let mut stratum = 0_usize;
    loop {
        let ready: Vec<usize> = (0..rules.len())
            .filter(|rule| placed.get(*rule).copied().flatten().is_none())
            .filter(|rule| {
                let waits_for = before.get(*rule).into_iter().flatten();
                waits_for.into_iter().all(|other| placed.get(*other).copied().flatten().is_some())
            })
            .collect();
        if ready.is_empty() {
            break;
        }
        for rule in ready {
            if let Some(place) = placed.get_mut(rule) {
                *place = Some(stratum);
            }
        }
        stratum = stratum.saturating_add(1);
    }
    report_circle(rules, &before, &placed, places, faults);
    for (rule, place) in rules.iter_mut().zip(placed) {
        rule.stratum = place.unwrap_or_default();
    }
    stratum.max(1)
}

/// For each rule, the rules it must come after.
fn dependencies(rules: &[Rule], facts: &Facts, aggregates: &[Aggregate]) -> Vec<BTreeSet<usize>> {
    let deadline = facts.id(DEADLINE);
    let level: BTreeSet<FactId> = aggregates
        .iter()
        .filter(|aggregate| aggregate.reads_level())
        .map(|aggregate| aggregate.fact)
        .chain(facts.id("result.level"))
        .collect();
    rules
        .iter()
        .map(|reader| {
            let reads_level = reader.reads.iter().any(|fact| level.contains(fact));
            let reads_deadline = reader.reads.iter().any(|fact| Some(*fact) == deadline);
            let agencies: BTreeSet<&str> =
                reader.reads.iter().filter_map(|fact| facts.name(*fact).strip_prefix("result.agencies.")).collect();
            let feeds = |writer: &Rule| {
                let names_one = || {
                    let mut recipients = writer.tasks.iter().filter(|task| !task.digest).flat_map(|task| &task.to);
                    recipients.any(|recipient| agencies.contains(recipient.agency.as_str()))
                };
                writer.id != reader.id
                    && !writer.on.is_disjoint(&reader.on)
                    && ((reads_level && writer.level.is_some())
                        || (reads_deadline && !writer.tasks.is_empty())
                        || names_one())
            };
            rules.iter().enumerate().filter(|(_, writer)| feeds(writer)).map(|(place, _)| place).collect()
        })
        .collect()
}

fn report_circle(
    rules: &[Rule],
    before: &[BTreeSet<usize>],
    placed: &[Option<usize>],
    places: &Places<'_>,
    faults: &mut Faults,
) {
    let mut circle: BTreeSet<usize> =
        placed.iter().enumerate().filter(|(_, at)| at.is_none()).map(|(at, _)| at).collect();
    // Rules that only wait for the circle are not part of it.
    loop {
        let waited_for: BTreeSet<usize> =
            circle.iter().filter_map(|rule| before.get(*rule)).flatten().copied().collect();
        let kept: BTreeSet<usize> = circle.intersection(&waited_for).copied().collect();
        if kept.len() == circle.len() {
            break;
        }
        circle = kept;
    }
    let ids: Vec<&str> = circle.iter().filter_map(|rule| rules.get(*rule)).map(|rule| rule.id.as_str()).collect();
    let Some((file, span)) = ids.first().and_then(|id| places.get(*id)) else { return };
    faults.add(
        file,
        *span,
        format!("rules {} wait for each other: each reads an outcome that another makes", listed(ids)),
        "let only one of them read result.level and set a level, or join them into one rule",
    );
}
