//! `rules publish` and `rules list`: another rule book from some time on, and those there are.

use std::path::Path;

use serde_json::{Value, json};

use super::NO_LADDER;
use crate::cli::router::{Router, RouterArguments};
use crate::cli::{CliError, Ending, output, rule_book};

pub fn publish(dir: &Path, effective_from: Option<&str>, router: &RouterArguments) -> Result<Ending, CliError> {
    if rule_book::read_sound(dir)?.ladders.is_empty() {
        eprintln!("warning: {NO_LADDER}");
    }
    let files: Vec<Value> =
        rule_book::files(dir)?.into_iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
    let body = json!({ "effective_from": effective_from, "files": files }).to_string();
    let answer = Router::of(router)?.post("/v1/rules", "application/json", body.as_bytes())?;
    if !answer.is_success() {
        for problem in answer.body.get("problems").and_then(Value::as_array).into_iter().flatten() {
            eprintln!("{} {}", text(problem, "path"), text(problem, "problem"));
        }
        return Err(CliError::failed(answer.problem()));
    }
    output::line(format_args!(
        "{}: rule book {} from {} on",
        text(&answer.body, "title"),
        text(&answer.body, "hash"),
        text(&answer.body, "effective_from")
    ));
    for warning in answer.body.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        eprintln!("warning: {warning}");
    }
    Ok(Ending::Clean)
}

pub fn list(router: &RouterArguments) -> Result<Ending, CliError> {
    let answer = Router::of(router)?.get("/v1/rules")?;
    if !answer.is_success() {
        return Err(CliError::failed(answer.problem()));
    }
    for book in answer.body.get("rule_books").and_then(Value::as_array).into_iter().flatten() {
        let standing = match text(book, "standing") {
            "in_force" => "  (in force)",
            "to_come" => "  (to come)",
            "over" => "  (over)",
            "replaced" => "  (replaced by another for the same time)",
            _ => "",
        };
        let unread = if book.get("readable") == Some(&Value::Bool(true)) { "" } else { "  (cannot be read here)" };
        let (from, hash, title) = (text(book, "effective_from"), text(book, "hash"), text(book, "title"));
        output::line(format_args!("{from}  {hash}  {title}{standing}{unread}"));
    }
    Ok(Ending::Clean)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
