//! The clocks against domain.md's dates, the clock changes, and a slow, obvious day-by-day model.

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;

/// An instant from a London wall-clock time, or with its offset written out.
fn at(text: &str) -> Timestamp {
    match text.parse::<jiff::Timestamp>() {
        Ok(instant) => Timestamp::from_jiff(instant),
        Err(_) => {
            let local: civil::DateTime = text.parse().expect("a date and time");
            instant(local.date(), local.time()).expect("in range")
        }
    }
}

fn london(instant: Timestamp) -> String {
    LONDON.to_datetime(instant.to_jiff()).strftime("%a %Y-%m-%d %H:%M").to_string()
}

fn check_in(calendar: &Calendar, from: &str, clock: &str, school: Option<&str>, expected: &str) {
    let due = calendar.due(&clock.parse().expect("a clock"), at(from), school).expect("within the calendar");
    let assumed = if due.assumed { " assumed" } else { "" };
    assert_eq!(format!("{}{assumed}", london(due.at)), expected, "{from} + {clock}");
}

fn check(from: &str, clock: &str, expected: &str) {
    check_in(&Calendar::pinned(), from, clock, None, expected);
}

/// URN, terms, closed days.
type School<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

fn with_schools(schools: &[School]) -> CalendarFile {
    let text = |text: &&str| (*text).to_owned();
    let year = |(year, days): &(i16, &[(i8, i8)])| {
        days.iter().map(|(month, day)| date(*year, *month, *day).to_string()).collect::<Vec<_>>()
    };
    CalendarFile {
        bank_holidays: BankHolidaysFile {
            from: "2012-01-01".to_owned(),
            to: "2030-12-31".to_owned(),
            dates: bank_holidays::BY_YEAR.iter().flat_map(year).collect(),
        },
        schools: schools
            .iter()
            .map(|(urn, terms, closed)| SchoolFile {
                urn: text(urn),
                terms: terms.iter().map(|(start, end)| (text(start), text(end))).collect(),
                closed: closed.iter().map(text).collect(),
            })
            .collect(),
    }
}

fn schools() -> Calendar {
    let terms: &[(&str, &str)] = &[("2026-04-13", "2026-05-22"), ("2026-06-01", "2026-07-17")];
    let file = with_schools(&[("111001", terms, &[]), ("111002", terms, &["2026-06-08", "2026-07-17"])]);
    Calendar::from_file(&file).expect("a good calendar")
}

#[test]
fn the_bundled_database_knows_london() {
    assert_eq!(LONDON.iana_name(), Some("Europe/London"));
}

#[test]
fn working_days() {
    // Good Friday and Easter Monday between.
    check("2026-04-02T16:55", "1 wd", "Tue 2026-04-07 17:00");
    check("2026-04-02T16:55", "3 wd", "Thu 2026-04-09 17:00");
    check("2026-04-02T17:01", "1 wd", "Tue 2026-04-07 17:00");
    check("2026-06-10T09:00", "5 wd", "Wed 2026-06-17 17:00");
    check("2026-10-09T22:30", "1 wd", "Mon 2026-10-12 17:00");
    check("2026-06-13T00:00", "1 wd", "Mon 2026-06-15 17:00");
    check("2026-06-12T23:59:59.999", "1 wd", "Mon 2026-06-15 17:00");
    // 23:30 UTC in summer is the next London day.
    check("2026-06-10T23:30:00Z", "1 wd", "Fri 2026-06-12 17:00");
    check("2022-09-16T10:00", "1 wd", "Tue 2022-09-20 17:00");
    check("2020-05-01T10:00", "1 wd", "Mon 2020-05-04 17:00");
    check("2020-05-07T10:00", "1 wd", "Mon 2020-05-11 17:00");
    check("2012-06-01T10:00", "1 wd", "Wed 2012-06-06 17:00");
    check("2027-12-24T10:00", "1 wd", "Wed 2027-12-29 17:00");
}

