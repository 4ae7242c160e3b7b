//! The state of a partition: histories by subject, staged changes over committed ones, timers in order.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::history::{ESCALATION, FOLD, RECOUNT};
use super::model::history::{History, Timer};
use super::model::scalar::Timestamp;
use super::model::subject::SubjectKey;

/// Subject keys are keyed hashes already, which nobody outside can choose: their first bytes are as good as any hash.
#[derive(Clone, Copy, Default)]
struct FirstBytes(u64);

type KeyHashing = BuildHasherDefault<FirstBytes>;

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length that precedes an array says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What one step changes: the new histories of the subjects it touched.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Delta {
    pub histories: BTreeMap<SubjectKey, History>,
}

impl Delta {
    /// The event that was judged keeps the trace it came with.
    pub fn keep_trace(&mut self, subject: SubjectKey, event_id: &str, partner: &str, trace: &str) {
        let entries = self.histories.get_mut(&subject).into_iter().flat_map(|history| &mut history.entries);
        for entry in entries.filter(|entry| entry.event_id == event_id && entry.source.partner == partner) {
            if entry.traceparent.is_none() {
                Arc::make_mut(entry).traceparent = Some(trace.to_owned());
            }
        }
    }

    /// How many histories lose something that a rule may still count.
    pub fn windows_cut(&self, state: &State) -> usize {
        let covered = |subject: SubjectKey| state.history(subject).and_then(|history| history.covered_since);
        let is_cut = |(subject, history): &(&SubjectKey, &History)| history.covered_since > covered(**subject);
        self.histories.iter().filter(is_cut).count()
    }

    /// The trace that the event came with for which a task is raised.
    pub fn trace_of(&self, subject: SubjectKey, task_id: &str) -> Option<&str> {
        let history = self.histories.get(&subject)?;
        let task = history.tasks.iter().find(|task| task.task_id == task_id)?;
        history.entries.iter().find(|entry| task.is_of(entry))?.traceparent.as_deref()
    }
}

/// All that is known of the subjects of one partition.
///
/// Steps read the staged view. `commit` makes it the committed one; `abort` goes back to what was committed.
#[derive(Debug, Default)]
pub struct State {
    committed: HashMap<SubjectKey, Arc<History>, KeyHashing>,
    staged: HashMap<SubjectKey, Arc<History>, KeyHashing>,
    /// When the earliest timer of each subject is due. Which timers those are, its history says.
    timers: BTreeSet<(Timestamp, SubjectKey)>,
    /// When the oldest of a history is too old to be kept. Nobody waits for it: clocks go first.
    folds: BTreeSet<(Timestamp, SubjectKey)>,
    timers_pending: usize,
    last_receipt: Timestamp,
    committed_receipt: Timestamp,
}

impl State {
    /// A subject's history as the next step sees it.
    pub fn history(&self, subject: SubjectKey) -> Option<&Arc<History>> {
        self.staged.get(&subject).or_else(|| self.committed.get(&subject))
    }

    /// Every history that is committed, with whose it is, in no order.
    pub fn by_subject(&self) -> impl Iterator<Item = (SubjectKey, &History)> {
        self.committed.iter().map(|(subject, history)| (*subject, history.as_ref()))
    }

    /// Every history as the next step sees it, in no order.
    pub fn histories(&self) -> impl Iterator<Item = &Arc<History>> {
        let unchanged = self.committed.iter().filter(|(key, _)| !self.staged.contains_key(*key));
        unchanged.map(|(_, history)| history).chain(self.staged.values())
    }

