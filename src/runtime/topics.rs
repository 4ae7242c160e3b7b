//! The topics: their names, their shape, how long they are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{TopicPattern, TopicSpec};
use crate::config::Retention;
use crate::engine::schema::SchemaName;
use crate::engine::step::Effect;

/// Everything DECIDE reads, keyed by subject.
pub const INBOX: &str = "inbox";
/// The newest state of each subject. Compacted; partitioned as the inbox is.
pub const HISTORY: &str = "history";
/// The audit records, keyed by subject.
pub const DECISIONS: &str = "decisions";
/// Records that could not be used. For operators alone.
pub const QUARANTINE: &str = "quarantine";

/// What came over HTTP: written by the gateway alone, which stamps each record with the partner or agency, and unit,
/// whose token it saw. Nobody else's stamps are believed.
pub const GATEWAY: &str = "gateway.http";

/// Rule books, each from some time on. Compacted.
pub const RULE_BOOKS: &str = "rulebooks";
/// Which keys the topics were written with. Compacted.
pub const IDENTITY: &str = "identity";

pub const GATEWAY_PREFIX: &str = "gateway.";
pub const REFERRALS_PREFIX: &str = "referrals.";
pub const OUTCOMES_PREFIX: &str = "outcomes.";
/// What the topics that INTAKE reads begin with.
pub const INTAKE_PREFIXES: [&str; 3] = [GATEWAY_PREFIX, REFERRALS_PREFIX, OUTCOMES_PREFIX];
pub const TASKS_PREFIX: &str = "tasks.";
pub const FEEDBACK_PREFIX: &str = "feedback.";

/// Consumer groups of the two stages.
pub const INTAKE_GROUP: &str = "intake";
pub const DECIDE_GROUP: &str = "decide";

/// What the topics are made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicPlan {
    pub partners: BTreeSet<String>,
    pub agencies: BTreeSet<String>,
    /// Of inbox and history.
    pub partitions: u32,
    pub retention: Retention,
}

impl TopicPlan {
    /// Every topic, in order of its name.
    pub fn specs(&self) -> Vec<TopicSpec> {
        let Retention { referrals, outcomes, inbox, tasks, feedback, decisions, quarantine } = self.retention;
        let mut specs = vec![
            spec(INBOX.to_owned(), self.partitions, inbox),
            compacted(HISTORY, self.partitions),
            spec(DECISIONS.to_owned(), 1, decisions),
            spec(GATEWAY.to_owned(), 1, referrals.max(outcomes)),
            spec(QUARANTINE.to_owned(), 1, quarantine),
            compacted(RULE_BOOKS, 1),
            compacted(IDENTITY, 1),
        ];
        for partner in &self.partners {
            specs.push(spec(format!("{REFERRALS_PREFIX}{partner}"), 1, referrals));
            specs.push(spec(format!("{FEEDBACK_PREFIX}{partner}"), 1, feedback));
        }
        for agency in &self.agencies {
            specs.push(spec(format!("{OUTCOMES_PREFIX}{agency}"), 1, outcomes));
            specs.push(spec(format!("{TASKS_PREFIX}{agency}"), 1, tasks));
        }
        specs.sort_by(|one, other| one.name.cmp(&other.name));
        specs
    }
}

fn compacted(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, compacted: true, retention: None }
}

fn spec(name: String, partitions: u32, retention: Duration) -> TopicSpec {
    TopicSpec { name, partitions, compacted: false, retention: Some(retention) }
}

/// What INTAKE reads: the gateway's, every partner's and every agency's topic, also those made later.
pub fn intake_pattern() -> TopicPattern {
    TopicPattern::Prefixes(INTAKE_PREFIXES.map(str::to_owned).into())
}

/// Whether INTAKE reads a topic of this name.
pub fn is_read_by_intake(topic: &str) -> bool {
    INTAKE_PREFIXES.iter().any(|prefix| topic.starts_with(prefix))
}

