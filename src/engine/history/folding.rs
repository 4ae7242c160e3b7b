//! How long things are remembered: what is too old, or too much, folds into counts by kind. What a rule still counts, and what
//! somebody owes an answer to, goes last, and never unsaid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::keeping::{Keeping, grown_by, standing};
use super::routes::hold_back;
use super::{held_back_by, is_open};
use crate::engine::ids::derived;
use crate::engine::model::event::Source;
use crate::engine::model::history::{
    Awaiting, Entry, FirstReceipt, FoldedEvent, HeldTask, History, RecordedDecision, Status, Timer,
};
use crate::engine::model::scalar::{DAY_MS, Timestamp};

/// Entries kept whole for one subject. Beyond that fold into counts those that no rule counts, then the oldest that it does, unless
/// something waits for them.
pub const ENTRIES_MAX: usize = 256;
/// Most entries kept beyond those for what waits for them: a clock, a task that is open, a child who is missing still.
pub const WAITED_FOR_MAX: usize = 256;
/// Most tasks remembered for one subject that are over, the newest.
pub const CLOSED_TASKS_MAX: usize = 256;
/// Most tasks remembered for one subject that are open. More than a child has; a sender's unread records might.
pub const OPEN_TASKS_MAX: usize = 512;
/// So many open tasks, or entries with clocks, go together when there is one too many, so that one word to the front door tells of
/// all of them.
pub const FORGOTTEN_TOGETHER: usize = 64;

/// Most reports kept beside an entry, corrections kept waiting, and words on statuses, of one subject.
pub const CORROBORATIONS_MAX: usize = 32;
pub const AWAITING_MAX: usize = 64;
pub const STATUSES_MAX: usize = 256;
/// Most ids of folded imports remembered for one subject.
pub const FOLDED_IDS_MAX: usize = 4096;
/// Most other folded events remembered for one subject, the latest told.
pub const FOLDED_EVENTS_MAX: usize = 4096;

/// The rule of the front door's task that says what is remembered no longer.
pub const FORGOTTEN_RULE: &str = "forgotten";

/// What went, and must not go unsaid.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Folded {
    /// How many entries went into counts.
    pub entries: usize,
    /// How many of them a rule may still count within its window.
    pub counted: usize,
    /// How many words on statuses went that said something new at their time.
    pub statuses: usize,
    /// Tasks to which an answer was still owed: of those that were too many, all that were open.
    pub tasks: Vec<Arc<HeldTask>>,
    /// Clocks of entries that went.
    pub timers: Vec<Timer>,
    /// Corrections and withdrawals about which nobody had been asked.
    pub awaiting: Vec<Awaiting>,
}

impl Folded {
    /// Whether nothing went that somebody owes an answer to, or that somebody would have been asked.
    pub fn owes_nothing(&self) -> bool {
        self.tasks.is_empty() && self.timers.is_empty() && self.awaiting.is_empty()
    }
}

/// Folds what is older than the retention, or too much, into counts by kind; returns what went.
///
/// Statuses are kept: plans matter for the whole childhood. When the next thing is too old is kept with the history, so that
/// it goes then even if nothing comes. Of a history that has nothing left nothing is kept, see [`History::holds_nothing`].
pub fn fold(history: &mut History, now: Timestamp, keeping: &Keeping<'_>) -> Folded {
    let mut folded = Folded::default();
    let oldest_kept = now.plus_millis(keeping.retention_ms().saturating_neg());
    let expired = oldest(history).is_some_and(|oldest| oldest < oldest_kept);
    if history.entries.len() > ENTRIES_MAX || expired {
        fold_entries(history, (now, oldest_kept), keeping, &mut folded);
        folded.timers = stop_clocks(history);
    }
    if expired {
        let too_old = |task: &mut Arc<HeldTask>| task_kept_by(task) < oldest_kept;
        let gone: Vec<Arc<HeldTask>> = history.tasks.extract_if(.., too_old).collect();
        folded.tasks.extend(gone.into_iter().filter(|task| was_never_answered(task, history.decided_on(task))));
        let too_old = |waiting: &mut Awaiting| waiting.received_at < oldest_kept;
        folded.awaiting.extend(history.awaiting.extract_if(.., too_old).filter(|waiting| !waiting.asked));
        history.agreement.take_if(|standing| standing.at < oldest_kept);
        let first_receipts = history.first_receipts.take().unwrap_or_default();
        let kept: Vec<FirstReceipt> =
            first_receipts.into_iter().filter(|first| first.received_at >= oldest_kept).collect();
        history.first_receipts = (!kept.is_empty()).then_some(kept);
        let mut events = history.folded_events.take().unwrap_or_default();
        events.retain(|event| told_on(event) >= oldest_kept);
        history.folded_events = (!events.is_empty()).then_some(events);
    }
    bound(history, &mut folded);
    if folded.owes_nothing()
        && history.alias_of.is_none()
        && oldest(history).is_none()
        && keeping.rest_kept_by(history) < oldest_kept
    {
        *history = History { updated_at: history.updated_at, ..History::default() };
    }
    note_when(history, keeping);
    folded
}

