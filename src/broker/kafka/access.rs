//! Who may do what on the cluster: the rights there are, compared with those that should be.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::error::RDKafkaErrorCode;

use super::fault::named;
use super::native::acls;
use super::notes::Quiet;
use super::shared::Shared;
use crate::broker::BrokerError;

const KNOWN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// From any machine.
pub const ANY_HOST: &str = "*";
/// Whoever it may be.
const ANYONE: &str = "User:*";

/// One right of one principal. Kafka calls it an access control entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Right {
    pub principal: String,
    pub resource: Resource,
    pub pattern: Pattern,
    pub name: String,
    pub operation: Operation,
    pub host: String,
    /// False: it is forbidden, which goes before what is allowed.
    pub is_allowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Resource {
    Topic,
    Group,
    Cluster,
    TransactionalId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pattern {
    /// This name.
    Literal,
    /// Every name that begins so.
    Prefixed,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    All,
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    ClusterAction,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

impl Right {
    /// An allowance from any machine.
    pub fn allow(principal: &str, operation: Operation, resource: Resource, pattern: Pattern, name: &str) -> Self {
        let (principal, name, host) = (principal.to_owned(), name.to_owned(), ANY_HOST.to_owned());
        Self { principal, resource, pattern, name, operation, host, is_allowed: true }
    }

    /// Whether it can be about a topic of ours: its own name, or one that begins as it says.
    fn touches(&self, topics: &BTreeSet<String>) -> bool {
        self.resource == Resource::Topic
            && match self.pattern {
                Pattern::Literal => self.name == "*" || topics.contains(&self.name),
                Pattern::Prefixed => topics.iter().any(|topic| topic.starts_with(&self.name)),
            }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, resource, pattern, name, operation, host, is_allowed } = self;
        let may = if *is_allowed { "may" } else { "may not" };
        let beginning = if *pattern == Pattern::Prefixed { " beginning" } else { "" };
        write!(formatter, "{principal} {may} {operation:?} {resource:?}{beginning} {name}")?;
        if host != ANY_HOST { write!(formatter, " from {host}") } else { Ok(()) }
    }
}

/// What rights need.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RightChanges {
    pub grant: Vec<Right>,
    /// On topics of ours, and of nobody the configuration names: for a person to judge. Never taken away by us.
    pub others: Vec<Right>,
    /// The cluster asks nobody for rights: none can be granted.
    pub is_open: bool,
}

/// The rights there are against those wanted. `topics`: ours.
pub fn plan(shared: &Shared, wanted: &BTreeSet<Right>, topics: &BTreeSet<String>) -> Result<RightChanges, BrokerError> {
    let present: BTreeSet<Right> = match acls::describe(&admin(shared)?) {
        Ok(rights) => rights.into_iter().collect(),
        Err(RDKafkaErrorCode::SecurityDisabled) => return Ok(RightChanges { is_open: true, ..Default::default() }),
        Err(code) => return Err(named("the rights on the cluster are not known", code)),
    };
    Ok(compare(&present, wanted, topics))
}

fn compare(present: &BTreeSet<Right>, wanted: &BTreeSet<Right>, topics: &BTreeSet<String>) -> RightChanges {
    let is_other = |right: &&Right| right.touches(topics) && (right.is_allowed || right.principal == ANYONE);
    RightChanges {
        grant: wanted.difference(present).cloned().collect(),
        others: present.difference(wanted).filter(is_other).cloned().collect(),
        is_open: false,
    }
}

/// Grants what is missing; the broker goes by it when this returns.
pub fn apply(shared: &Shared, changes: &RightChanges) -> Result<(), BrokerError> {
    if changes.grant.is_empty() {
        return Ok(());
    }
    let admin = admin(shared)?;
    acls::create(&admin, &changes.grant).map_err(|code| named("rights could not be granted", code))?;
    let deadline = Instant::now() + KNOWN_WITHIN;
    while Instant::now() < deadline {
        let present = acls::describe(&admin).map_err(|code| named("the rights on the cluster are not known", code))?;
        if changes.grant.iter().all(|right| present.contains(right)) {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(BrokerError::Unreachable("rights were granted, and the broker does not go by them yet".to_owned()))
}

fn admin(shared: &Shared) -> Result<AdminClient<Quiet>, BrokerError> {
    super::admin::client(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_on_our_topics_is_named_and_what_is_missing_granted() {
        let right = |principal: &str, pattern, name: &str| {
            Right::allow(principal, Operation::Read, Resource::Topic, pattern, name)
        };
        let ours = right("User:camhs", Pattern::Literal, "tasks.camhs");
        let missing = right("User:gp", Pattern::Literal, "tasks.gp");
        let everything = right("User:*", Pattern::Literal, "*");
        let prefix = right("User:analyst", Pattern::Prefixed, "tasks.");
        let elsewhere = right("User:analyst", Pattern::Literal, "sales");
        let forbidden = Right { is_allowed: false, ..right("User:old", Pattern::Literal, "tasks.gp") };
        let present = [&ours, &everything, &prefix, &elsewhere, &forbidden].map(Clone::clone).into();
        let wanted = [ours.clone(), missing.clone()].into();
        let topics = ["tasks.camhs", "tasks.gp"].map(str::to_owned).into();
        let changes = compare(&present, &wanted, &topics);
        assert_eq!(changes.grant, [missing]);
        assert_eq!(changes.others, [everything, prefix]);
        assert_eq!(ours.to_string(), "User:camhs may Read Topic tasks.camhs");
    }
}
