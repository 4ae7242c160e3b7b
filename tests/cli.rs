//! The real binary: what each command prints, and its exit code, on good files and bad.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

#[path = "cli/book.rs"]
mod book;
#[cfg(target_os = "linux")]
#[path = "cli/descriptors.rs"]
mod descriptors;
#[path = "cli/disagreement.rs"]
mod disagreement;
#[cfg(unix)]
#[path = "cli/first_start.rs"]
mod first_start;
#[cfg(unix)]
#[path = "cli/full_disk.rs"]
mod full_disk;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/left_behind.rs"]
mod left_behind;
#[path = "cli/offline.rs"]
mod offline;
#[path = "cli/reload.rs"]
mod reload;
#[path = "cli/rule_books.rs"]
mod rule_books;
#[path = "cli/rules.rs"]
mod rules;
#[path = "cli/running.rs"]
mod running;

/// The top of the repository, where the commands are run.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathway-router"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

/// What a command did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn run(arguments: &[&str]) -> Done {
    command(arguments).output().expect("the binary starts").into()
}

/// Of a router that is stopped.
fn check_quarantine_is_empty(config: &str) {
    let done = check(&["quarantine", "list", "--config", config], 0, &[]);
    assert!(done.err.lines().any(|line| line.starts_with("0 records in quarantine")), "{}{}", done.out, done.err);
}

/// Runs a command; its exit code must be `code`, and what it prints must contain each of `expected`.
fn check(arguments: &[&str], code: i32, expected: &[&str]) -> Done {
    let done = run(arguments);
    let shown = format!("{arguments:?}\n{}\n{}", done.out, done.err);
    assert_eq!(done.code, Some(code), "{shown}");
    for text in expected {
        assert!(done.out.contains(text) || done.err.contains(text), "no {text:?} in {shown}");
    }
    done
}