/// Keeps with the history when the next thing is too old.
pub fn note_when(history: &mut History, keeping: &Keeping<'_>) {
    history.fold_at = folds_at(history, keeping);
}

/// When the next thing is too old to be kept.
pub fn folds_at(history: &History, keeping: &Keeping<'_>) -> Option<Timestamp> {
    // A key that belongs to another stays: events that bear it alone are passed on.
    let may_go = history.alias_of.is_none() && !history.holds_nothing();
    let rest = || may_go.then(|| keeping.rest_kept_by(history));
    let too_old = |oldest: Timestamp| next_midnight(oldest.plus_millis(keeping.retention_ms()));
    oldest(history).or_else(rest).map(too_old)
}

/// The time by which the oldest thing that will be too old is kept.
fn oldest(history: &History) -> Option<Timestamp> {
    let entries = history.entries.iter().map(|entry| kept_by(entry)).min();
    let tasks = history.tasks.iter().map(|task| task_kept_by(task)).min();
    let awaiting = history.awaiting.iter().map(|waiting| waiting.received_at).min();
    let agreement = history.agreement.as_ref().map(|standing| standing.at);
    let first_receipts = history.first_receipts.iter().flatten().map(|first| first.received_at).min();
    let events = history.folded_events.iter().flatten().map(told_on).min();
    [entries, tasks, awaiting, agreement, first_receipts, events].into_iter().flatten().min()
}

/// What is told now of long ago is kept as long as anything told now; what is imported goes by when it happened.
fn kept_by(entry: &Entry) -> Timestamp {
    if entry.backfilled { entry.occurred_at } else { entry.occurred_at.max(entry.received_at) }
}

fn task_kept_by(task: &HeldTask) -> Timestamp {
    task.raised_at.max(task.state_at)
}

/// Whether somebody owed an answer to the end: what was taken on, or closed by a person, is forgotten as all else; so is a
/// disagreement that a person decided after it began. And so is the word of what was forgotten, or it would be told again for
/// ever.
fn was_never_answered(task: &HeldTask, decided: Option<&RecordedDecision>) -> bool {
    let is_owed = match task.state.as_str() {
        "raised" => decided.is_none_or(|decision| !decision.closed || decision.at < task.raised_at),
        "challenged" => decided.is_none_or(|decision| decision.at < task.state_at),
        _ => false,
    };
    is_owed && task.chases.is_none() && !is_word_of_forgotten(task)
}

fn is_word_of_forgotten(task: &HeldTask) -> bool {
    task.rules.iter().any(|rule| rule == FORGOTTEN_RULE)
}

/// A day's worth goes together, and strictly later than what it must be later than.
pub fn next_midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS))
}

/// Events by id and, as far as that was kept, by who sent them.
type Events<'h> = BTreeSet<(&'h str, Option<&'h str>)>;

