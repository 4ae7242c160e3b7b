//! Counts over a history, as one judgement asks for them: what all of them need is worked out once.

use std::sync::Arc;

use super::absences::{Episode, Episodes};
use super::{AsOf, PreparedBook};
use crate::engine::history::known_as;
use crate::engine::model::detail::KINDS;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::book::{Aggregate, Window};
use crate::engine::rules::facts::{FactTable, KindId};

/// The counts that the rules for one entry's kind read.
pub struct Counting<'h> {
    book: &'h PreparedBook,
    history: &'h History,
    as_of: AsOf,
    /// As places in the book's aggregates.
    read: &'h [usize],
    remembered: Vec<Remembered<'h>>,
    /// Many counts share a window, and a London midnight takes longer to work out than a count.
    starts: Vec<(Window, Option<Timestamp>)>,
    end: Timestamp,
    /// What the judged entry was counted with last.
    level: Option<Level>,
}

impl<'h> Counting<'h> {
    pub fn of(book: &'h PreparedBook, history: &'h History, entry: &Entry, as_of: AsOf) -> Self {
        let read = book.counts_by_kind.get(entry.kind.as_str()).map_or(&[][..], Vec::as_slice);
        let (remembered, end) = if read.is_empty() {
            (Vec::new(), as_of.windows)
        } else {
            (Remembered::all(history, entry), book.rules.calendar.window_end(as_of.windows))
        };
        Self { book, history, as_of, read, remembered, starts: Vec::new(), end, level: None }
    }

    /// Fills in all of them, the judged entry having no level yet.
    pub fn fill(&mut self, table: &mut FactTable) {
        self.level = None;
        self.fill_those(|_| true, table);
    }

    /// Fills in again those that change as the judged entry's own level becomes known.
    pub fn fill_by(&mut self, level: Option<Level>, table: &mut FactTable) {
        if self.level != level {
            self.level = level;
            self.fill_those(Aggregate::reads_level, table);
        }
    }

    fn fill_those(&mut self, is_wanted: impl Fn(&Aggregate) -> bool, table: &mut FactTable) {
        for place in self.read {
            let (book, history) = (self.book, self.history);
            let aggregate = book.rules.aggregates.get(*place).filter(|aggregate| is_wanted(aggregate));
            let Some((aggregate, kinds)) = aggregate.zip(book.counted_kinds.get(*place)) else { continue };
            let between = (self.start(aggregate.window), self.end);
            let mut counted = 0_i64;
            let mut count = |_: &Entry| {
                counted = counted.saturating_add(1);
            };
            each_counted((aggregate, *kinds), &self.remembered, between, self.level, &mut count);
            let folded = match aggregate.window {
                Window::Ever => aggregate.kinds.iter().filter_map(|kind| history.folded.get(*kind)).sum(),
                Window::Days(_) | Window::Months(_) => 0,
            };
            table.set_int(aggregate.fact, counted.saturating_add(folded));
        }
    }

    fn start(&mut self, window: Window) -> Option<Timestamp> {
        if let Some((_, start)) = self.starts.iter().find(|(known, _)| *known == window) {
            return *start;
        }
        let start = self.book.window_start(window, self.as_of);
        self.starts.push((window, start));
        start
    }
}

/// Event kinds, a bit each by their place in the catalogue, which has fewer than 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kinds(u64);

const _: () = assert!(KINDS.len() <= 64, "a bit each");

impl Kinds {
    pub(super) fn counted_by(aggregate: &Aggregate) -> Self {
        Self(aggregate.kinds.iter().map(|kind| Self::of(kind).0).fold(0, |all, one| all | one))
    }

    /// None of them for a kind that the catalogue does not know.
    pub(super) fn of(kind: &str) -> Self {
        let place = KindId::of(kind).and_then(|kind| u32::try_from(kind.place()).ok());
        Self(place.and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default())
    }

    pub(super) fn contains(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// An entry with what every count asks of it.
pub(super) struct Remembered<'h> {
    entry: &'h Entry,
    kind: Kinds,
    is_judged: bool,
}

impl<'h> Remembered<'h> {
    /// All that was not withdrawn and is not of another child under the same key, oldest first.
    pub(super) fn all(history: &'h History, judged: &Entry) -> Vec<Self> {
        let counts = |entry: &&Arc<Entry>| !entry.withdrawn && !known_as::count_apart(history, entry, judged);
        let entries = history.entries.iter().filter(counts);
        let remembered =
            |entry: &'h Entry| Self { entry, kind: Kinds::of(&entry.kind), is_judged: entry.is_same_event(judged) };
        entries.map(|entry| remembered(entry)).collect()
    }
}

/// Visits when the entries happened that a count counts, oldest first, from the start (if there is one) until before the
/// end.
pub(super) fn each_counted(
    (aggregate, kinds): (&Aggregate, Kinds),
    remembered: &[Remembered<'_>],
    (start, end): (Option<Timestamp>, Timestamp),
    level: Option<Level>,
    visit: &mut dyn FnMut(&Entry),
) {
    let mut episodes = Episodes::default();
    let mut counted: Vec<Episode<'_>> = Vec::new();
    for (place, Remembered { entry, kind, is_judged }) in remembered.iter().enumerate() {
        let episode = if aggregate.once_per_episode { episodes.of(place, entry) } else { None };
        let own_level = if *is_judged { level } else { entry.level };
        if !kinds.contains(*kind)
            || (*is_judged && !aggregate.includes_judged)
            || !aggregate.level_within(&entry.kind, own_level)
            || !aggregate.counts(&entry.facts)
        {
            continue;
        }
        // Of an episode the first that counts is counted, also where it lies before the window.
        if let Some(episode) = episode {
            if counted.contains(&episode) {
                continue;
            }
            counted.push(episode);
        }
        if start.is_none_or(|start| entry.occurred_at >= start) && entry.occurred_at < end {
            visit(entry);
        }
    }
}
