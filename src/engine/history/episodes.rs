//! Missing episodes: which reports are of one and the same, and whether a child is missing now.

use std::sync::Arc;

use super::known_as::are_two;
use crate::engine::calendar::london_date;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::{FactValue, Timestamp};

pub const STARTED: &str = "missing.started";
pub const REGRADED: &str = "missing.regraded";
pub const ENDED: &str = "missing.ended";

/// Whether events of this kind belong to a missing episode.
pub fn is_of_episode(kind: &str) -> bool {
    matches!(kind, STARTED | REGRADED | ENDED)
}

/// A later start of another source is taken for the same episode only this long after one that never ended:
/// beyond it the end was surely not reported, and the child is missing anew.
const OPEN_EPISODE_MAX_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// Whether an arriving start or end is another source's report of the episode `entry` belongs to.
pub fn same_episode(history: &History, entry: &Entry, arriving: &Entry) -> bool {
    if entry.kind != arriving.kind {
        return false;
    }
    let same_reference = arriving.episode_ref.is_some()
        && entry.episode_ref == arriving.episode_ref
        && entry.source.partner == arriving.source.partner;
    match arriving.kind.as_str() {
        // A reference may be used again after the child came back: that is another absence.
        STARTED if is_over_before(history, entry, arriving) => false,
        STARTED if same_reference => is_within_one(entry, arriving),
        STARTED => from_elsewhere(entry, arriving) && overlaps(history, entry, arriving),
        ENDED => (same_reference || from_elsewhere(entry, arriving)) && same_return(history, entry, arriving),
        _ => false,
    }
}

/// Whether two starts may be of one absence, by how far apart they are.
pub fn is_within_one(entry: &Entry, arriving: &Entry) -> bool {
    entry.occurred_at.0.abs_diff(arriving.occurred_at.0) <= OPEN_EPISODE_MAX_MS.unsigned_abs()
}

/// How far ahead of its receipt a return may lie: clocks differ, and an hour is soon taken for another. Further ahead nobody is
/// back, and the search goes on until someone says when they were.
const AHEAD_MAX_MS: i64 = 60 * 60 * 1000;

/// Whether a return is said to be still to come.
pub fn is_ahead(entry: &Entry) -> bool {
    entry.kind == ENDED && entry.occurred_at > entry.received_at.plus_millis(AHEAD_MAX_MS)
}

/// Whether an entry ends an absence.
fn ends(entry: &Entry) -> bool {
    entry.kind == ENDED && !entry.withdrawn && !is_ahead(entry)
}

/// Whether the episode that `started` opened had ended when `arriving` began.
pub fn is_over_before(history: &History, started: &Entry, arriving: &Entry) -> bool {
    let ended = history.entries.iter().filter(|entry| ends(entry));
    let mut within = ended.filter(|entry| entry.occurred_at >= started.occurred_at);
    within.any(|entry| entry.occurred_at < arriving.occurred_at && !are_two(history, entry, started))
}

fn from_elsewhere(entry: &Entry, arriving: &Entry) -> bool {
    entry.source.partner != arriving.source.partner
}

/// The arriving start lies within the episode, or opened shortly before one that it runs into.
fn overlaps(history: &History, started: &Entry, arriving: &Entry) -> bool {
    match end_of(history, started) {
        Some(ended_at) => arriving.occurred_at <= ended_at && started.occurred_at <= own_end(history, arriving),
        None => is_within_one(started, arriving),
    }
}

/// When the arriving episode ended, as its own sender has said; open-ended otherwise, yet never past the next
/// start of the same sender.
fn own_end(history: &History, arriving: &Entry) -> Timestamp {
    history
        .entries
        .iter()
        .filter(|entry| !entry.withdrawn && entry.source.partner == arriving.source.partner)
        .filter(|entry| entry.occurred_at > arriving.occurred_at && (ends(entry) || entry.kind == STARTED))
        .filter(|entry| !are_two(history, entry, arriving))
        .map(|entry| entry.occurred_at)
        .min()
        .unwrap_or_else(|| arriving.occurred_at.plus_millis(OPEN_EPISODE_MAX_MS))
}

