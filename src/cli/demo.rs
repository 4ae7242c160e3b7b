//! `demo`: a simulated partnership on a throw-away router, to watch referral events become tasks.

use super::{CliError, Ending};

/// Watch a simulated partnership's referral events become tasks
#[derive(clap::Args)]
#[command(
    after_help = "Nothing is kept: folder, keys and tokens are thrown away at the end. All people are made up.\n\n\
Examples:\n  pathway-router demo --events 500 --seed 7   500 events, then a summary\n  \
pathway-router demo                         serves until Ctrl-C, with tokens to try things by hand"
)]
pub struct Arguments {
    /// How many events to send; without it the demo serves until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: Option<u64>,

    /// The same seed gives the same events
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    Err(CliError::failed(format!("demo {:?} {} is not wired yet", arguments.events, arguments.seed)))
}