#[test]
fn elapsed_hours_ignore_weekends_and_clock_changes() {
    check("2026-03-27T20:00", "24 h", "Sat 2026-03-28 20:00");
    check("2026-03-27T20:00", "72 h", "Mon 2026-03-30 21:00");
    check("2026-10-24T20:00", "24 h", "Sun 2026-10-25 19:00");
    check("2026-10-09T22:30", "SD", "Sat 2026-10-10 06:30");
    check("2026-06-10T15:00", "SD", "Wed 2026-06-10 23:00");
    check("2026-10-25T00:30", "SD", "Sun 2026-10-25 07:30");
    check("2026-06-10T23:50", "15 min", "Thu 2026-06-11 00:05");
    check("2026-06-10T10:00", "now", "Wed 2026-06-10 10:00");
    check("2031-06-10T10:00", "24 h", "Wed 2031-06-11 10:00");
}

#[test]
fn a_time_of_day_is_today_or_tomorrow() {
    check("2026-06-10T10:00", "15:30", "Wed 2026-06-10 15:30");
    check("2026-06-10T15:30", "15:30", "Wed 2026-06-10 15:30");
    check("2026-06-10T15:30:00.001", "15:30", "Thu 2026-06-11 15:30");
    check("2026-03-28T15:31", "15:30", "Sun 2026-03-29 15:30");
    // Skipped by the clock change: an hour later on the clock, the same instant as planned.
    check("2026-03-29T00:10", "01:30", "Sun 2026-03-29 02:30");
    // Twice over: the first.
    check("2026-10-25T00:10", "01:30", "Sun 2026-10-25 01:30");
    check("2026-10-25T01:00:00Z", "01:30", "Mon 2026-10-26 01:30");
}

#[test]
fn session_days_of_a_school() {
    let known = |from, urn, expected| check_in(&schools(), from, "NSD", Some(urn), expected);
    known("2026-06-10T07:50", "111001", "Wed 2026-06-10 08:30");
    known("2026-06-10T08:30", "111001", "Thu 2026-06-11 08:30");
    known("2026-06-07T23:40", "111001", "Mon 2026-06-08 08:30");
    known("2026-06-07T23:40", "111002", "Tue 2026-06-09 08:30");
    known("2026-05-22T12:00", "111001", "Mon 2026-06-01 08:30");
    known("2026-05-01T12:00", "111001", "Tue 2026-05-05 08:30");
}

#[test]
fn without_a_school_calendar_working_days_stand_in() {
    let assumed = |from, urn, expected| check_in(&schools(), from, "NSD", urn, expected);
    assumed("2026-06-08T07:50", None, "Mon 2026-06-08 08:30 assumed");
    assumed("2026-06-07T23:40", Some("999999"), "Mon 2026-06-08 08:30 assumed");
    assumed("2026-03-27T20:00", None, "Mon 2026-03-30 08:30 assumed");
    assumed("2026-04-02T16:55", None, "Tue 2026-04-07 08:30 assumed");
    // Outside what the school told us: neither months early nor months late.
    assumed("2017-06-07T12:00", Some("111001"), "Thu 2017-06-08 08:30 assumed");
    assumed("2026-07-16T12:00", Some("111002"), "Fri 2026-07-17 08:30 assumed");
    assumed("2026-07-17T12:00", Some("111001"), "Mon 2026-07-20 08:30 assumed");
}

#[test]
fn a_date_beyond_the_table_is_refused() {
    let refused = |from: &str, clock: &str, needed: Date| {
        let due = Calendar::pinned().due(&clock.parse().expect("a clock"), at(from), None);
        let (from, to) = (date(2012, 1, 1), date(2030, 12, 31));
        assert_eq!(due, Err(CalendarError::BeyondBankHolidays { needed, from, to }));
    };
    refused("2030-12-31T10:00", "1 wd", date(2031, 1, 1));
    refused("2030-12-24T10:00", "45 wd", date(2031, 1, 1));
    refused("2030-12-31T10:00", "NSD", date(2031, 1, 1));
    refused("2011-12-30T10:00", "1 wd", date(2011, 12, 31));
    check("2030-12-24T10:00", "3 wd", "Tue 2030-12-31 17:00");
    check("2011-12-31T10:00", "1 wd", "Tue 2012-01-03 17:00");
    let error = Calendar::pinned().due(&Clock::WorkingDays(1), at("2030-12-31T10:00"), None).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the bank holidays of 2031-01-01 are not known: the calendar covers 2012-01-01 to 2030-12-31"
    );
}