/// Both ends close the same start: nothing lies between them that tells of another absence. One that is still to come closes none: what
/// is told of it right is no second report of that.
pub fn same_return(history: &History, ended: &Entry, arriving: &Entry) -> bool {
    if is_ahead(ended) && !is_ahead(arriving) {
        return false;
    }
    let (earlier, later) = if ended.occurred_at <= arriving.occurred_at {
        (ended.occurred_at, arriving.occurred_at)
    } else {
        (arriving.occurred_at, ended.occurred_at)
    };
    let close = later.0.saturating_sub(earlier.0) <= OPEN_EPISODE_MAX_MS;
    close
        && !history.entries.iter().any(|entry| {
            !entry.withdrawn
                && entry.occurred_at > earlier
                && entry.occurred_at <= later
                && opens(history, entry)
                && !are_two(history, entry, arriving)
        })
}

/// When the episode that `started` opened was over: its end, or the next start that shows it must have been.
pub fn end_of(history: &History, started: &Entry) -> Option<Timestamp> {
    history
        .entries
        .iter()
        .filter(|entry| !entry.withdrawn && !entry.is_same_event(started))
        .filter(|entry| entry.occurred_at >= started.occurred_at && (ends(entry) || entry.kind == STARTED))
        .filter(|entry| entry.kind == ENDED || entry.occurred_at > started.occurred_at)
        .filter(|entry| !are_two(history, entry, started))
        .map(|entry| entry.occurred_at)
        .min()
}

/// Whether the child of an entry is missing at an instant: the latest start or regrade says missing (not absent, not away)
/// and no end has come since.
pub fn missing_open(history: &History, of: &Entry, at: Timestamp) -> bool {
    not_back(history, of, at).is_some_and(counts_as_missing)
}

/// The latest start or regrade of an absence of this entry's child that no end has followed by this instant.
fn not_back<'h>(history: &'h History, of: &Entry, at: Timestamp) -> Option<&'h Entry> {
    let known = history.entries.iter().rev().filter(|entry| !entry.withdrawn && entry.occurred_at <= at);
    let mut of_episodes =
        known.filter(|entry| is_of_episode(&entry.kind) && !is_ahead(entry) && !are_two(history, entry, of));
    of_episodes.next().filter(|entry| entry.kind != ENDED).map(Arc::as_ref)
}

/// Whether the child is missing at an instant, and, for an entry of an episode, still in that same episode: a clock of
/// one episode says nothing of the next. An absence that is known to be over is over, whenever it is asked about.
pub fn still_missing(history: &History, entry: &Entry, at: Timestamp) -> bool {
    missing_open(history, entry, not_before(entry, at)) && back_at(history, entry).is_none()
}

/// The same of a child whom the police grade absent: not known to be anywhere, and taken to be at no risk.
pub fn still_absent(history: &History, entry: &Entry, at: Timestamp) -> bool {
    let absent = |entry: &Entry| is_graded(entry, "absent");
    not_back(history, entry, not_before(entry, at)).is_some_and(absent) && back_at(history, entry).is_none()
}

/// Whether the absence that an entry tells of goes on, however it is graded, so that the child is looked for.
pub fn goes_on(history: &History, entry: &Entry, at: Timestamp) -> bool {
    still_missing(history, entry, at) || still_absent(history, entry, at)
}

/// A start a little ahead of our clock is a start all the same.
fn not_before(entry: &Entry, at: Timestamp) -> Timestamp {
    if is_report(entry) { at.max(entry.occurred_at) } else { at }
}

