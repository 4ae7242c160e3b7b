//! Partitions that stand still: they go further, no transaction holds them up, and nothing comes of them. librdkafka may stop fetching, or
//! refuse to move its reading, without a word; begun anew, the lane goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::seat::Place;
use crate::broker::BrokerError;

/// What handed out nothing for so long is looked at, and looked at again after as long. Longer than a broker takes to come back.
const STILL_FOR: Duration = Duration::from_secs(30);
/// Partitions are looked at one by one, this far apart, for each asks the broker: a lane of more than sixty takes longer.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The partitions of one lane.
pub struct Standing {
    still: BTreeMap<Place, Still>,
    look_at: Instant,
}

/// One that has not moved.
struct Still {
    /// Read up to here.
    reached: i64,
    looked_at: Instant,
    /// It went further when it was looked at.
    left: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { still: BTreeMap::new(), look_at: Instant::now() }
    }
}

impl Standing {
    /// Whether it is time for `look`: what it is told costs more than this.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    /// Told how far each partition was read, while nothing that was fetched waits to be handed out, and how to ask where one begins and ends
    /// for a reader of what is committed. Err: one stood still from one look to the next though there was something to read.
    pub fn look(
        &mut self,
        now: Instant,
        reached: BTreeMap<Place, i64>,
        bounds_of: impl FnOnce(&Place) -> Result<(i64, i64), BrokerError>,
    ) -> Result<(), BrokerError> {
        self.look_at = now + LOOK_EVERY;
        self.still.retain(|place, _| reached.contains_key(place));
        for (place, reached) in reached {
            let fresh = Still { reached, looked_at: now, left: false };
            let still = self.still.entry(place).or_insert(fresh);
            if still.reached != reached {
                *still = Still { reached, looked_at: now, left: false };
            }
        }
        let longest = self.still.iter_mut().min_by_key(|(_, still)| still.looked_at);
        let Some((place, still)) = longest.filter(|(_, still)| now.duration_since(still.looked_at) >= STILL_FOR) else {
            return Ok(());
        };
        still.looked_at = now;
        let bounds = bounds_of(place);
        if let Err(error) = &bounds {
            tracing::debug!(%error, partition = place.1, "where a partition ends that stands still is not known");
        }
        // Not told, it says nothing: as while the broker is away. Nor does what was deleted before anything was read.
        let is_left = bounds.is_ok_and(|(first, end)| end > still.reached.max(first));
        if is_left && still.left {
            let (topic, partition) = place;
            let reason = format!("{topic}, partition {partition}, goes on and nothing came of it: it is read anew");
            return Err(BrokerError::Storage(reason));
        }
        still.left = is_left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bounds = Result<(i64, i64), BrokerError>;

    /// What the lane has read and where the partition ends, one pair a look, each `STILL_FOR` after the one before. Answers at which look
    /// it was found to stand still.
    fn found(looks: &[(i64, Bounds)]) -> Option<usize> {
        let (mut standing, begin): (_, Instant) = (Standing::default(), Instant::now());
        let place: Place = ("inbox".into(), 3);
        looks.iter().enumerate().position(|(number, (reached, end))| {
            let now = begin + STILL_FOR * u32::try_from(number).unwrap();
            standing.look(now, BTreeMap::from([(place.clone(), *reached)]), |_| end.clone()).is_err()
        })
    }

    #[test]
    fn a_partition_that_goes_on_and_does_not_move_is_found_at_the_second_look() {
        assert_eq!(found(&[(4, Ok((0, 9))), (4, Ok((0, 9))), (4, Ok((0, 9)))]), Some(2));
        assert_eq!(found(&[(4, Ok((0, 4))), (4, Ok((0, 4))), (4, Ok((0, 9))), (4, Ok((0, 12)))]), Some(3));
    }

    #[test]
    fn one_that_moves_is_at_its_end_or_does_not_say_where_it_ends_is_left_alone() {
        let away = || Err(BrokerError::Storage("no answer".to_owned()));
        assert_eq!(
            found(&[
                (4, Ok((0, 9))),
                (4, Ok((0, 9))),
                (5, Ok((0, 9))),
                (5, Ok((0, 9))),
                (9, Ok((0, 9))),
                (9, Ok((0, 9))),
                (9, Ok((0, 9)))
            ]),
            None
        );
        assert_eq!(found(&[(4, Ok((0, 9))), (4, Ok((0, 9))), (4, away()), (4, Ok((0, 9))), (5, Ok((0, 9)))]), None);
    }

    /// Nothing was ever read of it, and all that was there was deleted.
    #[test]
    fn one_of_which_nothing_is_left_is_at_its_end() {
        assert_eq!(found(&[(0, Ok((9, 9))), (0, Ok((9, 9))), (0, Ok((9, 9)))]), None);
        assert_eq!(found(&[(0, Ok((9, 12))), (0, Ok((9, 12))), (0, Ok((9, 12)))]), Some(2));
    }

    #[test]
    fn one_partition_is_asked_for_at_a_look_the_one_that_waits_for_longest_first() {
        let (mut standing, begin) = (Standing::default(), Instant::now());
        let reached: BTreeMap<Place, i64> = (0..3).map(|partition| (("inbox".into(), partition), 0)).collect();
        let mut asked = Vec::new();
        for look in 0..5 {
            let now = begin + if look == 0 { Duration::ZERO } else { STILL_FOR + LOOK_EVERY * look };
            standing
                .look(now, reached.clone(), |place| {
                    asked.push(place.1);
                    Ok((0, 0))
                })
                .unwrap();
        }
        assert_eq!(asked, [0, 1, 2], "and none again so soon");
        assert!(!standing.is_due(begin + STILL_FOR) && standing.is_due(begin + STILL_FOR * 2));
    }
}