#[test]
fn windows_include_both_ends() {
    let calendar = Calendar::pinned();
    let judged = at("2026-06-10T09:00");
    assert_eq!(london(calendar.window_start(judged, 90)), "Thu 2026-03-12 00:00");
    assert_eq!(london(calendar.window_end(judged)), "Thu 2026-06-11 00:00");
    assert_eq!(london(calendar.window_start(judged, 0)), "Wed 2026-06-10 00:00");
    assert_eq!(calendar.window_end(at("2026-03-29T12:00")), at("2026-03-29T23:00:00Z"));
}

#[test]
fn a_bad_calendar_names_every_fault() {
    let mut file = with_schools(&[
        ("111001", &[("2026-06-01", "2026-07-17"), ("2026-04-13", "2026-05-22")], &["2026-08-03", "tomorrow"]),
        ("111001", &[("2026-07-17", "2026-06-01")], &[]),
        ("oak", &[], &[]),
    ]);
    file.bank_holidays.dates.extend(["2026-12-26", "2026-12-25", "2031-01-01", "20260101"].map(str::to_owned));
    file.bank_holidays.dates.retain(|date| !date.starts_with("2014"));
    let faults = Calendar::from_file(&file).expect_err("many faults");
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let count = file.bank_holidays.dates.len();
    let expected = [
        format!("bank_holidays.dates.{}: a weekend: list its substitute day instead", count - 4),
        format!("bank_holidays.dates.{}: listed twice", count - 3),
        format!(
            "bank_holidays.dates.{}: outside the span 2012-01-01 to 2030-12-31 that the bank holidays are listed for",
            count - 2
        ),
        format!("bank_holidays.dates.{}: not a date: write year-month-day in quotes, as in \"2026-04-03\"", count - 1),
        "bank_holidays.dates: no bank holiday in 2014: every year of the span needs its list".to_owned(),
        "school.0.terms.1: overlaps the term before it, or comes out of order".to_owned(),
        "school.0.closed.0: not within any of the school's terms".to_owned(),
        "school.0.closed.1: not a date: write year-month-day in quotes, as in \"2026-04-03\"".to_owned(),
        "school.1.terms.0: the end lies before the start".to_owned(),
        "school.1.urn: listed twice".to_owned(),
        "school.2.urn: not a school's URN: six digits".to_owned(),
        "school.2.terms: no terms: leave the school out, and its deadlines will be marked assumed".to_owned(),
    ];
    assert_eq!(found, expected);
}

/// The standing rules of the Banking and Financial Dealings Act 1971 and its proclamations, worked out anew.
fn standing_holidays(year: i16) -> BTreeSet<Date> {
    let plus = |date: Date, days: i64| date.checked_add(jiff::Span::new().days(days)).expect("in range");
    let first_monday = |month| (1..=7).map(|day| date(year, month, day)).find(|date| date.weekday() == Weekday::Monday);
    let last_monday =
        |month| (25..=31).rev().map(|day| date(year, month, day)).find(|date| date.weekday() == Weekday::Monday);
    let easter = easter_sunday(i32::from(year));
    let mut holidays = BTreeSet::from([plus(easter, -2), plus(easter, 1)]);
    match year {
        2020 => holidays.extend([date(2020, 5, 8)]),
        2023 => holidays.extend([date(2023, 5, 1), date(2023, 5, 8)]),
        _ => holidays.extend(first_monday(5)),
    }
    match year {
        2012 => holidays.extend([date(2012, 6, 4), date(2012, 6, 5)]),
        2022 => holidays.extend([date(2022, 6, 2), date(2022, 6, 3), date(2022, 9, 19)]),
        _ => holidays.extend(last_monday(5)),
    }
    holidays.extend(last_monday(8));
    for fixed in [date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)] {
        let mut day = fixed;
        while is_weekend(day) || holidays.contains(&day) {
            day = plus(day, 1);
        }
        holidays.insert(day);
    }
    holidays
}

