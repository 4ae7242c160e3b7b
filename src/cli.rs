//! The command line: what may be asked, and what the answer's exit code is. One file a subcommand.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod backup;
pub mod broker;
pub mod decide;
pub mod demo;
mod descriptors;
pub mod files;
pub mod import;
pub mod keygen;
pub mod local;
pub mod output;
pub mod quarantine;
mod reload;
pub mod router;
pub mod rule_book;
pub mod rules;
pub mod run;
pub mod send;
pub mod service;
pub mod topics;
mod waiting;

/// Routes safeguarding referral events to the agencies that must act.
#[derive(Parser)]
#[command(name = "pathway-router", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 all well, 1 found something wrong, 2 asked wrongly.\n\n\
Example:\n  pathway-router demo --events 500")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Demo(demo::Arguments),
    Decide(decide::Arguments),
    #[command(subcommand)]
    Rules(rules::Command),
    Send(send::Arguments),
    #[command(subcommand)]
    Import(import::Command),
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    Backup(backup::Arguments),
    #[command(subcommand)]
    Topics(topics::Command),
    Keygen(keygen::Arguments),
}

/// How a command ended that could do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Clean,
    /// Bad rows, faulty rules, a scenario that fails: already reported.
    FoundSomething,
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// Exit code 2: the command was not given what it needs. Says what to write instead.
    Usage(String),
    /// Exit code 1: a fault in a file that a person wrote, or something failed on the way.
    Failed(miette::Report),
}

impl CliError {
    /// A failure that is no fault in a file.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(miette::Report::msg(message.to_string()))
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            CliError::Usage(message) => {
                eprintln!("error: {message}\n\nFor more, try `--help`.");
                ExitCode::from(2)
            }
            CliError::Failed(report) => {
                eprintln!("{report:?}");
                ExitCode::from(1)
            }
        }
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CliError::Usage(message) => formatter.write_str(message),
            CliError::Failed(report) => write!(formatter, "{report}"),
        }
    }
}

impl From<miette::Report> for CliError {
    fn from(report: miette::Report) -> Self {
        Self::Failed(report)
    }
}

/// Parses the process's arguments, does what they say, and gives its exit code.
pub fn main() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(arguments.command) {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::FoundSomething) => ExitCode::from(1),
        Err(error) => error.exit_code(),
    }
}

fn dispatch(command: Command) -> Result<Ending, CliError> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Decide(arguments) => decide::run(&arguments),
        Command::Rules(command) => rules::run(&command),
        Command::Send(arguments) => send::run(&arguments),
        Command::Import(command) => import::run(&command),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Topics(command) => topics::run(&command),
        Command::Keygen(arguments) => keygen::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_s_help_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "`{}` --help shows no example", path.trim());
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                check(inner, &path);
            }
        }
        check(&Arguments::command(), "");
    }
}
