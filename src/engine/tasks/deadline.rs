//! When a task is due: its clock worked out, and in a practitioner's words.

use super::Raising;
use crate::engine::calendar::{Calendar, CalendarError, Clock, Due};
use crate::engine::context::StepError;
use crate::engine::history::entry::FIRST_RECEIPT;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::scalar::{DAY_MS, Timestamp};
use crate::engine::rules::book::TaskRule;
use crate::engine::rules::directory::school_of;

/// The clock of a child who was named with another runs as that one's; so does its urgency.
const AS_INDEX: &str = "as_index";

/// When a task is due and how that came about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// How it was counted, where it depends on the calendar, or waits for no office.
    pub counted: Option<Counted>,
    pub at: Timestamp,
    /// `5 working days from receipt`.
    pub words: String,
    /// The clock had run out before the event arrived.
    pub late: bool,
    /// The school's own calendar was not known.
    pub assumed: bool,
    /// The clock runs through nights and weekends: it does not wait for an office.
    pub urgent: bool,
    /// The clock waits for the school's next session: nobody can answer before.
    pub at_session: bool,
}

/// The clock of a deadline that another calendar would put elsewhere, or that runs by the hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    pub clock: Clock,
    pub from: Timestamp,
    /// Whose sessions it counts.
    pub school: Option<String>,
}

impl Deadline {
    /// By when, where that waits for no office.
    pub fn urgent_by(&self) -> Option<Timestamp> {
        self.urgent.then_some(self.at)
    }

    /// Whether what is held asks for it no later.
    pub fn is_asked_by(&self, held: &HeldTask) -> bool {
        held.due_at <= self.at || self.late
    }
}

impl Counted {
    /// None: the clock neither looks into the calendar nor runs by the hour.
    pub fn of(clock: &Clock, from: Timestamp, school: Option<&str>) -> Option<Self> {
        let school = school.filter(|_| *clock == Clock::NextSessionDay).map(str::to_owned);
        (is_by_calendar(clock) || is_urgent(clock)).then_some(Self { clock: *clock, from, school })
    }
}

/// Whether a corrected calendar may put what has this clock elsewhere.
pub fn is_by_calendar(clock: &Clock) -> bool {
    matches!(clock, Clock::WorkingDays(_) | Clock::NextSessionDay | Clock::TimeOnWorkingDay { .. })
}

impl Raising<'_> {
    /// The clock of a task: from its anchor where the event has one, else from receipt. One that has already run out
    /// is due on arrival.
    pub fn deadline(&self, task: &TaskRule, entry: &Entry) -> Result<Deadline, StepError> {
        let anchor = entry.anchors.get(task.from).copied();
        let school = self.referral.and_then(|referral| school_of(&referral.event.child));
        // A timer's own instant is no receipt: a clock whose anchor is missing runs from the event's. One that was sent
        // under the wrong child before arrives as of then.
        let of_event = self.referral.is_none() && task.from != "receipt";
        let first = entry.anchors.get(FIRST_RECEIPT).filter(|_| of_event || self.at == entry.received_at).copied();
        let without_anchor = first.unwrap_or(if of_event { entry.received_at } else { self.at });
        let due = due_at(&self.book.rules.calendar, &task.by, anchor.unwrap_or(without_anchor), school)?;
        let receipt = if first.is_some() { FIRST_RECEIPT } else { "receipt" };
        let from = if anchor.is_some() { task.from } else { receipt };
        let at = due.at.max(self.at);
        let urgent = is_urgent(&task.by) && (from != AS_INDEX || at <= self.at.plus_millis(DAY_MS));
        let counted = Counted::of(&task.by, anchor.unwrap_or(without_anchor), school);
        Ok(Deadline {
            at,
            words: deadline_in_words(&task.by, from),
            late: due.at < self.at,
            assumed: due.assumed,
            urgent,
            at_session: task.by == Clock::NextSessionDay,
            counted: counted.filter(|counted| urgent || is_by_calendar(&counted.clock)),
        })
    }

    /// A deadline that runs from now.
    pub fn deadline_from_now(&self, clock: &Clock) -> Result<Deadline, StepError> {
        let due = due_at(&self.book.rules.calendar, clock, self.at, None)?;
        let words = deadline_in_words(clock, "receipt");
        let urgent = is_urgent(clock);
        let counted = Counted::of(clock, self.at, None);
        Ok(Deadline { at: due.at, words, late: false, assumed: false, urgent, at_session: false, counted })
    }
}

