//! London's clocks, by a table of when they change. The time zone's database works each change out again from its rule, which
//! took a twentieth of DECIDE's time.

use std::sync::LazyLock;

use jiff::civil;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::CalendarError;
use crate::engine::model::scalar::Timestamp;

/// Europe/London, from the database compiled in: no file of the machine is read.
/// The fallback is unreachable; a test holds that the compiled-in database knows London.
pub static LONDON: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZoneDatabase::bundled().get("Europe/London").unwrap_or(TimeZone::UTC));

/// What lies between is looked up; outside of it the database is asked.
const FROM: civil::Date = civil::Date::constant(1990, 1, 1);
const UNTIL: civil::Date = civil::Date::constant(2101, 1, 1);

static CLOCKS: LazyLock<Clocks> = LazyLock::new(|| Clocks::of(&LONDON));

const MILLIS_PER_DAY: i64 = 86_400_000;
const MILLIS_PER_HALF_YEAR: i64 = MILLIS_PER_DAY * 1_461 / 8;

/// The hands of the clock, as milliseconds since 1970-01-01 00:00 on it.
type Hands = i64;

struct Clocks {
    /// Half open.
    span: (i64, i64),
    /// How far the clock is ahead before the first change.
    ahead: i64,
    changes: Vec<Change>,
}

#[derive(Clone, Copy)]
struct Change {
    at: i64,
    /// From then on the hands are read by it. A time that is skipped is read as if the clocks had not changed yet; of one that
    /// comes twice, the first.
    hands: Hands,
    /// How far the clock is ahead of UTC from then on, in milliseconds.
    ahead: i64,
}

impl Clocks {
    fn of(zone: &TimeZone) -> Self {
        let start = |date: civil::Date| Offset::UTC.to_timestamp(date.to_datetime(civil::Time::midnight()));
        let (from, until) = (start(FROM).unwrap_or_default(), start(UNTIL).unwrap_or_default());
        let millis = |offset: Offset| i64::from(offset.seconds()).saturating_mul(1_000);
        let ahead = millis(zone.to_offset(from));
        let (mut before, mut changes) = (ahead, Vec::new());
        for change in zone.following(from).take_while(|change| change.timestamp() < until) {
            let (at, after) = (change.timestamp().as_millisecond(), millis(change.offset()));
            changes.push(Change { at, hands: at.saturating_add(before.max(after)), ahead: after });
            before = after;
        }
        Self { span: (from.as_millisecond(), until.as_millisecond()), ahead, changes }
    }

    fn covers(&self, millis: i64) -> bool {
        (self.span.0..self.span.1).contains(&millis)
    }

    /// How far the clock is ahead once the changes are past of which `since`, a time of theirs, is no later than `time`.
    fn ahead_by(&self, time: i64, since: impl Fn(&Change) -> i64) -> i64 {
        let is_past = |place: usize| self.changes.get(place).is_some_and(|change| since(change) <= time);
        // The clocks change twice a year, so that the place is known but for one or two.
        let guess = time.saturating_sub(self.span.0).max(0).div_euclid(MILLIS_PER_HALF_YEAR);
        let mut past = usize::try_from(guess).unwrap_or_default().min(self.changes.len());
        while is_past(past) {
            past = past.saturating_add(1);
        }
        while past > 0 && !is_past(past.saturating_sub(1)) {
            past = past.saturating_sub(1);
        }
        past.checked_sub(1).and_then(|last| self.changes.get(last)).map_or(self.ahead, |change| change.ahead)
    }

    /// None: beyond the table.
    fn hands_at(&self, at: Timestamp) -> Option<Hands> {
        self.covers(at.0).then(|| at.0.saturating_add(self.ahead_by(at.0, |change| change.at)))
    }

    /// None: beyond the table.
    fn instant(&self, hands: Hands) -> Option<Timestamp> {
        let at = hands.saturating_sub(self.ahead_by(hands, |change| change.hands));
        (self.covers(hands) && self.covers(at)).then_some(Timestamp(at))
    }
}

/// What the clocks show at an instant.
pub fn london_datetime(at: Timestamp) -> civil::DateTime {
    match CLOCKS.hands_at(at) {
        Some(hands) => Offset::UTC.to_datetime(Timestamp(hands).to_jiff()),
        None => LONDON.to_datetime(at.to_jiff()),
    }
}

/// The London date of an instant.
pub fn london_date(at: Timestamp) -> civil::Date {
    london_datetime(at).date()
}

/// A London wall-clock time as an instant. A time skipped in spring is read as if the clocks had not yet changed; of a
/// time that comes twice in autumn, the first.
pub fn instant(date: civil::Date, time: civil::Time) -> Result<Timestamp, CalendarError> {
    let shown = date.to_datetime(time);
    let hands = Offset::UTC.to_timestamp(shown).ok().map(jiff::Timestamp::as_millisecond);
    if let Some(at) = hands.and_then(|hands| CLOCKS.instant(hands)) {
        return Ok(at);
    }
    let instant = LONDON.to_ambiguous_timestamp(shown).compatible();
    instant.map(Timestamp::from_jiff).map_err(|_| CalendarError::OutOfRange)
}

/// The London midnight so many days before, or after, the one that starts the day of an instant. None: beyond the table.
pub fn midnight_near(at: Timestamp, days: i64) -> Option<Timestamp> {
    let day = CLOCKS.hands_at(at)?.div_euclid(MILLIS_PER_DAY);
    CLOCKS.instant(day.checked_add(days)?.checked_mul(MILLIS_PER_DAY)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_the_database(shown: civil::DateTime) -> Timestamp {
        Timestamp::from_jiff(LONDON.to_ambiguous_timestamp(shown).compatible().unwrap())
    }

    fn check(at: Timestamp) {
        let shown = LONDON.to_datetime(at.to_jiff());
        assert_eq!(london_datetime(at), shown);
        assert_eq!(instant(shown.date(), shown.time()).unwrap(), by_the_database(shown));
    }

    fn check_midnight(at: Timestamp, days: i64) {
        let day = london_date(at).checked_add(jiff::Span::new().days(days)).unwrap();
        let midnight = by_the_database(day.to_datetime(civil::Time::midnight()));
        assert!(midnight_near(at, days).is_none_or(|near| near == midnight), "{at:?} {days}");
    }

    #[test]
    fn the_table_agrees_with_the_database_at_every_change() {
        assert!(CLOCKS.changes.len() > 200);
        for change in &CLOCKS.changes {
            for minutes in -180..180 {
                check(Timestamp(change.at + minutes * 60_000 - 1));
                check(Timestamp(change.at + minutes * 60_000));
                let shown = Offset::UTC.to_datetime(Timestamp(change.at + minutes * 60_000).to_jiff());
                assert_eq!(instant(shown.date(), shown.time()).unwrap(), by_the_database(shown), "{shown}");
            }
            (-3..3).for_each(|days| check_midnight(Timestamp(change.at), days));
        }
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_the_database(at in -5_000_000_000_000_i64..6_000_000_000_000, days in -800_i64..800) {
            check(Timestamp(at));
            check_midnight(Timestamp(at), days);
        }
    }
}
