//! `topics`: what the router needs on a Kafka cluster and its schema registry, compared with what is there, and made so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::broker::{open_kafka, wire};
use super::local::load_config;
use super::output::told;
use super::rule_book::read_sound;
use super::service::{called, check_agencies, own_book};
use super::{CliError, Ending};
use crate::broker::kafka::Kafka;
use crate::broker::kafka::access::{Right, RightChanges};
use crate::broker::kafka::admin::{TopicChanges, settings};
use crate::broker::{Broker as _, BrokerError, TopicSpec};
use crate::config::Config;
use crate::config::broker::Broker;
use crate::engine::context::RuleBooks;
use crate::engine::rules::RuleBook;
use crate::runtime::access::Principals;
use crate::runtime::{rule_books, topic_plan};
use crate::wire::{SubjectChange, Wire};

/// The topics, rights and schemas of a Kafka cluster: what is missing, and making it
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

/// Create and alter topics, grant rights, register schemas; the same again changes nothing
#[derive(clap::Args)]
#[command(
    after_help = "A partition count or a compaction that differs is refused, and nothing is changed. Rights of others on \
these topics are named and left alone.\n\nExample:\n  pathway-router topics apply --config \
/etc/pathway-router/config.toml --properties admin.properties"
)]
pub struct Apply {
    #[command(flatten)]
    of: Of,
}

#[derive(clap::Args)]
struct Of {
    /// Settings of the router, with [broker] kind = "kafka"
    #[arg(long, value_name = "FILE", default_value = "data/config.toml")]
    config: PathBuf,

    /// Settings of the Kafka client of someone who may do this, instead of the router's own
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,
}

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::Plan(Plan { of }) => {
            let nothing = Needs::of(of)?.print()?.is_empty();
            Ok(if nothing { Ending::Clean } else { Ending::FoundSomething })
        }
        Command::Apply(Apply { of }) => {
            let needs = Needs::of(of)?;
            needs.apply(&needs.print()?)?;
            told(format_args!("done"));
            Ok(Ending::Clean)
        }
    }
}

/// What a configuration needs, and where.
struct Needs {
    kafka: Kafka,
    topics: Vec<TopicSpec>,
    rights: Option<BTreeSet<Right>>,
    wire: Option<Wire>,
}

/// What is not as it should be.
struct Changes {
    topics: TopicChanges,
    rights: RightChanges,
    subjects: Vec<SubjectChange>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        let TopicChanges { create, alter } = &self.topics;
        create.is_empty() && alter.is_empty() && self.rights.grant.is_empty() && self.subjects.is_empty()
    }
}

impl Needs {
    fn of(of: &Of) -> Result<Self, CliError> {
        let mut config = load_config(&of.config)?;
        let Broker::Kafka(kafka) = &mut config.broker else {
            let reason = "the embedded broker makes its own topics; this is for [broker] kind = \"kafka\"";
            return Err(CliError::Usage(reason.to_owned()));
        };
        if let Some(file) = &of.properties {
            kafka.properties =
                crate::config::broker::Properties::load(file).map_err(|faults| super::local::config_error(&faults))?;
        }
        let (opened, principal) = (kafka.clone(), kafka.principal.clone());
        let kafka = open_kafka(&config, &opened)?;
        let (published, own) = (published(&kafka)?, own_book(&config.rules));
        if published.all().next().is_none() {
            read_sound(&config.rules)?;
        }
        let own = own.map(|(_, book)| book);
        tell_books(&config.rules, &published, &own);
        check_agencies(&config, own.as_ref().ok(), &published).map_err(|faults| super::local::config_error(&faults))?;
        let books = published.all().map(|book| &book.rules).chain(&own);
        let plan = topic_plan(&config, books.flat_map(|book| book.agencies.keys().cloned()));
        Ok(Self {
            kafka,
            topics: plan.specs(),
            rights: principal.map(|router| principals(&config, router).rights()),
            wire: wire(&config)?,
        })
    }

    fn print(&self) -> Result<Changes, CliError> {
        let topics = self.print_topics()?;
        let rights = self.print_rights()?;
        let subjects = self.print_subjects()?;
        Ok(Changes { topics, rights, subjects })
    }

    fn print_topics(&self) -> Result<TopicChanges, CliError> {
        let changes = self.kafka.plan_topics(&self.topics).map_err(CliError::failed)?;
        for spec in &changes.create {
            let settings = settings(spec, self.kafka.min_in_sync());
            let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            told(format_args!("create {}: {} partitions, {}", spec.name, spec.partitions, settings.join(", ")));
        }
        for (topic, differing) in &changes.alter {
            for (name, (present, wanted)) in differing {
                told(format_args!("alter {topic}: {name} {} -> {wanted}", present.as_deref().unwrap_or("unset")));
            }
        }
        let unchanged = self.topics.len() - changes.create.len() - changes.alter.len();
        let (create, alter) = (changes.create.len(), changes.alter.len());
        told(format_args!("topics: {create} to create, {alter} to alter, {unchanged} as they should be"));
        told(format_args!(
            "the partition count of inbox and history is fixed once they exist: children would change partition"
        ));
        Ok(changes)
    }

