//! `send`: posts events to a running router.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::files::{name_of, read_input};
use super::router::{Answer, RemoteRouter};
use super::{CliError, Ending, output};
use crate::engine::danger::{places_that_say_danger, says_danger};

/// How much one request carries at most; the router takes 1 MiB and 1000 events.
const BATCH_BYTES_MAX: usize = 512 * 1024;
const BATCH_EVENTS_MAX: usize = 500;
const TOO_LARGE: u16 = 413;

/// Send events to a running router
#[derive(clap::Args)]
#[command(
    after_help = "FILE holds one CloudEvents JSON object, a JSON array of them, or one a line. Sending again is \
harmless.\n\n\
Example:\n  pathway-router send event.json --to http://127.0.0.1:8080 \\\n      \
--token-file data/tokens/police.token"
)]
pub struct Arguments {
    /// JSON or JSON lines; `-` is standard input
    file: PathBuf,

    /// Address of the router
    #[arg(long, value_name = "URL")]
    to: String,

    /// File that holds the partner's token
    #[arg(long, value_name = "T")]
    token_file: PathBuf,

    /// Certificates to trust, if not those of the public authorities (PEM)
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    let bytes = read_input(Some(&arguments.file))?;
    let events = events(&bytes, &name_of(Some(&arguments.file))).inspect_err(|_| warn_of_danger_in(&bytes))?;
    let router = RemoteRouter::new(&arguments.to, &arguments.token_file, arguments.authority.as_deref())
        .inspect_err(|_| warn_of_danger(&events))?;
    let mut totals = Totals::default();
    let mut stopped = None;
    for batch in batches(&events) {
        if let Err(error) = send_batch(&router, batch, &mut totals) {
            stopped = Some(error);
            break;
        }
    }
    // What stopped one stopped all that stand behind it.
    warn_of_danger(events.get(totals.accepted + totals.refused..).unwrap_or_default());
    let unsent = events.len() - totals.accepted - totals.refused;
    let counted = format!("{} accepted, {} refused", totals.accepted, totals.refused);
    match events.get(totals.accepted + totals.refused) {
        Some(first) => output::line(format_args!(
            "{counted}, {unsent} not sent, from {} on: send the file again, what was accepted is known by its id",
            first.place
        )),
        None => output::line(format_args!("{counted}")),
    }
    if let Some(ring) = &totals.ring {
        output::line(format_args!("{ring}"));
    }
    match stopped {
        Some(error) => Err(error),
        None if totals.refused == 0 => Ok(Ending::Clean),
        None => Ok(Ending::FoundSomething),
    }
}

#[derive(Default)]
struct Totals {
    accepted: usize,
    refused: usize,
    /// Whom to ring, where an event said that a child is in danger now.
    ring: Option<String>,
}

/// An event and where it stands in the file, for a person.
struct Located {
    place: String,
    event: Value,
    bytes: usize,
}

/// One object, an array, or one object a line.
fn events(bytes: &[u8], file: &str) -> Result<Vec<Located>, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|fault| {
        let line = line_of(bytes, fault.valid_up_to());
        CliError::failed(format!("{file} is not UTF-8 at line {line}; nothing was sent"))
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let located = |place: String, event: Value| Located { bytes: event.to_string().len(), place, event };
    let found: Vec<Located> = match serde_json::from_str(text) {
        Ok(Value::Array(events)) => {
            (1..).zip(events).map(|(number, event)| located(format!("event {number}"), event)).collect()
        }
        Ok(event) => vec![located("event 1".to_owned(), event)],
        Err(whole) => {
            let mut found = Vec::new();
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
                let event =
                    serde_json::from_str(line).map_err(|error| not_json(file, number, error.column(), &whole, text))?;
                found.push(located(format!("line {number}"), event));
            }
            found
        }
    };
    if found.is_empty() { Err(CliError::Usage(format!("{file} holds no event"))) } else { Ok(found) }
}

/// Where the file stops being JSON: as one document if its first line begins one, else by line. Never quotes it.
fn not_json(file: &str, line: usize, column: usize, whole: &serde_json::Error, text: &str) -> CliError {
    let lines =
        text.lines().filter(|line| line.trim_start().starts_with('{') && line.trim_end().ends_with('}')).count();
    let (line, column) = if lines > 1 { (line, column) } else { (whole.line(), whole.column()) };
    CliError::failed(format!("{file} is not JSON at line {line}, column {column}; nothing was sent"))
}

