//! From rules that fired to tasks: recipients, deadlines, merging, deterministic ids.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::rc::Rc;
use std::sync::Arc;

use super::context::{Context, StepError};
use super::decide::Verdict;
use super::facts::PreparedBook;
use super::history::decisions::{DECISION, closings_that_stand, is_closed_by_any};
use super::history::known_as::are_two;
use super::history::{RECALLED, entry, episodes, held_back_of, is_open};
use super::ids::derived;
use super::model::decision::{Disclosure, Suppressed, TaskRaised};
use super::model::history::{Entry, HeldBack, HeldTask, History};
use super::model::inbox::Referral;
use super::model::scalar::{Level, Timestamp};
use super::model::subject::SubjectKey;
use super::model::task::Task;
use super::rules::book::{Rule, TaskRule};
use super::rules::expression::Truth;

mod anew;
pub mod asking;
mod at_work;
mod build;
mod by_another;
mod cannot_wait;
mod deadline;
pub mod find_out;
pub mod held_back;
mod instead;
mod others;
mod persons;
mod relation;
pub mod route;
pub mod settled;
mod standing;
pub mod voice;

pub use deadline::{Counted, Deadline, deadline_in_words, due_at, is_by_calendar, is_urgent};
pub use persons::who_says;
pub use relation::{Relation, is_asked_sooner};
use route::Address;
use settled::Sought;

/// The id under which a task is passed on to the right unit, and the state of the wrong one's.
pub const READDRESSED_RULE: &str = "readdressed";
pub const READDRESSED: &str = "readdressed";

/// What whoever decides is asked about a child who has died.
pub const DEATH_RULE: &str = "death";
pub const DEATH_TITLE: &str = "The child has died";
pub const DEATH_ACTION: &str = "Decide who speaks to the family, and tell those who were asked to see the child";

/// The id under which the front door is asked about routes that are held back, and whom not to tell.
pub const HELD_BACK_RULE: &str = "held-back";

/// What an agency is asked that was told by a route that is shut now.
pub const TOLD_BY_MISTAKE: &str =
    "Recall: you were told by mistake; stop, do not use it or share it, and ask before you keep or delete it";

/// A rule that fired for an entry and has not been acted on yet.
#[derive(Clone, Debug)]
pub struct Finding<'b> {
    pub entry: Arc<Entry>,
    pub rule: &'b Rule,
    pub verdict: Arc<Verdict<'b>>,
    /// What was said before, of a rule that was acted on then: only what it newly asks goes out.
    pub before: Option<Arc<Verdict<'b>>>,
}

/// Everything the raising of tasks looks at.
#[derive(Debug)]
pub struct Raising<'a> {
    pub context: &'a Context,
    pub book: &'a PreparedBook,
    pub subject: SubjectKey,
    pub history: &'a History,
    /// The referral at hand; None when a timer or an outcome raises the tasks: then no child is named.
    pub referral: Option<&'a Referral>,
    /// Receipt, or the tick's time.
    pub at: Timestamp,
    /// What causes the tasks, for their ids: the event's id, or the timer's.
    pub cause: String,
    /// Routes that nothing about this subject may take; looked up once something is addressed.
    held_back: OnceCell<BTreeSet<HeldBack>>,
    /// What the step has raised so far, for no id is given twice.
    given: &'a [TaskRaised],
}

/// One thing asked of one recipient, before it is merged with what else is asked of them.
#[derive(Clone, Debug)]
pub struct Wanted<'b> {
    pub address: Address,
    pub action: String,
    pub due: Deadline,
    pub acknowledge_by: Option<Timestamp>,
    /// The rule's id, title and the reason in full; None where the title says it all.
    pub rule: String,
    pub title: String,
    pub why: Option<Why<'b>>,
    pub bases: Vec<String>,
    pub needs_agreement: bool,
    pub minimum: bool,
    pub entry: Arc<Entry>,
    pub level: Option<Level>,
    pub notes: Vec<String>,
    /// Asked by the router itself, not by a rule of the book.
    pub own_duty: bool,
    pub relation: Relation,
}

/// A reason that names facts, to be told only to those who may see them.
#[derive(Clone, Debug)]
pub enum Why<'b> {
    FromFacts {
        rule: &'b Rule,
        verdict: Arc<Verdict<'b>>,
        /// Worded for the first who may read it, and the same for every other.
        worded: Rc<OnceCell<String>>,
    },
    Plain(String),
    /// Names where senders can be rung, for those who may see that.
    Numbers {
        told: String,
        without: String,
    },
}

impl From<String> for Why<'_> {
    fn from(words: String) -> Self {
        Self::Plain(words)
    }
}

