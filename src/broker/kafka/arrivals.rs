//! Partitions on their way to a lane: where each begins, and what its owner needs, restored a piece at a time while the
//! lane reads the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use self::coming::{BEGIN_EVERY, Coming, END_UNKNOWN};
use super::position::{Before, Bounds, Look, look};
use super::restore::{Restorer, not_yet};
use super::seat::Place;
use super::shared::Shared;
use crate::broker::{BrokerError, PartitionOwner};

mod coming;

/// A stored position that stays open for this long belongs to a dead owner's transaction.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);
/// After an open one, none is asked for so long: to ask for it took as long as a broker is given.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// What one look for positions may cost the partitions that are read already.
const LOOK_MAX: Duration = Duration::from_millis(10);
/// To restore is given as long as the others took since: a backlog of theirs, worked off in long batches, would hold it up for minutes.
/// A stop is noticed after as long.
const RESTORE_MAX: Duration = Duration::from_secs(2);
/// Where nothing comes for this part of that time, the others go on.
const NOTHING_PART: u32 = 8;

pub struct Arrivals {
    shared: Arc<Shared>,
    group: String,
    restore_from: Option<Arc<str>>,
    /// Of this lane: never fenced.
    transactional_id: String,
    coming: Vec<Coming>,
    /// No position is asked for until then.
    ask_at: Instant,
    /// The last look ended.
    looked_at: Instant,
    restorer: Option<Restorer>,
    bounds: Option<Arc<Bounds>>,
}

impl Arrivals {
    pub fn new(shared: Arc<Shared>, group: &str, restore_from: Option<Arc<str>>, transactional_id: &str) -> Self {
        let (group, transactional_id) = (group.to_owned(), transactional_id.to_owned());
        let (coming, now) = (Vec::new(), Instant::now());
        let (ask_at, looked_at, restorer, bounds) = (now, now, None, None);
        Self { shared, group, restore_from, transactional_id, coming, ask_at, looked_at, restorer, bounds }
    }

    /// Whether any is on its way. Those that are refused come when the operator has seen to them: the others go on.
    pub fn is_waited_for(&self) -> bool {
        self.coming.iter().any(|coming| coming.before.refused.is_none())
    }

    pub fn add(&mut self, place: Place) {
        self.coming.push(Coming::new(place));
    }

    /// For `/readyz`: each that the operator was told of, and how many are restored for long.
    fn say_who_waits(&self) {
        let told = self.coming.iter().filter_map(|coming| Some((&coming.place, coming.told.as_ref()?)));
        let sentences = told.map(|((topic, partition), why)| format!("{topic}, partition {partition}, waits: {why}"));
        let sentences = sentences.chain(self.long_restore());
        self.shared.waits(&self.transactional_id, sentences.collect());
    }

    /// The router is ready by the partitions that it has: of these nobody would hear but by their lag.
    fn long_restore(&self) -> Option<String> {
        self.restore_from.as_ref()?;
        let restored: Vec<&Coming> = self.coming.iter().filter(|coming| coming.is_restored_for_long()).collect();
        let minutes = restored.iter().map(|coming| coming.came_at.elapsed().as_secs() / 60).max()?;
        let partitions: Vec<String> = restored.iter().map(|coming| coming.place.1.to_string()).collect();
        let (topic, partitions) = (&restored.first()?.place.0, partitions.join(", "));
        Some(format!(
            "{topic}, partition {partitions}, restored since {minutes} min and not yet there: what comes in it waits (the log says how far)"
        ))
    }

    /// It went elsewhere before it had arrived.
    pub fn remove(&mut self, place: &Place, owner: &mut dyn PartitionOwner) {
        for gone in self.coming.extract_if(.., |coming| coming.place == *place) {
            gone.before.tell_gap(&self.shared, &gone.place);
        }
        self.say_who_waits();
        if let Some(restorer) = &mut self.restorer
            && restorer.forget(place.1)
        {
            owner.revoked(place.1);
        }
        self.let_go();
    }

