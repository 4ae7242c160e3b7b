//! `decide`: events in, decisions out, without a broker.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{name_of, read_text};
use super::rule_book::{alone, read_sound};
use super::{CliError, Ending, output};
use crate::config::secrets::SecretKey;
use crate::engine::cloud_event;
use crate::engine::identity::Keys;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::RuleBook;
use crate::engine::schema::{Fault, to_json};
use crate::engine::seal::Sealer;
use crate::replay::{Replay, ReplayOptions, Results};

/// Judge events offline: CloudEvents as JSON (one a line, or a list) in, decisions as JSON lines out
#[derive(clap::Args)]
#[command(
    after_help = "An event is judged at its `receivedtime` if it has one, else at its `time`; lines must be in that \
order. Deadlines that pass between two events are acted on, and after the last one those up to --until; every task \
counts as answered.\n\n\
Example:\n  pathway-router decide --rules rules/cheshire-east events.jsonl \\\n      --until 2026-10-16T17:00:00+01:00"
)]
pub struct Arguments {
    /// Folder of the rule book
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,

    /// Let time pass up to this instant (RFC 3339) after the last event
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,

    /// Folder with the router's subject.key and sealing.key; without it a public test key, whose subject keys mean
    /// nothing elsewhere
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,

    /// JSON lines; standard input if absent or `-`
    file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    let text = read_text(arguments.file.as_deref())?;
    let book = read_sound(&arguments.rules)?;
    let mut replay = replay(&book, options(arguments.keys.as_deref())?);
    let name = name_of(arguments.file.as_deref());
    let mut ending = Ending::Clean;
    let mut last: Option<Timestamp> = None;
    let events = events(&text);
    if events.is_empty() && arguments.until.is_none() {
        return Err(CliError::Usage(format!("{name} holds no event")));
    }
    for (number, json) in events {
        let place = format!("{name}:{number}");
        match json
            .and_then(|json| received(&json))
            .and_then(|(event, receipt)| in_order(last, receipt).map(|()| (event, receipt)))
        {
            Ok((event, receipt)) => {
                last = Some(receipt);
                match replay.submit(&event, receipt) {
                    Ok(results) if print(&results, &place)? => {}
                    Ok(_) => ending = Ending::FoundSomething,
                    Err(error) => {
                        eprintln!("{place}: {error}");
                        ending = Ending::FoundSomething;
                    }
                }
            }
            Err(faults) => {
                ending = Ending::FoundSomething;
                for Fault { path, problem } in faults {
                    eprintln!("{place}: {} {problem}", if path.is_empty() { "the event" } else { &path });
                }
            }
        }
    }
    if let Some(until) = arguments.until.map(Timestamp::from_jiff) {
        let results = replay.pass_time(until).map_err(CliError::failed)?;
        if !print(&results, &name)? {
            ending = Ending::FoundSomething;
        }
    }
    Ok(ending)
}

/// An engine without a broker, under this book. Nobody is there to answer, so silence says nothing: no ladder is climbed.
pub fn replay(book: &RuleBook, options: ReplayOptions) -> Replay {
    let mut book = book.clone();
    book.ladders.clear();
    Replay::new(alone(&book), options)
}

fn options(keys: Option<&Path>) -> Result<ReplayOptions, CliError> {
    let Some(folder) = keys else { return Ok(ReplayOptions::default()) };
    let key = |name: &str| {
        let file = folder.join(name);
        let text = zeroize::Zeroizing::new(read_text(Some(&file))?);
        let fault = || CliError::Usage(format!("{} does not hold a key: 64 hex digits", file.display()));
        SecretKey::parse(&text).ok_or_else(fault)
    };
    let (subject, sealing) = (key("subject.key")?, key("sealing.key")?);
    Ok(ReplayOptions {
        keys: Keys::from_secret(subject.bytes()),
        sealer: Sealer::from_secret(sealing.bytes()),
        ..ReplayOptions::default()
    })
}

/// The events of the input, each with the line it starts on: one a line, or else a JSON list, or events over many lines.
fn events(text: &str) -> Vec<(usize, Result<Value, Vec<Fault>>)> {
    let is_whole = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|json| json.is_object());
    let lines = || (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    if !lines().any(|(_, line)| is_whole(line))
        && let Some(events) = over_many_lines(text)
    {
        return events.into_iter().map(|(line, json)| (line, Ok(json))).collect();
    }
    let fault = |error: serde_json::Error| {
        let problem =
            format!("is not JSON from column {} on (one event a line: `jq -c .` makes it so)", error.column());
        vec![Fault::new("", problem)]
    };
    lines().map(|(number, line)| (number, serde_json::from_str(line).map_err(fault))).collect()
}

/// The values of a JSON text, lists taken apart; None if any of it is not JSON.
fn over_many_lines(text: &str) -> Option<Vec<(usize, Value)>> {
    let mut found = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = text.get(values.byte_offset()..)?;
        let start = text.len() - rest.trim_start().len();
        let line = 1 + text.get(..start)?.matches('\n').count();
        match values.next() {
            None => return Some(found),
            Some(Ok(Value::Array(items))) => found.extend(items.into_iter().map(|item| (line, item))),
            Some(Ok(value)) => found.push((line, value)),
            Some(Err(_)) => return None,
        }
    }
}

/// One event, and when it is to be taken as received.
fn received(json: &Value) -> Result<(ReferralEvent, Timestamp), Vec<Fault>> {
    let read = cloud_event::read(json)?;
    let time = json.get("time").and_then(Value::as_str).and_then(|text| text.parse().ok()).map(Timestamp::from_jiff);
    match read.receivedtime.or(time) {
        Some(receipt) => Ok((read.event, receipt)),
        None => Err(vec![Fault::new("time", "is required: when the event was sent, RFC 3339")]),
    }
}

fn in_order(last: Option<Timestamp>, receipt: Timestamp) -> Result<(), Vec<Fault>> {
    if last.is_some_and(|last| receipt < last) {
        let problem = "is earlier than that of the line before: put the lines in order of receivedtime, else time";
        return Err(vec![Fault::new("time", problem)]);
    }
    Ok(())
}

/// Prints the decisions; false if a record could not be used, which is said on standard error.
fn print(results: &Results, place: &str) -> Result<bool, CliError> {
    for decision in &results.decisions {
        output::line(to_json(decision).map_err(CliError::failed)?);
    }
    for record in &results.quarantined {
        for fault in &record.faults {
            eprintln!("{place}: {fault}");
        }
    }
    for failed in &results.failed {
        let clock = failed.event_id.as_ref().map_or(String::new(), |id| format!(" (event {id})"));
        eprintln!("{place}: left out{clock}: {}", failed.problem);
    }
    Ok(results.quarantined.is_empty() && results.failed.is_empty())
}