/// What came of raising.
#[derive(Clone, Debug, Default)]
pub struct Raised {
    /// Something was wanted of a recipient who holds it already.
    pub asked_already: bool,
    pub tasks: Vec<Task>,
    pub held: Vec<HeldTask>,
    pub suppressed: Vec<Suppressed>,
    pub disclosures: Vec<Disclosure>,
    /// What whoever decides is to know, for others were told to ring them: unless they are given something else for it.
    pub ring: Option<Wanted<'static>>,
}

impl<'b> Raising<'b> {
    pub fn new(
        context: &'b Context,
        book: &'b PreparedBook,
        subject: SubjectKey,
        history: &'b History,
        referral: Option<&'b Referral>,
        at: Timestamp,
        cause: &str,
    ) -> Self {
        Self {
            context,
            book,
            subject,
            history,
            referral,
            at,
            cause: cause.to_owned(),
            held_back: OnceCell::new(),
            given: &[],
        }
    }

    /// After the step has raised these.
    pub fn after(self, given: &'b [TaskRaised]) -> Self {
        Self { given, ..self }
    }

    fn held_back(&self) -> &BTreeSet<HeldBack> {
        self.held_back.get_or_init(|| {
            let by_event =
                |referral: &Referral| entry::held_back(&self.context.keys, &self.book.rules, &referral.event);
            let mut held_back = held_back_of(self.history);
            held_back.extend(self.referral.into_iter().flat_map(by_event));
            held_back
        })
    }

    /// As before these routes are shut: whoever was told by them is told to stop by them.
    pub fn before_shut(self, routes: &BTreeSet<HeldBack>) -> Self {
        let held_back: BTreeSet<HeldBack> = self.held_back().difference(routes).cloned().collect();
        Self { held_back: OnceCell::from(held_back), ..self }
    }

