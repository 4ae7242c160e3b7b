//! `quarantine`: records that could not be used; look at them, and try them again.

use serde_json::Value;

use super::router::{Answer, Router, RouterArguments};
use super::rule_book::counted;
use super::{CliError, Ending, output};

/// Why records lie in quarantine, as `QuarantineReason` spells it.
const REASONS: [&str; 8] = [
    "undecodable",
    "unknown_schema",
    "wrong_source",
    "invalid_field",
    "future_time",
    "too_large",
    "bad_reply_to",
    "router_fault",
];

/// Look at records that could not be used, and try them again
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  pathway-router quarantine list --to http://127.0.0.1:8080 \\\n      \
--token-file data/tokens/operator.token")]
pub enum Command {
    /// One line a record: id, when, whose, why. What was retried is left out
    #[command(after_help = "Exit code 1 if there is any that was not retried.\n\nExample:\n  \
pathway-router quarantine list --reason invalid_field")]
    List {
        /// Only this reason
        #[arg(long, value_parser = REASONS)]
        reason: Option<String>,

        /// Also those that were retried, each with when
        #[arg(long)]
        retried: bool,

        #[command(flatten)]
        router: RouterArguments,
    },
    /// One record's faults; its content only if asked for, since it may name a child
    #[command(after_help = "Example:\n  pathway-router quarantine show 6a9c2a34-5f0e-5c1a-9d53-1f1be0a7c001 --content")]
    Show {
        /// The record's id, as `list` prints it
        id: String,

        /// Also print the record itself
        #[arg(long)]
        content: bool,

        #[command(flatten)]
        router: RouterArguments,
    },
    /// Publish a record again where it came from, if it would be accepted now
    #[command(after_help = "Only says what would happen unless --really is given. What was itself a retry is not \
retried.\n\nExample:\n  pathway-router quarantine retry 6a9c2a34-5f0e-5c1a-9d53-1f1be0a7c001 --really")]
    Retry {
        /// The record's id, as `list` prints it
        id: String,

        /// Do it; without this nothing is changed
        #[arg(long)]
        really: bool,

        #[command(flatten)]
        router: RouterArguments,
    },
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::List { reason, retried, router } => list(&Router::of(router)?, reason.as_deref(), *retried),
        Command::Show { id, content, router } => show(&Router::of(router)?, id, *content),
        Command::Retry { id, really, router } => retry(&Router::of(router)?, id, *really),
    }
}

fn list(router: &Router, reason: Option<&str>, with_retried: bool) -> Result<Ending, CliError> {
    let (mut found, mut settled) = (0, 0);
    let mut path = "/v1/quarantine".to_owned();
    loop {
        let body = succeeded(router.get(&path)?)?;
        for record in body.get("quarantine").and_then(Value::as_array).into_iter().flatten() {
            if reason.is_some_and(|reason| text(record, "reason") != reason) {
                continue;
            }
            let is_retried = record.get("retried_at").is_some_and(Value::is_string);
            if is_retried {
                settled += 1;
            } else {
                found += 1;
            }
            if !is_retried || with_retried {
                output::line(format_args!("{}", line_of(record)));
            }
        }
        if body.get("more").and_then(Value::as_bool) != Some(true) {
            break;
        }
        path = format!("/v1/quarantine?after={}", text(&body, "cursor"));
    }
    let settled = match (settled, with_retried) {
        (0, _) => String::new(),
        (_, true) => format!(", and {settled} retried"),
        (_, false) => format!(", and {settled} retried (--retried lists those, too)"),
    };
    eprintln!("{} in quarantine{settled}", counted(found, "record"));
    Ok(if found == 0 { Ending::Clean } else { Ending::FoundSomething })
}

fn line_of(record: &Value) -> String {
    let said = |name: &str| Some(text(record, name)).filter(|text| !text.is_empty());
    let sender = said("partner").unwrap_or_else(|| text(record, "topic"));
    let sender = said("unit").map_or(sender.clone(), |unit| format!("{sender} {unit}"));
    let retried = said("retried_at").map(|at| format!("retried {at}"));
    let columns = [text(record, "quarantine_id"), text(record, "receipt"), text(record, "reason"), sender];
    columns.into_iter().chain(retried).collect::<Vec<_>>().join("  ")
}

fn show(router: &Router, id: &str, content: bool) -> Result<Ending, CliError> {
    let mut record = succeeded(router.get(&record_path(id)?)?)?;
    if let (false, Value::Object(members)) = (content, &mut record) {
        for name in ["original", "original_text", "headers"] {
            members.shift_remove(name);
        }
    }
    output::line(format_args!("{}", serde_json::to_string_pretty(&record).map_err(CliError::failed)?));
    Ok(Ending::Clean)
}

fn retry(router: &Router, id: &str, really: bool) -> Result<Ending, CliError> {
    let query = if really { "" } else { "?dry_run=true" };
    let answer = router.post(&format!("{}/retry{query}", record_path(id)?), "application/json", b"")?;
    for fault in answer.body.get("problems").and_then(Value::as_array).into_iter().flatten() {
        let path = Some(text(fault, "path")).filter(|path| !path.is_empty());
        eprintln!("{} {}", path.unwrap_or_else(|| "the record".to_owned()), text(fault, "problem"));
    }
    let body = succeeded(answer)?;
    if really {
        output::line(format_args!("published again"));
        return Ok(Ending::Clean);
    }
    let would_be = text(&body, "would_be");
    let is_accepted = would_be == "accepted";
    let next = if is_accepted { "--really does it" } else { "--really is refused, too: the sender must correct it" };
    output::line(format_args!("would be {would_be}; nothing was changed ({next})"));
    Ok(if is_accepted { Ending::Clean } else { Ending::FoundSomething })
}

fn record_path(id: &str) -> Result<String, CliError> {
    let id = uuid::Uuid::parse_str(id)
        .map_err(|_| CliError::Usage("the id must be one that `quarantine list` prints".to_owned()))?;
    Ok(format!("/v1/quarantine/{id}"))
}

fn succeeded(answer: Answer) -> Result<Value, CliError> {
    if answer.is_success() { Ok(answer.body) } else { Err(CliError::failed(answer.problem())) }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
