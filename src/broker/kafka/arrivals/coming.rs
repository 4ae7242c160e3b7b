//! One partition on its way to a lane: what is known of where it begins, what it waits for, and when that is told.

use std::time::{Duration, Instant};

use crate::broker::kafka::position::{Before, Look};
use crate::broker::kafka::seat::Place;

/// A restore that could not be begun is tried again after so long, and an end that was not told asked for.
pub const BEGIN_EVERY: Duration = Duration::from_secs(2);
/// Whether the operator has moved a position that lies beyond the end of the log is looked at so often.
const REFUSED_EVERY: Duration = Duration::from_secs(10);
/// A position that is not told for so long is told to the operator, over and over.
pub const TELL_EVERY: Duration = Duration::from_secs(60);
pub const OPEN_POSITION: &str = "Kafka does not tell where to begin, as it does while a transaction that may move the group's position \
is open. One that never ends is found by `kafka-transactions.sh --bootstrap-server HOST:PORT find-hanging --broker-id ID` \
(docs/kafka.md, `A transaction that hangs`)";
pub const NOT_STORED: &str = "records were deleted before they were read, and Kafka does not take a position behind them; it is tried \
again";
pub const END_UNKNOWN: &str = "its end is not told, as it is while a partition has no leader";

/// One partition on its way to a lane.
pub struct Coming {
    pub place: Place,
    /// None: not known yet. Within: None where nothing was ever committed.
    pub stored: Option<Option<i64>>,
    /// When it was last asked for in vain, and not before when it is asked for again.
    pub asked_at: Option<Instant>,
    pub ask_at: Instant,
    /// It was found to be open then.
    pub open: bool,
    /// Refused: nothing is read before the operator has moved the position.
    pub before: Before,
    pub blocked_since: Instant,
    pub came_at: Instant,
    /// Came then, or was told to the operator then.
    pub untold_since: Instant,
    /// Why it waits for so long, once the operator was told.
    pub told: Option<String>,
    /// Its restore could not be begun: it is tried again then, and the others go on.
    pub begin_at: Instant,
}

impl Coming {
    pub fn new(place: Place) -> Self {
        let now = Instant::now();
        Self {
            place,
            stored: None,
            asked_at: None,
            ask_at: now,
            open: false,
            before: Before::default(),
            blocked_since: now,
            came_at: now,
            untold_since: now,
            told: None,
            begin_at: now,
        }
    }

    /// Where it begins is not known, and it is time to ask.
    pub fn is_asked_for(&self) -> bool {
        self.stored.is_none() && self.ask_at <= Instant::now()
    }

    /// Where it begins is known, and what its owner needs has been read for longer than most take.
    pub fn is_restored_for_long(&self) -> bool {
        self.stored.is_some() && self.told.is_none() && self.came_at.elapsed() >= TELL_EVERY
    }

    /// It still waits, and this is why.
    pub fn tell(&mut self, why: &str) {
        if self.untold_since.elapsed() < TELL_EVERY {
            return;
        }
        self.untold_since = Instant::now();
        self.told = Some(why.to_owned());
        let (topic, partition) = &self.place;
        tracing::error!(%topic, partition, "the partition waits: {why}");
    }

    /// What came of a look. False: it was waited for, which is enough for one look at all of them.
    pub fn hear(&mut self, found: Look, group: &str) -> bool {
        (self.open, self.asked_at) = (found == Look::Open, Some(Instant::now()));
        match found {
            Look::Begins(stored) => {
                (self.stored, self.before, self.told) = (Some(stored), Before::default(), None);
                true
            }
            Look::Open => {
                self.tell(OPEN_POSITION);
                false
            }
            Look::EndUnknown => {
                self.ask_at = Instant::now() + BEGIN_EVERY;
                self.tell(END_UNKNOWN);
                false
            }
            Look::Beyond(position) => {
                self.ask_at = Instant::now() + REFUSED_EVERY;
                if self.before.refused.replace(position) != Some(position) {
                    // At once, and then over and over.
                    self.untold_since = Instant::now().checked_sub(TELL_EVERY).unwrap_or(self.untold_since);
                }
                self.tell(&beyond(group, position));
                true
            }
            Look::NotStored(gap) => {
                self.before.gap = Some(gap);
                self.ask_at = Instant::now() + BEGIN_EVERY;
                self.tell(NOT_STORED);
                false
            }
        }
    }
}

fn beyond(group: &str, position: i64) -> String {
    format!(
        "{group} has read further than it goes (to {position}), and what comes would be taken for read: it was cut short, or is \
another's. Nothing of it is read before the group's position is set anew (docs/kafka.md, `A log that is cut short`)"
    )
}
