//! Clocks and deadlines: working days, session days, elapsed hours, pinned bank holidays.

mod bank_holidays;
mod clock;
mod file;
mod london;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{self, Weekday};

use super::model::scalar::Timestamp;
pub use clock::{Clock, ClockError, HOURS_MAX, MINUTES_MAX, SAME_DAY_HOURS, WORKING_DAYS_MAX};
pub use file::{BankHolidaysFile, CalendarFault, CalendarFile, CalendarProblem, SchoolFile};
use london::midnight_near;
pub use london::{LONDON, instant, london_date, london_datetime};

/// A working day's deadline: close of the office.
const CLOSE_OF_DAY: civil::Time = civil::Time::constant(17, 0, 0, 0);

/// When a school's safeguarding lead is at the desk on a session day.
const SESSION_START: civil::Time = civil::Time::constant(8, 30, 0, 0);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const MILLIS_PER_MINUTE: i64 = 60_000;
const MILLIS_PER_HOUR: i64 = 3_600_000;

/// The working days of England and Wales, and the session days of the schools that gave their calendars.
#[derive(Clone, PartialEq, Debug)]
pub struct Calendar {
    /// The first and last dates whose bank holidays are known.
    first: civil::Date,
    last: civil::Date,
    bank_holidays: BTreeSet<civil::Date>,
    /// By URN.
    schools: BTreeMap<String, SchoolCalendar>,
}

/// When one school is in session.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SchoolCalendar {
    /// First and last day of each term, both included, in order.
    terms: Vec<(civil::Date, civil::Date)>,
    /// Days within a term without pupils.
    closed: BTreeSet<civil::Date>,
}

/// A deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    pub at: Timestamp,
    /// The school's own calendar was not known for that time: working days stood in for session days.
    pub assumed: bool,
}

/// A deadline that cannot be worked out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CalendarError {
    #[error("the bank holidays of {needed} are not known: the calendar covers {from} to {to}")]
    BeyondBankHolidays { needed: civil::Date, from: civil::Date, to: civil::Date },
    #[error("the deadline lies outside the years -9999 to 9999")]
    OutOfRange,
}

impl SchoolCalendar {
    fn in_term(&self, date: civil::Date) -> bool {
        self.terms.iter().any(|(start, end)| (*start..=*end).contains(&date))
    }

    /// Whether the school's plans are known for this date, in session or not.
    fn covers(&self, date: civil::Date) -> bool {
        match (self.terms.first(), self.terms.last()) {
            (Some((start, _)), Some((_, end))) => (*start..=*end).contains(&date),
            (_, _) => false,
        }
    }
}

impl Calendar {
    /// The pinned bank holidays 2012 to 2030 and no school calendars.
    pub fn pinned() -> Self {
        let dates = bank_holidays::BY_YEAR.iter().flat_map(|(year, days)| {
            days.iter().filter_map(move |(month, day)| civil::Date::new(*year, *month, *day).ok())
        });
        Self {
            first: bank_holidays::FIRST,
            last: bank_holidays::LAST,
            bank_holidays: dates.collect(),
            schools: BTreeMap::new(),
        }
    }

    /// The first and last dates whose bank holidays are known.
    pub fn span(&self) -> (civil::Date, civil::Date) {
        (self.first, self.last)
    }

    /// When something with this clock is due, counted `from` a receipt or an anchor.
    ///
    /// `school` is the URN that `NSD` looks up; the other clocks ignore it. Refused when a bank holiday would have to
    /// be guessed.
    pub fn due(&self, clock: &Clock, from: Timestamp, school: Option<&str>) -> Result<Due, CalendarError> {
        let certain = |at| Due { at, assumed: false };
        match clock {
            Clock::Now => Ok(certain(from)),
            Clock::Minutes(minutes) => Ok(certain(from.plus_millis(i64::from(*minutes) * MILLIS_PER_MINUTE))),
            Clock::Hours(hours) => Ok(certain(from.plus_millis(i64::from(*hours) * MILLIS_PER_HOUR))),
            Clock::SameDay => Ok(certain(from.plus_millis(i64::from(SAME_DAY_HOURS) * MILLIS_PER_HOUR))),
            Clock::WorkingDays(days) => {
                let date = self.working_day_after(london_date(from), *days)?;
                Ok(certain(instant(date, CLOSE_OF_DAY)?))
            }
            Clock::NextSessionDay => self.next_session(from, school),
            Clock::TimeOfDay { hour, minute } => Ok(certain(next_time_of_day(*hour, *minute, from)?)),
            Clock::TimeThatDay { hour, minute } => {
                Ok(certain(instant(london_date(from), time_of_day(*hour, *minute)?)?))
            }
            Clock::TimeOnWorkingDay { hour, minute } => {
                Ok(certain(self.next_time_on_working_day(time_of_day(*hour, *minute)?, from)?))
            }
            Clock::OnTheDay => Ok(certain(instant(london_date(from), CLOSE_OF_DAY)?)),
        }
    }

    /// The same with every day counted as a working day: never later than what the bank holidays would give.
    pub fn due_by_every_day(&self, clock: &Clock, from: Timestamp, school: Option<&str>) -> Result<Due, CalendarError> {
        let at = match clock {
            Clock::WorkingDays(days) => {
                let days = jiff::Span::new().days(i64::from(*days));
                instant(london_date(from).checked_add(days).map_err(|_| CalendarError::OutOfRange)?, CLOSE_OF_DAY)?
            }
            Clock::NextSessionDay => next_time_of_day(SESSION_START.hour(), SESSION_START.minute(), from)?,
            Clock::TimeOnWorkingDay { hour, minute } => next_time_of_day(*hour, *minute, from)?,
            Clock::Now
            | Clock::Minutes(_)
            | Clock::Hours(_)
            | Clock::SameDay
            | Clock::TimeOfDay { .. }
            | Clock::TimeThatDay { .. }
            | Clock::OnTheDay => return self.due(clock, from, school),
        };
        Ok(Due { at, assumed: false })
    }

