//! Ends what a dead owner left open in a partition, on a thread of its own: to ask and to fence can take seconds, and the
//! lane reads its other partitions meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
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

/// A partition, and which of the times it was on its way here.
type Request = (u32, u64);

/// The partitions that are on their way to the lane, shared with the thread. Whoever had a transaction open while one was on
/// its way all the time is dead or a zombie; once it went elsewhere, the first open one may be its new owner's.
#[derive(Default)]
struct OnTheirWay(Mutex<BTreeMap<u32, u64>>);

impl OnTheirWay {
    fn partitions(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has not left since.
    fn has(&self, (partition, time): Request) -> bool {
        self.partitions().get(&partition) == Some(&time)
    }
}

/// Asks its thread. Dropped: the thread fences nobody any more, but whom it is fencing already, and ends.
pub struct Fencing {
    requests: Sender<Request>,
    answers: Receiver<(Request, Result<bool, BrokerError>)>,
    on_their_way: Arc<OnTheirWay>,
    thread: JoinHandle<()>,
    times: u64,
    asked: BTreeSet<u32>,
    open: BTreeSet<u32>,
}

impl Fencing {
    pub fn start(subject: Subject) -> Result<Self, BrokerError> {
        let mut look = None;
        Self::by(move |partition, is_on_its_way| {
            Look::with(&mut look, &subject).and_then(|look| look.fence_open(partition, is_on_its_way))
        })
    }

