//! One lane: serves its group, restores and reads its partitions, and commits inputs and outputs together.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::arrivals::Arrivals;
use super::fault::{gone, lacks_right, lacks_topic, named, storage, words};
use super::native::{self, Drawn, Queue, answers};
use super::seat::{Event, Held, Place, Seat, SeatContext, Stage, add};
use super::shared::Shared;
use super::standing::Standing;
use super::transaction::Transaction;
use crate::broker::{
    BatchLimit, BrokerError, Commit, Consumed, LaneBroker, LanePlan, LaneShare, PartitionOwner, Record, TopicPattern,
    Write,
};
use crate::engine::model::scalar::Timestamp;

/// The longest wait for records before the group is served again.
const GLANCE: Duration = Duration::from_millis(20);
const SHORT_GLANCE: Duration = Duration::from_millis(1);
/// Messages taken from librdkafka at a time; what a poll's limits leave of them waits for the next.
const DRAW_MAX: usize = 256;
/// Control events served at a time; most often there is none.
const EVENTS_MAX: usize = 3;
/// How long the end of a partition that stands still is asked for, while the lane's others wait too.
const END_WAIT: Duration = Duration::from_millis(500);
const SEEK_WAIT: Duration = Duration::from_secs(2);
const LEAVE_WAIT: Duration = Duration::from_secs(3);

pub struct KafkaLane {
    shared: Arc<Shared>,
    plan: LanePlan,
    seat: Arc<Mutex<Seat>>,
    consumer: BaseConsumer<SeatContext>,
    /// Assigned and not yet restored.
    arrivals: Arrivals,
    /// Restored: the owner knows of their numbers.
    taken_up: BTreeSet<Place>,
    owned: BTreeSet<u32>,
    /// Drawn, and not yet handed out.
    waiting: VecDeque<Record>,
    standing: Standing,
    /// When last asked, nothing fetched was left to draw.
    drained: bool,
    fenced: bool,
}

