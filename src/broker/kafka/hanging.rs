//! Open transactions of writers that were fenced: each is fenced once, and one that stays open is told to the operator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Kafka ends a fenced writer's transaction before it answers. One that is still open after so long has no end.
const HANGS_AFTER: Duration = Duration::from_secs(10);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Where an open transaction begins: topic, partition, offset.
type Beginning = (Arc<str>, u32, i64);

/// Shared by all lanes of a process. Fencing again would not end such a transaction: it would end a lane that lives and
/// has the same name, over and over.
#[derive(Default)]
pub struct Hanging(Mutex<BTreeMap<Beginning, Known>>);

struct Known {
    fenced_at: Instant,
    said_at: Option<Instant>,
}

impl Hanging {
    /// Whether its writer has not been fenced because of it yet. If it has, and long ago, the log says what to do.
    pub fn is_new(&self, topic: &Arc<str>, partition: u32, offset: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.get_mut(&(topic.clone(), partition, offset)) else { return true };
        if known.fenced_at.elapsed() >= HANGS_AFTER && known.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            known.said_at = Some(Instant::now());
            tracing::error!(
                %topic,
                partition,
                offset,
                "a transaction hangs: its writer is fenced, and Kafka has not ended it. The partition waits. \
                 `kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {topic} --partition {partition} \
                 --start-offset {offset}` ends it (docs/kafka.md, `A transaction that hangs`)"
            );
        }
        false
    }

    /// Its writer is fenced now.
    pub fn fenced(&self, topic: &Arc<str>, partition: u32, offset: i64) {
        let known = Known { fenced_at: Instant::now(), said_at: None };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((topic.clone(), partition, offset), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_fenced_once_for_each_transaction() {
        let hanging = Hanging::default();
        let topic: Arc<str> = "history".into();
        assert!(hanging.is_new(&topic, 4, 30));
        hanging.fenced(&topic, 4, 30);
        assert!(!hanging.is_new(&topic, 4, 30));
        assert!(hanging.is_new(&topic, 4, 31), "another transaction of the same partition");
        assert!(hanging.is_new(&topic, 3, 30), "another partition");
    }
}
