//! The forms a deadline takes in the rule book: `5 wd`, `4 h`, `15 min`, `SD`, `NSD`, `now`, `15:30`, `08:30 wd`, `on the day`.

use std::fmt;
use std::str::FromStr;

/// The longest clock in working days: a rule that asks for more is a slip of the pen.
pub const WORKING_DAYS_MAX: u16 = 260;

/// The longest elapsed clock, in hours (28 days).
pub const HOURS_MAX: u16 = 672;

/// The longest elapsed clock written in minutes (a day).
pub const MINUTES_MAX: u16 = 1_440;

/// Hours of a same-day clock.
pub const SAME_DAY_HOURS: u16 = 8;

/// When something is due, counted from a receipt or an anchor of the event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Clock {
    /// `now`: due at once.
    Now,
    /// `15 min`: elapsed minutes.
    Minutes(u16),
    /// `72 h`: elapsed hours, never stretched by weekends.
    Hours(u16),
    /// `SD`, the same day: 8 elapsed hours.
    SameDay,
    /// `5 wd`: 17:00 on the nth working day after the London date it runs from.
    WorkingDays(u16),
    /// `NSD`, the next session day: the first 08:30 afterwards on which the child's school is in session.
    NextSessionDay,
    /// `15:30`: that time of the same London day, or of the next when it has already passed.
    TimeOfDay { hour: i8, minute: i8 },
    /// `15:30 that day`: that time of the London day it runs from, though it has passed.
    TimeThatDay { hour: i8, minute: i8 },
    /// `08:30 wd`: the first such time afterwards on a working day.
    TimeOnWorkingDay { hour: i8, minute: i8 },
    /// `on the day`: 17:00 on the London date it runs from, for dates that are worked out (28 weeks of pregnancy).
    OnTheDay,
}

/// The text is none of the forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClockError {
    #[error(
        "not a clock: write a number of working days (`5 wd`), hours (`4 h`) or minutes (`15 min`), `SD` (same day), `NSD` (next session day), `now`, `on the day`, or a time of day (`15:30`, `15:30 that day`, `08:30 wd`)"
    )]
    Form,
    #[error("a clock of none is `now`")]
    Zero,
    #[error("too long: at most {WORKING_DAYS_MAX} wd, {HOURS_MAX} h or {MINUTES_MAX} min")]
    TooLong,
}

impl FromStr for Clock {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        match text {
            "now" => return Ok(Clock::Now),
            "SD" => return Ok(Clock::SameDay),
            "NSD" => return Ok(Clock::NextSessionDay),
            "on the day" => return Ok(Clock::OnTheDay),
            other if other.contains(':') => {
                return match (other.strip_suffix(" that day"), other.strip_suffix(" wd")) {
                    (Some(time), _) => time_of_day(time).map(|(hour, minute)| Clock::TimeThatDay { hour, minute }),
                    (_, Some(time)) => time_of_day(time).map(|(hour, minute)| Clock::TimeOnWorkingDay { hour, minute }),
                    (None, None) => time_of_day(other).map(|(hour, minute)| Clock::TimeOfDay { hour, minute }),
                };
            }
            _ => {}
        }
        let (number, unit) = text.split_once(' ').ok_or(ClockError::Form)?;
        if !is_digits(number) {
            return Err(ClockError::Form);
        }
        let number: u16 = number.parse().map_err(|_| ClockError::TooLong)?;
        let (clock, most) = match unit {
            "wd" => (Clock::WorkingDays(number), WORKING_DAYS_MAX),
            "h" => (Clock::Hours(number), HOURS_MAX),
            "min" => (Clock::Minutes(number), MINUTES_MAX),
            _ => return Err(ClockError::Form),
        };
        match number {
            0 => Err(ClockError::Zero),
            number if number > most => Err(ClockError::TooLong),
            _ => Ok(clock),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn time_of_day(text: &str) -> Result<(i8, i8), ClockError> {
    let (hour, minute) = text.split_once(':').ok_or(ClockError::Form)?;
    if !(is_digits(hour) && hour.len() == 2 && is_digits(minute) && minute.len() == 2) {
        return Err(ClockError::Form);
    }
    let hour: i8 = hour.parse().map_err(|_| ClockError::Form)?;
    let minute: i8 = minute.parse().map_err(|_| ClockError::Form)?;
    if hour > 23 || minute > 59 {
        return Err(ClockError::Form);
    }
    Ok((hour, minute))
}

impl fmt::Display for Clock {
    /// As the rule book writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Clock::Now => formatter.write_str("now"),
            Clock::Minutes(minutes) => write!(formatter, "{minutes} min"),
            Clock::Hours(hours) => write!(formatter, "{hours} h"),
            Clock::SameDay => formatter.write_str("SD"),
            Clock::WorkingDays(days) => write!(formatter, "{days} wd"),
            Clock::NextSessionDay => formatter.write_str("NSD"),
            Clock::TimeOfDay { hour, minute } => write!(formatter, "{hour:02}:{minute:02}"),
            Clock::TimeThatDay { hour, minute } => write!(formatter, "{hour:02}:{minute:02} that day"),
            Clock::TimeOnWorkingDay { hour, minute } => write!(formatter, "{hour:02}:{minute:02} wd"),
            Clock::OnTheDay => formatter.write_str("on the day"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Clock, ClockError>) {
        assert_eq!(text.parse(), expected, "{text}");
        if let Ok(clock) = expected {
            assert_eq!(clock.to_string(), text);
        }
    }

    #[test]
    fn every_form_reads_and_writes() {
        check("now", Ok(Clock::Now));
        check("15 min", Ok(Clock::Minutes(15)));
        check("72 h", Ok(Clock::Hours(72)));
        check("SD", Ok(Clock::SameDay));
        check("NSD", Ok(Clock::NextSessionDay));
        check("45 wd", Ok(Clock::WorkingDays(45)));
        check("15:30", Ok(Clock::TimeOfDay { hour: 15, minute: 30 }));
        check("00:05", Ok(Clock::TimeOfDay { hour: 0, minute: 5 }));
        check("15:30 that day", Ok(Clock::TimeThatDay { hour: 15, minute: 30 }));
        check("08:30 wd", Ok(Clock::TimeOnWorkingDay { hour: 8, minute: 30 }));
        check("on the day", Ok(Clock::OnTheDay));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "soon",
            "5",
            "5wd",
            "5 days",
            "-5 wd",
            "+5 wd",
            "5  wd",
            "sd",
            " SD",
            "24:00",
            "9:30",
            "15:3",
            "15:30 this day",
            "on day",
        ] {
            check(text, Err(ClockError::Form));
        }
        check("0 wd", Err(ClockError::Zero));
        check("0 min", Err(ClockError::Zero));
        check("261 wd", Err(ClockError::TooLong));
        check("99999999 h", Err(ClockError::TooLong));
    }
}