/// The anonymous Gregorian computus.
fn easter_sunday(year: i32) -> Date {
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let moon = (19 * golden + century - century / 4 - (century - (century + 8) / 25 + 1) / 3 + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - moon - of_century % 4) % 7;
    let late = (golden + 11 * moon + 22 * weekday) / 451;
    let days = moon + weekday - 7 * late + 114;
    date(year as i16, (days / 31) as i8, (days % 31 + 1) as i8)
}

#[test]
fn the_pinned_table_is_what_the_standing_rules_and_proclamations_give() {
    let expected: BTreeSet<Date> = (2012..=2030).flat_map(standing_holidays).collect();
    assert_eq!(Calendar::pinned().bank_holidays, expected);
}

#[test]
fn the_shipped_calendar_is_good_and_agrees_with_the_pinned_one() {
    let text = include_str!("../../../rules/cheshire-east/calendar.toml");
    let shipped = Calendar::from_file(&toml::from_str(text).expect("TOML")).expect("a good calendar");
    let pinned = Calendar::pinned();
    assert_eq!((shipped.span(), shipped.bank_holidays), (pinned.span(), pinned.bank_holidays));
}

/// Every date of the calendar's span, one after another.
fn model_working_day(from: Date, days: u16) -> Option<Date> {
    let mut working = Vec::new();
    let mut day = from.tomorrow().ok()?;
    while working.len() < usize::from(days) {
        if day > bank_holidays::LAST {
            return None;
        }
        let weekday = matches!(
            day.weekday(),
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday
        );
        if weekday && !standing_holidays(day.year()).contains(&day) {
            working.push(day);
        }
        day = day.tomorrow().ok()?;
    }
    working.pop()
}

proptest! {
    #[test]
    fn working_days_agree_with_the_model(day in 0i64..6_930, millis in 0i64..86_400_000, days in 1u16..60) {
        let from = at("2012-01-01T00:00:00Z").plus_millis(day * 86_400_000 + millis);
        let due = Calendar::pinned().due(&Clock::WorkingDays(days), from, None);
        let expected = model_working_day(london_date(from), days);
        prop_assert_eq!(due.ok().map(|due| london(due.at)), expected.map(|date| date.at(17, 0, 0, 0).strftime("%a %Y-%m-%d %H:%M").to_string()));
    }

    #[test]
    fn a_session_is_the_first_one_strictly_after(minute in 0i64..(120 * 1_440)) {
        let from = at("2026-04-01T00:00").plus_millis(minute * 60_000);
        let calendar = schools();
        let due = calendar.due(&Clock::NextSessionDay, from, Some("111002")).expect("in range");
        prop_assert!(due.at > from);
        if !due.assumed {
            let school = &calendar.schools["111002"];
            let is_session = |day: Date| school.in_term(day) && !school.closed.contains(&day)
                && calendar.is_working_day(day).expect("in range");
            let mut day = london_date(from);
            let mut first = None;
            while first.is_none() {
                let start = instant(day, SESSION_START).expect("in range");
                first = (is_session(day) && start > from).then_some(start);
                day = day.tomorrow().expect("in range");
            }
            prop_assert_eq!(first, Some(due.at));
        }
    }

    #[test]
    fn windows_hold_exactly_their_dates(day in 0i64..6_000, millis in 0i64..86_400_000, days in 0i64..400, shift in -500i64..500) {
        let calendar = Calendar::pinned();
        let judged = at("2012-01-01T00:00:00Z").plus_millis(day * 86_400_000 + millis);
        let other = judged.plus_millis(shift * 86_400_000);
        let inside = calendar.window_start(judged, days) <= other && other < calendar.window_end(judged);
        let gap = london_date(other).until(london_date(judged)).expect("in range").get_days();
        prop_assert_eq!(inside, (0..=days).contains(&i64::from(gap)));
    }
}

#[test]
fn a_time_that_day_and_a_date_do_not_move_on() {
    check("2026-06-10T16:10", "15:30 that day", "Wed 2026-06-10 15:30");
    check("2026-06-10T00:00", "15:30 that day", "Wed 2026-06-10 15:30");
    check("2026-07-11T00:00", "on the day", "Sat 2026-07-11 17:00");
    check("2026-07-11T23:59", "on the day", "Sat 2026-07-11 17:00");
}
