//! What is remembered of a subject: coded facts only, no names, no narrative. One record a subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Source;
pub use super::held_task::HeldTask;
use super::scalar::{FactValue, Level, Timestamp};
use super::subject::SubjectKey;

/// The state of one subject, as written to the compacted `history` topic.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// Set when this key turned out to be a weaker name of another subject.
    pub alias_of: Option<SubjectKey>,
    /// Receipt of the last record that touched this subject.
    pub updated_at: Timestamp,
    /// Oldest first by `occurred_at`, then receipt, then id.
    pub entries: Vec<Arc<Entry>>,
    /// Entries folded away by age or the cap: how many, by kind.
    pub folded: BTreeMap<String, i64>,
    /// First eight bytes of the ids of imported events that were folded, so that importing again changes nothing.
    pub folded_ids: Vec<i64>,
    /// What happened before this instant is not complete here: what a rule may still count was folded. None: nothing was.
    pub covered_since: Option<Timestamp>,
    pub statuses: Vec<Status>,
    /// The highest event level since the last human decision.
    pub case_level: Option<Level>,
    pub last_decision: Option<RecordedDecision>,
    pub agreement: Option<AgreementStanding>,
    pub tasks: Vec<Arc<HeldTask>>,
    pub timers: Vec<Timer>,
    /// Corrections and withdrawals whose original has not come yet.
    pub awaiting: Vec<Awaiting>,
    /// For the own subject of a partner's unit: the last triage task raised, by hour.
    pub triaged_hours: Vec<i64>,
    /// When the next entry or task is too old to be kept.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub fold_at: Option<Timestamp>,
    /// Since when a corrected calendar gives an open task another deadline.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub recount_at: Option<Timestamp>,
    /// Weaker keys of this child that were told of this one, that by name and birth among them.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub weaker: Option<Vec<SubjectKey>>,
    /// What made this key: a symbol of `IdentifierKind`.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub keyed_by: Option<String>,
    /// For a key by name and birth: stronger keys that events of this name and birth came under.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub seen: Option<Vec<SubjectKey>>,
    /// Others who may be the same child.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub pairs: Option<Vec<Pair>>,
    /// Set when a person, not an identifier, made this key one with `alias_of`.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub linked: Option<Linked>,
    /// Those who bear different names or birthdays under this one key, and whether they are one child.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub look_alikes: Option<Vec<LookAlikes>>,
    /// First receipts, under a wrong child, of events about this one that are still to come.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub first_receipts: Option<Vec<FirstReceipt>>,
    /// Routes that entries which were folded held back: each until a person lifts it.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub held_back: Option<Vec<HeldBack>>,
    /// Events that were folded before they were too old, so that the same again changes nothing; those told first come first.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub folded_events: Option<Vec<FoldedEvent>>,
    /// The year by whose end the child is surely 18, by ages that folded entries told. None: none did.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub grown_by: Option<i32>,
}

/// An event that was folded, by a digest of sender, id and content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FoldedEvent {
    /// The day from which its age counts, since 1970.
    pub day: i32,
    pub digest: i64,
}

/// An event about this child was received before, under the wrong one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FirstReceipt {
    pub kind: String,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    /// Who sent it under the wrong child.
    pub partner: String,
    /// Who took it back there.
    pub withdrawn_by: String,
    /// The event sent instead. None: the one of its kind and time.
    pub event_id: Option<String>,
}

/// Whom an event that is withdrawn was about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RightChild {
    pub keys: Vec<SubjectKey>,
    /// The event sent instead.
    pub event_id: Option<String>,
}

/// What a child was called and when they were born, as keyed hashes: to tell two children under one identifier apart.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KnownAs {
    /// None: not said.
    pub birth: Option<i64>,
    /// All given names run together; None: not said.
    pub whole: Option<i64>,
    /// Each given name.
    pub given: Vec<i64>,
    /// Sex, school, practice and locality: where name and birthday alone make the key, and no number tells two children apart.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub sex: Option<i64>,
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub school: Option<i64>,
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub practice: Option<i64>,
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub locality: Option<i64>,
}

/// Two names or birthdays under one key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LookAlikes {
    pub one: KnownAs,
    pub two: KnownAs,
    /// `asked`, `one` (a person said that they are one child), `different` (a person said that they are two).
    pub standing: String,
    /// The task that asks.
    pub task_id: Option<String>,
}

/// Another subject who may be the same child, and where that question stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub subject: SubjectKey,
    /// `told` (the other was told), `asked`, `different` (a person said so), `unlinked` (a person undid their link).
    pub standing: String,
    /// The task that asks.
    pub task_id: Option<String>,
}

/// A person linked this key to another, stronger one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Linked {
    pub subject: SubjectKey,
    /// What came under this key, so that it comes back when the link is undone.
    pub events: Vec<EventOf>,
}

/// An event and who sent it, for two partners may choose one id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventOf {
    pub event_id: String,
    pub partner: String,
}

