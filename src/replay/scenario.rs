//! Scenario files: what happens to a child, step by step, and what the rules are expected to make of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

use super::coverage::Coverage;
use super::expected::{Difference, Expect, compare};
use super::wall_time::{instant, local_instant};
use super::{Replay, ReplayError, ReplayOptions, Results};
use crate::engine::cloud_event;
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::ids::derived;
use crate::engine::model::decision::Trigger;
use crate::engine::model::feedback::Feedback;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::Task;
use crate::engine::rules::RuleBook;

/// A scenario file as written.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    /// Where the expectation comes from.
    pub source: Option<String>,
    /// Folder of the rule book, relative to the file.
    pub book: Option<String>,
    /// Nobody answers unless a step says so, and silence climbs its ladder; left out, every task counts as answered.
    #[serde(default)]
    escalate: bool,
    /// The people, by a name of this file's own.
    #[serde(default)]
    child: BTreeMap<String, toml::Table>,
    #[serde(default)]
    step: Vec<Spanned<Step>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Step {
    at: toml::Value,
    event: Option<String>,
    /// What an agency answers to a task raised earlier in the file.
    answer: Option<String>,
    /// The task that is answered, or whose addresses an event echoes.
    task: Option<TaskNamed>,
    reason: Option<String>,
    from: Option<String>,
    child: Option<String>,
    id: Option<String>,
    corrects: Option<String>,
    /// Of an answer to feedback: the event of this file that it was on. Left out: the latest.
    feedback_on: Option<String>,
    /// Of a withdrawal: the event of this file that is sent instead.
    right_event: Option<String>,
    occurred_at: Option<toml::Value>,
    detail: Option<toml::Table>,
    data: Option<toml::Table>,
    expect: Option<Expect>,
}

/// A task of an earlier step: the latest that fits.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct TaskNamed {
    /// `agency` or `agency/role`.
    to: String,
    #[serde(rename = "do")]
    action: Option<String>,
    unit: Option<String>,
    /// One that asks for it.
    rule: Option<String>,
}

/// A scenario file that cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScenarioFault {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

/// How a scenario went.
#[derive(Debug)]
pub struct Ran {
    pub title: String,
    pub steps: usize,
    pub differences: Vec<StepDifferences>,
    pub coverage: Coverage,
}

/// Where one step came out otherwise than expected.
#[derive(Debug)]
pub struct StepDifferences {
    /// Counted from 1.
    pub step: usize,
    pub line: usize,
    pub differences: Vec<Difference>,
}

/// Reads a scenario file.
pub fn parse(text: &str) -> Result<Scenario, ScenarioFault> {
    toml::from_str(text).map_err(|error| ScenarioFault {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error.message().to_owned(),
    })
}

/// Runs a scenario against a rule book, from an empty history, under the public test key.
pub fn run(scenario: &Scenario, text: &str, book: &RuleBook) -> Result<Ran, ScenarioFault> {
    run_watched(scenario, text, book, &mut |_, _| {})
}

/// The same; `watch` is shown what came of each step, and the router as it stands then.
pub fn run_watched(
    scenario: &Scenario,
    text: &str,
    book: &RuleBook,
    watch: &mut dyn FnMut(&Results, &Replay),
) -> Result<Ran, ScenarioFault> {
    let mut judging = book.clone();
    if !scenario.escalate {
        judging.ladders.clear();
    }
    let books = RuleBooks::new(vec![PreparedBook::new(judging)]);
    let mut replay = Replay::new(books, ReplayOptions::default());
    let mut sent = Results::default();
    let mut ran = Ran {
        title: scenario.title.clone(),
        steps: scenario.step.len(),
        differences: Vec::new(),
        coverage: Coverage::default(),
    };
    let mut last = Timestamp(i64::MIN);
    for (index, spanned) in scenario.step.iter().enumerate() {
        let line = line_of(text, spanned.span().start);
        let fault = |problem: String| ScenarioFault { line, problem };
        let step = spanned.get_ref();
        let at = instant(&step.at).map_err(|problem| fault(format!("at {problem}")))?;
        if at < last {
            return Err(fault("`at` is earlier than the step before".to_owned()));
        }
        last = at;
        let results = take(&mut replay, scenario, step, index, at, &sent).map_err(fault)?;
        if let Some(failed) = results.failed.first() {
            return Err(fault(failed.problem.clone()));
        }
        watch(&results, &replay);
        sent.tasks.extend(results.tasks.iter().cloned());
        sent.feedback.extend(results.feedback.iter().cloned());
        for decision in &results.decisions {
            ran.coverage.decided(book, decision);
        }
        let Some(expect) = &step.expect else { continue };
        if let Some(misnamed) = expect.misnamed(book) {
            return Err(fault(misnamed));
        }
        let differences = compare(expect, &results, step.about()).map_err(fault)?;
        if !differences.is_empty() {
            ran.differences.push(StepDifferences { step: index + 1, line, differences });
        }
    }
    replay.entries().for_each(|entry| ran.coverage.remembered(book, entry));
    Ok(ran)
}