fn holds(events: &Events<'_>, entry: &Entry) -> bool {
    let partner = entry.source.partner.as_str();
    [None, Some(partner)].iter().any(|partner| events.contains(&(entry.event_id.as_str(), *partner)))
}

/// The places of the entries that are too many: first those that no rule counts any more, then the oldest, and last those that
/// something waits for.
fn too_many(history: &History, now: Timestamp, keeping: &Keeping<'_>) -> BTreeSet<usize> {
    let over = history.entries.len().saturating_sub(ENTRIES_MAX);
    if over == 0 {
        return BTreeSet::new();
    }
    let open = history.tasks.iter().filter(|task| is_open(&task.state));
    let asked: Events<'_> = open.map(|task| (task.event_id.as_str(), task.partner.as_deref())).collect();
    let clocks: Events<'_> =
        history.timers.iter().map(|timer| (timer.event_id.as_str(), timer.partner.as_deref())).collect();
    let stands = standing(history);
    let weight = |entry: &Entry| match entry {
        entry if holds(&clocks, entry) => 3_u8,
        entry if holds(&asked, entry) || stands(entry) => 2,
        _ => u8::from(keeping.is_counted(entry, now)),
    };
    let mut going: Vec<(u8, usize)> =
        history.entries.iter().enumerate().map(|(place, entry)| (weight(entry), place)).collect();
    going.sort_unstable();
    going.truncate(over);
    let mut waited_for = going.iter().filter(|(weight, _)| *weight > 1).count();
    if waited_for > WAITED_FOR_MAX {
        waited_for = left_of(WAITED_FOR_MAX);
    }
    going.truncate(over.saturating_sub(waited_for));
    going.into_iter().map(|(_, place)| place).collect()
}

fn fold_entries(
    history: &mut History,
    (now, oldest_kept): (Timestamp, Timestamp),
    keeping: &Keeping<'_>,
    folded: &mut Folded,
) {
    let too_many = too_many(history, now, keeping);
    let mut kept = Vec::with_capacity(history.entries.len());
    let mut lifted = Vec::new();
    for (place, entry) in std::mem::take(&mut history.entries).into_iter().enumerate() {
        let is_too_old = kept_by(&entry) < oldest_kept;
        if !too_many.contains(&place) && !is_too_old {
            kept.push(entry);
            continue;
        }
        folded.entries = folded.entries.saturating_add(1);
        if entry.backfilled {
            remember_import(history, &entry);
        } else if !is_too_old {
            remember_event(history, &entry);
        }
        if !is_too_old && keeping.is_counted(&entry, now) {
            folded.counted = folded.counted.saturating_add(1);
            history.covered_since = history.covered_since.max(Some(entry.occurred_at.plus_millis(1)));
        }
        if !entry.withdrawn {
            let count = history.folded.entry(entry.kind.clone()).or_default();
            *count = count.saturating_add(1);
            lifted.extend(entry.lifted.iter().cloned());
        }
        history.grown_by = history.grown_by.max(grown_by(&entry));
        hold_back(history, held_back_by(&entry).cloned());
    }
    history.entries = kept;
    if let Some(oldest) = history.entries.iter_mut().find(|entry| !entry.withdrawn).filter(|_| !lifted.is_empty()) {
        let oldest = Arc::make_mut(oldest);
        oldest.lifted.append(&mut lifted);
        oldest.lifted.sort();
        oldest.lifted.dedup();
    }
}

/// What is left of entries that were folded under either of two keys.
pub fn join(into: &mut History, from: &mut History) {
    for (kind, count) in std::mem::take(&mut from.folded) {
        let sum = into.folded.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    }
    into.folded_ids.append(&mut from.folded_ids);
    into.folded_ids.sort_unstable();
    into.folded_ids.dedup();
    let mut events = into.folded_events.take().unwrap_or_default();
    events.extend(from.folded_events.take().unwrap_or_default());
    events.sort_unstable();
    events.dedup();
    into.folded_events = (!events.is_empty()).then_some(events);
    hold_back(into, from.held_back.take().unwrap_or_default());
    into.covered_since = into.covered_since.max(from.covered_since);
    into.grown_by = into.grown_by.max(from.grown_by);
}

