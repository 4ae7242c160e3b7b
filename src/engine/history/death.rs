//! Whether the child has died, by what was notified: then nobody is chased to see them, or sent to the family unasked.

use std::sync::Arc;

use jiff::civil;

use super::episodes::{ENDED, REGRADED, STARTED};
use super::known_as::are_two;
use crate::engine::calendar::{instant, london_date};
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::scalar::{DAY_MS, FactValue, Timestamp};

pub const SERIOUS_INCIDENT: &str = "serious_incident.notified";
pub const INCIDENT: &str = "incident";

/// What is told of a child who is alive, or was until lately.
const SHOWS_LIFE: [&str; 6] =
    [STARTED, REGRADED, ENDED, "return_interview.completed", "self_harm.reported", "mental_health.crisis"];

/// Nobody notifies a death sooner than this: what says so gives the time of the notice, and the death may have been hours before.
const NOTIFIED_AT_ONCE_MS: i64 = 15 * 60 * 1000;

/// Whether an entry is the notice of a death.
pub fn is_notice(entry: &Entry) -> bool {
    // Asked of every entry again and again: what is cheap comes first.
    entry.kind == SERIOUS_INCIDENT
        && !entry.withdrawn
        && matches!(entry.facts.get(INCIDENT), Some(FactValue::Code(incident)) if incident == "death")
}

/// All notices, of whichever child bears this key.
pub fn notices(history: &History) -> impl Iterator<Item = &Arc<Entry>> {
    history.entries.iter().filter(|entry| is_notice(entry))
}

/// The first notice that is of the child of an entry: not of another who bears the same identifier. None: nobody notified any.
pub fn notice_of<'h>(history: &'h History, of: &Entry) -> Option<&'h Arc<Entry>> {
    let of_child = notices(history).filter(|notice| !are_two(history, notice, of));
    of_child.min_by_key(|notice| notice.received_at)
}

/// Whether the death of an entry's child was notified by then.
pub fn is_known(history: &History, of: &Entry, at: Timestamp) -> bool {
    notice_of(history, of).is_some_and(|notice| notice.received_at <= at)
}

/// Whether what a task asks was overtaken by the death: it was asked before, and of something else.
pub fn overtook(history: &History, task: &HeldTask) -> bool {
    let Some(any) = notices(history).min_by_key(|notice| notice.received_at) else { return false };
    let of = history.entries.iter().find(|entry| task.is_of(entry));
    let notice = of.map_or(Some(any), |of| notice_of(history, of));
    notice.is_some_and(|notice| task.raised_at <= notice.received_at && !task.is_of(notice))
}

/// When a report shows the child alive, beside the time of a death.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shown {
    /// It speaks of the child's last days, and came late.
    SurelyBefore,
    /// So near to it that nobody can tell.
    About,
    After,
}

/// When a report shows the child alive, beside a notice of death that came no later; and that notice.
pub fn shown<'h>(history: &'h History, entry: &Entry) -> Option<(Shown, &'h Arc<Entry>)> {
    let notice = notice_before(history, entry)?;
    let shown = if is_surely_before(entry, notice) {
        Shown::SurelyBefore
    } else if shown_at(entry) > latest_died(notice) {
        Shown::After
    } else {
        Shown::About
    };
    Some((shown, notice))
}

/// The notice that a report makes doubtful: it shows the child alive after the death, or so near to it that nobody can tell.
fn doubted_by<'h>(history: &'h History, entry: &Entry) -> Option<&'h Arc<Entry>> {
    shown(history, entry).filter(|(shown, _)| *shown > Shown::SurelyBefore).map(|(_, notice)| notice)
}

/// Whether what a report tells was over before the death, as far as either time is known.
fn is_surely_before(entry: &Entry, notice: &Entry) -> bool {
    let (shown, died) = (at_latest(entry, shown_at(entry)), notice.occurred_at);
    let on_one_day = (entry.date_only || notice.date_only) && london_date(shown) == london_date(died);
    let gives_no_time = notice.received_at < died.plus_millis(NOTIFIED_AT_ONCE_MS);
    let apart = if gives_no_time { DAY_MS } else { 0 };
    !on_one_day && shown.plus_millis(apart) < died
}

/// The notice that came no later than what shows a child alive, whenever that was.
fn notice_before<'h>(history: &'h History, entry: &Entry) -> Option<&'h Arc<Entry>> {
    let notice = notice_of(history, entry).filter(|notice| notice.received_at <= entry.received_at)?;
    SHOWS_LIFE.contains(&entry.kind.as_str()).then_some(notice)
}

/// When a report last shows the child alive, at the earliest.
fn shown_at(entry: &Entry) -> Timestamp {
    let said = ["last_seen_at", "ended_at", "completed_at"].into_iter().filter_map(|name| entry.anchors.get(name));
    said.copied().fold(entry.occurred_at, Timestamp::max)
}

/// When the child died at the latest.
fn latest_died(notice: &Entry) -> Timestamp {
    at_latest(notice, notice.occurred_at)
}

/// What is known by the day alone may have been at the end of it.
fn at_latest(entry: &Entry, at: Timestamp) -> Timestamp {
    let next_day = || instant(london_date(at).tomorrow().ok()?, civil::Time::midnight()).ok();
    let end = if entry.date_only { next_day() } else { None };
    end.map_or(at, |end| end.plus_millis(-1))
}

/// Whether the child is looked for, though a death was notified: they went missing after it, and so it may be another's.
pub fn is_searched_after(history: &History, entry: &Entry) -> bool {
    let of_absence = matches!(entry.kind.as_str(), STARTED | REGRADED);
    of_absence && doubted_by(history, entry).is_some_and(|notice| entry.occurred_at > notice.occurred_at)
}
