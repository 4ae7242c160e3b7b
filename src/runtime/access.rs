//! Who may do what on a Kafka cluster: a partner writes its own topic and reads its own feedback, an agency reads its own
//! tasks and answers them, and everything else is the router's.

use std::collections::{BTreeMap, BTreeSet};

use super::topics::{
    DECIDE_GROUP, DECISIONS, FEEDBACK_PREFIX, GATEWAY, HISTORY, IDENTITY, INBOX, INTAKE_GROUP, OUTCOMES_PREFIX,
    QUARANTINE, REFERRALS_PREFIX, RULE_BOOKS, TASKS_PREFIX,
};
use crate::broker::kafka::access::{Operation, Pattern, Resource, Right};
use crate::broker::kafka::settings::{READERS, TRANSACTIONAL_PREFIX};

/// Who is who on the cluster, as Kafka names them: `User:police`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principals {
    pub router: String,
    /// By partner; those that only use HTTP have none.
    pub partners: BTreeMap<String, String>,
    /// By agency. Never one of many units: its units must not read one another's tasks.
    pub agencies: BTreeMap<String, String>,
}

impl Principals {
    /// Every right that is needed, and no other.
    pub fn rights(&self) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        self.of_router(&mut rights);
        for (partner, principal) in &self.partners {
            shared(&mut rights, principal, partner, REFERRALS_PREFIX, FEEDBACK_PREFIX);
        }
        for (agency, principal) in &self.agencies {
            shared(&mut rights, principal, agency, OUTCOMES_PREFIX, TASKS_PREFIX);
        }
        rights
    }

    fn of_router(&self, rights: &mut BTreeSet<Right>) {
        use Operation::{Describe, DescribeConfigs, Read, Write};
        let mut may = |operations: &[Operation], resource, pattern, name: &str| {
            let right = |operation: &Operation| Right::allow(&self.router, *operation, resource, pattern, name);
            rights.extend(operations.iter().map(right));
        };
        for prefix in [REFERRALS_PREFIX, OUTCOMES_PREFIX] {
            // Written when a person has a record from quarantine tried again.
            may(&[Read, Write, DescribeConfigs], Resource::Topic, Pattern::Prefixed, prefix);
        }
        for prefix in [TASKS_PREFIX, FEEDBACK_PREFIX] {
            may(&[Read, Write, DescribeConfigs], Resource::Topic, Pattern::Prefixed, prefix);
        }
        for topic in [GATEWAY, INBOX, HISTORY, DECISIONS, QUARANTINE, RULE_BOOKS, IDENTITY] {
            may(&[Read, Write, DescribeConfigs], Resource::Topic, Pattern::Literal, topic);
        }
        for group in [INTAKE_GROUP, DECIDE_GROUP] {
            may(&[Read], Resource::Group, Pattern::Literal, group);
        }
        may(&[Describe], Resource::Group, Pattern::Literal, READERS);
        may(&[Describe, Write], Resource::TransactionalId, Pattern::Prefixed, TRANSACTIONAL_PREFIX);
    }
}

/// Writes one topic, reads another, with groups named after what is read.
fn shared(rights: &mut BTreeSet<Right>, principal: &str, name: &str, writes: &str, reads: &str) {
    let (written, read) = (format!("{writes}{name}"), format!("{reads}{name}"));
    let mut may = |operation, resource, pattern, name: &str| {
        rights.insert(Right::allow(principal, operation, resource, pattern, name));
    };
    may(Operation::Write, Resource::Topic, Pattern::Literal, &written);
    may(Operation::Read, Resource::Topic, Pattern::Literal, &read);
    may(Operation::Read, Resource::Group, Pattern::Literal, &read);
    may(Operation::Read, Resource::Group, Pattern::Prefixed, &format!("{read}."));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_and_agencies_reach_their_own_topics_and_no_other() {
        let named = |name: &str, principal: &str| BTreeMap::from([(name.to_owned(), principal.to_owned())]);
        let principals = Principals {
            router: "User:router".to_owned(),
            partners: named("police", "User:police"),
            agencies: named("camhs", "User:camhs"),
        };
        let of = |principal: &str| -> Vec<String> {
            principals.rights().iter().filter(|right| right.principal == principal).map(ToString::to_string).collect()
        };
        assert_eq!(
            of("User:police"),
            [
                "User:police may Read Topic feedback.police",
                "User:police may Write Topic referrals.police",
                "User:police may Read Group feedback.police",
                "User:police may Read Group beginning feedback.police.",
            ]
        );
        assert_eq!(
            of("User:camhs"),
            [
                "User:camhs may Write Topic outcomes.camhs",
                "User:camhs may Read Topic tasks.camhs",
                "User:camhs may Read Group tasks.camhs",
                "User:camhs may Read Group beginning tasks.camhs.",
            ]
        );
        let others = |right: &Right| right.name == GATEWAY && right.principal != "User:router";
        assert!(!principals.rights().iter().any(others), "the gateway's topic is the gateway's");
    }
}