/// A clock worked out. Where the calendar does not reach no bank holiday is guessed, and nobody is left without a task for that:
/// every day counts, and the task says so.
pub fn due_at(calendar: &Calendar, clock: &Clock, from: Timestamp, school: Option<&str>) -> Result<Due, StepError> {
    let due = match calendar.due(clock, from, school) {
        Err(CalendarError::BeyondBankHolidays { .. }) => calendar.due_by_every_day(clock, from, school),
        due => due,
    };
    due.map_err(StepError::Calendar)
}

/// Whether a clock runs through nights and weekends.
pub fn is_urgent(clock: &Clock) -> bool {
    match clock {
        Clock::Now | Clock::Minutes(_) | Clock::Hours(_) | Clock::SameDay => true,
        Clock::TimeOfDay { .. } | Clock::TimeThatDay { .. } => true,
        Clock::WorkingDays(_) | Clock::NextSessionDay | Clock::TimeOnWorkingDay { .. } | Clock::OnTheDay => false,
    }
}

/// A task's clock as a practitioner reads it: `5 working days from receipt`. `from`: of `catalogue::ANCHORS`.
pub fn deadline_in_words(clock: &Clock, from: &str) -> String {
    let (mut words, anchor) = (clock_in_words(clock), anchor_in_words(from));
    match clock {
        Clock::Now if from == "receipt" => return words,
        Clock::Now if from == AS_INDEX => return format!("as soon as {anchor}"),
        Clock::OnTheDay => words.push_str(" of "),
        Clock::Now
        | Clock::Minutes(_)
        | Clock::Hours(_)
        | Clock::SameDay
        | Clock::WorkingDays(_)
        | Clock::NextSessionDay
        | Clock::TimeOfDay { .. }
        | Clock::TimeThatDay { .. }
        | Clock::TimeOnWorkingDay { .. } => words.push_str(" from "),
    }
    words.push_str(anchor);
    words
}

fn anchor_in_words(anchor: &str) -> &'static str {
    match anchor {
        "occurred_at" => "when it happened",
        "reported_at" => "when it was reported",
        "last_seen_at" => "when the child was last seen",
        "ended_at" => "the child's return",
        "completed_at" => "the interview",
        "strategy_discussion" => "the strategy discussion",
        "pregnancy_28_weeks" => "28 weeks of pregnancy",
        "turns_18" => "the eighteenth birthday",
        FIRST_RECEIPT => "its first receipt, under the wrong child",
        "as_index" => "for the child they were named with",
        _ => "receipt",
    }
}

fn clock_in_words(clock: &Clock) -> String {
    let counted =
        |count: u16, unit: &str| [count.to_string().as_str(), " ", unit, if count == 1 { "" } else { "s" }].concat();
    match clock {
        Clock::Now => "at once".to_owned(),
        Clock::Minutes(minutes) => counted(*minutes, "minute"),
        Clock::Hours(hours) => counted(*hours, "hour"),
        Clock::SameDay => "the same day (8 hours)".to_owned(),
        Clock::WorkingDays(days) => counted(*days, "working day"),
        Clock::NextSessionDay => "the next school session".to_owned(),
        Clock::TimeOfDay { hour, minute } => format!("by {hour:02}:{minute:02}"),
        Clock::TimeThatDay { hour, minute } => format!("by {hour:02}:{minute:02} of that day"),
        Clock::TimeOnWorkingDay { hour, minute } => format!("by {hour:02}:{minute:02} on the next working day"),
        Clock::OnTheDay => "by 17:00 on the day".to_owned(),
    }
}
