//! What clients of librdkafka tell besides answers: log lines, broken connections, failed deliveries.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::broker::BrokerError;

/// How long what a client was told explains why it is not answered.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// What librdkafka says over and over, as each of a dozen clients does of a broker that is restarted, is told once in so long.
const SAID_FOR: Duration = Duration::from_secs(60);

/// librdkafka's lines name hosts, topics and groups; never a record's content.
pub fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    /// Of this process, whichever client said it.
    static SAID: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error
            if is_news(&mut said(&SAID), gist(line), Instant::now()) =>
        {
            tracing::warn!(facility, "librdkafka: {line}");
        }
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::debug!(facility, "librdkafka: {line}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, "librdkafka: {line}");
        }
    }
}

fn said(said: &Mutex<BTreeMap<String, Instant>>) -> MutexGuard<'_, BTreeMap<String, Instant>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a line says, whichever thread, connection and attempt it is of.
fn gist(line: &str) -> &str {
    let line = line.split_once("]: ").filter(|_| line.starts_with("[thrd:")).map_or(line, |(_, rest)| rest);
    let line = line.find("Connect to ").map_or(line, |start| line.get(start..).unwrap_or(line));
    line.split_once(" (after ").map_or(line, |(gist, _)| gist)
}

/// Whether it was not said for a while. Then it is said now.
fn is_news(said: &mut BTreeMap<String, Instant>, gist: &str, now: Instant) -> bool {
    said.retain(|_, at| now.duration_since(*at) < SAID_FOR);
    let is_news = !said.contains_key(gist);
    if is_news {
        said.insert(gist.to_owned(), now);
    }
    is_news
}

/// An error that no call answered with. Connections come and go: librdkafka mends them.
pub fn unasked(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, "librdkafka: {reason}");
}

/// Why the broker was last not reached: what a client was told when no call could be answered.
#[derive(Default)]
pub struct Trouble(Mutex<Option<Told>>);

/// One thing told.
#[derive(Clone)]
struct Told {
    reason: String,
    /// It was reached, and refuses us: the credentials are wrong, or its certificate is.
    refuses: bool,
    at: Instant,
}

impl Trouble {
    /// What was told lately, as the port names it.
    pub fn lately(&self) -> Option<BrokerError> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let named = if told.refuses { BrokerError::Denied } else { BrokerError::Unreachable };
        (told.at.elapsed() < TOLD_FOR).then(|| named(told.reason))
    }

    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A refusal is not replaced by the mere loss of a connection that follows it.
    fn note(&self, error: &KafkaError, reason: &str) {
        let refuses = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => true,
            Some(RDKafkaErrorCode::SSL) => true,
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => false,
            _ => return,
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refuses || !told.as_ref().is_some_and(|told| told.refuses && told.at.elapsed() < TOLD_FOR) {
            *told = Some(Told { reason: spoken(reason), refuses, at: Instant::now() });
        }
    }
}

/// librdkafka's own words, without what it says of its state and timing.
fn spoken(reason: &str) -> String {
    let end = reason.find(" (after ").unwrap_or(reason.len());
    format!("Kafka: {}", &reason[..end])
}

/// For clients that ask what there is: why they are not answered is noted.
pub struct Noting(pub Arc<Trouble>);

impl ClientContext for Noting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(&error, reason);
        unasked(&error, reason);
    }
}

impl ConsumerContext for Noting {}

/// For clients of which nothing is noted.
#[derive(Default)]
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        unasked(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// What became of a transaction's records.
#[derive(Default)]
pub struct Deliveries {
    /// The first that failed and was not purged: why, and the topic it was for.
    failed: Mutex<Option<(RDKafkaErrorCode, String)>>,
    pub unreachable: AtomicBool,
}

impl Deliveries {
    pub fn take_failure(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.unreachable.store(true, Ordering::Relaxed);
        }
        unasked(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let Err((error, record)) = result else { return };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
            self.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| (code, record.topic().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_told_once_a_minute_whichever_client_says_it() {
        let mut said = BTreeMap::new();
        let refused = "Connect to ipv4#127.0.0.1:9092 failed: Connection refused";
        let lines = [
            format!(
                "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: {refused} (after 0ms in state CONNECT)"
            ),
            format!(
                "[thrd:GroupCoordinator]: GroupCoordinator: 127.0.0.1:9092: {refused} (after 7ms in state CONNECT, 3 identical)"
            ),
        ];
        let now = Instant::now();
        let news = lines.each_ref().map(|line| is_news(&mut said, gist(line), now));
        assert_eq!(news, [true, false]);
        assert!(is_news(&mut said, gist("[thrd:main]: Current transaction failed in state InTransaction"), now));
        assert!(is_news(&mut said, gist(&lines[1]), now + SAID_FOR));
        assert_eq!(said.len(), 1, "what was said long ago is not kept");
    }
}