    /// `look` fences the writer of a partition's open transaction, if the partition is still on its way right before.
    fn by(
        mut look: impl FnMut(u32, &dyn Fn() -> bool) -> Result<bool, BrokerError> + Send + 'static,
    ) -> Result<Self, BrokerError> {
        let (requests, asked) = channel();
        let (answer, answers) = channel();
        let on_their_way = Arc::new(OnTheirWay::default());
        let shared = on_their_way.clone();
        let run = move || {
            while let Ok(request) = asked.recv() {
                let is_on_its_way = || shared.has(request);
                if is_on_its_way() && answer.send((request, look(request.0, &is_on_its_way))).is_err() {
                    break;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("fencing".to_owned()).spawn(run);
        let thread =
            spawned.map_err(|error| BrokerError::Storage(format!("a thread could not be started: {error}")))?;
        Ok(Self { requests, answers, on_their_way, thread, times: 0, asked: BTreeSet::new(), open: BTreeSet::new() })
    }

    /// It panicked: nobody is fenced by it any more.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether a transaction was open in the partition when it was last looked at: its writer is fenced then, once. Looks
    /// again meanwhile, unless it does already.
    pub fn is_open(&mut self, partition: u32) -> Result<bool, BrokerError> {
        for (request, found) in self.answers.try_iter() {
            // What is wrong with a partition that left meanwhile is not this lane's.
            if !self.on_their_way.has(request) {
                continue;
            }
            self.asked.remove(&request.0);
            match found? {
                true => self.open.insert(request.0),
                false => self.open.remove(&request.0),
            };
        }
        if self.asked.insert(partition) {
            let time = *self.on_their_way.partitions().entry(partition).or_insert_with(|| {
                self.times += 1;
                self.times
            });
            let sent = self.requests.send((partition, time));
            sent.map_err(|_| BrokerError::Storage("fencing stopped".to_owned()))?;
        }
        Ok(self.open.contains(&partition))
    }

    /// The partition has arrived, or went elsewhere: nobody is fenced for it any more.
    pub fn forget(&mut self, partition: u32) {
        self.on_their_way.partitions().remove(&partition);
        self.asked.remove(&partition);
        self.open.remove(&partition);
    }
}

impl Drop for Fencing {
    fn drop(&mut self) {
        self.on_their_way.partitions().clear();
    }
}

/// The thread's own clients.
struct Look {
    subject: Subject,
    committed: Tail,
    uncommitted: Tail,
}

impl Look {
    fn with<'l>(look: &'l mut Option<Self>, subject: &Subject) -> Result<&'l mut Self, BrokerError> {
        let Subject { shared, group, .. } = subject;
        let made = match look.take() {
            Some(made) => made,
            None => Self {
                subject: subject.clone(),
                committed: Tail::new(&shared.options.tail_consumer("fencing", group))?,
                uncommitted: Tail::new(&shared.options.uncommitted_consumer(group))?,
            },
        };
        Ok(look.insert(made))
    }

    /// Fences the writer whose transaction is the first that is open in a partition, once. False: none is open, or it
    /// is not known whose it is, or the partition left meanwhile.
    fn fence_open(&mut self, partition: u32, is_on_its_way: &dyn Fn() -> bool) -> Result<bool, BrokerError> {
        let Subject { shared, topic, transactional_id, .. } = self.subject.clone();
        let (_, stable) = self.committed.bounds(&topic, partition)?;
        let (_, end) = self.uncommitted.bounds(&topic, partition)?;
        if stable >= end {
            return Ok(false);
        }
        if !shared.hanging.is_new(&topic, partition, stable) {
            return Ok(true);
        }
        let Some(writer) = self.writer_at(partition, stable)?.filter(|_| is_on_its_way()) else { return Ok(false) };
        // Our own name's: whoever had it was fenced when this lane began.
        if writer != transactional_id {
            tracing::warn!(partition, %writer, "a transaction was left open: its writer is fenced");
            fence(&shared.options, &writer)?;
        }
        shared.hanging.fenced(&topic, partition, stable);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that looks for as long as it is told to; what it would have fenced.
    struct Scene {
        fencing: Fencing,
        looks: Receiver<u32>,
        found: Sender<Result<bool, BrokerError>>,
        fenced: Receiver<u32>,
    }

    fn scene() -> Scene {
        let (look, looks) = channel();
        let (found, finds) = channel::<Result<bool, BrokerError>>();
        let (fence, fenced) = channel();
        let fencing = Fencing::by(move |partition, is_on_its_way| {
            look.send(partition).unwrap();
            let found = finds.recv().unwrap()?;
            if is_on_its_way() {
                fence.send(partition).unwrap();
            }
            Ok(found)
        });
        Scene { fencing: fencing.unwrap(), looks, found, fenced }
    }

    /// Until the thread has answered.
    fn is_open(fencing: &mut Fencing, partition: u32, expected: bool) {
        let deadline = Instant::now() + WAIT;
        while fencing.is_open(partition).unwrap() != expected {
            assert!(Instant::now() < deadline, "{partition}");
            std::thread::sleep(DRAW_WAIT);
        }
    }

    #[test]
    fn a_writer_is_fenced_for_a_partition_that_is_on_its_way() {
        let Scene { mut fencing, looks, found, fenced } = scene();
        assert!(!fencing.is_open(3).unwrap());
        assert_eq!(looks.recv_timeout(WAIT), Ok(3));
        found.send(Ok(true)).unwrap();
        assert_eq!(fenced.recv_timeout(WAIT), Ok(3));
        is_open(&mut fencing, 3, true);
    }

    #[test]
    fn nobody_is_fenced_for_a_partition_that_left_meanwhile_not_even_once_it_is_back() {
        let Scene { mut fencing, looks, found, fenced } = scene();
        for partition in [3, 4, 5] {
            assert!(!fencing.is_open(partition).unwrap());
        }
        assert_eq!(looks.recv_timeout(WAIT), Ok(3), "the others wait");
        for partition in [3, 4] {
            fencing.forget(partition);
        }
        assert!(!fencing.is_open(3).unwrap(), "it is back: another look, another time");
        found.send(Ok(true)).unwrap();
        assert_eq!(looks.recv_timeout(WAIT), Ok(5), "and not 4, which is not looked at");
        found.send(Ok(true)).unwrap();
        assert_eq!(looks.recv_timeout(WAIT), Ok(3));
        found.send(Ok(true)).unwrap();
        assert_eq!((fenced.recv_timeout(WAIT), fenced.recv_timeout(WAIT)), (Ok(5), Ok(3)));
        assert!(fenced.try_recv().is_err());
    }

    #[test]
    fn nobody_is_fenced_any_more_once_the_lane_is_gone() {
        let Scene { mut fencing, looks, found, fenced } = scene();
        for partition in [3, 4] {
            assert!(!fencing.is_open(partition).unwrap());
        }
        assert_eq!(looks.recv_timeout(WAIT), Ok(3));
        drop(fencing);
        found.send(Ok(true)).unwrap();
        // The thread has ended, and its ends of all are gone.
        assert!(fenced.recv_timeout(WAIT).is_err());
        assert!(looks.recv_timeout(WAIT).is_err());
    }

    #[test]
    fn an_error_about_a_partition_that_left_stops_nothing_and_about_another_does() {
        let Scene { mut fencing, looks, found, .. } = scene();
        assert!(!fencing.is_open(3).unwrap());
        assert_eq!(looks.recv_timeout(WAIT), Ok(3));
        fencing.forget(3);
        found.send(Err(BrokerError::Storage("gone".to_owned()))).unwrap();
        assert!(!fencing.is_open(4).unwrap());
        assert_eq!(looks.recv_timeout(WAIT), Ok(4), "the first answer lies there");
        assert!(!fencing.is_open(4).unwrap());
        found.send(Err(BrokerError::Storage("no".to_owned()))).unwrap();
        let deadline = Instant::now() + WAIT;
        while fencing.is_open(4).is_ok() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(DRAW_WAIT);
        }
    }
}