impl KafkaLane {
    /// Takes over from an earlier lane of the same number: what it left open is aborted.
    pub fn open(shared: Arc<Shared>, plan: LanePlan, share: LaneShare) -> Result<Self, BrokerError> {
        if share.index >= share.count {
            return Err(BrokerError::Mismatch(format!("there is no lane {} of {}", share.index, share.count)));
        }
        let names = topic_names(&plan)?;
        must_be_there(&shared, &plan)?;
        let options = &shared.options;
        let id = options.transactional_id(&plan.group, share.index);
        let seat = Arc::new(Mutex::new(Seat::new(Transaction::begin_with(options, &id)?)));
        let consumer: BaseConsumer<SeatContext> = options
            .lane_consumer(&plan.group)
            .create_with_context(SeatContext(seat.clone()))
            .map_err(|error| storage("a consumer could not be made", &error))?;
        locked(&seat).queue = Queue::of(&consumer);
        let arrivals = Arrivals::new(shared.clone(), &plan.group, plan.restore_from.clone(), &id);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| storage("topics could not be subscribed to", &error))?;
        shared.namesakes.joins(&plan.group);
        Ok(Self {
            shared,
            plan,
            seat,
            consumer,
            arrivals,
            taken_up: BTreeSet::new(),
            owned: BTreeSet::new(),
            waiting: VecDeque::new(),
            standing: Standing::default(),
            drained: true,
            fenced: false,
        })
    }

    /// Lets librdkafka call back, and tells the owner what came of it.
    fn serve(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        if serve(&self.consumer, &self.plan.group)? {
            must_be_there(&self.shared, &self.plan)?;
        }
        let events = std::mem::take(&mut locked(&self.seat).events);
        for event in events {
            match event {
                Event::Settled(Commit::Committed) => {
                    self.shared.announce();
                    owner.committed();
                }
                Event::Settled(Commit::Aborted) => owner.aborted(),
                Event::Given(place) => self.arrivals.add(place),
                Event::Taken(place) => self.drop_place(&place, owner),
                Event::Failed(error) => {
                    owner.aborted();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn drop_place(&mut self, place: &Place, owner: &mut dyn PartitionOwner) {
        self.arrivals.remove(place, owner);
        self.waiting.retain(|record| !is_at(record, place));
        if self.taken_up.remove(place)
            && !self.taken_up.iter().any(|other| other.1 == place.1)
            && self.owned.remove(&place.1)
        {
            owner.revoked(place.1);
        }
    }

    /// What has arrived is read from where it is to begin.
    fn take_up(&mut self, owner: &mut dyn PartitionOwner) -> Result<(), BrokerError> {
        for (place, stored) in self.arrivals.look(&self.consumer, owner)? {
            let mut seat = locked(&self.seat);
            if let Some(held) = seat.partitions.get_mut(&place) {
                held.committed = stored;
                held.position = stored.unwrap_or(0);
                held.stage = Stage::Seeking;
            }
            drop(seat);
            if self.owned.insert(place.1) && self.plan.restore_from.is_none() {
                owner.assigned(place.1)?;
            }
            self.taken_up.insert(place);
        }
        Ok(())
    }

    /// Moves reading to where it must go on. Until that has succeeded, nothing of the partition is handed out.
    fn seek(&mut self) {
        let mut seat = locked(&self.seat);
        let mut list = TopicPartitionList::new();
        for (place, held) in seat.partitions.iter().filter(|(_, held)| held.stage == Stage::Seeking) {
            self.waiting.retain(|record| !is_at(record, place));
            let offset = held.committed.map_or(Offset::Beginning, Offset::Offset);
            add(&mut list, &place.0, place.1, offset);
        }
        if list.count() == 0 {
            return;
        }
        let sought = match self.consumer.seek_partitions(list, SEEK_WAIT) {
            Ok(sought) => sought,
            Err(error) => return tracing::debug!(%error, "reading could not be moved yet"),
        };
        for element in sought.elements() {
            let place = (element.topic().into(), u32::try_from(element.partition()).unwrap_or_default());
            let Some(held) = seat.partitions.get_mut(&place) else { continue };
            if let Err(error) = answers::of_place(&sought, element.topic(), place.1) {
                tracing::debug!(%error, partition = place.1, "reading could not be moved yet");
                continue;
            }
            if held.paused {
                let mut resumed = TopicPartitionList::new();
                add(&mut resumed, &place.0, place.1, Offset::Invalid);
                if let Err(error) = self.consumer.resume(&resumed) {
                    tracing::debug!(%error, partition = place.1, "reading could not be resumed yet");
                    continue;
                }
            }
            (held.paused, held.stage) = (false, Stage::Reading);
        }
    }

    /// Takes from librdkafka what is there.
    fn draw(&mut self, wait: Duration) -> Result<(), BrokerError> {
        let mut seat = locked(&self.seat);
        let mut drawn = Vec::new();
        match &mut seat.queue {
            Some(queue) => queue.draw(DRAW_MAX, wait, &mut drawn),
            None => return Ok(()),
        }
        self.drained = drawn.is_empty();
        // What was fetched for another assignment, or before a seek, is not ours to hand out, nor what failed then to fail of.
        let is_read = |place: &Place| seat.partitions.get(place).is_some_and(|held| held.stage == Stage::Reading);
        for look in drawn {
            match look {
                Drawn::Record(record) if is_read(&(record.topic.clone(), record.partition)) => {
                    self.waiting.push_back(record);
                }
                Drawn::Record(_) | Drawn::End { .. } => {}
                Drawn::Fault { topic, partition, code } => {
                    let place = u32::try_from(partition).map(|partition| (topic.clone(), partition));
                    let is_stale = is_of_position(code) && place.is_ok_and(|place| !is_read(&place));
                    if !is_stale {
                        fault(&topic, partition, code)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Hands out what waits, within the limits; a first record is always allowed, however large.
    fn gather(&mut self, limit: &BatchLimit, wait: Duration) -> Result<Vec<Record>, BrokerError> {
        let mut records = Vec::new();
        let (mut bytes, mut wait) = (0, wait);
        loop {
            if self.waiting.is_empty() {
                self.draw(std::mem::take(&mut wait))?;
            }
            let Some(record) = self.waiting.pop_front() else { return Ok(records) };
            let weight = record.key.len() + record.value.as_ref().map_or(0, Vec::len);
            let full = records.len() >= limit.records_max;
            if full || (bytes + weight > limit.bytes_max && !records.is_empty()) {
                self.waiting.push_front(record);
                return Ok(records);
            }
            let mut seat = locked(&self.seat);
            let held = seat.partitions.get_mut(&(record.topic.clone(), record.partition));
            // A pause makes librdkafka fetch again what was drawn and not yet counted as read.
            let next = held.filter(|held| held.stage == Stage::Reading && record.offset >= held.position);
            if let Some(held) = next {
                held.position = record.offset + 1;
                held.reached = record.timestamp;
                bytes += weight;
                drop(seat);
                records.push(record);
            }
        }
    }

    /// Where everything drawn was handed out, marks of transactions and what was aborted are all that librdkafka has passed beyond
    /// that: kept with the position, so that nobody takes them for records that nobody read.
    fn note_passed(&self) {
        let Ok(passed) = self.consumer.position() else { return };
        let mut seat = locked(&self.seat);
        if self.waiting.is_empty() {
            for (place, held) in seat.partitions.iter_mut().filter(|(_, held)| held.stage == Stage::Reading) {
                held.passed = offset_in(&passed, place);
            }
        }
    }

    /// Err: a partition stands still.
    fn watch(&mut self) -> Result<(), BrokerError> {
        let now = Instant::now();
        // What was fetched stands in one queue: behind another's backlog it is only late.
        if !self.drained || !self.standing.is_due(now) {
            return Ok(());
        }
        let Ok(passed) = self.consumer.position() else { return Ok(()) };
        // What has not arrived says itself why it waits.
        let is_read = |held: &Held| held.stage != Stage::Given;
        let reached = |(place, held): (&Place, &Held)| (place.clone(), offset_in(&passed, place).max(held.position));
        let seat = locked(&self.seat);
        let reached = seat.partitions.iter().filter(|(_, held)| is_read(held)).map(reached).collect();
        drop(seat);
        let bounds_of = |(topic, partition): &Place| {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            let bounds = answers::watermarks(&self.consumer, topic, partition, END_WAIT);
            bounds.map_err(|error| storage("a partition's end is not known", &error))
        };
        self.standing.look(now, reached, bounds_of)
    }

    /// Another has this lane's name: its partitions are to be the other's at once.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.fenced, true) {
            // What is in the group under our name from now on is not this one.
            self.shared.namesakes.leaves(&self.plan.group);
        }
        tracing::warn!(
            lane = locked(&self.seat).transaction.id(),
            "another began under this lane's name: a router that took over while this one stood still, or one that runs under the same \
             instance (docs/kafka.md, `Two of one instance`)"
        );
        self.waiting.clear();
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_WAIT;
        while Instant::now() < deadline {
            drop(self.consumer.poll(GLANCE));
            if self.consumer.assignment().is_ok_and(|list| list.count() == 0) {
                break;
            }
        }
    }
}

fn locked(seat: &Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Negative where none is told.
fn offset_in(list: &TopicPartitionList, place: &Place) -> i64 {
    let partition = i32::try_from(place.1).unwrap_or(i32::MAX);
    list.find_partition(&place.0, partition).and_then(|element| element.offset().to_raw()).unwrap_or(-1)
}

fn is_at(record: &Record, place: &Place) -> bool {
    record.partition == place.1 && record.topic == place.0
}

/// Refuses to read what is not there: nothing would come of it, and the lane look well.
fn must_be_there(shared: &Shared, plan: &LanePlan) -> Result<(), BrokerError> {
    let TopicPattern::Names(names) = &plan.topics else { return Ok(()) };
    let missing = shared.topology.missing(names.iter().chain(&plan.restore_from).map(|name| &**name))?;
    if missing.is_empty() { Ok(()) } else { Err(gone(missing)) }
}

/// Lets librdkafka call back. Records that reach the consumer's own queue came before their partition was forwarded,
/// and are read again after the seek. True: a topic is said to be missing.
fn serve<C: ConsumerContext>(consumer: &BaseConsumer<C>, group: &str) -> Result<bool, BrokerError> {
    let mut is_topic_missing = false;
    for _ in 0..EVENTS_MAX {
        match consumer.poll(Duration::ZERO) {
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => return Err(named("reading", code)),
            // librdkafka says it once and goes on trying: without a word the lane would stand still, and look well.
            Some(Err(KafkaError::MessageConsumption(code))) if lacks_right(code) => {
                return Err(named(&format!("reading as group {group}"), code));
            }
            Some(Err(KafkaError::MessageConsumption(code))) if lacks_topic(code) => {
                is_topic_missing = true;
                tracing::warn!(
                    code = words(code),
                    group,
                    "a topic that the group reads is not there: `topics plan` names it, `topics apply` makes it"
                );
            }
            Some(Err(KafkaError::MessageConsumption(code))) => tracing::debug!(%code, "the group's consumer"),
            Some(Ok(_) | Err(_)) | None => {}
        }
    }
    Ok(is_topic_missing)
}

/// Whether it is of where reading is to go on: of a partition that is not read at present, it says nothing that matters.
fn is_of_position(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
}

/// What a partition's reading was told. Err: nothing more comes of it.
fn fault(topic: &str, partition: i32, code: RDKafkaErrorCode) -> Result<(), BrokerError> {
    let what = format!("{topic}, partition {partition}, could not be read");
    match code {
        code if lacks_right(code) => Err(named(&what, code)),
        // Begun again, the lane finds out which: deleted before it was read, or the log was cut short.
        code if is_of_position(code) => {
            Err(BrokerError::Storage(format!("{what}: what was to be read next is not there any more")))
        }
        code => {
            tracing::warn!(topic, partition, code = words(code), "reading");
            Ok(())
        }
    }
}

/// What the lane subscribes to. Patterns are librdkafka's: they begin with `^`.
fn topic_names(plan: &LanePlan) -> Result<Vec<String>, BrokerError> {
    match &plan.topics {
        TopicPattern::Names(names) if plan.restore_from.is_some() && names.len() != 1 => {
            let reason = "a lane with state reads one topic: a group may share out two differently";
            Err(BrokerError::Mismatch(reason.to_owned()))
        }
        TopicPattern::Prefixes(_) if plan.restore_from.is_some() => {
            Err(BrokerError::Mismatch("a lane with state reads one topic, not a pattern".to_owned()))
        }
        TopicPattern::Names(names) => Ok(names.iter().map(ToString::to_string).collect()),
        TopicPattern::Prefixes(prefixes) => {
            Ok(prefixes.iter().map(|prefix| format!("^{}", prefix.replace('.', "\\."))).collect())
        }
    }
}

impl LaneBroker for KafkaLane {
    fn poll(&mut self, owner: &mut dyn PartitionOwner, limit: &BatchLimit) -> Result<Vec<Record>, BrokerError> {
        let deadline = Instant::now() + limit.wait;
        loop {
            self.shared.check()?;
            if self.fenced {
                return Err(BrokerError::Fenced);
            }
            self.serve(owner)?;
            self.take_up(owner)?;
            self.seek();
            self.watch()?;
            let left = deadline.saturating_duration_since(Instant::now());
            // What is on its way is not to wait for records.
            let glance = if self.arrivals.is_waited_for() { SHORT_GLANCE } else { GLANCE };
            let records = self.gather(limit, left.min(glance))?;
            if !records.is_empty() || left.is_zero() {
                return Ok(records);
            }
        }
    }

    fn stage(&mut self, writes: Vec<Write>, consumed: Vec<Consumed>) -> Result<(), BrokerError> {
        let mut seat = locked(&self.seat);
        let id = seat.transaction.id().to_owned();
        for write in &writes {
            let partition = self.shared.place(write);
            let is_state = self.plan.restore_from.as_ref() == Some(&write.topic);
            seat.transaction.write(write, partition, is_state.then_some(id.as_str()));
        }
        seat.stage_positions(consumed);
        Ok(())
    }

    fn commit(&mut self, owner: &mut dyn PartitionOwner) -> Result<Commit, BrokerError> {
        self.note_passed();
        let settled = {
            let mut seat = locked(&self.seat);
            if !seat.staged.is_empty() {
                seat.transaction.ensure_open();
            }
            seat.settle(&self.consumer)
        };
        match settled {
            Ok(Commit::Committed) => {
                self.shared.announce();
                owner.committed();
            }
            Ok(Commit::Aborted) => owner.aborted(),
            Err(ref error) => {
                owner.aborted();
                if *error == BrokerError::Fenced {
                    self.leave();
                }
            }
        }
        settled
    }

    fn gathers_on(&self, since: Instant, spare: Duration) -> bool {
        since.elapsed() < self.shared.options.commit_interval.max(spare)
    }

    fn oldest_unread(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        if self.waiting.is_empty() {
            self.draw(Duration::ZERO)?;
        }
        // Control records are passed over unseen, but counted here.
        let passed = self.consumer.position().map_err(|error| storage("how far was read is not known", &error))?;
        let seat = locked(&self.seat);
        let waiting =
            |place: &Place| self.waiting.iter().find(|record| is_at(record, place)).map(|record| record.timestamp);
        // Of one that has not arrived nothing was read yet, wherever its position lies.
        let is_at_end = |place: &Place, held: &Held| {
            let end = native::known_end(&self.consumer, &place.0, place.1).filter(|_| held.stage != Stage::Given);
            end.is_some_and(|end| offset_in(&passed, place).max(held.position) >= end)
        };
        let oldest = seat
            .partitions
            .iter()
            .filter_map(|(place, held)| waiting(place).or((!is_at_end(place, held)).then_some(held.reached)));
        Ok(oldest.min())
    }

    fn owned(&self) -> Vec<u32> {
        self.owned.iter().copied().collect()
    }

    fn is_restored(&self) -> bool {
        let seat = locked(&self.seat);
        seat.joined && seat.events.is_empty() && !self.arrivals.is_waited_for()
    }
}

impl Drop for KafkaLane {
    fn drop(&mut self) {
        let mut seat = locked(&self.seat);
        if !self.fenced {
            self.shared.namesakes.leaves(&self.plan.group);
        }
        // Nothing may be open when the consumer closes: its callback could no longer commit it.
        seat.transaction.abandon();
        seat.queue = None;
    }
}