/// The schema of a topic that others write or read; None: the router's own.
pub fn schema_of(topic: &str) -> Option<SchemaName> {
    let shared = [
        (REFERRALS_PREFIX, SchemaName::ReferralEvent),
        (OUTCOMES_PREFIX, SchemaName::Outcome),
        (TASKS_PREFIX, SchemaName::Task),
        (FEEDBACK_PREFIX, SchemaName::Feedback),
    ];
    match topic {
        DECISIONS => Some(SchemaName::Decision),
        QUARANTINE => Some(SchemaName::Quarantine),
        _ => shared.into_iter().find(|(prefix, _)| topic.starts_with(prefix)).map(|(_, name)| name),
    }
}

/// Names of the topics that lanes write to, shared by every record they write.
#[derive(Clone, Debug)]
pub struct OutputTopics {
    pub inbox: Arc<str>,
    pub history: Arc<str>,
    pub decisions: Arc<str>,
    pub quarantine: Arc<str>,
    /// By agency.
    pub tasks: BTreeMap<String, Arc<str>>,
    /// By partner.
    pub feedback: BTreeMap<String, Arc<str>>,
    /// Histories and the inbox are written as the previous release reads them.
    pub written_for_previous: bool,
}

impl OutputTopics {
    /// From the names of the topics there are.
    pub fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let under = |prefix: &str| {
            let named = names.clone().filter_map(|name| Some((name.strip_prefix(prefix)?.to_owned(), name.into())));
            named.collect()
        };
        Self {
            inbox: INBOX.into(),
            history: HISTORY.into(),
            decisions: DECISIONS.into(),
            quarantine: QUARANTINE.into(),
            tasks: under(TASKS_PREFIX),
            feedback: under(FEEDBACK_PREFIX),
            written_for_previous: false,
        }
    }

    /// Whether it is a task or feedback topic that we know.
    pub fn has(&self, topic: &str) -> bool {
        self.tasks.values().chain(self.feedback.values()).any(|known| known.as_ref() == topic)
    }

    /// The topic that an effect would go to, and that is not known.
    pub fn missing(&self, effect: &Effect) -> Option<String> {
        let (known, prefix, name) = match effect {
            Effect::Task(task, _) => (&self.tasks, TASKS_PREFIX, &task.agency),
            Effect::Feedback(feedback) => (&self.feedback, FEEDBACK_PREFIX, &feedback.partner),
            Effect::Decision(_) | Effect::Inbox(_) => return None,
        };
        (!known.contains_key(name)).then(|| format!("{prefix}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partner_and_agency_has_its_topics() {
        let day = Duration::from_secs(86_400);
        let retention = Retention {
            referrals: day,
            outcomes: day,
            inbox: day,
            tasks: day,
            feedback: day,
            decisions: day * 2,
            quarantine: day,
        };
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let plan = TopicPlan { partners: named(&["a-school"]), agencies: named(&["police"]), partitions: 4, retention };
        let specs = plan.specs();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "decisions",
                "feedback.a-school",
                "gateway.http",
                "history",
                "identity",
                "inbox",
                "outcomes.police",
                "quarantine",
                "referrals.a-school",
                "rulebooks",
                "tasks.police"
            ]
        );
        let compacted = [HISTORY, RULE_BOOKS, IDENTITY];
        assert!(specs.iter().all(|spec| spec.compacted == compacted.contains(&spec.name.as_str())));
        assert!(specs.iter().all(|spec| (spec.partitions == 4) == [HISTORY, INBOX].contains(&spec.name.as_str())));
        let topics = OutputTopics::of(names.into_iter());
        assert_eq!(topics.tasks.get("police").map(AsRef::as_ref), Some("tasks.police"));
        assert_eq!(topics.feedback.get("a-school").map(AsRef::as_ref), Some("feedback.a-school"));
    }
}