impl Step {
    /// What the decision is about that its expectations speak of; None: time alone.
    fn about(&self) -> Option<Trigger> {
        let event = self.event.is_some().then_some(Trigger::Event);
        event.or_else(|| self.answer.is_some().then_some(Trigger::Outcome))
    }
}

/// One step: an event, an answer, or time passing.
fn take(
    replay: &mut Replay,
    scenario: &Scenario,
    step: &Step,
    index: usize,
    at: Timestamp,
    sent: &Results,
) -> Result<Results, String> {
    let explain = |error: ReplayError| error.to_string();
    if let Some(answer) = &step.answer {
        return answered(replay, scenario, step, answer, index, at, sent);
    }
    let Some(kind) = &step.event else { return replay.pass_time(at).map_err(explain) };
    let json = event_json(scenario, step, kind, index, at, &sent.tasks)?;
    let event = cloud_event::read(&json).map_err(|faults| {
        let listed: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.path, fault.problem)).collect();
        format!("the event is not valid:\n  {}", listed.join("\n  "))
    })?;
    replay.submit(&event.event, at).map_err(explain)
}

/// An agency's answer to the task that the step names; `from` says who answers when it is not the one who was asked. Without a
/// task, to the latest feedback that it was given, on the event that the step names if it names one.
fn answered(
    replay: &mut Replay,
    scenario: &Scenario,
    step: &Step,
    answer: &str,
    index: usize,
    at: Timestamp,
    sent: &Results,
) -> Result<Results, String> {
    let asked = step.task.as_ref().map(|named| find_task(named, &sent.tasks)).transpose()?;
    let (agency, unit) = match (&step.from, asked) {
        (Some(from), _) => from.split_once('/').map_or((from.as_str(), None), |(agency, unit)| (agency, Some(unit))),
        (None, Some(task)) => (task.agency.as_str(), task.unit.as_deref()),
        (None, None) => {
            return Err("`task` or `from` is required beside `answer`: which task, or whose feedback".to_owned());
        }
    };
    let reply_to = match asked {
        Some(task) => Some(&task.reply_to),
        None => {
            let named = step.feedback_on.as_ref().map(|name| event_id(scenario, name));
            let theirs = |told: &&Feedback| {
                told.partner == agency
                    && unit.is_none_or(|unit| told.unit == unit)
                    && named.as_ref().is_none_or(|event_id| *event_id == told.event_id)
            };
            sent.feedback.iter().rev().find(theirs).and_then(|told| told.reply_to.as_ref())
        }
    };
    let reply_to = reply_to.ok_or("no feedback was given before this step to whom `from` names")?;
    let name = step.id.clone().unwrap_or_else(|| format!("step {}", index + 1));
    let outcome = cloud_event::outcome(&json!({
        "outcome_id": event_id(scenario, &name), "reply_to": reply_to, "outcome": answer,
        "by_name": "A. Worker", "by_role": "scenario", "at": rfc3339(at), "reason": step.reason,
    }));
    let outcome = outcome.map_err(|faults| {
        let listed: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the answer is not valid: {}", listed.join("; "))
    })?;
    replay.answer(agency, unit, &outcome, at).map_err(|error| error.to_string())
}