impl EventOf {
    pub fn is(&self, event_id: &str, partner: &str) -> bool {
        self.event_id == event_id && self.partner == partner
    }
}

/// Whether something tied to an event's id, and to who sent it as far as that was kept, belongs to an entry.
pub(super) fn belongs(event_id: &str, partner: Option<&str>, entry: &Entry) -> bool {
    event_id == entry.event_id && partner.is_none_or(|partner| partner == entry.source.partner)
}

/// Whether what was settled by some event was settled by this entry.
pub fn said_by(event_id: Option<&str>, partner: Option<&str>, entry: &Entry) -> bool {
    event_id.is_some_and(|event_id| belongs(event_id, partner, entry))
}

impl History {
    /// Whether nothing is remembered: then it need not be kept.
    pub fn holds_nothing(&self) -> bool {
        let (updated_at, fold_at) = (self.updated_at, self.fold_at);
        *self == Self { updated_at, fold_at, ..Self::default() }
    }

    /// As an earlier release would have kept it: what it does not know of, the next record that touches the subject, or
    /// the next restore, works out again.
    pub fn without_what_is_new(&self) -> Self {
        let mut history = self.clone();
        history.fold_at = None;
        history.recount_at = None;
        (history.weaker, history.keyed_by, history.seen) = (None, None, None);
        (history.pairs, history.linked, history.look_alikes) = (None, None, None);
        history.first_receipts = None;
        (history.folded_events, history.grown_by) = (None, None);
        // What it knows is held back by the entries that it has: the oldest holds it on.
        let held_back = history.held_back.take().unwrap_or_default();
        if let Some(oldest) =
            history.entries.iter_mut().find(|entry| !entry.withdrawn).filter(|_| !held_back.is_empty())
        {
            let oldest = Arc::make_mut(oldest);
            oldest.hold_back(held_back);
        }
        history.awaiting.iter_mut().for_each(|waiting| waiting.right_child = None);
        history.statuses.iter_mut().for_each(|status| status.partner = None);
        history.timers.iter_mut().for_each(|timer| timer.partner = None);
        history.agreement.iter_mut().for_each(|standing| standing.partner = None);
        history.last_decision.iter_mut().for_each(|decision| decision.partner = None);
        let is_new = |entry: &&mut Arc<Entry>| {
            !entry.named.is_empty()
                || entry.known_as.is_some()
                || entry.traceparent.is_some()
                || entry.call_back.is_some()
                || !entry.taken_back.is_empty()
                || !entry.lifted.is_empty()
                || !entry.denied.is_empty()
                || entry.corroborated_by.iter().any(|report| report.call_back.is_some())
        };
        for entry in history.entries.iter_mut().filter(is_new) {
            let entry = Arc::make_mut(entry);
            entry.named.clear();
            entry.taken_back.clear();
            entry.lifted.clear();
            entry.denied.clear();
            (entry.known_as, entry.traceparent, entry.call_back) = (None, None, None);
            entry.corroborated_by.iter_mut().for_each(|report| report.call_back = None);
        }
        for task in &mut history.tasks {
            let task = Arc::make_mut(task);
            (task.partner, task.escalate_at, task.acknowledge_by, task.answer_from) = (None, None, None, None);
            (task.rungs, task.needs_agreement, task.chases, task.chases_also) = (None, None, None, None);
            (task.clock, task.clock_from, task.clock_school) = (None, None, None);
            (task.complete_by, task.decided_apart, task.in_place_of) = (None, None, None);
            task.raised_for = None;
        }
        history
    }
}

impl Lifted {
    pub fn route(&self) -> HeldBack {
        HeldBack { agency: self.agency.clone(), unit: self.unit.clone(), cause: self.cause.clone() }
    }
}

impl History {
    /// The last decision, where whoever made it may have known of this task.
    pub fn decided_on(&self, task: &HeldTask) -> Option<&RecordedDecision> {
        self.last_decision.as_ref().filter(|decision| task.decided_apart.is_none_or(|until| decision.at > until))
    }
}

impl Entry {
    /// Routes that it holds back besides those that it does.
    pub fn hold_back(&mut self, routes: impl IntoIterator<Item = HeldBack>) {
        self.held_back.extend(routes);
        self.held_back.sort();
        self.held_back.dedup();
    }

    /// One event: the id its sender chose, which another sender may choose too.
    pub fn is_same_event(&self, other: &Entry) -> bool {
        self.event_id == other.event_id && self.source.partner == other.source.partner
    }

    /// From when a word on how something stands holds (a decision, a status, an agreement): clocks differ, and what is dated ahead of
    /// its receipt holds from then.
    pub fn holds_from(&self) -> Timestamp {
        self.occurred_at.min(self.received_at)
    }
}

impl Awaiting {
    /// Whether it is a withdrawal, not a correction.
    pub fn takes_back(&self) -> bool {
        self.changes.is_none()
    }
}

