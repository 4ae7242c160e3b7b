//! Partitions on their way to a lane: where each begins, and what its owner needs, restored a piece at a time while the
//! lane reads the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use super::lane::stored_position;
use super::restore::Restorer;
use super::seat::Place;
use super::shared::Shared;
use crate::broker::{BrokerError, PartitionOwner};

/// A stored position that stays open for this long belongs to a dead owner's transaction.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);
/// An open one is asked for again after so long.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A position that is not told for so long is told to the operator, over and over.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// What one look may cost the partitions that are read already.
const LOOK_MAX: Duration = Duration::from_millis(10);

pub struct Arrivals {
    shared: Arc<Shared>,
    group: String,
    restore_from: Option<Arc<str>>,
    /// Of this lane: never fenced.
    transactional_id: String,
    coming: Vec<Coming>,
    restorer: Option<Restorer>,
}

struct Coming {
    place: Place,
    /// None: not known yet. Within: None where nothing was ever committed.
    stored: Option<Option<i64>>,
    ask_at: Instant,
    blocked_since: Instant,
    /// Came then, or was told to the operator then.
    untold_since: Instant,
}

impl Coming {
    /// Its position is still not known.
    fn tell(&mut self) {
        if self.untold_since.elapsed() < TELL_EVERY {
            return;
        }
        self.untold_since = Instant::now();
        let (topic, partition) = &self.place;
        tracing::error!(
            %topic,
            partition,
            "the partition waits: Kafka does not tell where to begin, as it does while a transaction that may move the \
             group's position is open. One that never ends is found by `kafka-transactions.sh --bootstrap-server \
             HOST:PORT find-hanging --broker-id ID` (docs/kafka.md, `A transaction that hangs`)"
        );
    }
}

impl Arrivals {
    pub fn new(shared: Arc<Shared>, group: &str, restore_from: Option<Arc<str>>, transactional_id: &str) -> Self {
        let (group, transactional_id) = (group.to_owned(), transactional_id.to_owned());
        Self { shared, group, restore_from, transactional_id, coming: Vec::new(), restorer: None }
    }

    pub fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }

    pub fn add(&mut self, place: Place) {
        let now = Instant::now();
        self.coming.push(Coming { place, stored: None, ask_at: now, blocked_since: now, untold_since: now });
    }

    /// It went elsewhere before it had arrived.
    pub fn remove(&mut self, place: &Place, owner: &mut dyn PartitionOwner) {
        self.coming.retain(|coming| coming.place != *place);
        if let Some(restorer) = &mut self.restorer
            && restorer.forget(place.1)
        {
            owner.revoked(place.1);
        }
    }

    /// The places that have arrived, each with its stored position. One whose position is still open holds up no other.
    pub fn look<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        owner: &mut dyn PartitionOwner,
    ) -> Result<Vec<(Place, Option<i64>)>, BrokerError> {
        if self.coming.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(consumer)?;
        let mut arrived = match self.restore_from {
            Some(_) => self.restore(owner)?,
            None => self.coming.iter().filter(|coming| coming.stored.is_some()).map(|it| it.place.clone()).collect(),
        };
        let arrived = arrived.drain(..).filter_map(|place| {
            let index = self.coming.iter().position(|coming| coming.place == place)?;
            Some((place, self.coming.remove(index).stored?))
        });
        let arrived = arrived.collect();
        if self.coming.is_empty() {
            self.restorer = None;
        }
        Ok(arrived)
    }

    /// Finds out where each is to begin.
    fn ask<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) -> Result<(), BrokerError> {
        let mut blocked = Vec::new();
        for coming in self.coming.iter_mut().filter(|coming| coming.stored.is_none()) {
            if Instant::now() < coming.ask_at {
                continue;
            }
            match stored_position(consumer, &coming.place) {
                Ok(stored) => coming.stored = Some(stored),
                Err(error) => {
                    tracing::debug!(%error, partition = coming.place.1, "where to begin is not known yet");
                    coming.ask_at = Instant::now() + ASK_EVERY;
                    if coming.blocked_since.elapsed() >= BLOCKED_AFTER {
                        coming.blocked_since = Instant::now();
                        blocked.push(coming.place.1);
                    }
                    coming.tell();
                }
            }
        }
        // A dead owner's transaction may hold a position open: it is fenced, rather than waited for.
        for partition in blocked {
            if let Some(restorer) = self.restorer()? {
                restorer.fence_open(partition)?;
            }
        }
        Ok(())
    }

    fn restorer(&mut self) -> Result<Option<&mut Restorer>, BrokerError> {
        if let (None, Some(topic)) = (&self.restorer, &self.restore_from) {
            self.restorer = Some(Restorer::new(&self.shared, &self.group, topic.clone(), &self.transactional_id)?);
        }
        Ok(self.restorer.as_mut())
    }

    /// A transaction that is open in one partition is not to hold up the next.
    fn let_others_go_first(&mut self, arrived: &[Place]) {
        let Some(restorer) = self.restorer.as_mut().filter(|restorer| restorer.is_blocked()) else { return };
        let current = restorer.current();
        let is_ready = |it: &Coming| it.stored.is_some() && Some(it.place.1) != current && !arrived.contains(&it.place);
        if self.coming.iter().any(is_ready) {
            restorer.put_off();
            // To the end of the queue.
            self.coming.sort_by_key(|it| Some(it.place.1) == current);
        }
    }

    fn restore(&mut self, owner: &mut dyn PartitionOwner) -> Result<Vec<Place>, BrokerError> {
        let mut arrived: Vec<Place> = Vec::new();
        let until = Instant::now() + LOOK_MAX;
        while Instant::now() < until {
            self.let_others_go_first(&arrived);
            let next = self.coming.iter().find(|it| it.stored.is_some() && !arrived.contains(&it.place));
            let next = next.map(|coming| coming.place.clone());
            let current = self.restorer.as_ref().and_then(Restorer::current);
            let current = current.and_then(|partition| self.coming.iter().find(|it| it.place.1 == partition));
            let Some(place) = current.map(|coming| coming.place.clone()).or(next) else { break };
            let Some(restorer) = self.restorer()? else { break };
            if restorer.current().is_none() {
                restorer.begin(place.1)?;
            }
            if restorer.advance(&mut |record| owner.restored(place.1, record))? {
                owner.assigned(place.1)?;
                arrived.push(place);
            }
        }
        Ok(arrived)
    }
}
