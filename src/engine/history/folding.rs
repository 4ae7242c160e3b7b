//! How long things are remembered: what is too old, or too much, folds into counts by kind. What somebody still owes an
//! answer to goes last, and never unsaid.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::is_open;
use crate::engine::model::history::{Awaiting, Entry, FirstReceipt, HeldTask, History, RecordedDecision, Timer};
use crate::engine::model::scalar::Timestamp;

/// Entries kept whole for one subject, the newest; an older one folds into counts, unless something waits for it.
pub const ENTRIES_MAX: usize = 256;
/// Most older entries that are kept for what waits for them: a clock, or a task that is open.
pub const WAITED_FOR_MAX: usize = 256;
/// Most tasks remembered for one subject that are over, the newest.
pub const CLOSED_TASKS_MAX: usize = 256;
/// Most tasks remembered for one subject that are open. More than a child has; a sender's unread records might.
pub const OPEN_TASKS_MAX: usize = 512;
/// So many open tasks, or entries with clocks, go together when there are too many, so that one word to the front door tells of
/// all of them.
const FORGOTTEN_TOGETHER: usize = 64;

/// Most reports kept beside an entry, corrections kept waiting, and words on statuses, of one subject.
pub const CORROBORATIONS_MAX: usize = 32;
pub const AWAITING_MAX: usize = 64;
pub const STATUSES_MAX: usize = 256;
/// Most ids of folded imports remembered for one subject.
pub const FOLDED_IDS_MAX: usize = 4096;