/// Takes out the clocks that run from no entry any more.
fn stop_clocks(history: &mut History) -> Vec<Timer> {
    let entries = &history.entries;
    let runs_from_none = |timer: &mut Timer| !entries.iter().any(|entry| timer.is_of(entry));
    history.timers.extract_if(.., runs_from_none).collect()
}

/// Bounds what would otherwise grow with every report: the oldest go first.
fn bound(history: &mut History, folded: &mut Folded) {
    fn keep_last<T>(list: &mut Vec<T>, most: usize) {
        let over = list.len().saturating_sub(most);
        list.drain(..over);
    }
    while history.awaiting.len() > AWAITING_MAX {
        // A person was asked about it, and so it is not lost.
        let asked = history.awaiting.iter().position(|waiting| waiting.asked);
        let gone = history.awaiting.remove(asked.unwrap_or(0));
        folded.awaiting.extend(Some(gone).filter(|gone| !gone.asked));
    }
    folded.statuses = bound_statuses(&mut history.statuses);
    if let Some(events) = &mut history.folded_events {
        keep_last(events, FOLDED_EVENTS_MAX);
    }
    for entry in &mut history.entries {
        if entry.corroborated_by.len() > CORROBORATIONS_MAX {
            keep_last(&mut Arc::make_mut(entry).corroborated_by, CORROBORATIONS_MAX);
        }
        if entry.taken_back.len() > CORROBORATIONS_MAX {
            keep_last(&mut Arc::make_mut(entry).taken_back, CORROBORATIONS_MAX);
        }
        if entry.denied.len() > CORROBORATIONS_MAX {
            keep_last(&mut Arc::make_mut(entry).denied, CORROBORATIONS_MAX);
        }
    }
    bound_tasks(history, folded);
}

/// Words that say again what the word before of their status said go first, the oldest first; then what changed in between. What was
/// said of a status first and last stays. Returns how many went that had said something new.
fn bound_statuses(statuses: &mut Vec<Status>) -> usize {
    let over = statuses.len().saturating_sub(STATUSES_MAX);
    if over == 0 {
        return 0;
    }
    let last: BTreeMap<&str, usize> =
        statuses.iter().enumerate().map(|(place, word)| (word.status.as_str(), place)).collect();
    let mut before: BTreeMap<&str, &Status> = BTreeMap::new();
    let mut going: Vec<(bool, usize)> = Vec::new();
    for (place, word) in statuses.iter().enumerate() {
        let said = before.insert(&word.status, word);
        if let Some(said) = said.filter(|_| last.get(word.status.as_str()) != Some(&place)) {
            going.push((!says_again(said, word), place));
        }
    }
    going.sort_unstable();
    going.truncate(over);
    let news = going.iter().filter(|(is_new, _)| *is_new).count();
    let going: BTreeSet<usize> = going.into_iter().map(|(_, place)| place).collect();
    let words = std::mem::take(statuses).into_iter().enumerate();
    *statuses = words.filter(|(place, _)| !going.contains(place)).map(|(_, word)| word).collect();
    news
}

fn says_again(before: &Status, word: &Status) -> bool {
    let Status { open, category, placing_authority, out_of_area, allocated_worker, .. } = before;
    (*open, category, placing_authority, out_of_area, allocated_worker)
        == (word.open, &word.category, &word.placing_authority, &word.out_of_area, &word.allocated_worker)
}

