//! Ends what a dead owner left open in a partition, on a thread of its own: to ask and to fence can take seconds, and the
//! lane reads its other partitions meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::native::Drawn;
use super::restore::Tail;
use super::shared::Shared;
use super::transaction::{WRITER, fence};
use crate::broker::BrokerError;

const WAIT: Duration = Duration::from_secs(5);
const DRAW_WAIT: Duration = Duration::from_millis(50);

/// What of a topic is looked at, and for whom.
#[derive(Clone)]
pub struct Subject {
    pub shared: Arc<Shared>,
    pub group: String,
    pub topic: Arc<str>,
    /// Of the lane: never fenced.
    pub transactional_id: String,
}

/// Asks its thread. Dropped: the thread ends after what it is at.
pub struct Fencing {
    requests: Sender<u32>,
    answers: Receiver<(u32, Result<bool, BrokerError>)>,
    asked: BTreeSet<u32>,
    open: BTreeSet<u32>,
}

impl Fencing {
    pub fn start(subject: Subject) -> Result<Self, BrokerError> {
        let (requests, asked) = channel();
        let (answer, answers) = channel();
        let run = move || {
            let mut look = None;
            while let Ok(partition) = asked.recv() {
                let found = Look::with(&mut look, &subject).and_then(|look| look.fence_open(partition));
                if answer.send((partition, found)).is_err() {
                    break;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("fencing".to_owned()).spawn(run);
        spawned.map_err(|error| BrokerError::Storage(format!("a thread could not be started: {error}")))?;
        Ok(Self { requests, answers, asked: BTreeSet::new(), open: BTreeSet::new() })
    }

    /// Whether a transaction was open in the partition when it was last looked at: its writer is fenced then, once. Looks
    /// again meanwhile, unless it does already.
    pub fn is_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        for (partition, found) in self.answers.try_iter() {
            self.asked.remove(&partition);
            match found? {
                true => self.open.insert(partition),
                false => self.open.remove(&partition),
            };
        }
        if self.asked.insert(partition) {
            self.requests.send(partition).map_err(|_| BrokerError::Storage("fencing stopped".to_owned()))?;
        }
        Ok(self.open.contains(&partition))
    }
}

/// The thread's own clients.
struct Look<'a> {
    subject: &'a Subject,
    committed: Tail,
    uncommitted: Tail,
}

impl<'a> Look<'a> {
    fn with<'l>(look: &'l mut Option<Self>, subject: &'a Subject) -> Result<&'l mut Self, BrokerError> {
        let Subject { shared, group, .. } = subject;
        let made = match look.take() {
            Some(made) => made,
            None => Self {
                subject,
                committed: Tail::new(&shared.options.tail_consumer("fencing", group))?,
                uncommitted: Tail::new(&shared.options.uncommitted_consumer(group))?,
            },
        };
        Ok(look.insert(made))
    }

    /// Fences the writer whose transaction is the first that is open in a partition, once. False: none is open, or it
    /// is not known whose it is.
    fn fence_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        let Subject { shared, topic, transactional_id, .. } = self.subject;
        let (_, stable) = self.committed.bounds(topic, partition)?;
        let (_, end) = self.uncommitted.bounds(topic, partition)?;
        if stable >= end {
            return Ok(false);
        }
        if !shared.hanging.is_new(topic, partition, stable) {
            return Ok(true);
        }
        let Some(writer) = self.writer_at(partition, stable)? else { return Ok(false) };
        // Our own name's: whoever had it was fenced when this lane began.
        if writer != *transactional_id {
            tracing::warn!(partition, %writer, "a transaction was left open: its writer is fenced");
            fence(&shared.options, &writer)?;
        }
        shared.hanging.fenced(topic, partition, stable);
        Ok(true)
    }

    /// Who wrote the first record at or after an offset, committed or not.
    fn writer_at(&mut self, partition: u32, offset: i64) -> Result<Option<String>, BrokerError> {
        self.uncommitted.start(&self.subject.topic, partition, Offset::Offset(offset))?;
        let deadline = Instant::now() + WAIT;
        let mut drawn = Vec::new();
        let mut found = None;
        'look: while Instant::now() < deadline {
            self.uncommitted.draw(1, DRAW_WAIT, &mut drawn);
            for look in drawn.drain(..) {
                match look {
                    Drawn::Record(record) if record.partition == partition && record.offset >= offset => {
                        let header = record.headers.iter().find(|(name, _)| name == WRITER);
                        found = header.and_then(|(_, value)| String::from_utf8(value.clone()).ok());
                        break 'look;
                    }
                    Drawn::End { offset: end, .. } if end > offset => break 'look,
                    Drawn::Record(_) | Drawn::End { .. } | Drawn::Fault { .. } => {}
                }
            }
        }
        self.uncommitted.stop();
        Ok(found)
    }
}
