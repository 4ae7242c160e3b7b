//! What librdkafka's errors mean for a transaction, and what they are called outside.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::broker::BrokerError;

/// One error of a transactional call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub code: RDKafkaErrorCode,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
}

/// What to do about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// The same call again.
    Repeat,
    /// Abort, rewind, go on.
    Abort,
    /// Another producer with this lane's transactional id was begun: leave.
    Leave,
    /// Nothing this producer says can be relied on: build a new one.
    Rebuild,
}

impl Fault {
    pub fn of(error: &KafkaError) -> Self {
        if let KafkaError::Transaction(error) = error {
            return Self {
                code: error.code(),
                fatal: error.is_fatal(),
                retriable: error.is_retriable(),
                requires_abort: error.txn_requires_abort(),
            };
        }
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        Self { code, fatal: false, retriable: false, requires_abort: false }
    }

    pub fn remedy(&self) -> Remedy {
        if is_fenced(self.code) {
            Remedy::Leave
        } else if self.retriable {
            Remedy::Repeat
        } else if self.requires_abort {
            Remedy::Abort
        } else {
            Remedy::Rebuild
        }
    }
}

/// Someone else began with the same transactional id, or the broker gave up on this one.
pub fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced | Code::FencedInstanceId)
}

/// What librdkafka calls it, as in `Broker: Topic authorization failed`: the wrapper puts the name of its own enum before.
pub fn words(code: RDKafkaErrorCode) -> String {
    let (told, own) = (code.to_string(), format!("{code:?} ("));
    let words = told.strip_prefix(&own).and_then(|rest| rest.strip_suffix(')'));
    words.map(str::to_owned).unwrap_or(told)
}

/// An error as the port names it.
pub fn storage(what: &str, error: &KafkaError) -> BrokerError {
    if let KafkaError::ClientConfig(_, problem, name, _) = error {
        // Never the value: it may be a password under a misspelt name.
        return BrokerError::Mismatch(format!("{what}: {problem} ({name}); see the properties file"));
    }
    // The wrapper keeps this one's code to itself.
    let code = if let KafkaError::AdminOp(code) = error { Some(*code) } else { error.rdkafka_error_code() };
    match code {
        Some(code) => named(what, code),
        None => BrokerError::Storage(format!("{what}: {error}")),
    }
}

/// Whether Kafka knows who we are and does not let us: no second try helps before somebody grants the right.
pub fn lacks_right(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

/// Whether Kafka has no such topic: it was deleted, or is not known everywhere yet.
pub fn lacks_topic(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

/// Topics that are gone under a router at work: no second try helps before somebody makes them.
pub fn gone<'t>(topics: impl IntoIterator<Item = &'t str>) -> BrokerError {
    BrokerError::Gone(topics.into_iter().map(str::to_owned).collect())
}

/// A code as the port names it.
pub fn named(what: &str, code: RDKafkaErrorCode) -> BrokerError {
    use RDKafkaErrorCode as Code;
    let words = words(code);
    match code {
        code if is_fenced(code) => BrokerError::Fenced,
        RDKafkaErrorCode::QueueFull => BrokerError::Busy,
        RDKafkaErrorCode::LogDirNotFound | RDKafkaErrorCode::KafkaStorageError => {
            BrokerError::DiskFull(format!("{what}: {words}"))
        }
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::BrokerNotAvailable
        | Code::NotLeaderForPartition
        | Code::LeaderNotAvailable
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::RequestTimedOut => BrokerError::Unreachable(format!("{what}: Kafka does not answer ({words})")),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => {
            BrokerError::Denied(format!("{what}: Kafka refuses who we are ({words})"))
        }
        code if lacks_right(code) => BrokerError::Denied(format!(
            "{what}: this principal lacks a right on Kafka ({words}); `topics plan` names the rights it needs"
        )),
        _ => BrokerError::Storage(format!("{what}: {words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_librdkafkas_words() {
        let told = named("a record was not stored", RDKafkaErrorCode::NotEnoughReplicas).to_string();
        assert_eq!(told, "storage failed: a record was not stored: Broker: Not enough in-sync replicas");
        let denied = named("a topic", RDKafkaErrorCode::TopicAuthorizationFailed).to_string();
        assert!(denied.contains("lacks a right on Kafka (Broker: Topic authorization failed)"), "{denied}");
        assert_eq!(words(RDKafkaErrorCode::BrokerTransportFailure), "Local: Broker transport failure");
    }

    #[test]
    fn topics_that_are_gone_are_named_with_what_makes_them() {
        assert!(
            lacks_topic(RDKafkaErrorCode::UnknownTopicOrPartition)
                && !lacks_topic(RDKafkaErrorCode::NotLeaderForPartition)
        );
        let told = gone(["tasks.camhs", "tasks.police"]).to_string();
        assert!(told.contains("any more: tasks.camhs, tasks.police;") && told.contains("topics apply"), "{told}");
    }

    #[test]
    fn a_broker_that_goes_away_while_it_is_asked_for_settings_is_waited_for() {
        let error = KafkaError::AdminOp(RDKafkaErrorCode::BrokerTransportFailure);
        assert!(matches!(storage("topics' settings are not known", &error), BrokerError::Unreachable(_)));
    }
}
