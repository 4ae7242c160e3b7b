//! `import`: history from before go-live, told to the router, or judged as of then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::decide::replay;
use super::files::read_bytes;
use super::router::{Router, RouterArguments};
use super::rule_book::{counted, read_sound};
use super::{CliError, Ending, output};
use crate::engine::calendar::LONDON;
use crate::engine::calendar::instant_in_words;
use crate::engine::cloud_event;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::scalar::{DAY_MS, Timestamp};
use crate::engine::model::task::Task;
use crate::import::ssda903::{self, MissingFile};
use crate::replay::{ReplayOptions, Results};

/// Events in one request.
const BATCH_EVENTS_MAX: usize = 500;
/// How far back histories reach by default: 25 months.
const RETENTION_DAYS: i64 = 762;

/// Import history from before go-live
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  pathway-router import ssda903 missing.csv --to http://127.0.0.1:8080 \\\n      \
--token-file data/tokens/operator.token")]
pub enum Command {
    /// The statutory looked-after-children return's MISSING file (CSV)
    #[command(
        after_help = "Columns: CHILD, DOB, MISSING (M missing, A away without authorisation), MIS_START, MIS_END \
(may be empty); dates dd/mm/yyyy. History only: nobody gets a task. Importing again changes nothing: a row that \
says something else than what is known is reported with its line. A bad row is \
reported with its line and the rest is imported.\n\n\
Examples:\n  pathway-router import ssda903 missing.csv --to http://127.0.0.1:8080 \\\n      \
--token-file data/tokens/operator.token\n  \
pathway-router import ssda903 missing.csv --as-events --rules rules/cheshire-east"
    )]
    Ssda903(Ssda903),
}

#[derive(clap::Args)]
pub struct Ssda903 {
    /// The MISSING file
    file: PathBuf,

    /// The partner whose return it is; child ids are unique within it
    #[arg(long, value_name = "NAME", default_value = "children-looked-after-return")]
    partner: String,

    /// The partner's unit that keeps it
    #[arg(long, value_name = "NAME", default_value = "ssda903")]
    unit: String,

    /// Print the tasks that the episodes would have given, as of then; imports nothing
    #[arg(long, requires = "rules")]
    as_events: bool,

    /// Folder of the rule book, for --as-events
    #[arg(long, value_name = "DIR", requires = "as_events", conflicts_with = "to")]
    rules: Option<PathBuf>,

    #[command(flatten)]
    router: RouterArguments,
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    let Command::Ssda903(arguments) = command;
    let bytes = read_bytes(&arguments.file)?;
    let today = LONDON.to_datetime(jiff::Timestamp::now()).date();
    let file = ssda903::read(&bytes, &arguments.partner, &arguments.unit, today)
        .map_err(|fault| CliError::failed(format!("{}: {fault}", arguments.file.display())))?;
    for row in &file.bad {
        eprintln!("{}:{}: {}", arguments.file.display(), row.line, row.reason);
    }
    let faulty = match &arguments.rules {
        Some(rules) => as_events(&file, rules)?,
        None => backfill(&file, &arguments.router)?,
    };
    output::line(format_args!("{}", summary(&file)));
    Ok(if file.bad.is_empty() && faulty == 0 { Ending::Clean } else { Ending::FoundSomething })
}

fn summary(file: &MissingFile) -> String {
    let mut text = format!(
        "{} of {}: {}",
        counted(file.episodes, "episode"),
        if file.children == 1 { "1 child".to_owned() } else { format!("{} children", file.children) },
        counted(file.events.len(), "event"),
    );
    for (count, what) in [(file.still_open, "without an end"), (file.repeated, "repeated word for word and left out")] {
        if count > 0 {
            text.push_str(&format!("; {} {what}", counted(count, "row")));
        }
    }
    if !file.bad.is_empty() {
        text.push_str(&format!("; {} not used, listed above", counted(file.bad.len(), "bad row")));
    }
    text
}

/// Tells the router; returns how many events it refused, and how many rows say something else than what is known.
fn backfill(file: &MissingFile, arguments: &RouterArguments) -> Result<usize, CliError> {
    let router = Router::of(arguments)?;
    let (mut refused, mut new, mut known) = (0, 0, 0);
    let mut otherwise: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for batch in file.events.chunks(BATCH_EVENTS_MAX) {
        let body: Vec<Value> = batch.iter().map(written).collect::<Result<_, _>>()?;
        let body = serde_json::to_vec(&body).map_err(CliError::failed)?;
        let answer = router.post("/v1/import", "application/cloudevents-batch+json", &body)?;
        let Some(results) = answer.body.get("results").and_then(Value::as_array) else {
            return Err(CliError::failed(answer.problem()));
        };
        for (event, result) in batch.iter().zip(results) {
            match result.get("history").and_then(Value::as_str) {
                Some("new") => new += 1,
                Some("known") => known += 1,
                Some(_) | None => {}
            }
            let line = file.lines.get(&event.event_id).copied().unwrap_or_default();
            if result.get("differs") == Some(&Value::Bool(true)) {
                otherwise.entry(line).or_default().push(&event.event_id);
            }
            if result.get("status").and_then(Value::as_str) != Some("accepted") {
                refused += 1;
                eprintln!("line {line}: the router refused it: {}", faults(result));
            }
        }
    }
    for (line, events) in &otherwise {
        eprintln!("line {line}: {}", known_otherwise(events));
    }
    let accepted = file.events.len() - refused;
    let unjudged = accepted - new - known;
    let unjudged = if unjudged > 0 { format!(", {unjudged} not judged yet") } else { String::new() };
    output::line(format_args!(
        "{} accepted as history: {new} new, {known} known already{unjudged}; no tasks, and those known change nothing",
        counted(accepted, "event")
    ));
    if let Some(text) = folded(file, RETENTION_DAYS) {
        output::line(format_args!("{text}"));
    }
    Ok(refused + otherwise.len())
}