fn batches(events: &[Located]) -> Vec<&[Located]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if index > start && (bytes + event.bytes > BATCH_BYTES_MAX || index - start >= BATCH_EVENTS_MAX) {
            batches.push(&events[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += event.bytes;
    }
    batches.push(&events[start..]);
    batches
}

fn send_batch(router: &RemoteRouter, batch: &[Located], totals: &mut Totals) -> Result<(), CliError> {
    let answer = match batch {
        [one] => router.post("/v1/events", "application/cloudevents+json", one.event.to_string().as_bytes()),
        _ => {
            let events: Vec<&Value> = batch.iter().map(|located| &located.event).collect();
            let body = serde_json::to_vec(&events).map_err(CliError::failed)?;
            router.post("/v1/events", "application/cloudevents-batch+json", &body)
        }
    };
    let answer = answer?;
    if let Some(ring) = answer.body.get("ring").and_then(Value::as_str) {
        totals.ring = Some(ring.to_owned());
    }
    if answer.status == TOO_LARGE && batch.len() > 1 {
        return batch.iter().try_for_each(|one| send_batch(router, std::slice::from_ref(one), totals));
    }
    report(&answer, batch, totals)
}

/// The router may never have seen that these say so.
fn warn_of_danger(unheard: &[Located]) {
    for Located { place, .. } in unheard.iter().filter(|located| says_danger(located.event.to_string().as_bytes())) {
        ring(place, "was not accepted");
    }
}

/// The same of a file that cannot be read as events: whatever can be seen to say so, on the line at fault, too.
fn warn_of_danger_in(bytes: &[u8]) {
    // Of text in two bytes a letter, the other one.
    let seen: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let lines: BTreeSet<usize> = places_that_say_danger(&seen).map(|place| line_of(&seen, place)).collect();
    for line in lines {
        ring(&format!("line {line}"), "was not sent");
    }
}

fn ring(place: &str, became: &str) {
    eprintln!("{place}: says that a child is in immediate danger, and {became}: ring 999 and the front door now");
}

/// As a person counts lines.
fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes.iter().take(place).filter(|byte| **byte == b'\n').count() + 1
}

/// Counts what was accepted, and says of each refused event what is wrong with it. An error: the rest would fare no better.
fn report(answer: &Answer, batch: &[Located], totals: &mut Totals) -> Result<(), CliError> {
    if let Some(results) = answer.body.get("results").and_then(Value::as_array) {
        for (located, result) in batch.iter().zip(results) {
            if result.get("status").and_then(Value::as_str) == Some("accepted") {
                totals.accepted += 1;
            } else {
                totals.refused += 1;
                report_faults(&located.place, result);
            }
        }
        return Ok(());
    }
    match (answer.is_success(), batch) {
        (true, _) => totals.accepted += batch.len(),
        (false, [one]) if answer.body.get("problems").is_some() || answer.status == TOO_LARGE => {
            totals.refused += 1;
            if answer.status == TOO_LARGE {
                eprintln!("{}: {}", one.place, answer.problem());
                warn_of_danger(batch);
            } else {
                report_faults(&one.place, &answer.body);
            }
        }
        (false, _) => return Err(CliError::failed(answer.problem())),
    }
    Ok(())
}

fn report_faults(place: &str, result: &Value) {
    let faults = result.get("problems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for fault in faults {
        let text = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
        let path = if text("path").is_empty() { "the event" } else { text("path") };
        eprintln!("{place}: {path} {}", text("problem"));
    }
    if faults.is_empty() {
        eprintln!("{place}: refused");
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_EVENTS_MAX, batches, events};

    fn count(text: &str) -> usize {
        events(text.as_bytes(), "it").unwrap_or_default().len()
    }

    #[test]
    fn a_file_may_be_one_event_a_list_or_lines() {
        assert_eq!(count("{\n \"id\": 1\n}"), 1);
        assert_eq!(count("[{}, {}]"), 2);
        assert_eq!(count("{}\n\n{}\r\n{}"), 3);
        for broken in [&b""[..], b"{}\n{", b"[{},", b"{}\n{\"a\": \"caf\xe9\"}"] {
            assert!(events(broken, "it").is_err());
        }
    }

    #[test]
    fn batches_hold_everything_once_and_no_more_than_they_may() {
        let events = events("{}\n".repeat(BATCH_EVENTS_MAX * 2 + 1).as_bytes(), "it").unwrap_or_default();
        let sizes: Vec<usize> = batches(&events).into_iter().map(<[_]>::len).collect();
        assert_eq!(sizes, [BATCH_EVENTS_MAX, BATCH_EVENTS_MAX, 1]);
    }
}