    /// Readers that nothing here needs any more: each keeps connections and threads.
    fn let_go(&mut self) {
        if !self.is_waited_for() {
            self.restorer = None;
        }
        // One that is refused is looked at over and over.
        if self.coming.is_empty() {
            self.bounds = None;
        }
    }

    /// The places that have arrived, each with its stored position. One whose position is still open holds up no other.
    pub fn look<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        owner: &mut dyn PartitionOwner,
    ) -> Result<Vec<(Place, Option<i64>)>, BrokerError> {
        let looked_at = std::mem::replace(&mut self.looked_at, Instant::now());
        if self.coming.is_empty() {
            return Ok(Vec::new());
        }
        let share = looked_at.elapsed().clamp(LOOK_MAX, RESTORE_MAX);
        self.ask(consumer)?;
        let mut arrived = match self.restore_from {
            Some(_) => self.restore(owner, share)?,
            None => self.coming.iter().filter(|coming| coming.stored.is_some()).map(|it| it.place.clone()).collect(),
        };
        let arrived = arrived.drain(..).filter_map(|place| {
            let index = self.coming.iter().position(|coming| coming.place == place)?;
            Some((place, self.coming.remove(index).stored?))
        });
        let arrived = arrived.collect();
        self.say_who_waits();
        self.let_go();
        self.looked_at = Instant::now();
        Ok(arrived)
    }

    /// Finds out where each is to begin.
    fn ask<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) -> Result<(), BrokerError> {
        if Instant::now() < self.ask_at || !self.coming.iter().any(Coming::is_asked_for) {
            return Ok(());
        }
        let bounds = self.bounds()?;
        let (shared, group) = (&self.shared, &self.group);
        let look_at = &mut |place: &Place, before| look(shared, consumer, &bounds, place, before);
        if !ask(&mut self.coming, group, LOOK_MAX, look_at)? {
            self.ask_at = Instant::now() + ASK_EVERY;
        }
        // A dead owner's transaction may hold a position open: it is fenced, rather than waited for.
        for partition in blocked(&mut self.coming) {
            if let Some(restorer) = self.restorer()? {
                restorer.is_open(partition)?;
            }
        }
        Ok(())
    }

    fn bounds(&mut self) -> Result<Arc<Bounds>, BrokerError> {
        let bounds = match self.bounds.take() {
            Some(bounds) => bounds,
            None => Arc::new(Bounds::new(&self.shared.options, &self.group)?),
        };
        Ok(self.bounds.insert(bounds).clone())
    }

    fn restorer(&mut self) -> Result<Option<&mut Restorer>, BrokerError> {
        if let (None, Some(topic)) = (&self.restorer, self.restore_from.clone()) {
            let bounds = self.bounds()?;
            self.restorer = Some(Restorer::new(&self.shared, &self.group, topic, &self.transactional_id, bounds)?);
        }
        Ok(self.restorer.as_mut())
    }

    /// A transaction that is open in one partition is not to hold up the next.
    fn let_others_go_first(&mut self, arrived: &[Place]) {
        let Some(restorer) = self.restorer.as_mut().filter(|restorer| restorer.is_blocked()) else { return };
        let current = restorer.current();
        let now = Instant::now();
        let may_begin = |it: &Coming| it.stored.is_some() && it.begin_at <= now && !arrived.contains(&it.place);
        let is_ready = |it: &Coming| may_begin(it) && Some(it.place.1) != current;
        if self.coming.iter().any(is_ready) {
            restorer.put_off();
            // To the end of the queue.
            self.coming.sort_by_key(|it| Some(it.place.1) == current);
        }
    }

    /// It cannot be begun yet. That it waits for long is told to the operator.
    fn put_off(&mut self, place: &Place) {
        for coming in self.coming.iter_mut().filter(|coming| coming.place == *place) {
            coming.begin_at = Instant::now() + BEGIN_EVERY;
            coming.tell(END_UNKNOWN);
        }
    }

    /// For as long as `share`, or until nothing comes.
    fn restore(&mut self, owner: &mut dyn PartitionOwner, share: Duration) -> Result<Vec<Place>, BrokerError> {
        let mut arrived: Vec<Place> = Vec::new();
        let mut moved_at = Instant::now();
        let until = moved_at + share;
        while Instant::now() < until {
            self.let_others_go_first(&arrived);
            let is_next = |it: &&Coming| it.stored.is_some() && it.begin_at <= Instant::now();
            let next = self.coming.iter().filter(is_next).find(|it| !arrived.contains(&it.place));
            let next = next.map(|coming| coming.place.clone());
            let current = self.restorer.as_ref().and_then(Restorer::current);
            let current = current.and_then(|partition| self.coming.iter().find(|it| it.place.1 == partition));
            let Some(place) = current.map(|coming| coming.place.clone()).or(next) else { break };
            let Some(restorer) = self.restorer()? else { break };
            if restorer.current().is_none() {
                match restorer.begin(place.1) {
                    Ok(false) => {}
                    Ok(true) => owner.revoked(place.1),
                    Err(error) => {
                        not_yet(place.1, error)?;
                        self.put_off(&place);
                        continue;
                    }
                }
            }
            if restorer.advance(&mut |record| owner.restored(place.1, record))? {
                owner.assigned(place.1)?;
                arrived.push(place);
                moved_at = Instant::now();
            } else if restorer.moved_since(moved_at) {
                moved_at = Instant::now();
            } else if moved_at.elapsed() >= (share / NOTHING_PART).max(LOOK_MAX) {
                break;
            }
        }
        Ok(arrived)
    }
}