/// What is over goes when there are too many of it; what is open only when there are far too many.
fn bound_tasks(history: &mut History, folded: &mut Folded) {
    if history.tasks.len() <= CLOSED_TASKS_MAX {
        return;
    }
    let open = history.tasks.iter().filter(|task| is_open(&task.state)).count();
    let over = history.tasks.len().saturating_sub(open).saturating_sub(CLOSED_TASKS_MAX);
    if over > 0 {
        let closed = history.tasks.iter().enumerate().filter(|(_, task)| !is_open(&task.state));
        // By when it was over: what this step closed stays, so that its decision says so.
        let mut going: Vec<(Timestamp, usize)> = closed.map(|(place, task)| (task.state_at, place)).collect();
        going.sort_unstable();
        let going: BTreeSet<usize> = going.into_iter().take(over).map(|(_, place)| place).collect();
        let tasks = std::mem::take(&mut history.tasks).into_iter().enumerate();
        history.tasks = tasks.filter(|(place, _)| !going.contains(place)).map(|(_, task)| task).collect();
    }
    if open <= OPEN_TASKS_MAX {
        return;
    }
    let mut going: Vec<(u8, usize)> = history
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| is_open(&task.state))
        .map(|(place, task)| (weight(task), place))
        .collect();
    going.sort_unstable();
    going.truncate(open.saturating_sub(left_of(OPEN_TASKS_MAX)));
    let places: BTreeSet<usize> = going.into_iter().map(|(_, place)| place).collect();
    let (gone, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut history.tasks).into_iter().enumerate().partition(|(place, _)| places.contains(place));
    history.tasks = kept.into_iter().map(|(_, task)| task).collect();
    folded.tasks.extend(gone.into_iter().map(|(_, task)| task));
}

/// How many stay when there is one more than may be.
fn left_of(most: usize) -> usize {
    most.saturating_add(1).saturating_sub(FORGOTTEN_TOGETHER)
}

/// Which open task can be spared: a chase before what it chases, what somebody took on before what nobody answered, the word
/// of what was forgotten last.
fn weight(task: &HeldTask) -> u8 {
    if task.chases.is_some() {
        0
    } else if matches!(task.state.as_str(), "acknowledged" | "accepted") {
        1
    } else if is_word_of_forgotten(task) {
        3
    } else {
        2
    }
}

fn remember_import(history: &mut History, entry: &Entry) {
    let id = import_id(entry);
    if let Err(place) = history.folded_ids.binary_search(&id)
        && history.folded_ids.len() < FOLDED_IDS_MAX
    {
        history.folded_ids.insert(place, id);
    }
}

/// Whether this very event was imported before and is folded. An earlier release kept its id alone, whoever had sent it.
pub fn is_folded_import(history: &History, arriving: &Entry) -> bool {
    let ids = [import_id(arriving), first_bytes(&arriving.event_id)];
    arriving.backfilled && ids.iter().any(|id| history.folded_ids.binary_search(id).is_ok())
}

fn import_id(entry: &Entry) -> i64 {
    first_bytes(&derived(&["imported", &entry.source.partner, &entry.event_id]))
}

/// The event, and every later report of the same happening, so that none of them is taken for news when it comes again.
fn remember_event(history: &mut History, entry: &Entry) {
    let day = i32::try_from(kept_by(entry).0.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
    let own = digest(&entry.source, &entry.event_id, &entry.content_digest);
    let later = entry.corroborated_by.iter();
    let others = later.map(|report| digest(&report.source, &report.event_id, &report.content_digest));
    let events = history.folded_events.get_or_insert_default();
    for digest in others.chain([own]) {
        let event = FoldedEvent { day, digest };
        if let Err(place) = events.binary_search(&event) {
            events.insert(place, event);
        }
    }
}

/// Whether this very event, with this content, was known and is folded.
pub fn is_folded(history: &History, arriving: &Entry) -> bool {
    let Some(events) = &history.folded_events else { return false };
    let digest = digest(&arriving.source, &arriving.event_id, &arriving.content_digest);
    events.iter().any(|event| event.digest == digest)
}

fn digest(source: &Source, event_id: &str, content_digest: &str) -> i64 {
    first_bytes(&derived(&["folded", &source.partner, event_id, content_digest]))
}

fn told_on(event: &FoldedEvent) -> Timestamp {
    Timestamp(i64::from(event.day).saturating_mul(DAY_MS))
}

/// The first eight bytes of an id.
fn first_bytes(event_id: &str) -> i64 {
    let id = uuid::Uuid::parse_str(event_id).unwrap_or_default();
    id.as_bytes().first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
