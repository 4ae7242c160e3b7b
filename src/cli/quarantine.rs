//! `quarantine`: records that could not be used; look at them, and try them again.

use std::path::PathBuf;

use super::{CliError, Ending};

/// Look at records that could not be used, and try them again
#[derive(clap::Subcommand)]
#[command(
    after_help = "Example:\n  pathway-router quarantine list --to http://127.0.0.1:8080 \\\n      --token-file data/tokens/operator.token"
)]
pub enum Command {
    /// One line a record: id, when, whose, why
    #[command(after_help = "Example:\n  pathway-router quarantine list --reason invalid_field")]
    List {
        /// Only this reason
        #[arg(long)]
        reason: Option<String>,

        #[command(flatten)]
        router: Router,
    },
    /// One record's faults; its content only if asked for, since it may name a child
    #[command(after_help = "Example:\n  pathway-router quarantine show 6a9c2a34-0000-5000-8000-000000000000 --content")]
    Show {
        /// The record's id, as `list` prints it
        id: String,

        /// Also print the original bytes
        #[arg(long)]
        content: bool,

        #[command(flatten)]
        router: Router,
    },
    /// Publish a record again, once; a record that was retried before is refused
    #[command(after_help = "Only says what would happen unless --really is given.\n\n\
Example:\n  pathway-router quarantine retry 6a9c2a34-0000-5000-8000-000000000000 --really")]
    Retry {
        /// The record's id, as `list` prints it
        id: String,

        /// Do it; without this nothing is changed
        #[arg(long)]
        really: bool,

        #[command(flatten)]
        router: Router,
    },
}

/// Which router's quarantine.
#[derive(clap::Args)]
pub struct Router {
    /// Address of a running router; without it the router's own file is opened
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    to: Option<String>,

    /// File that holds the operator's token, for --to
    #[arg(long, value_name = "T", requires = "to")]
    token_file: Option<PathBuf>,

    /// Settings of the router whose file is opened [default: data/router.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    let (id, router, more) = match command {
        Command::List { reason, router } => (reason.clone().unwrap_or_default(), router, false),
        Command::Show { id, content, router } => (id.clone(), router, *content),
        Command::Retry { id, really, router } => (id.clone(), router, *really),
    };
    Err(CliError::failed(format!(
        "quarantine {id} {more} {:?} {:?} {:?} is not wired yet",
        router.to, router.token_file, router.config
    )))
}