/// When the absence was over that an entry told of; None while it goes on, and for every other kind. A second start soon after
/// the first ends nothing: the child is out since the first. One so much later shows that a return was not reported.
pub fn back_at(history: &History, entry: &Entry) -> Option<Timestamp> {
    let started_anew = || {
        let later = history.entries.iter().filter(|later| !later.withdrawn && later.kind == STARTED);
        let mut anew = later.filter(|later| later.occurred_at > entry.occurred_at && !is_within_one(entry, later));
        anew.find(|later| !are_two(history, later, entry)).map(|later| later.occurred_at)
    };
    let of_episode = is_report(entry);
    if of_episode { returned_at(history, entry).into_iter().chain(started_anew()).min() } else { None }
}

/// Whether it was known by then that the child was back from the absence that an entry told of.
pub fn was_back_by(history: &History, entry: &Entry, then: Timestamp) -> bool {
    let of_episode = is_report(entry);
    let is_return = |later: &Entry| ends(later) && later.occurred_at >= entry.occurred_at && later.received_at <= then;
    of_episode && history.entries.iter().any(|later| is_return(later) && !are_two(history, later, entry))
}

/// When the child came back from the absence that an entry told of, as somebody said.
pub fn returned_at(history: &History, entry: &Entry) -> Option<Timestamp> {
    let returns = history.entries.iter().filter(|later| ends(later) && later.occurred_at >= entry.occurred_at);
    let mut of_child = returns.filter(|later| is_report(entry) && !are_two(history, later, entry));
    of_child.next().map(|later| later.occurred_at)
}

/// Since when the child of an entry is out at an instant, as far as is known: the first report that no return has followed.
pub fn out_since(history: &History, of: &Entry, at: Timestamp) -> Option<Timestamp> {
    let known = history.entries.iter().rev().filter(|entry| !entry.withdrawn && entry.occurred_at <= at);
    let of_child = known.filter(|entry| is_of_episode(&entry.kind) && !is_ahead(entry) && !are_two(history, entry, of));
    of_child.take_while(|entry| entry.kind != ENDED).last().map(|entry| entry.occurred_at)
}

/// Other reports, no later, of the absence that this one is of.
pub fn earlier_of_absence<'h>(history: &'h History, entry: &'h Entry) -> impl Iterator<Item = &'h Arc<Entry>> {
    let earlier = history.entries.iter().rev().filter(|earlier| {
        !earlier.withdrawn && earlier.occurred_at <= entry.occurred_at && !earlier.is_same_event(entry)
    });
    let of_child = earlier.filter(|earlier| is_of_episode(&earlier.kind) && !is_ahead(earlier));
    let of_child = of_child.filter(|earlier| !are_two(history, earlier, entry));
    of_child.take_while(|earlier| earlier.kind != ENDED && is_within_one(earlier, entry))
}

/// Whether a return cannot be as it is told: still to come, or before the absence that is going on, and closing none.
pub fn is_impossible(history: &History, ended: &Entry, at: Timestamp) -> bool {
    if ended.kind != ENDED || ended.withdrawn {
        return false;
    }
    let Some(open) =
        not_back(history, ended, at.max(ended.occurred_at)).filter(|open| open.occurred_at > ended.occurred_at)
    else {
        return is_ahead(ended);
    };
    let same_reference = ended.episode_ref.is_some() && open.episode_ref == ended.episode_ref;
    same_reference || earlier_of_absence(history, ended).next().is_none()
}

/// Whether an entry is what tells of an absence: its start, or the first regrading of one whose start is not known here. What was told
/// before go-live asked nobody: of that the first regrading since tells here.
pub fn opens(history: &History, entry: &Entry) -> bool {
    let asked_nobody = |earlier: &Arc<Entry>| earlier.backfilled && !entry.backfilled;
    match entry.kind.as_str() {
        STARTED => true,
        REGRADED => earlier_of_absence(history, entry).all(asked_nobody),
        _ => false,
    }
}

/// Whether it tells of an absence at all, first or again.
pub fn is_report(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), STARTED | REGRADED)
}