/// What a row says that is known with something else: by the import of an earlier file, or by another's report.
fn known_otherwise(events: &[&str]) -> String {
    format!(
        "known already with something else, which stands; what is right is told by an event.corrected of {}",
        events.join(" and of ")
    )
}

/// The event as the router's import takes it: that it is history, the import itself says.
fn written(event: &ReferralEvent) -> Result<Value, CliError> {
    let event = ReferralEvent { backfill: false, ..event.clone() };
    cloud_event::write(&event).map_err(CliError::failed)
}

fn faults(result: &Value) -> String {
    let faults = result.get("problems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |fault: &Value, name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    faults
        .iter()
        .map(|fault| format!("{} {}", text(fault, "path"), text(fault, "problem")))
        .collect::<Vec<_>>()
        .join("; ")
}

/// What of the file is older than histories reach, if anything.
fn folded(file: &MissingFile, retention_days: i64) -> Option<String> {
    let oldest_kept = Timestamp::from_jiff(jiff::Timestamp::now()).plus_millis(-retention_days * DAY_MS);
    let older = file.events.iter().filter(|event| event.occurred_at < oldest_kept).count();
    let date = oldest_kept.date_in(&TimeZone::UTC);
    (older > 0).then(|| {
        let older = counted(older, "event");
        format!("{older} before {date} (histories reach back {retention_days} days) kept as counts by kind only, and compared with nothing")
    })
}

/// Judges the episodes as if they had been told when they happened, and prints the tasks; returns how many records could not
/// be judged.
fn as_events(file: &MissingFile, rules: &Path) -> Result<usize, CliError> {
    let book = read_sound(rules)?;
    let mut replay = replay(&book, ReplayOptions::default());
    let mut results = Results::default();
    for event in &file.events {
        let event = ReferralEvent { backfill: false, ..event.clone() };
        results.extend(replay.submit(&event, event.occurred_at).map_err(CliError::failed)?);
    }
    let now = Timestamp::from_jiff(jiff::Timestamp::now());
    results.extend(replay.pass_time(now).map_err(CliError::failed)?);
    let lines = task_lines(file, &results);
    let mut by_agency: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &results.tasks {
        *by_agency.entry(&task.agency).or_default() += 1;
        output::line(format_args!("{}", task_line(task, lines.get(&task.task_id).copied())));
    }
    for record in &results.quarantined {
        output::line(format_args!("not judged: {}", record.faults.join("; ")));
    }
    for failed in &results.failed {
        let line = failed.event_id.as_ref().and_then(|id| file.lines.get(id)).copied().unwrap_or_default();
        eprintln!("line {line}: left out: {}", failed.problem);
    }
    let agencies: Vec<String> = by_agency.iter().map(|(agency, count)| format!("{agency} {count}")).collect();
    output::line(format_args!(
        "\n{} as of then ({}); nothing was sent",
        counted(results.tasks.len(), "task"),
        agencies.join(", ")
    ));
    Ok(results.failed.len())
}

/// Line of the file that each task comes from.
fn task_lines(file: &MissingFile, results: &Results) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for decision in &results.decisions {
        let Some(line) = decision.event_id.as_ref().and_then(|id| file.lines.get(id)) else { continue };
        lines.extend(decision.tasks.iter().map(|task| (task.task_id.clone(), *line)));
    }
    lines
}

/// `line 7  2017-08-30  social-care  Hold a meeting, by Wednesday 6 September 2017 17:00: R13 Third time …`
fn task_line(task: &Task, line: Option<u64>) -> String {
    let raised = LONDON.to_datetime(task.raised_at.to_jiff()).date();
    let place = line.map_or_else(|| "        ".to_owned(), |line| format!("line {line:<3}"));
    let role = task.role.as_ref().map(|role| format!("/{role}")).unwrap_or_default();
    let reasons: Vec<String> = task.reasons.iter().map(|reason| format!("{} {}", reason.rule, reason.why)).collect();
    let recipient = format!("{}{role}", task.agency);
    let due = instant_in_words(task.due_at);
    format!("{place}  {raised}  {recipient:<28}  {}, by {due}: {}", task.action, reasons.join(" "))
}