    /// Tasks for these findings: one for each recipient and action, the earliest deadline, every reason. What the
    /// same recipient was already asked for the same event is not asked again.
    pub fn raise(&self, findings: &[Finding<'b>], extra: Vec<Wanted<'b>>) -> Result<Raised, StepError> {
        let mut wanted = self.wanted_by(findings)?;
        wanted.extend(extra);
        let (asked, fresh): (Vec<Asked<'b>>, Vec<Asked<'b>>) =
            self.merge(wanted).into_iter().partition(|task| self.already_asked(task));
        let mut raised = self.send(fresh)?;
        raised.asked_already = !asked.is_empty();
        Ok(raised)
    }

    /// One task for each recipient and action. Whoever is asked in another's place and for themselves is asked once, unless what
    /// holds the other's route back would hold back the rest with it. Of two children under one identifier each has a task.
    fn merge(&self, wanted: Vec<Wanted<'b>>) -> Vec<Asked<'b>> {
        let front_door = &self.book.rules.front_door;
        let mut merged: BTreeMap<(Address, String, usize), Asked<'b>> = BTreeMap::new();
        let mut children: Vec<Arc<Entry>> = Vec::new();
        for one in wanted {
            let in_place_of = one.address.in_place_of.clone();
            let in_place_of = in_place_of.filter(|_| route::is_suppressed(&one.address, front_door, self.held_back()));
            let recipient = Address { in_place_of, ..one.address.clone() };
            let is_hers = |known: &Arc<Entry>| !are_two(self.history, known, &one.entry);
            let child = children.iter().position(is_hers).unwrap_or_else(|| {
                children.push(Arc::clone(&one.entry));
                children.len().saturating_sub(1)
            });
            match merged.entry((recipient, one.action.clone(), child)) {
                btree_map::Entry::Vacant(place) => {
                    place.insert(one.into());
                }
                btree_map::Entry::Occupied(mut present) => present.get_mut().join(one),
            }
        }
        merged.into_values().collect()
    }

    /// What the rules of these findings ask, as things stand.
    fn wanted_by(&self, findings: &[Finding<'b>]) -> Result<Vec<Wanted<'b>>, StepError> {
        let mut wanted = Vec::new();
        for finding in findings {
            self.want(finding, &mut wanted)?;
        }
        Ok(wanted)
    }

    /// What one rule asks.
    fn want(&self, finding: &Finding<'b>, wanted: &mut Vec<Wanted<'b>>) -> Result<(), StepError> {
        let worded = Rc::new(OnceCell::new());
        let why = Why::FromFacts { rule: finding.rule, verdict: Arc::clone(&finding.verdict), worded };
        for task in &finding.rule.tasks {
            if task.applies(&finding.verdict.table) != Truth::True || self.is_done_already(task, finding) {
                continue;
            }
            let due = self.deadline(task, &finding.entry)?;
            let acknowledge_by = match &task.acknowledge {
                Some(clock) => Some(due_at(&self.book.rules.calendar, clock, self.at, None)?.at),
                None => None,
            };
            for recipient in &task.to {
                if self.book.rules.is_for_children_alone(&recipient.agency) && entry::is_adult(&finding.entry, self.at)
                {
                    continue;
                }
                let Some(address) = self.address(recipient, &finding.entry, due.urgent_by()) else { continue };
                if !self.is_newly_asked(finding, task, (&address, &due)) {
                    continue;
                }
                let notes = self.notes_in_place(&address, &task.action, &finding.entry);
                wanted.push(Wanted {
                    action: task.action.clone(),
                    due: due.clone(),
                    acknowledge_by,
                    rule: finding.rule.id.clone(),
                    title: finding.rule.title.clone(),
                    why: Some(why.clone()),
                    bases: task.bases.clone(),
                    needs_agreement: task.needs_agreement,
                    minimum: task.minimum,
                    entry: Arc::clone(&finding.entry),
                    level: finding.verdict.level,
                    notes,
                    own_duty: false,
                    relation: if task.digest { Relation::Digest } else { Relation::Usual },
                    address,
                });
            }
        }
        Ok(())
    }

    /// Whether it is known, before it is asked, that it is done.
    fn is_done_already(&self, task: &TaskRule, finding: &Finding<'b>) -> bool {
        let (cause, level) = (Some(finding.entry.as_ref()), finding.verdict.level);
        let sought = Sought { asked: &[task], cause, since: self.at, level };
        task.is_settled_by_word() && sought.settled_by(self.history).is_some()
    }

    /// Asked of the same recipient for the same event or episode, and not closed by a person's decision since. What the
    /// router itself asks of the front door has a cause of its own each time.
    fn already_asked(&self, task: &Asked<'b>) -> bool {
        if task.own_duty {
            return false;
        }
        // By what names nobody, none is asked to find out a unit of those who do it already.
        let is_with_theirs = |held: &Arc<HeldTask>| {
            let is_theirs = task.address.in_place_of.as_ref() == Some(&held.agency) && is_open(&held.state);
            self.referral.is_none() && is_theirs && held.action == task.action
        };
        if task.entry.kind == DECISION {
            let is_service = |held: &&Arc<HeldTask>| held.needs_agreement == Some(true) && task.needs_agreement;
            return self.clock_runs(task) || self.history.tasks.iter().filter(is_service).any(is_with_theirs);
        }
        let events = episodes::one_episode(self.history, &task.entry);
        let decided = |held: &HeldTask| self.history.decided_on(held).map(|decision| decision.at);
        let many_units = |agency: &str| self.book.rules.has_many_units(agency);
        // A person passes it on: also to whoever declined it or had it taken away before, and beside what a stand-in does itself.
        let by_person = task.reasons.iter().any(|(rule, _, _)| rule == READDRESSED_RULE);
        if by_person && task.address.in_place_of.is_some() {
            return false;
        }
        let counts = |held: &&Arc<HeldTask>| !by_person || is_open(&held.state) || held.state == "completed";
        // Risk that fell and is raised again asks again for what was done with meanwhile.
        let fell = |event: &&&Entry| self.level_at_arrival(event) < task.level;
        let fell_at = events.iter().skip(1).filter(fell).map(|event| event.occurred_at).max();
        let stands = |event: &Entry, held: &HeldTask| {
            held.is_of(event) && (is_open(&held.state) || fell_at.is_none_or(|fell_at| event.occurred_at >= fell_at))
        };
        // What a rule that fires later asks sooner is no repeat, whatever is held or done by the later time. The same rule of another event of the
        // episode, a return that is told right, counts anew what it asked.
        let is_counted_anew = |held: &HeldTask| {
            let is_by_rule = task.reasons.iter().any(|(rule, _, _)| held.rules.contains(rule));
            is_by_rule && !held.is_of(&task.entry)
        };
        let is_by_then =
            |held: &HeldTask| by_person || task.needs_agreement || is_counted_anew(held) || task.due.is_asked_by(held);
        let of_these = |held: &&Arc<HeldTask>| events.iter().any(|event| held.is_of(event));
        if self.history.tasks.iter().filter(of_these).any(is_with_theirs) {
            return true;
        }
        self.history.tasks.iter().filter(counts).any(|held| {
            events.iter().any(|event| stands(event, held))
                && held.agency == task.address.agency
                && (held.unit == task.address.unit || !many_units(&held.agency))
                && decided(held).is_none_or(|at| held.raised_at > at)
                && held.role == task.address.role
                && held.action == task.action
                && held.state != RECALLED
                && is_by_then(held)
        })
    }

    /// The level that an event was at by what it said, not by a clock that ran out since.
    fn level_at_arrival(&self, event: &Entry) -> Option<Level> {
        let rules = || event.fired.iter().filter_map(|id| self.book.rules.rule(id));
        match rules().any(|rule| rule.timer.is_some()) {
            true => rules().filter(|rule| rule.timer.is_none()).filter_map(|rule| rule.level).max(),
            false => event.level,
        }
    }

    /// A clock that a decision started runs until its task is done or the case is closed, also where it was opened again since: until then a
    /// second decision starts none.
    fn clock_runs(&self, task: &Asked<'b>) -> bool {
        // Of a closing that is no longer kept as such, what it set still is.
        let closed_at =
            self.history.last_decision.as_ref().filter(|decision| decision.closed).map(|decision| decision.at);
        let is_closed = |held: &HeldTask| {
            closed_at.is_some_and(|at| held.raised_at <= at)
                || is_closed_by_any(self.history, held, closings_that_stand(self.history))
        };
        let decisions = || self.history.entries.iter().filter(|entry| entry.kind == DECISION && !entry.withdrawn);
        self.history.tasks.iter().any(|held| {
            held.agency == task.address.agency
                && held.role == task.address.role
                && held.action == task.action
                && is_open(&held.state)
                && !is_closed(held)
                // A service that is at work is at work, whatever it was asked for.
                && (task.needs_agreement || decisions().any(|entry| held.is_of(entry)))
        })
    }

    /// Something asked of the front door that no rule of the book asks: the router's own duties.
    pub fn own_duty<'w>(
        &self,
        id: &str,
        title: &str,
        why: impl Into<Why<'w>>,
        action: &str,
        due: Deadline,
        entry: &Arc<Entry>,
    ) -> Wanted<'w> {
        Wanted {
            address: self.front_door(due.urgent_by()),
            action: action.to_owned(),
            due,
            acknowledge_by: None,
            rule: id.to_owned(),
            title: title.to_owned(),
            why: Some(why.into()),
            bases: vec!["P".to_owned()],
            needs_agreement: false,
            minimum: false,
            entry: Arc::clone(entry),
            level: entry.level,
            notes: Vec::new(),
            own_duty: true,
            relation: Relation::Usual,
        }
    }
}

/// What is asked of one recipient, for all the rules that ask it.
#[derive(Clone, Debug)]
pub struct Asked<'b> {
    pub address: Address,
    pub action: String,
    pub due: Deadline,
    pub acknowledge_by: Option<Timestamp>,
    pub reasons: Vec<(String, String, Option<Why<'b>>)>,
    pub bases: BTreeSet<String>,
    pub needs_agreement: bool,
    pub minimum: bool,
    pub entry: Arc<Entry>,
    pub level: Option<Level>,
    pub notes: Vec<String>,
    pub own_duty: bool,
    pub relation: Relation,
    /// The agency in whose place the recipient is asked, also where it is asked for itself as well.
    pub meant_for: Option<String>,
}

impl<'b> From<Wanted<'b>> for Asked<'b> {
    fn from(one: Wanted<'b>) -> Self {
        Self {
            meant_for: one.address.in_place_of.clone(),
            address: one.address,
            action: one.action,
            due: one.due,
            acknowledge_by: one.acknowledge_by,
            reasons: vec![(one.rule, one.title, one.why)],
            bases: one.bases.into_iter().collect(),
            needs_agreement: one.needs_agreement,
            minimum: one.minimum,
            entry: one.entry,
            level: one.level,
            notes: one.notes,
            own_duty: one.own_duty,
            relation: one.relation,
        }
    }
}

impl<'b> Asked<'b> {
    /// Takes in what another rule asks of the same recipient: the earlier deadline, both reasons.
    fn join(&mut self, other: Wanted<'b>) {
        if other.due.at < self.due.at {
            self.due = other.due;
        }
        self.acknowledge_by = match (self.acknowledge_by, other.acknowledge_by) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        if !self.reasons.iter().any(|(rule, _, _)| *rule == other.rule) {
            self.reasons.push((other.rule, other.title, other.why));
        }
        self.meant_for = self.meant_for.take().or_else(|| other.address.in_place_of.clone());
        if other.address.in_place_of.is_none() {
            self.address.in_place_of = None;
        }
        self.bases.extend(other.bases);
        self.needs_agreement &= other.needs_agreement;
        self.minimum &= other.minimum;
        self.level = self.level.max(other.level);
        self.own_duty |= other.own_duty;
        if !self.relation.wants_answer() && other.relation.wants_answer() {
            self.relation = other.relation;
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// What the address of the other child, of a task that asks about two, is sealed for.
pub fn other_address_id(task_id: &str) -> String {
    derived(&["other", task_id])
}