/// The rule of the front door's task that says what is remembered no longer.
pub const FORGOTTEN_RULE: &str = "forgotten";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What went, and must not go unsaid.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Folded {
    /// How many entries went into counts.
    pub entries: usize,
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
/// it goes then even if nothing comes.
pub fn fold(history: &mut History, now: Timestamp, retention_days: i64) -> Folded {
    let mut folded = Folded::default();
    let oldest_kept = now.plus_millis(retention_ms(retention_days).saturating_neg());
    let expired = oldest(history).is_some_and(|oldest| oldest < oldest_kept);
    if history.entries.len() > ENTRIES_MAX || expired {
        folded.entries = fold_entries(history, oldest_kept);
        folded.timers = stop_clocks(history);
    }
    if expired {
        let decided = history.last_decision.as_ref();
        let too_old = |task: &mut Arc<HeldTask>| task_kept_by(task) < oldest_kept;
        let gone = history.tasks.extract_if(.., too_old);
        folded.tasks.extend(gone.filter(|task| was_never_answered(task, decided)));
        let too_old = |waiting: &mut Awaiting| waiting.received_at < oldest_kept;
        folded.awaiting.extend(history.awaiting.extract_if(.., too_old).filter(|waiting| !waiting.asked));
        history.agreement.take_if(|standing| standing.at < oldest_kept);
        let first_receipts = history.first_receipts.take().unwrap_or_default();
        let kept: Vec<FirstReceipt> =
            first_receipts.into_iter().filter(|first| first.received_at >= oldest_kept).collect();
        history.first_receipts = (!kept.is_empty()).then_some(kept);
    }
    bound(history, &mut folded);
    note_when(history, retention_days);
    folded
}

/// Keeps with the history when the next thing is too old.
pub fn note_when(history: &mut History, retention_days: i64) {
    history.fold_at = folds_at(history, retention_days);
}

/// When the next thing is too old to be kept.
pub fn folds_at(history: &History, retention_days: i64) -> Option<Timestamp> {
    let too_old = |oldest: Timestamp| next_midnight(oldest.plus_millis(retention_ms(retention_days)));
    oldest(history).map(too_old)
}

fn retention_ms(retention_days: i64) -> i64 {
    retention_days.saturating_mul(DAY_MS)
}

/// The time by which the oldest thing that will be too old is kept.
fn oldest(history: &History) -> Option<Timestamp> {
    let entries = history.entries.iter().map(|entry| kept_by(entry)).min();
    let tasks = history.tasks.iter().map(|task| task_kept_by(task)).min();
    let awaiting = history.awaiting.iter().map(|waiting| waiting.received_at).min();
    let agreement = history.agreement.as_ref().map(|standing| standing.at);
    let first_receipts = history.first_receipts.iter().flatten().map(|first| first.received_at).min();
    [entries, tasks, awaiting, agreement, first_receipts].into_iter().flatten().min()
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

/// The places of the entries that are too many: the oldest, those that nothing waits for first.
fn too_many(history: &History) -> BTreeSet<usize> {
    let older = history.entries.len().saturating_sub(ENTRIES_MAX);
    if older == 0 {
        return BTreeSet::new();
    }
    let open = history.tasks.iter().filter(|task| is_open(&task.state)).map(|task| task.event_id.as_str());
    let asked: BTreeSet<&str> = open.collect();
    let clocks: BTreeSet<&str> = history.timers.iter().map(|timer| timer.event_id.as_str()).collect();
    let weight = |entry: &Entry| match entry.event_id.as_str() {
        event_id if clocks.contains(event_id) => 2_u8,
        event_id if asked.contains(event_id) => 1,
        _ => 0,
    };
    let mut going: Vec<(u8, usize)> =
        history.entries.iter().take(older).enumerate().map(|(place, entry)| (weight(entry), place)).collect();
    going.sort_unstable();
    let mut waited_for = going.iter().filter(|(weight, _)| *weight > 0).count();
    if waited_for > WAITED_FOR_MAX {
        waited_for = WAITED_FOR_MAX.saturating_sub(FORGOTTEN_TOGETHER);
    }
    going.truncate(older.saturating_sub(waited_for));
    going.into_iter().map(|(_, place)| place).collect()
}

fn fold_entries(history: &mut History, oldest_kept: Timestamp) -> usize {
    let too_many = too_many(history);
    let (mut kept, mut going) = (Vec::with_capacity(history.entries.len()), 0_usize);
    let mut held_back = Vec::new();
    for (place, entry) in std::mem::take(&mut history.entries).into_iter().enumerate() {
        if !too_many.contains(&place) && kept_by(&entry) >= oldest_kept {
            kept.push(entry);
            continue;
        }
        going = going.saturating_add(1);
        if entry.backfilled {
            remember_folded(history, &entry.event_id);
        }
        if !entry.withdrawn {
            let count = history.folded.entry(entry.kind.clone()).or_default();
            *count = count.saturating_add(1);
            held_back.extend(entry.held_back.iter().cloned());
        }
    }
    history.entries = kept;
    // A route once held back stays so until a person lifts it: the oldest entry that is left holds it on.
    if let Some(oldest) = history.entries.iter_mut().find(|entry| !entry.withdrawn).filter(|_| !held_back.is_empty()) {
        let oldest = Arc::make_mut(oldest);
        oldest.held_back.append(&mut held_back);
        oldest.held_back.sort();
        oldest.held_back.dedup();
    }
    going
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
    keep_last(&mut history.statuses, STATUSES_MAX);
    for entry in &mut history.entries {
        if entry.corroborated_by.len() > CORROBORATIONS_MAX {
            keep_last(&mut Arc::make_mut(entry).corroborated_by, CORROBORATIONS_MAX);
        }
    }
    bound_tasks(history, folded);
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
    going.truncate(open.saturating_sub(OPEN_TASKS_MAX.saturating_sub(FORGOTTEN_TOGETHER)));
    let places: BTreeSet<usize> = going.into_iter().map(|(_, place)| place).collect();
    let (gone, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut history.tasks).into_iter().enumerate().partition(|(place, _)| places.contains(place));
    history.tasks = kept.into_iter().map(|(_, task)| task).collect();
    folded.tasks.extend(gone.into_iter().map(|(_, task)| task));
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

fn remember_folded(history: &mut History, event_id: &str) {
    let id = folded_id(event_id);
    if let Err(place) = history.folded_ids.binary_search(&id)
        && history.folded_ids.len() < FOLDED_IDS_MAX
    {
        history.folded_ids.insert(place, id);
    }
}

/// The first eight bytes of an event's id.
pub fn folded_id(event_id: &str) -> i64 {
    let id = uuid::Uuid::parse_str(event_id).unwrap_or_default();
    id.as_bytes().first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