/// The latest task raised so far that fits.
fn find_task<'t>(named: &TaskNamed, raised: &'t [Task]) -> Result<&'t Task, String> {
    let fits = |task: &&Task| {
        let to = task.role.as_ref().map_or(task.agency.clone(), |role| format!("{}/{role}", task.agency));
        to == named.to
            && named.action.as_ref().is_none_or(|action| *action == task.action)
            && named.unit.as_ref().is_none_or(|unit| task.unit.as_ref() == Some(unit))
            && named.rule.as_ref().is_none_or(|rule| task.reasons.iter().any(|reason| reason.rule == *rule))
    };
    let found = raised.iter().rev().find(fits);
    found.ok_or_else(|| "no task was raised before this step that fits `task`".to_owned())
}

/// The step as the CloudEvent a partner would send.
fn event_json(
    scenario: &Scenario,
    step: &Step,
    kind: &str,
    index: usize,
    at: Timestamp,
    raised: &[Task],
) -> Result<Value, String> {
    let from = step.from.as_deref().ok_or("`from` is required beside `event`: who sends it, as \"partner/unit\"")?;
    if step.corrects.is_some() && !["event.corrected", "event.withdrawn"].contains(&kind) {
        return Err(
            "`corrects` is for event.corrected and event.withdrawn: take it out, or write one of these as `event`"
                .to_owned(),
        );
    }
    let mut data = json_table(step.data.as_ref())?;
    if let Some(name) = &step.child {
        let person = scenario.child.get(name).ok_or_else(|| format!("there is no [child.{name}] in this file"))?;
        data.insert("child".to_owned(), Value::Object(json_table(Some(person))?));
    }
    let occurred_at = match &step.occurred_at {
        Some(value) => instant(value).map_err(|problem| format!("occurred_at {problem}"))?,
        None => at,
    };
    data.entry("occurred_at").or_insert_with(|| json!(rfc3339(occurred_at)));
    data.entry("child").or_insert_with(|| json!({}));
    let practitioner = || json!({ "role": "scenario", "call_back": "01270 000000" });
    data.entry("practitioner").or_insert_with(practitioner);
    let mut detail = json_table(step.detail.as_ref())?;
    if let Some(original) = &step.corrects {
        detail.insert("original_event_id".to_owned(), json!(event_id(scenario, original)));
    }
    if let Some(instead) = &step.right_event {
        detail.insert("right_event_id".to_owned(), json!(event_id(scenario, instead)));
    }
    if let Some(named) = &step.task {
        let task = find_task(named, raised)?;
        data.insert("reply_to".to_owned(), json!(task.reply_to));
        if let Some(other) = &task.other_reply_to {
            detail.insert("other_reply_to".to_owned(), json!(other));
        }
    }
    if kind == "missing.ended" {
        detail.entry("ended_at").or_insert_with(|| json!(rfc3339(occurred_at)));
    }
    data.insert("detail".to_owned(), Value::Object(detail));
    let id = step.id.clone().unwrap_or_else(|| format!("step {}", index + 1));
    Ok(json!({
        "specversion": "1.0",
        "id": event_id(scenario, &id),
        "source": from,
        "type": kind,
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "data": data,
    }))
}

fn event_id(scenario: &Scenario, name: &str) -> String {
    derived(&["scenario", &scenario.title, name])
}

fn json_table(table: Option<&toml::Table>) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    for (name, value) in table.into_iter().flatten() {
        map.insert(name.clone(), json_value(value)?);
    }
    Ok(map)
}

/// TOML as JSON; local times are Europe/London.
fn json_value(value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => match local_instant(text) {
            Some(at) => json!(rfc3339(at)),
            None => json!(text),
        },
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => json!(flag),
        toml::Value::Datetime(datetime) if datetime.time.is_none() => json!(datetime.to_string()),
        toml::Value::Datetime(_) => json!(rfc3339(instant(value)?)),
        toml::Value::Array(items) => Value::Array(items.iter().map(json_value).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => Value::Object(json_table(Some(table))?),
    })
}

fn rfc3339(at: Timestamp) -> String {
    at.to_jiff().to_string()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