    /// How many subjects are known: counted in any order.
    pub fn len(&self) -> usize {
        self.committed.len().saturating_add(self.staged.keys().filter(|key| !self.committed.contains_key(*key)).count())
    }

    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.staged.is_empty()
    }

    /// Takes over a history read back from the `history` topic; a later one of the same subject replaces it, and one that holds
    /// nothing takes it out.
    pub fn restore(&mut self, subject: SubjectKey, history: History) {
        self.index(subject, &history);
        self.last_receipt = self.last_receipt.max(history.updated_at);
        self.committed_receipt = self.last_receipt;
        if history.holds_nothing() {
            self.committed.remove(&subject);
        } else {
            self.committed.insert(subject, Arc::new(history));
        }
    }

    /// Changes what was restored, where `change` says how: what an earlier release did not keep. A panic over one history leaves that
    /// one as it was; returns how many were. In any order: none sees another.
    pub fn amend(&mut self, change: impl Fn(&History) -> Option<History>) -> usize {
        let (mut changed, mut left) = (Vec::new(), 0_usize);
        for (subject, history) in &self.committed {
            match catch_unwind(AssertUnwindSafe(|| change(history))) {
                Ok(amended) => changed.extend(amended.map(|amended| (*subject, amended))),
                Err(_) => left = left.saturating_add(1),
            }
        }
        for (subject, history) in changed {
            self.restore(subject, history);
        }
        left
    }

    /// Lays a step's changes over the committed state.
    pub fn stage(&mut self, delta: Delta) {
        for (subject, history) in delta.histories {
            self.index(subject, &history);
            self.last_receipt = self.last_receipt.max(history.updated_at);
            self.staged.insert(subject, Arc::new(history));
        }
    }

    /// The staged changes are durable.
    pub fn commit(&mut self) {
        // In any order: each is a subject's own.
        for (subject, history) in self.staged.drain() {
            if history.holds_nothing() {
                self.committed.remove(&subject);
            } else {
                self.committed.insert(subject, history);
            }
        }
        self.committed_receipt = self.last_receipt;
    }

    /// The staged changes never happened.
    pub fn abort(&mut self) {
        // In any order: each is a subject's own.
        let dropped: Vec<SubjectKey> = self.staged.keys().copied().collect();
        for subject in dropped {
            let committed = self.committed.get(&subject).cloned().unwrap_or_default();
            self.index(subject, &committed);
            self.staged.remove(&subject);
        }
        // Else a tick that is read again would take its time from records that come after it.
        self.last_receipt = self.committed_receipt;
    }

    /// Timers due at or before `now`, earliest first, at most `timers_max`; after them what is to be folded.
    pub fn due_timers(&self, now: Timestamp, timers_max: usize) -> Vec<(SubjectKey, Timer)> {
        // Each subject has one at least, and its others come later: no more subjects are needed than timers.
        let subjects = self.timers.iter().take_while(|(due_at, _)| *due_at <= now).take(timers_max);
        let mut timers: Vec<(Timestamp, SubjectKey, Timer)> = Vec::new();
        for (_, subject) in subjects {
            let Some(history) = self.history(*subject) else { continue };
            let due = timers_of(history).filter(|timer| timer.due_at <= now);
            timers.extend(due.map(|timer| (timer.due_at, *subject, timer.into_owned())));
        }
        // A corrected calendar before the clocks and rungs that it may move.
        timers.sort_unstable_by(|one, other| (one.2.rule != RECOUNT, one).cmp(&(other.2.rule != RECOUNT, other)));
        let folds = self.folds.iter().take_while(|(due_at, _)| *due_at <= now);
        timers
            .into_iter()
            .map(|(_, subject, timer)| (subject, timer))
            .chain(folds.map(|(due_at, subject)| (*subject, own_timer(FOLD, *due_at))))
            .take(timers_max)
            .collect()
    }

    /// When the earliest timer is due, or the earliest fold.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(due_at, _)| *due_at);
        let fold = self.folds.first().map(|(due_at, _)| *due_at);
        timer.into_iter().chain(fold).min()
    }

    /// How many timers wait.
    pub fn timers_pending(&self) -> usize {
        self.timers_pending
    }

    /// The latest receipt among the records judged so far: no tick is earlier than it.
    pub fn last_receipt(&self) -> Timestamp {
        self.last_receipt
    }

    /// Puts a subject's timers where those of the history it is to have are due.
    fn index(&mut self, subject: SubjectKey, history: &History) {
        let before = self.history(subject).map(|present| Pending::of(present)).unwrap_or_default();
        let after = Pending::of(history);
        self.timers_pending = self.timers_pending.saturating_sub(before.timers).saturating_add(after.timers);
        let move_in =
            |index: &mut BTreeSet<(Timestamp, SubjectKey)>, from: Option<Timestamp>, to: Option<Timestamp>| {
                if from == to {
                    return;
                }
                if let Some(due_at) = from {
                    index.remove(&(due_at, subject));
                }
                index.extend(to.map(|due_at| (due_at, subject)));
            };
        move_in(&mut self.timers, before.earliest, after.earliest);
        move_in(&mut self.folds, before.fold_at, after.fold_at);
    }
}

/// What a history waits for.
#[derive(Default)]
struct Pending {
    timers: usize,
    earliest: Option<Timestamp>,
    fold_at: Option<Timestamp>,
}

impl Pending {
    fn of(history: &History) -> Self {
        let (mut timers, mut earliest) = (0_usize, None::<Timestamp>);
        for timer in timers_of(history) {
            timers = timers.saturating_add(1);
            earliest = Some(earliest.map_or(timer.due_at, |earliest| earliest.min(timer.due_at)));
        }
        Self { timers, earliest, fold_at: history.fold_at }
    }
}

/// What a subject waits for: its events' timers, and its own.
fn timers_of(history: &History) -> impl Iterator<Item = Cow<'_, Timer>> {
    let own = |what: &str, due_at: Option<Timestamp>| due_at.map(|due_at| Cow::Owned(own_timer(what, due_at)));
    let escalation = own(ESCALATION, next_escalation(history));
    history.timers.iter().map(Cow::Borrowed).chain(escalation).chain(own(RECOUNT, history.recount_at))
}

/// The first rung that any of a subject's tasks waits for, or the first time by which one must be completed: one timer for all.
fn next_escalation(history: &History) -> Option<Timestamp> {
    history.tasks.iter().flat_map(|task| [task.escalate_at, task.complete_by]).flatten().min()
}

/// A timer that belongs to a subject, not to one of its events.
fn own_timer(what: &str, due_at: Timestamp) -> Timer {
    Timer { due_at, rule: what.to_owned(), event_id: String::new(), partner: None }
}