impl Timer {
    /// Whether it runs from this entry.
    pub fn is_of(&self, entry: &Entry) -> bool {
        belongs(&self.event_id, self.partner.as_deref(), entry)
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub event_id: String,
    pub source: Source,
    pub kind: String,
    pub content_digest: String,
    pub partner_reference: Option<String>,
    pub police_reference: Option<String>,
    pub episode_ref: Option<String>,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    /// Where a clock of this event runs from when not from receipt, by anchor name (`last_seen_at`, `ended_at`).
    pub anchors: BTreeMap<String, Timestamp>,
    pub date_only: bool,
    /// Coded facts of the event and of the child at that time (age), by fact name without the `event.` prefix.
    pub facts: BTreeMap<String, FactValue>,
    /// Routes that must not learn of it, so that later tasks keep to them.
    pub held_back: Vec<HeldBack>,
    /// Highest level that fired.
    pub level: Option<Level>,
    /// Rules that fired for this entry, so that nothing is sent twice.
    pub fired: Vec<String>,
    /// Senders whose later report was the same happening.
    pub corroborated_by: Vec<Corroboration>,
    /// Told before go-live: never judged.
    pub backfilled: bool,
    pub withdrawn: bool,
    /// Other children whom this event was sent on to.
    #[serde(default, with = "super::optional::list", skip_serializing_if = "super::optional::empty_left_out")]
    pub named: Vec<NamedChild>,
    /// What the sender called the child, and their birthday. None: neither was said, or an earlier release kept it.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub known_as: Option<KnownAs>,
    /// The W3C trace it came with, for what its clocks raise later.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub traceparent: Option<String>,
    /// Where its sender can be rung, for a person who is asked about it later. None: an earlier release kept it.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub call_back: Option<String>,
    /// Reports of it that their senders withdrew while another's stood: the first, or one that was kept beside it.
    #[serde(default, with = "super::optional::list", skip_serializing_if = "super::optional::empty_left_out")]
    pub taken_back: Vec<Corroboration>,
    /// Routes that this event held back until a person lifted them, so that the lift can be taken back.
    #[serde(default, with = "super::optional::list", skip_serializing_if = "super::optional::empty_left_out")]
    pub lifted: Vec<Lifted>,
    /// Reports of a death whose senders say since that the child lives, while it stood by another's: until they say that it is one after all.
    #[serde(default, with = "super::optional::list", skip_serializing_if = "super::optional::empty_left_out")]
    pub denied: Vec<Corroboration>,
}

/// Another child who was named with this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedChild {
    pub subject: SubjectKey,
    /// The event the router made for that child.
    pub event_id: String,
    /// It is this event over again, so that a correction of this one corrects it, too.
    pub same_event: bool,
}

/// A route that was asked not to be told, or is a suspect's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct HeldBack {
    pub agency: String,
    /// None: every unit of the agency.
    pub unit: Option<String>,
    /// `asked`, `suspect`, or another of the reasons in `history/entry.rs`.
    pub cause: String,
}

/// A held-back route that a person lifted, and by which decision.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Lifted {
    pub agency: String,
    /// None: every unit of the agency.
    pub unit: Option<String>,
    /// Why it was held back.
    pub cause: String,
    /// When the decision was received.
    pub at: Timestamp,
    pub event_id: String,
    pub partner: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Corroboration {
    pub event_id: String,
    pub source: Source,
    pub content_digest: String,
    pub received_at: Timestamp,
    /// Where its sender can be rung. None: an earlier release kept it.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub call_back: Option<String>,
}

/// A plan or flag with the council: `cin`, `cpp`, `lac`, `ce_flag`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub status: String,
    pub open: bool,
    pub since: Timestamp,
    pub category: Option<String>,
    pub placing_authority: Option<String>,
    pub out_of_area: Option<bool>,
    pub allocated_worker: Option<String>,
    /// The event that said so.
    pub event_id: Option<String>,
    /// The partner that sent that event, for two partners may choose one id. None: told by an earlier release.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordedDecision {
    pub decision: String,
    pub level: Option<Level>,
    pub at: Timestamp,
    pub closed: bool,
    pub event_id: Option<String>,
    /// The partner that sent that event, for two partners may choose one id. None: told by an earlier release.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgreementStanding {
    pub state: String,
    pub at: Timestamp,
    pub event_id: Option<String>,
    /// The partner that sent that event, for two partners may choose one id. None: told by an earlier release.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
}

/// Something to look at when a tick passes `due_at`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Timer {
    pub due_at: Timestamp,
    /// The rule to judge, or `awaiting_original`.
    pub rule: String,
    /// The entry it belongs to.
    pub event_id: String,
    /// The partner that sent it. None: started by an earlier release.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub partner: Option<String>,
}

/// A correction or withdrawal that came before its original.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Awaiting {
    pub event_id: String,
    pub original_event_id: String,
    pub source: Source,
    pub received_at: Timestamp,
    /// None: a withdrawal.
    pub changes: Option<BTreeMap<String, FactValue>>,
    pub asked: bool,
    /// Of a withdrawal: the child it was about.
    #[serde(skip_serializing_if = "super::optional::none_left_out")]
    pub right_child: Option<RightChild>,
}
