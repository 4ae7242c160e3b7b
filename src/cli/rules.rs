//! `rules check` and `rules test`: what is wrong with a rule book, and whether it does what its scenarios say.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Check a rule book, or test it against scenarios
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  pathway-router rules check rules/cheshire-east")]
pub enum Command {
    /// Read a rule book and report every fault at once
    #[command(after_help = "Example:\n  pathway-router rules check rules/cheshire-east")]
    Check {
        /// Folder of the rule book
        dir: PathBuf,
    },
    /// Run scenario files and show expected and got side by side
    #[command(
        after_help = "A scenario file names no rule book: it is tested against --rules, else against the rule book \
it lies in (its folder or the nearest one above that holds rules.toml). docs/rules.md says how to write one.\n\n\
Examples:\n  pathway-router rules test rules/cheshire-east\n  \
pathway-router rules test my-scenario.toml --rules rules/cheshire-east"
    )]
    Test {
        /// A rule book's folder (all its scenarios), a folder of scenarios, or one scenario file
        path: PathBuf,

        /// Folder of the rule book, when the scenarios do not lie in it
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::Check { dir } => Err(CliError::failed(format!("rules check {} is not wired yet", dir.display()))),
        Command::Test { path, rules } => {
            Err(CliError::failed(format!("rules test {} {rules:?} is not wired yet", path.display())))
        }
    }
}
