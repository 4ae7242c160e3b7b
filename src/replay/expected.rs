//! What a scenario step expects, and where what came differs.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Results;
use super::wall_time::instant;
use crate::engine::calendar::instant_in_words;
use crate::engine::model::decision::{Decision, Trigger};
use crate::engine::model::scalar::Level;
use crate::engine::model::task::Task;
use crate::engine::rules::RuleBook;
use crate::engine::rules::catalogue::OWN_RULES;
use crate::engine::rules::read::nearest;

/// Expectations of one step; what is left out is not compared.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    disposition: Option<String>,
    level: Option<String>,
    case_level: Option<String>,
    rules: Option<BTreeSet<String>>,
    #[serde(default)]
    not_rules: BTreeSet<String>,
    unknown: Option<BTreeSet<String>>,
    tasks: Option<Vec<ExpectedTask>>,
    suppressed: Option<Vec<ExpectedRoute>>,
    feedback: Option<BTreeSet<String>>,
    #[serde(default)]
    notes: Vec<String>,
}

/// One task of the complete list.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct ExpectedTask {
    /// `agency` or `agency/role`.
    to: String,
    by: Option<toml::Value>,
    #[serde(rename = "do")]
    action: Option<String>,
    unit: Option<String>,
    rules: Option<BTreeSet<String>>,
    level: Option<String>,
    late: Option<bool>,
    why: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct ExpectedRoute {
    to: String,
    unit: Option<String>,
}

impl Expect {
    /// What it names that neither the book nor the router has: it would never come, and what is said not to come would be right for
    /// ever.
    pub fn misnamed(&self, book: &RuleBook) -> Option<String> {
        let of_tasks = || self.tasks.iter().flatten();
        let named = [self.rules.as_ref(), Some(&self.not_rules), self.unknown.as_ref()];
        let mut rules = named.into_iter().flatten().chain(of_tasks().filter_map(|task| task.rules.as_ref())).flatten();
        let known_rules = || book.rules.iter().map(|rule| rule.id.as_str()).chain(OWN_RULES.iter().copied());
        if let Some(wrong) = rules.find(|named| known_rules().all(|known| known != named.as_str())) {
            return Some(unknown_name("rule", wrong, known_rules()));
        }
        let routes = || self.suppressed.iter().flatten().map(|route| &route.to);
        let mut agencies = of_tasks().map(|task| &task.to).chain(routes()).map(|to| agency_of(to));
        let known = || book.agencies.keys().map(String::as_str);
        let wrong = agencies.find(|named| !book.agencies.contains_key(*named))?;
        Some(unknown_name("agency", wrong, known()))
    }
}

fn unknown_name<'n>(what: &str, wrong: &str, known: impl Iterator<Item = &'n str>) -> String {
    let remedy = nearest(wrong, known).map_or(String::new(), |near| format!(": did you mean `{near}`?"));
    format!("`expect` names {what} `{wrong}`, which the rule book does not have{remedy}")
}

fn agency_of(to: &str) -> &str {
    to.split_once('/').map_or(to, |(agency, _)| agency)
}

/// One thing that came out otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    pub what: &'static str,
    pub expected: Vec<String>,
    pub got: Vec<String>,
}

/// Compares a step's results with what is expected of it.
pub fn compare(expect: &Expect, results: &Results, about: Option<Trigger>) -> Result<Vec<Difference>, String> {
    let mut differences = Vec::new();
    let judged = judged(results, about);
    let mut one = |what: &'static str, expected: &Option<String>, got: Option<String>| {
        if let Some(expected) = expected
            && got.as_deref().unwrap_or("none") != expected
        {
            let got = vec![got.unwrap_or_else(|| "none".to_owned())];
            differences.push(Difference { what, expected: vec![expected.clone()], got });
        }
    };
    one("disposition", &expect.disposition, disposition(results, judged));
    one("level", &expect.level, judged.and_then(|decision| decision.event_level).map(symbol));
    one("case level", &expect.case_level, judged.and_then(|decision| decision.case_level).map(symbol));
    differences.extend(compare_rules(expect, results));
    let unknown: BTreeSet<String> = results
        .decisions
        .iter()
        .flat_map(|decision| &decision.unknown)
        .filter(|unknown| unknown.could_matter)
        .map(|unknown| unknown.rule.clone())
        .collect();
    differences.extend(sets("rules left open", expect.unknown.as_ref(), &unknown));
    differences.extend(compare_tasks(expect, &results.tasks)?);
    differences.extend(compare_suppressed(expect, results));
    let told = results.feedback.iter().map(|feedback| sender(&feedback.partner, &feedback.unit)).collect();
    differences.extend(sets("senders told", expect.feedback.as_ref(), &told));
    differences.extend(compare_notes(expect, results));
    Ok(differences)
}