    fn print_rights(&self) -> Result<RightChanges, CliError> {
        let Some(wanted) = &self.rights else {
            told(format_args!(
                "rights: not looked at; write principal in [broker], and in [partners.…] and [agencies.…]"
            ));
            return Ok(RightChanges::default());
        };
        let topics = self.topics.iter().map(|spec| spec.name.clone()).collect();
        let changes = self.kafka.plan_rights(wanted, &topics).map_err(CliError::failed)?;
        if changes.is_open {
            told(format_args!("rights: this cluster asks for none: anyone may read and write everything on it"));
            return Ok(changes);
        }
        for right in &changes.grant {
            told(format_args!("grant: {right}"));
        }
        for right in &changes.others {
            told(format_args!("warning, left as it is: {right}"));
        }
        let (grant, others) = (changes.grant.len(), changes.others.len());
        if grant == wanted.len() {
            told(
                "rights: none is seen; where there are some, this principal may not look: give --properties of one who may",
            );
        }
        told(format_args!(
            "rights: {grant} to grant, {} as they should be, {others} of others to look at",
            wanted.len() - grant
        ));
        Ok(changes)
    }

    fn print_subjects(&self) -> Result<Vec<SubjectChange>, CliError> {
        let Some(wire) = &self.wire else {
            told(format_args!("schemas: no [registry]; records name their schema by its fingerprint"));
            return Ok(Vec::new());
        };
        let changes = wire.plan(self.topics.iter().map(|spec| spec.name.as_str())).map_err(CliError::failed)?;
        for change in &changes {
            match change {
                SubjectChange::Register { subject } => told(format_args!("register {subject}")),
                SubjectChange::HoldTo { subject, present, wanted } => {
                    told(format_args!(
                        "hold {subject} to {wanted} (now {})",
                        present.as_deref().unwrap_or("the registry's default")
                    ));
                }
            }
        }
        told(format_args!("schemas: {} to change", changes.len()));
        Ok(changes)
    }

    fn apply(&self, changes: &Changes) -> Result<(), CliError> {
        self.kafka.ensure_topics(&self.topics).map_err(CliError::failed)?;
        self.kafka.grant(&changes.rights).map_err(CliError::failed)?;
        match &self.wire {
            Some(wire) => wire.apply(&changes.subjects).map_err(CliError::failed),
            None => Ok(()),
        }
    }
}

/// The rule books on the cluster. None where whoever asks may not read them, which is told.
fn published(kafka: &Kafka) -> Result<RuleBooks, CliError> {
    match rule_books::published(kafka) {
        Err(BrokerError::Denied(problem)) => {
            told(format_args!("rule books: {problem}; which are published is not known to this principal"));
            Ok(RuleBooks::default())
        }
        books => books.map_err(CliError::failed),
    }
}

/// By which the agencies are known whose topics there must be: as of a start, the published ones, and the folder's, which may be published yet.
fn tell_books(folder: &Path, published: &RuleBooks, own: &Result<RuleBook, String>) {
    for book in published.all() {
        let (hash, title, from) = (&book.rules.hash, &book.rules.title, book.rules.effective_from.to_jiff());
        told(format_args!("rule book {hash}: published, from {from}, {title}"));
    }
    let (is_any, shown) = (published.all().next().is_some(), called(folder));
    match own {
        Ok(own) if published.all().any(|book| book.rules.hash == own.hash) => {}
        Ok(own) if is_any => {
            let is_new = |agency: &&String| !published.all().any(|book| book.rules.agencies.contains_key(*agency));
            let new: Vec<&str> = own.agencies.keys().filter(is_new).map(String::as_str).collect();
            let new = if new.is_empty() { "none".to_owned() } else { new.join(", ") };
            told(format_args!("{shown} is not published; agencies that it alone has: {new}"));
        }
        Ok(_) => told(format_args!("no rule book is published, or shown to this principal: by {shown}")),
        Err(problem) => told(format_args!("warning: by the published rule books alone, for {problem}")),
    }
}

fn principals(config: &Config, router: String) -> Principals {
    let partners = config.partners.iter();
    Principals {
        router,
        partners: partners.filter_map(|(name, partner)| Some((name.clone(), partner.principal.clone()?))).collect(),
        agencies: config.agency_principals.clone(),
    }
}
