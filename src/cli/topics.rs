//! `topics`: what the router needs on a Kafka cluster, compared with what is there, and made so.

use std::path::PathBuf;

use clap::Subcommand;

use super::broker::open_kafka;
use super::local::load_config;
use super::rule_book::read_sound;
use super::{CliError, Ending};
use crate::broker::kafka::Kafka;
use crate::broker::kafka::admin::{TopicChanges, settings};
use crate::broker::{Broker as _, TopicSpec};
use crate::config::broker::Broker;
use crate::runtime::topic_plan;

/// The topics of a Kafka cluster: what is missing, and making it
#[derive(Subcommand)]
#[command(after_help = "Example:\n  pathway-router topics plan --config /etc/pathway-router/config.toml")]
pub enum Command {
    Plan(Plan),
    Apply(Apply),
}

/// Print what `apply` would do; exit code 1 if that is anything
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pathway-router topics plan --config /etc/pathway-router/config.toml")]
pub struct Plan {
    #[command(flatten)]
    of: Of,
}

/// Create and alter topics; a partition count or a compaction that differs is refused, and nothing is changed
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pathway-router topics apply --config /etc/pathway-router/config.toml")]
pub struct Apply {
    #[command(flatten)]
    of: Of,
}

#[derive(clap::Args)]
struct Of {
    /// Settings of the router, with [broker] kind = "kafka"
    #[arg(long, value_name = "FILE", default_value = "data/config.toml")]
    config: PathBuf,
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::Plan(Plan { of }) => {
            let (kafka, specs) = of.open()?;
            let changes = print_plan(&kafka, &specs)?;
            let nothing = changes.create.is_empty() && changes.alter.is_empty();
            Ok(if nothing { Ending::Clean } else { Ending::FoundSomething })
        }
        Command::Apply(Apply { of }) => {
            let (kafka, specs) = of.open()?;
            print_plan(&kafka, &specs)?;
            kafka.ensure_topics(&specs).map_err(CliError::failed)?;
            println!("done");
            Ok(Ending::Clean)
        }
    }
}

impl Of {
    fn open(&self) -> Result<(Kafka, Vec<TopicSpec>), CliError> {
        let config = load_config(&self.config)?;
        let Broker::Kafka(kafka) = &config.broker else {
            let reason = "the embedded broker makes its own topics; this is for [broker] kind = \"kafka\"";
            return Err(CliError::Usage(reason.to_owned()));
        };
        let book = read_sound(&config.rules)?;
        let plan = topic_plan(&config, book.agencies.keys().cloned());
        Ok((open_kafka(&config, kafka)?, plan.specs()))
    }
}

fn print_plan(kafka: &Kafka, specs: &[TopicSpec]) -> Result<TopicChanges, CliError> {
    let changes = kafka.plan_topics(specs).map_err(CliError::failed)?;
    for spec in &changes.create {
        let settings = settings(spec, kafka.min_in_sync());
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        println!("create {}: {} partitions, {}", spec.name, spec.partitions, settings.join(", "));
    }
    for (topic, differing) in &changes.alter {
        for (name, (present, wanted)) in differing {
            println!("alter {topic}: {name} {} -> {wanted}", present.as_deref().unwrap_or("unset"));
        }
    }
    let unchanged = specs.len() - changes.create.len() - changes.alter.len();
    println!("{} to create, {} to alter, {unchanged} as they should be", changes.create.len(), changes.alter.len());
    println!("the partition count of inbox and history is fixed once they exist: children would change partition");
    Ok(changes)
}
