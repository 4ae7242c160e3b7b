//! The state of a partition: histories by subject, staged changes over committed ones, timers in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
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

/// All that is known of the subjects of one partition.
///
/// Steps read the staged view. `commit` makes it the committed one; `abort` goes back to what was committed.
#[derive(Debug, Default)]
pub struct State {
    committed: HashMap<SubjectKey, Arc<History>, KeyHashing>,
    staged: HashMap<SubjectKey, Arc<History>, KeyHashing>,
    touched: BTreeSet<SubjectKey>,
    timers: BTreeSet<(Timestamp, SubjectKey, Timer)>,
    /// When the oldest of a history is too old to be kept. Nobody waits for it: clocks go first.
    folds: BTreeSet<(Timestamp, SubjectKey)>,
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

    /// How many subjects are known.
    pub fn len(&self) -> usize {
        self.committed.len().saturating_add(self.staged.keys().filter(|key| !self.committed.contains_key(*key)).count())
    }

    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.staged.is_empty()
    }

    /// Takes over a history read back from the `history` topic; a later one of the same subject replaces it.
    pub fn restore(&mut self, subject: SubjectKey, history: History) {
        self.unindex(subject);
        self.last_receipt = self.last_receipt.max(history.updated_at);
        self.committed_receipt = self.last_receipt;
        self.index(subject, &history);
        self.committed.insert(subject, Arc::new(history));
    }

    /// Changes what was restored, where `change` says how: what an earlier release did not keep.
    pub fn amend(&mut self, change: impl Fn(&History) -> Option<History>) {
        let changed: Vec<(SubjectKey, History)> =
            self.committed.iter().filter_map(|(subject, history)| Some((*subject, change(history)?))).collect();
        for (subject, history) in changed {
            self.restore(subject, history);
        }
    }

    /// Lays a step's changes over the committed state.
    pub fn stage(&mut self, delta: Delta) {
        for (subject, history) in delta.histories {
            self.unindex(subject);
            self.last_receipt = self.last_receipt.max(history.updated_at);
            self.index(subject, &history);
            self.staged.insert(subject, Arc::new(history));
            self.touched.insert(subject);
        }
    }

    /// Subjects staged since this was last asked, with their histories, in key order: what to write.
    pub fn take_touched(&mut self) -> Vec<(SubjectKey, Arc<History>)> {
        std::mem::take(&mut self.touched)
            .into_iter()
            .filter_map(|subject| self.history(subject).map(|history| (subject, Arc::clone(history))))
            .collect()
    }

    /// The staged changes are durable.
    pub fn commit(&mut self) {
        self.committed.extend(self.staged.drain());
        self.committed_receipt = self.last_receipt;
    }

    /// The staged changes never happened.
    pub fn abort(&mut self) {
        let dropped: Vec<SubjectKey> = self.staged.keys().copied().collect();
        for subject in dropped {
            self.unindex(subject);
            self.staged.remove(&subject);
            if let Some(history) = self.committed.get(&subject).cloned() {
                self.index(subject, &history);
            }
        }
        self.touched.clear();
        // Else a tick that is read again would take its time from records that come after it.
        self.last_receipt = self.committed_receipt;
    }

    /// Timers due at or before `now`, earliest first, at most `timers_max`; after them what is to be folded.
    pub fn due_timers(&self, now: Timestamp, timers_max: usize) -> Vec<(SubjectKey, Timer)> {
        let timers = self.timers.iter().take_while(|(due_at, _, _)| *due_at <= now);
        let folds = self.folds.iter().take_while(|(due_at, _)| *due_at <= now);
        timers
            .map(|(_, subject, timer)| (*subject, timer.clone()))
            .chain(folds.map(|(due_at, subject)| (*subject, own_timer(FOLD, *due_at))))
            .take(timers_max)
            .collect()
    }

    /// When the earliest timer is due, or the earliest fold.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(due_at, _, _)| *due_at);
        let fold = self.folds.first().map(|(due_at, _)| *due_at);
        timer.into_iter().chain(fold).min()
    }

    /// How many timers wait.
    pub fn timers_pending(&self) -> usize {
        self.timers.len()
    }

    /// The latest receipt among the records judged so far: no tick is earlier than it.
    pub fn last_receipt(&self) -> Timestamp {
        self.last_receipt
    }

    fn index(&mut self, subject: SubjectKey, history: &History) {
        for timer in &history.timers {
            self.timers.insert((timer.due_at, subject, timer.clone()));
        }
        if let Some(due_at) = next_escalation(history) {
            self.timers.insert((due_at, subject, own_timer(ESCALATION, due_at)));
        }
        if let Some(recount_at) = history.recount_at {
            self.timers.insert((recount_at, subject, own_timer(RECOUNT, recount_at)));
        }
        if let Some(fold_at) = history.fold_at {
            self.folds.insert((fold_at, subject));
        }
    }

    fn unindex(&mut self, subject: SubjectKey) {
        let Some(history) = self.history(subject).cloned() else { return };
        for timer in &history.timers {
            self.timers.remove(&(timer.due_at, subject, timer.clone()));
        }
        if let Some(due_at) = next_escalation(&history) {
            self.timers.remove(&(due_at, subject, own_timer(ESCALATION, due_at)));
        }
        if let Some(recount_at) = history.recount_at {
            self.timers.remove(&(recount_at, subject, own_timer(RECOUNT, recount_at)));
        }
        if let Some(fold_at) = history.fold_at {
            self.folds.remove(&(fold_at, subject));
        }
    }
}

/// The first rung that any of a subject's tasks waits for: one timer for all of them.
fn next_escalation(history: &History) -> Option<Timestamp> {
    history.tasks.iter().filter_map(|task| task.escalate_at).min()
}

/// A timer that belongs to a subject, not to one of its events.
fn own_timer(what: &str, due_at: Timestamp) -> Timer {
    Timer { due_at, rule: what.to_owned(), event_id: String::new(), partner: None }
}
