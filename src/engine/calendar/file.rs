//! The rule book's `calendar.toml`: bank holidays and the session calendars of schools, checked with every fault at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;
use serde::Deserialize;

use super::{Calendar, SchoolCalendar};

/// `calendar.toml` as it is written; dates are `"2026-04-03"`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {
    pub bank_holidays: BankHolidaysFile,
    #[serde(default, rename = "school")]
    pub schools: Vec<SchoolFile>,
}

/// Every bank holiday of a span of dates; a deadline that needs a date outside it is refused.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankHolidaysFile {
    pub from: String,
    pub to: String,
    pub dates: Vec<String>,
}

/// When one school is in session: Monday to Friday within a term, save bank holidays and closed days.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchoolFile {
    /// Unique reference number: six digits.
    pub urn: String,
    /// First and last day of each term or half term, both included.
    pub terms: Vec<(String, String)>,
    /// Days within a term on which pupils do not attend: training days and the like.
    #[serde(default)]
    pub closed: Vec<String>,
}

/// What is wrong with a calendar, and where: `school.0.terms.2` counts entries from 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct CalendarFault {
    pub path: String,
    pub problem: CalendarProblem,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CalendarProblem {
    #[error("not a date: write year-month-day in quotes, as in \"2026-04-03\"")]
    NotADate,
    #[error("the end lies before the start")]
    Backwards,
    #[error("outside the span {from} to {to} that the bank holidays are listed for")]
    OutsideSpan { from: civil::Date, to: civil::Date },
    #[error("listed twice")]
    Twice,
    #[error("a weekend: list its substitute day instead")]
    Weekend,
    #[error("no bank holiday in {year}: every year of the span needs its list")]
    EmptyYear { year: i16 },
    #[error("not a school's URN: six digits")]
    NotAUrn,
    #[error("no terms: leave the school out, and its deadlines will be marked assumed")]
    NoTerms,
    #[error("overlaps the term before it, or comes out of order")]
    Overlap,
    #[error("not within any of the school's terms")]
    OutsideTerms,
}

/// Faults found so far.
#[derive(Default)]
struct Faults(Vec<CalendarFault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, problem: CalendarProblem) {
        self.0.push(CalendarFault { path: path.into(), problem });
    }

    fn date(&mut self, path: &str, text: &str) -> Option<civil::Date> {
        // Exactly ten bytes: jiff would read `20260403` and longer forms too.
        let date = if text.len() == "2026-04-03".len() { text.parse().ok() } else { None };
        if date.is_none() {
            self.add(path, CalendarProblem::NotADate);
        }
        date
    }
}

impl Calendar {
    /// A rule book's calendar, or everything that is wrong with it.
    pub fn from_file(file: &CalendarFile) -> Result<Self, Vec<CalendarFault>> {
        let mut faults = Faults::default();
        let (first, last, bank_holidays) = bank_holidays(&file.bank_holidays, &mut faults);
        let mut schools = BTreeMap::new();
        for (index, school) in file.schools.iter().enumerate() {
            let path = format!("school.{index}");
            let calendar = school_calendar(school, &path, &mut faults);
            if schools.insert(school.urn.clone(), calendar).is_some() {
                faults.add(format!("{path}.urn"), CalendarProblem::Twice);
            }
        }
        match (first, last, faults.0) {
            (Some(first), Some(last), faults) if faults.is_empty() => Ok(Self { first, last, bank_holidays, schools }),
            (_, _, faults) => Err(faults),
        }
    }
}

type Span = (Option<civil::Date>, Option<civil::Date>, BTreeSet<civil::Date>);

fn bank_holidays(file: &BankHolidaysFile, faults: &mut Faults) -> Span {
    let first = faults.date("bank_holidays.from", &file.from);
    let last = faults.date("bank_holidays.to", &file.to);
    let mut dates = BTreeSet::new();
    for (index, text) in file.dates.iter().enumerate() {
        let path = format!("bank_holidays.dates.{index}");
        let Some(date) = faults.date(&path, text) else { continue };
        if let (Some(from), Some(to)) = (first, last)
            && !(from..=to).contains(&date)
        {
            faults.add(&path, CalendarProblem::OutsideSpan { from, to });
        }
        if super::is_weekend(date) {
            faults.add(&path, CalendarProblem::Weekend);
        }
        if !dates.insert(date) {
            faults.add(&path, CalendarProblem::Twice);
        }
    }
    if let (Some(from), Some(to)) = (first, last) {
        if to < from {
            faults.add("bank_holidays.to", CalendarProblem::Backwards);
        }
        // Whole years only: a span that ends in mid-January rightly has none.
        for year in from.year()..=to.year() {
            let start = civil::Date::new(year, 1, 1).unwrap_or(from);
            let end = civil::Date::new(year, 12, 31).unwrap_or(to);
            if start >= from && end <= to && dates.range(start..=end).next().is_none() {
                faults.add("bank_holidays.dates", CalendarProblem::EmptyYear { year });
            }
        }
    }
    (first, last, dates)
}

fn school_calendar(file: &SchoolFile, path: &str, faults: &mut Faults) -> SchoolCalendar {
    if !(file.urn.len() == 6 && file.urn.bytes().all(|byte| byte.is_ascii_digit())) {
        faults.add(format!("{path}.urn"), CalendarProblem::NotAUrn);
    }
    if file.terms.is_empty() {
        faults.add(format!("{path}.terms"), CalendarProblem::NoTerms);
    }
    let mut calendar = SchoolCalendar::default();
    let mut terms_read = true;
    for (index, (start, end)) in file.terms.iter().enumerate() {
        let path = format!("{path}.terms.{index}");
        let (Some(start), Some(end)) = (faults.date(&path, start), faults.date(&path, end)) else {
            terms_read = false;
            continue;
        };
        if end < start {
            faults.add(&path, CalendarProblem::Backwards);
        }
        if calendar.terms.last().is_some_and(|(_, earlier)| *earlier >= start) {
            faults.add(&path, CalendarProblem::Overlap);
        }
        calendar.terms.push((start, end));
    }
    for (index, text) in file.closed.iter().enumerate() {
        let path = format!("{path}.closed.{index}");
        let Some(date) = faults.date(&path, text) else { continue };
        if terms_read && !calendar.in_term(date) {
            faults.add(&path, CalendarProblem::OutsideTerms);
        }
        if !calendar.closed.insert(date) {
            faults.add(&path, CalendarProblem::Twice);
        }
    }
    calendar
}