/// The decision the step is about: the event's or the answer's own, else the last a clock made.
fn judged(results: &Results, about: Option<Trigger>) -> Option<&Decision> {
    let is_about = |decision: &&Decision| about.is_none_or(|about| decision.trigger == about);
    results.decisions.iter().rev().find(is_about)
}

fn disposition(results: &Results, judged: Option<&Decision>) -> Option<String> {
    if !results.quarantined.is_empty() {
        return Some("quarantined".to_owned());
    }
    let disposition = serde_json::to_value(judged?.disposition).ok()?;
    disposition.as_str().map(str::to_owned)
}

fn symbol(level: Level) -> String {
    level.symbol().to_owned()
}

fn sender(partner: &str, unit: &str) -> String {
    if unit.is_empty() { partner.to_owned() } else { format!("{partner}/{unit}") }
}

fn compare_rules(expect: &Expect, results: &Results) -> Vec<Difference> {
    let fired: BTreeSet<String> =
        results.decisions.iter().flat_map(|decision| &decision.fired).map(|fired| fired.rule.clone()).collect();
    let mut differences: Vec<Difference> = sets("rules", expect.rules.as_ref(), &fired).into_iter().collect();
    let wrongly: Vec<String> = expect.not_rules.intersection(&fired).cloned().collect();
    if !wrongly.is_empty() {
        let expected = vec![format!("not {}", wrongly.join(", "))];
        differences.push(Difference { what: "rules", expected, got: wrongly });
    }
    differences
}

fn sets(what: &'static str, expected: Option<&BTreeSet<String>>, got: &BTreeSet<String>) -> Option<Difference> {
    let expected = expected.filter(|expected| *expected != got)?;
    let listed = |set: &BTreeSet<String>| {
        if set.is_empty() { vec!["none".to_owned()] } else { set.iter().cloned().collect() }
    };
    Some(Difference { what, expected: listed(expected), got: listed(got) })
}