/// Absent and away are not missing; an ungraded child is.
pub fn counts_as_missing(entry: &Entry) -> bool {
    !is_graded(entry, "absent") && !is_graded(entry, "away")
}

fn is_graded(entry: &Entry, grade: &str) -> bool {
    matches!(entry.facts.get("grade"), Some(FactValue::Code(given)) if given == grade)
}

/// Whether a return was first told of a time that cannot be, and this one tells it right: it ends the absence that was known of when the
/// first was told, and the child was back by then. A later return is another one.
fn is_told_right_by(history: &History, told: &Entry, right: &Entry) -> bool {
    let is_first = told.kind == ENDED
        && !told.withdrawn
        && !told.is_same_event(right)
        && told.received_at <= right.received_at
        && !are_two(history, told, right);
    let was_back = || right.occurred_at <= told.received_at.plus_millis(AHEAD_MAX_MS);
    let cannot_be = |report: &Arc<Entry>| {
        let is_ahead = is_ahead(told) && !is_ahead(right);
        report.received_at <= told.received_at && (is_ahead || is_before_its_start(history, told, (report, right)))
    };
    is_first && was_back() && earlier_of_absence(history, right).any(cannot_be)
}

/// Whether a return is told of a time before a report of the absence that another one ends, under one reference, and ends none of its own.
fn is_before_its_start(history: &History, told: &Entry, (report, right): (&Entry, &Entry)) -> bool {
    let is_of_reference = |other: &Entry| {
        told.episode_ref.is_some()
            && other.episode_ref == told.episode_ref
            && other.source.partner == told.source.partner
    };
    // Graded anew in between it is the same absence; begun in between, another than one that had begun before.
    let ends_own = || report.kind == STARTED && earlier_of_absence(history, told).any(|start| is_of_reference(start));
    told.occurred_at < report.occurred_at && is_of_reference(report) && is_of_reference(right) && !ends_own()
}

/// The events of the episode an entry belongs to: a regrade asks nobody again for what its start asked, nor does a return that is told
/// right for what it asked at a time that cannot be. Just the entry itself for every other kind.
pub fn one_episode<'h>(history: &'h History, entry: &'h Entry) -> Vec<&'h Entry> {
    let mut events = vec![entry];
    if entry.kind == ENDED {
        events.extend(history.entries.iter().map(Arc::as_ref).filter(|told| is_told_right_by(history, told, entry)));
    }
    if entry.kind != REGRADED {
        return events;
    }
    for earlier in history.entries.iter().rev().filter(|earlier| earlier.occurred_at <= entry.occurred_at) {
        if earlier.withdrawn || earlier.is_same_event(entry) || are_two(history, earlier, entry) {
            continue;
        }
        if earlier.kind == ENDED {
            break;
        }
        // Found in between: what was asked then was done with.
        if !counts_as_missing(earlier) && counts_as_missing(entry) {
            break;
        }
        if earlier.kind == REGRADED || earlier.kind == STARTED {
            events.push(earlier);
        }
        if earlier.kind == STARTED {
            break;
        }
    }
    events
}

/// Whether something was said of the very episode of another event, and happened no earlier: an interview after a return.
pub fn is_said_of(said: &Entry, cause: &Entry) -> bool {
    said.episode_ref.is_some() && said.episode_ref == cause.episode_ref && !is_before(said, cause)
}

/// Whether one happened before the other, as far as their times are known.
pub fn is_before(said: &Entry, cause: &Entry) -> bool {
    let by_date = said.date_only || cause.date_only;
    said.occurred_at < cause.occurred_at
        && !(by_date && london_date(said.occurred_at) == london_date(cause.occurred_at))
}

/// Whether a word holds from then or later, as far as its time is known, and came no earlier.
pub fn is_since(said: &Entry, then: Timestamp) -> bool {
    let holds_from = said.holds_from();
    let is_of_the_day = || said.date_only && london_date(holds_from) == london_date(then);
    said.received_at >= then && (holds_from >= then || is_of_the_day())
}
