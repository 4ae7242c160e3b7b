//! When things happen: hours of the day and days of the week, in London.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use rand::RngExt;

use super::HOUR_MS;
use crate::engine::model::scalar::Timestamp;

/// The shape of a week.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hours {
    /// Monday to Friday, 8 to 18.
    Office,
    /// Monday to Friday, 8 to 16, most at registration and at the end.
    School,
    /// Every day, most from 16 to 2, more at weekends.
    Evening,
    /// Every day and hour, fewest before dawn.
    Always,
}

impl Hours {
    /// How many of every hundred fall into each hour of a working day.
    fn by_hour(self) -> [u32; 24] {
        match self {
            Hours::Office => [0, 0, 0, 0, 0, 0, 0, 1, 7, 12, 12, 11, 8, 9, 11, 12, 11, 5, 1, 0, 0, 0, 0, 0],
            Hours::School => [0, 0, 0, 0, 0, 0, 0, 1, 12, 18, 13, 11, 8, 10, 12, 12, 3, 0, 0, 0, 0, 0, 0, 0],
            Hours::Evening => [7, 5, 3, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 5, 6, 7, 8, 10, 11, 10, 8],
            Hours::Always => [3, 2, 2, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 5, 4],
        }
    }

    /// Weight of a weekend day, where a working day has 10.
    fn weekend(self) -> u32 {
        match self {
            Hours::Office => 1,
            Hours::School => 0,
            Hours::Evening => 15,
            Hours::Always => 9,
        }
    }

    /// An instant between `start` and `end` that suits this shape; if none does, one near `end`.
    pub fn instant(self, rng: &mut impl RngExt, start: Timestamp, end: Timestamp) -> Timestamp {
        let zone = TimeZone::get("Europe/London").unwrap_or(TimeZone::UTC);
        let first = start.date_in(&zone);
        let days = first.until(end.date_in(&zone)).map_or(0, |span| span.get_days());
        for _ in 0..60 {
            let date = first.saturating_add(rng.random_range(0..=days).days());
            if rng.random_range(0..15) < self.day_weight(date) {
                let instant = self.instant_on(rng, date, &zone);
                if (start..=end).contains(&instant) {
                    return instant;
                }
            }
        }
        end.plus_millis(-rng.random_range(0..HOUR_MS))
    }

    fn day_weight(self, date: Date) -> u32 {
        match date.weekday() {
            Weekday::Saturday | Weekday::Sunday => self.weekend(),
            Weekday::Monday => 12,
            Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => 10,
        }
    }

    fn instant_on(self, rng: &mut impl RngExt, date: Date, zone: &TimeZone) -> Timestamp {
        let weights = self.by_hour();
        let mut left = rng.random_range(0..weights.iter().sum());
        let mut hour = 0;
        for (candidate, weight) in (0_i8..).zip(weights) {
            hour = candidate;
            if left < weight {
                break;
            }
            left -= weight;
        }
        let midnight =
            zone.to_timestamp(date.at(hour, 0, 0, 0)).map_or_else(|_| Timestamp::default(), Timestamp::from_jiff);
        midnight.plus_millis(rng.random_range(0..HOUR_MS))
    }
}