/// Looks where a partition is to begin; told what was found there before.
type LookAt<'a> = dyn FnMut(&Place, Before) -> Result<Look, BrokerError> + 'a;

/// Asks where partitions begin, for as long as one look may take, those first that wait for longest to be asked. One that had
/// to be waited for ends the look. False: that was so.
fn ask(coming: &mut [Coming], group: &str, look_max: Duration, look: &mut LookAt<'_>) -> Result<bool, BrokerError> {
    let began = Instant::now();
    loop {
        let unknown = coming.iter_mut().filter(|coming| coming.is_asked_for());
        let Some(coming) = unknown.min_by_key(|coming| coming.asked_at) else { return Ok(true) };
        let found = look(&coming.place, coming.before)?;
        if !coming.hear(found, group) {
            return Ok(false);
        }
        if began.elapsed() >= look_max {
            return Ok(true);
        }
    }
}

/// Those that were found to be open, and have been for long. Told again after as long.
fn blocked(coming: &mut [Coming]) -> Vec<u32> {
    let is_blocked = |it: &&mut Coming| it.stored.is_none() && it.open && it.blocked_since.elapsed() >= BLOCKED_AFTER;
    let blocked = coming.iter_mut().filter(is_blocked).map(|coming| {
        coming.blocked_since = Instant::now();
        coming.place.1
    });
    blocked.collect()
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.coming.iter().for_each(|gone| gone.before.tell_gap(&self.shared, &gone.place));
        self.shared.waits(&self.transactional_id, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::super::position::Gap;
    use super::super::settings::KafkaOptions;
    use super::coming::{NOT_STORED, OPEN_POSITION, TELL_EVERY};
    use super::*;
    use crate::broker::Record;

    /// Longer than any machine stands still.
    const WHILE: Duration = Duration::from_secs(600);

    #[test]
    fn one_open_position_is_asked_for_in_a_look_and_each_in_its_turn() {
        let mut coming: Vec<Coming> = (0..3).map(|partition| Coming::new(("inbox".into(), partition))).collect();
        let look = |coming: &mut Vec<Coming>, open: &[u32]| {
            let mut asked = Vec::new();
            let went_through = ask(coming, "intake", WHILE, &mut |place, _| {
                asked.push(place.1);
                Ok(if open.contains(&place.1) { Look::Open } else { Look::Begins(Some(0)) })
            });
            assert_eq!(went_through.unwrap(), asked.iter().all(|partition| !open.contains(partition)));
            asked
        };
        assert_eq!(look(&mut coming, &[0, 1, 2]), [0]);
        assert_eq!(look(&mut coming, &[0, 1, 2]), [1]);
        coming.push(Coming::new(("inbox".into(), 3)));
        assert_eq!(look(&mut coming, &[0, 1, 2]), [2], "who was never asked for comes first");
        assert_eq!(look(&mut coming, &[0, 1, 2]), [3, 0]);
        assert_eq!(look(&mut coming, &[2]), [1, 2]);
        assert_eq!(look(&mut coming, &[]), [0, 2]);
        assert!(look(&mut coming, &[]).is_empty());
    }

    #[test]
    fn what_waits_for_long_is_told_with_the_reason() {
        let mut coming = Coming::new(("inbox".into(), 3));
        coming.tell(OPEN_POSITION);
        assert_eq!(coming.told, None, "it has only come");
        coming.untold_since = Instant::now().checked_sub(TELL_EVERY).unwrap();
        coming.tell(OPEN_POSITION);
        assert_eq!(coming.told.as_deref(), Some(OPEN_POSITION));
    }

    #[test]
    fn a_position_that_is_slow_to_be_told_ends_the_look_too() {
        let mut coming: Vec<Coming> = (0..3).map(|partition| Coming::new(("inbox".into(), partition))).collect();
        let mut asked = 0;
        let through = ask(&mut coming, "intake", LOOK_MAX, &mut |_, _| {
            asked += 1;
            std::thread::sleep(LOOK_MAX);
            Ok(Look::Begins(None))
        });
        assert_eq!((through, asked), (Ok(true), 1));
    }

    #[test]
    fn one_whose_position_lies_beyond_the_end_is_told_at_once_and_holds_up_no_other() {
        let mut coming: Vec<Coming> = (0..2).map(|partition| Coming::new(("in".into(), partition))).collect();
        let mut seen = Vec::new();
        let mut look = |place: &Place, before: Before| {
            seen.push((place.1, before.refused));
            Ok(if place.1 == 0 { Look::Beyond(90) } else { Look::Begins(Some(4)) })
        };
        assert_eq!(ask(&mut coming, "intake", WHILE, &mut look), Ok(true));
        coming[0].ask_at = Instant::now();
        // Asked again it is as it was, and the look that follows it ends.
        assert_eq!(ask(&mut coming, "intake", WHILE, &mut look), Ok(true));
        assert_eq!(seen, [(0, None), (1, None), (0, Some(90))]);
        assert_eq!((coming[0].stored, coming[1].stored), (None, Some(Some(4))));
        let told = coming[0].told.as_ref().unwrap();
        assert!(told.contains("intake has read further than it goes (to 90)"), "{told}");
        assert!(coming[1].told.is_none() && blocked(&mut coming).is_empty());
    }

    #[test]
    fn a_position_that_was_not_stored_is_remembered_told_and_blamed_on_no_transaction() {
        let mut coming = [Coming::new(("in".into(), 0)), Coming::new(("in".into(), 1))];
        coming[0].untold_since = Instant::now().checked_sub(TELL_EVERY).unwrap();
        let gap = Gap { from: 3, to: 8 };
        assert_eq!(ask(&mut coming, "intake", WHILE, &mut |_, _| Ok(Look::NotStored(gap))), Ok(false));
        assert_eq!((coming[0].told.as_deref(), coming[0].open), (Some(NOT_STORED), false));
        coming[0].ask_at = Instant::now();
        coming[0].asked_at = None;
        let mut seen = None;
        let through = ask(&mut coming[..1], "intake", WHILE, &mut |_, before| {
            seen = Some(before.gap);
            Ok(Look::Begins(Some(8)))
        });
        assert_eq!((through, seen), (Ok(true), Some(Some(gap))));
        assert_eq!((coming[0].before, coming[0].told.as_deref()), (Before::default(), None));
    }

    #[test]
    fn a_restore_that_takes_long_is_told_until_it_is_there() {
        let shared = Shared::new(KafkaOptions::new("127.0.0.1:1", "test")).unwrap();
        let mut arrivals =
            Arrivals::new(shared.clone(), "decide", Some("history".into()), "pathway-router.decide.test.0");
        (0..3).for_each(|partition| arrivals.add(("inbox".into(), partition)));
        for coming in &mut arrivals.coming[..2] {
            coming.stored = Some(Some(4));
        }
        arrivals.say_who_waits();
        assert!(shared.waited_for().is_empty(), "they have only come");
        for coming in &mut arrivals.coming {
            coming.came_at = Instant::now().checked_sub(TELL_EVERY * 3).unwrap();
        }
        arrivals.say_who_waits();
        let told = shared.waited_for().join("; ");
        assert!(told.starts_with("inbox, partition 0, 1, restored since 3 min"), "{told}");
        (0..2).for_each(|partition| arrivals.remove(&("inbox".into(), partition), &mut Nobody));
        assert!(shared.waited_for().is_empty(), "where the third begins is not known yet");
    }

    /// As when a rebalance takes the last one away before it was taken up.
    #[test]
    fn what_goes_elsewhere_before_it_arrived_leaves_no_reader_behind() {
        let shared = Shared::new(KafkaOptions::new("127.0.0.1:1", "test")).unwrap();
        let mut arrivals = Arrivals::new(shared, "decide", Some("history".into()), "pathway-router.decide.test.0");
        let place: Place = ("inbox".into(), 0);
        arrivals.add(place.clone());
        arrivals.restorer().unwrap();
        assert!(arrivals.restorer.is_some() && arrivals.bounds.is_some());
        arrivals.remove(&place, &mut Nobody);
        assert!(arrivals.restorer.is_none() && arrivals.bounds.is_none());
    }

    /// What was deleted unread, where it is not known whether the position behind it is stored.
    #[test]
    fn a_gap_is_told_of_what_goes_elsewhere_or_whose_lane_ends() {
        let shared = Shared::new(KafkaOptions::new("127.0.0.1:1", "test")).unwrap();
        let mut arrivals = Arrivals::new(shared.clone(), "intake", None, "pathway-router.intake.test.0");
        for partition in 0..3 {
            arrivals.add(("in".into(), partition));
        }
        for coming in &mut arrivals.coming[..2] {
            coming.hear(Look::NotStored(Gap { from: 3, to: 8 }), "intake");
        }
        arrivals.remove(&("in".into(), 0), &mut Nobody);
        assert_eq!(shared.passed_over.count(), 5);
        drop(arrivals);
        assert_eq!(shared.passed_over.count(), 10);
    }

    struct Nobody;

    impl PartitionOwner for Nobody {
        fn restored(&mut self, _: u32, _: Record) -> Result<(), BrokerError> {
            Ok(())
        }
        fn assigned(&mut self, _: u32) -> Result<(), BrokerError> {
            Ok(())
        }
        fn revoked(&mut self, _: u32) {}
        fn committed(&mut self) {}
        fn aborted(&mut self) {}
    }

    #[test]
    fn a_right_that_is_missing_ends_the_look() {
        let mut coming = [Coming::new(("in".into(), 0))];
        let denied = BrokerError::Denied("no right".to_owned());
        assert_eq!(ask(&mut coming, "intake", WHILE, &mut |_, _| Err(denied.clone())), Err(denied));
    }

    #[test]
    fn what_was_found_open_is_fenced_after_a_while_whoevers_turn_it_is() {
        let mut coming: Vec<Coming> = (0..3).map(|partition| Coming::new(("inbox".into(), partition))).collect();
        (coming[0].open, coming[1].open) = (true, true);
        assert!(blocked(&mut coming).is_empty());
        std::thread::sleep(BLOCKED_AFTER);
        assert_eq!(blocked(&mut coming), [0, 1], "and not the one that was never asked for");
        assert!(blocked(&mut coming).is_empty());
    }
}