fn compare_suppressed(expect: &Expect, results: &Results) -> Option<Difference> {
    let expected = expect.suppressed.as_ref()?;
    let got: Vec<(String, Option<String>)> = results
        .decisions
        .iter()
        .flat_map(|decision| &decision.suppressed)
        .map(|suppressed| (suppressed.agency.clone(), suppressed.unit.clone()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let fits = |route: &ExpectedRoute, (agency, unit): &(String, Option<String>)| {
        route.to == *agency && (route.unit.is_none() || route.unit == *unit)
    };
    let paired = matching(expected.len(), got.len(), |left, right| {
        expected.get(left).zip(got.get(right)).is_some_and(|(route, held)| fits(route, held))
    });
    if paired == expected.len() && paired == got.len() {
        return None;
    }
    let words = |agency: &str, unit: Option<&str>| unit.map_or(agency.to_owned(), |unit| format!("{agency} {unit}"));
    Some(Difference {
        what: "routes held back",
        expected: expected.iter().map(|route| words(&route.to, route.unit.as_deref())).collect(),
        got: got.iter().map(|(agency, unit)| words(agency, unit.as_deref())).collect(),
    })
}

fn compare_notes(expect: &Expect, results: &Results) -> Option<Difference> {
    let written: Vec<&String> = results
        .decisions
        .iter()
        .flat_map(|decision| &decision.notes)
        .chain(results.tasks.iter().flat_map(|task| &task.notes))
        .collect();
    let missing: Vec<String> =
        expect.notes.iter().filter(|wanted| !written.iter().any(|note| note.contains(*wanted))).cloned().collect();
    let got = || written.iter().map(|note| (*note).clone()).collect();
    (!missing.is_empty()).then(|| Difference { what: "notes", expected: missing, got: got() })
}

fn compare_tasks(expect: &Expect, tasks: &[Task]) -> Result<Option<Difference>, String> {
    let Some(expected) = &expect.tasks else { return Ok(None) };
    for wanted in expected {
        if let Some(by) = &wanted.by {
            instant(by).map_err(|problem| format!("by {problem}"))?;
        }
    }
    let paired = matching(expected.len(), tasks.len(), |left, right| {
        expected.get(left).zip(tasks.get(right)).is_some_and(|(wanted, task)| wanted.fits(task))
    });
    if paired == expected.len() && paired == tasks.len() {
        return Ok(None);
    }
    let mut got: Vec<String> = tasks.iter().map(in_words).collect();
    got.sort();
    let mut wanted: Vec<String> = expected.iter().map(ExpectedTask::in_words).collect();
    wanted.sort();
    Ok(Some(Difference { what: "tasks", expected: wanted, got }))
}

impl ExpectedTask {
    fn fits(&self, task: &Task) -> bool {
        let (agency, role) =
            self.to.split_once('/').map_or((self.to.as_str(), None), |(agency, role)| (agency, Some(role)));
        let rules: BTreeSet<&String> = task.reasons.iter().map(|reason| &reason.rule).collect();
        agency == task.agency
            && role == task.role.as_deref()
            && self.by.as_ref().is_none_or(|by| instant(by) == Ok(task.due_at))
            && self.action.as_ref().is_none_or(|action| *action == task.action)
            && self.unit.as_ref().is_none_or(|unit| Some(unit) == task.unit.as_ref())
            && self.rules.as_ref().is_none_or(|wanted| wanted.iter().collect::<BTreeSet<_>>() == rules)
            && self.level.as_ref().is_none_or(|level| task.level.map(symbol).as_ref() == Some(level))
            && self.late.is_none_or(|late| late == task.late_on_arrival)
            && self.why.as_ref().is_none_or(|why| task.reasons.iter().any(|reason| reason.why.contains(why)))
    }

    fn in_words(&self) -> String {
        let mut words = self.to.clone();
        if let Some(unit) = &self.unit {
            words.push_str(&format!(" [{unit}]"));
        }
        if let Some(at) = self.by.as_ref().and_then(|by| instant(by).ok()) {
            words.push_str(&format!(" by {}", instant_in_words(at)));
        }
        if let Some(rules) = &self.rules {
            words.push_str(&format!(" ({})", rules.iter().cloned().collect::<Vec<_>>().join(" ")));
        }
        if let Some(action) = &self.action {
            words.push_str(&format!(": {action}"));
        }
        words
    }
}

fn in_words(task: &Task) -> String {
    let to = task.role.as_ref().map_or(task.agency.clone(), |role| format!("{}/{role}", task.agency));
    let unit = task.unit.as_ref().map_or(String::new(), |unit| format!(" [{unit}]"));
    let rules: Vec<&str> = task.reasons.iter().map(|reason| reason.rule.as_str()).collect();
    format!("{to}{unit} by {} ({}): {}", instant_in_words(task.due_at), rules.join(" "), task.action)
}

/// How many of `left` can be paired with one of `right` each, at most: augmenting paths.
fn matching(left: usize, right: usize, fits: impl Fn(usize, usize) -> bool) -> usize {
    fn place(one: usize, fits: &dyn Fn(usize, usize) -> bool, seen: &mut [bool], taken: &mut [Option<usize>]) -> bool {
        for other in 0..taken.len() {
            if seen[other] || !fits(one, other) {
                continue;
            }
            seen[other] = true;
            if taken[other].is_none_or(|holder| place(holder, fits, seen, taken)) {
                taken[other] = Some(one);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; right];
    (0..left).filter(|one| place(*one, &fits, &mut vec![false; right], &mut taken)).count()
}
