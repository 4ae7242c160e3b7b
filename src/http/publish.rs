//! From a request to the log: durable before it is answered.

use tokio::sync::oneshot;

use super::Gateway;
use super::problem::Problem;
use crate::broker::{BrokerError, Placement, Published, Write};

/// A record's header.
pub fn header(name: &str, value: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_owned(), value.into())
}

/// A record for a topic's only partition, or the one its key falls in.
pub fn keyed(topic: String, key: &[u8], value: Vec<u8>, headers: Vec<(String, Vec<u8>)>) -> Write {
    Write { topic: topic.into(), placement: Placement::ByKey, key: key.to_vec(), value: Some(value), headers }
}

impl Gateway {
    /// Refuses work until every lane is restored.
    pub fn must_be_ready(&self) -> Result<(), Problem> {
        if self.readiness.is_ready() { Ok(()) } else { Err(Problem::not_ready(&self.readiness.why_not())) }
    }

    /// Returns once all of the records are durable, or none will be.
    pub async fn publish(&self, writes: Vec<Write>) -> Result<Vec<Published>, Problem> {
        let (done, result) = oneshot::channel();
        self.publisher.publish(
            writes,
            Box::new(move |published| {
                // The caller may have gone: the records are durable all the same.
                let _ = done.send(published);
            }),
        );
        result.await.unwrap_or(Err(BrokerError::Stopping)).map_err(Problem::from)
    }
}