    /// Monday to Friday and no bank holiday. Refused outside the span the bank holidays are known for.
    pub fn is_working_day(&self, date: civil::Date) -> Result<bool, CalendarError> {
        if !(self.first..=self.last).contains(&date) {
            return Err(CalendarError::BeyondBankHolidays { needed: date, from: self.first, to: self.last });
        }
        Ok(!is_weekend(date) && !self.bank_holidays.contains(&date))
    }

    /// The nth working day after a date.
    fn working_day_after(&self, date: civil::Date, days: u16) -> Result<civil::Date, CalendarError> {
        let mut date = date;
        let mut left = days;
        while left > 0 {
            date = date.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
            if self.is_working_day(date)? {
                left = left.saturating_sub(1);
            }
        }
        Ok(date)
    }

    fn next_time_on_working_day(&self, time: civil::Time, from: Timestamp) -> Result<Timestamp, CalendarError> {
        let mut date = london_date(from);
        loop {
            let at = instant(date, time)?;
            if at > from && self.is_working_day(date)? {
                return Ok(at);
            }
            date = date.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
        }
    }

    fn next_session(&self, from: Timestamp, school: Option<&str>) -> Result<Due, CalendarError> {
        let mut date = london_date(from);
        if instant(date, SESSION_START)? <= from {
            date = date.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
        }
        let start = date;
        if let Some(school) = school.and_then(|urn| self.schools.get(urn)) {
            while school.covers(date) {
                if school.in_term(date) && !school.closed.contains(&date) && self.is_working_day(date)? {
                    return Ok(Due { at: instant(date, SESSION_START)?, assumed: false });
                }
                date = date.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
            }
        }
        let mut date = start;
        while !self.is_working_day(date)? {
            date = date.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
        }
        Ok(Due { at: instant(date, SESSION_START)?, assumed: true })
    }

    /// First instant of a window of `days` days: London midnight that many days before the judged event's date.
    pub fn window_start(&self, judged: Timestamp, days: i64) -> Timestamp {
        let back = || jiff::Span::new().try_days(days).unwrap_or_default();
        let near = days.checked_neg().and_then(|days| midnight_near(judged, days));
        near.unwrap_or_else(|| start_of(london_date(judged).saturating_sub(back())))
    }

    /// First instant after a window: the London midnight that ends the judged event's date.
    pub fn window_end(&self, judged: Timestamp) -> Timestamp {
        let after = || start_of(london_date(judged).saturating_add(jiff::Span::new().days(1)));
        midnight_near(judged, 1).unwrap_or_else(after)
    }
}

fn is_weekend(date: civil::Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// London midnight at the start of a date, clamped at the ends of the range of years.
pub fn start_of(date: civil::Date) -> Timestamp {
    let clamped = if date.year() < 0 { Timestamp(i64::MIN) } else { Timestamp(i64::MAX) };
    instant(date, civil::Time::midnight()).unwrap_or(clamped)
}

fn time_of_day(hour: i8, minute: i8) -> Result<civil::Time, CalendarError> {
    civil::Time::new(hour, minute, 0, 0).map_err(|_| CalendarError::OutOfRange)
}

fn next_time_of_day(hour: i8, minute: i8, from: Timestamp) -> Result<Timestamp, CalendarError> {
    let time = time_of_day(hour, minute)?;
    let today = london_date(from);
    let at = instant(today, time)?;
    if at >= from {
        return Ok(at);
    }
    instant(today.tomorrow().map_err(|_| CalendarError::OutOfRange)?, time)
}

/// Room for the longest of them: `Wednesday 30 September 2026 17:00`.
const WORDS_BYTES: usize = 36;

/// An instant in words, Europe/London: `Wednesday 17 June 2026 17:00`.
pub fn instant_in_words(at: Timestamp) -> String {
    let shown = london_datetime(at);
    let mut words = day_in_words(shown.date());
    for (before, number) in [(' ', shown.hour()), (':', shown.minute())] {
        words.push(before);
        push_digits(&mut words, number.into(), 10);
    }
    words
}

/// `Wednesday 17 June 2026`.
pub fn day_in_words(date: civil::Date) -> String {
    let weekday = match date.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    };
    // Every task says an instant or two, and formatting them piece by piece costs as much as judging its event.
    let mut words = String::with_capacity(WORDS_BYTES);
    words.push_str(weekday);
    words.push(' ');
    push_digits(&mut words, date.day().into(), 1);
    words.push(' ');
    words.push_str(month_in_words(date));
    words.push(' ');
    push_digits(&mut words, date.year(), 1000);
    words
}

/// A number that is not below nothing; `highest`: what the first of its digits counts at least, for zeros stand before a shorter one.
fn push_digits(words: &mut String, number: i16, highest: i16) {
    let mut counts = highest.max(1);
    while counts <= number / 10 {
        counts *= 10;
    }
    while counts > 0 {
        let digit = u8::try_from(number / counts % 10).unwrap_or_default();
        words.push(char::from(b'0' + digit));
        counts /= 10;
    }
}

/// `June`.
pub fn month_in_words(date: civil::Date) -> &'static str {
    let month = usize::try_from(date.month()).ok().and_then(|month| month.checked_sub(1));
    month.and_then(|month| MONTHS.get(month)).copied().unwrap_or_default()
}
