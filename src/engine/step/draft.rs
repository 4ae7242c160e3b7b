//! A step in the making: the working copy of a history, the decision being written, and what is to be published.

use std::sync::Arc;

use indexmap::IndexSet;
use uuid::Uuid;

use super::arriving::siblings;
use super::{Effect, Step, unusable};
use crate::engine::calendar::Clock;
use crate::engine::context::{Context, StepError};
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::{AsOf, PreparedBook, date_in_words};
use crate::engine::history::decisions::{is_put_to_rest, note_raised};
use crate::engine::history::entry::{held_back as held_back_by, not_understood};
use crate::engine::history::{held_back_of, raise_case_level};
use crate::engine::ids::derived;
use crate::engine::model::decision::{Decision, Disposition, FactUsed, RuleFired, TaskRaised, Trigger};
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::feedback::{Feedback, FeedbackStatus};
use crate::engine::model::history::{Entry, HeldTask, History, Timer};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::model::subject::SubjectKey;
use crate::engine::model::task::Task;
use crate::engine::rules::book::Rule;
use crate::engine::seal::ReplyTo;
use crate::engine::state::{Delta, State};
use crate::engine::tasks::held_back::HELD_BACK_ACTION;
use crate::engine::tasks::route::sender_held_back;
use crate::engine::tasks::{Finding, Raised, Raising, Wanted};

/// The clock of what the router itself asks of the front door.
pub const OWN_DUTY: Clock = Clock::WorkingDays(1);

/// Suspected significant harm that nobody acts on, or not as it is told now, does not wait for the next working day.
pub const AT_HIGHEST_LEVEL: Clock = Clock::Hours(1);

/// The clock of what somebody decides about a level that is known: within the hour at the highest.
pub fn within_the_hour_at(level: Option<Level>) -> Clock {
    if level == Some(Level::L4b) { AT_HIGHEST_LEVEL } else { OWN_DUTY }
}

/// The clock of the front door's own duty, where the level of what is asked about is known: what may be significant harm does not wait
/// for the next day.
pub fn own_duty_at(level: Option<Level>) -> Clock {
    if level == Some(Level::L4b) { Clock::SameDay } else { OWN_DUTY }
}

/// One step being worked out.
pub struct Draft<'a> {
    pub context: &'a Context,
    pub book: &'a PreparedBook,
    pub subject: SubjectKey,
    pub at: Timestamp,
    /// What was known before.
    pub before: Arc<History>,
    /// What another record of the child knew, which joins this one in this step.
    pub joined: Option<Arc<History>>,
    pub history: History,
    pub decision: Decision,
    effects: Vec<Effect>,
    /// What is judged was made by the router itself: its sender was told by way of the event it came from.
    pub sender_knows: bool,
    /// What the rules that fired tell whoever sent the event at hand.
    pub sender_words: Vec<&'a str>,
    /// What the book tells whoever says that a child is in immediate danger, whatever becomes of what they sent.
    pub words_of_danger: Vec<&'a str>,
    /// The id that its sender gave what is kept under another, and what they are told of that.
    pub sent_under: Option<(String, &'static str)>,
    /// What whoever decides is to know of a route that is held back, for others were told to ring them.
    ring: Option<Wanted<'static>>,
}

impl<'a> Draft<'a> {
    /// For a clock that is the history's own: no event set it.
    pub fn of_own_timer(
        context: &'a Context,
        state: &State,
        subject: SubjectKey,
        timer: &Timer,
        at: Timestamp,
    ) -> Result<Self, StepError> {
        let cause = format!("{}\0{}", timer.rule, timer.due_at.0);
        Self::open(context, state, subject, at, Trigger::Timer, &cause)
    }

    /// Starts from what is known of the subject, under the book in force. `cause`: the id of what is judged.
    pub fn open(
        context: &'a Context,
        state: &State,
        subject: SubjectKey,
        at: Timestamp,
        trigger: Trigger,
        cause: &str,
    ) -> Result<Self, StepError> {
        let book = context.books.in_force(at).ok_or(StepError::NoBookInForce)?;
        let before = state.history(subject).map(Arc::clone).unwrap_or_default();
        let history = before.as_ref().clone();
        let decision = Decision {
            // With the receipt: a retransmission is the same record, but a decision of its own.
            decision_id: derived(&["decision", cause, &subject.to_hex(), &at.0.to_string()]),
            subject,
            trigger,
            disposition: Disposition::Judged,
            event_id: None,
            event_kind: None,
            source: None,
            receipt: at,
            occurred_at: None,
            rule_book: book.rules.hash.clone(),
            facts: Vec::new(),
            fired: Vec::new(),
            unknown: Vec::new(),
            event_level: None,
            case_level: None,
            proposed: true,
            tasks: Vec::new(),
            suppressed: Vec::new(),
            disclosures: Vec::new(),
            notes: Vec::new(),
            task_changes: Vec::new(),
        };
        let effects = Vec::new();
        Ok(Self {
            context,
            book,
            subject,
            at,
            before,
            joined: None,
            history,
            decision,
            effects,
            sender_knows: false,
            sender_words: Vec::new(),
            words_of_danger: Vec::new(),
            sent_under: None,
            ring: None,
        })
    }

    /// Says which event the decision is about.
    pub fn about(&mut self, entry: &Entry) {
        self.decision.event_id = Some(entry.event_id.clone());
        self.decision.event_kind = Some(entry.kind.clone());
        self.decision.source = Some(entry.source.clone());
        self.decision.occurred_at = Some(entry.occurred_at);
    }

    fn is_about(&self, entry: &Entry) -> bool {
        let sent_by = |source: &Source| source.partner == entry.source.partner;
        self.decision.event_id.as_ref() == Some(&entry.event_id) && self.decision.source.as_ref().is_some_and(sent_by)
    }

    /// What was known before by each record that is one from this step on: what the one held back, whoever acted by the other did not
    /// know. As a rule there is one.
    pub fn sides(&self) -> impl Iterator<Item = &Arc<History>> {
        std::iter::once(&self.before).chain(&self.joined)
    }

    /// Whether a task was raised by this very step.
    pub fn is_raised_now(&self, task: &HeldTask) -> bool {
        self.decision.tasks.iter().any(|raised| raised.task_id == task.task_id)
    }

    /// What tasks are raised from. `cause` goes into their ids.
    pub fn raising<'r>(&'r self, referral: Option<&'r Referral>, cause: &str) -> Raising<'r>
    where
        'a: 'r,
    {
        Raising::new(self.context, self.book, self.subject, &self.history, referral, self.at, cause)
            .after(&self.decision.tasks)
    }

    /// Judges an entry as it stands in the working copy.
    pub fn judge(&self, entry: &Entry) -> Option<Verdict<'a>> {
        judge(self.book, &self.history, entry, AsOf::entry(entry), Moment::Arrival)
    }

    /// Raises the tasks of these findings and records them. True: someone holds one of them already.
    pub fn raise(
        &mut self,
        referral: Option<&Referral>,
        cause: &str,
        findings: &[Finding<'a>],
        extra: Vec<Wanted<'a>>,
    ) -> Result<bool, StepError> {
        // Four of five who ask have nothing to raise.
        if findings.is_empty() && extra.is_empty() {
            return Ok(false);
        }
        let raised = self.raising(referral, cause).raise(findings, extra)?;
        let asked_already = raised.asked_already;
        self.record_fired(findings);
        self.take(raised);
        siblings::send_on(self, referral, cause, findings)?;
        Ok(asked_already)
    }

    /// Records what was raised, and lets it go out.
    pub fn take(&mut self, raised: Raised) {
        for task in raised.tasks {
            self.decision.tasks.push(TaskRaised {
                task_id: task.task_id.clone(),
                agency: task.agency.clone(),
                unit: task.unit.clone(),
                role: task.role.clone(),
                action: task.action.clone(),
                due_at: task.due_at,
                rules: task.reasons.iter().map(|reason| reason.rule.clone()).collect(),
            });
            self.effects.push(Effect::Task(Box::new(task), self.subject));
        }
        self.history.tasks.extend(raised.held.into_iter().map(Arc::new));
        self.decision.suppressed.extend(raised.suppressed);
        self.decision.disclosures.extend(raised.disclosures);
        self.ring = self.ring.take().or(raised.ring);
    }

    /// Once all else is raised: which route is held back stands on what whoever decides was given, where anything was, and is not
    /// said where they are asked about it anyway.
    pub fn say_what_is_held_back(&mut self, referral: Option<&Referral>) -> Result<(), StepError> {
        let Some(wanted) = self.ring.take() else { return Ok(()) };
        let theirs = self.given_to(&wanted.address.agency);
        if theirs.iter().any(|task| task.action == HELD_BACK_ACTION) {
            return Ok(());
        }
        if let Some(first) = theirs.into_iter().next() {
            first.notes.extend(wanted.notes);
            return Ok(());
        }
        let cause = format!("{}\0ring", self.decision.decision_id);
        self.raise(referral, &cause, &[], vec![wanted]).map(drop)
    }

    /// What an agency is given by this step, but to be known alone: the soonest due first.
    fn given_to(&mut self, agency: &str) -> Vec<&mut Box<Task>> {
        let given = self.effects.iter_mut().filter_map(|effect| match effect {
            Effect::Task(task, _) => Some(task),
            Effect::Decision(_) | Effect::Feedback(_) | Effect::Inbox(_) => None,
        });
        let mut theirs: Vec<_> = given.filter(|task| task.agency == agency && task.kind.is_none()).collect();
        theirs.sort_by_key(|task| task.due_at);
        theirs
    }

    /// What a holder is told by this step of what became of the case, by these rules.
    pub fn words_to<'d>(
        &'d mut self,
        task: &'d HeldTask,
        rules: &'d [&str],
    ) -> impl Iterator<Item = &'d mut Box<Task>> {
        let has_many_units = self.book.rules.has_many_units(&task.agency);
        let is_word = |word: &Task| word.reasons.iter().any(|reason| rules.contains(&reason.rule.as_str()));
        let is_theirs = move |word: &Task| word.agency == task.agency && (!has_many_units || word.unit == task.unit);
        self.given().filter(move |word| is_theirs(word) && is_word(word))
    }

    /// The tasks that this step lets go out.
    pub fn given(&mut self) -> impl Iterator<Item = &mut Box<Task>> {
        self.effects.iter_mut().filter_map(|effect| match effect {
            Effect::Task(task, _) => Some(task),
            Effect::Decision(_) | Effect::Feedback(_) | Effect::Inbox(_) => None,
        })
    }

    /// What those who referred the child are told by this step.
    pub fn feedback_given(&mut self) -> impl Iterator<Item = &mut Feedback> {
        self.effects.iter_mut().filter_map(|effect| match effect {
            Effect::Feedback(feedback) => Some(feedback),
            Effect::Task(..) | Effect::Decision(_) | Effect::Inbox(_) => None,
        })
    }

    /// Whoever decides reads this on the first of what this step gives them; where it gives them nothing, the decision alone says it.
    pub fn note_to_front_door(&mut self, note: String) {
        let decides = self.raising(None, "").who_decides().clone();
        match self.given_to(&decides).into_iter().next() {
            Some(first) => first.notes.push(note),
            None => self.decision.notes.push(note),
        }
    }

    /// Writes the rules that fired into the decision, and into the entries they fired for.
    fn record_fired(&mut self, findings: &[Finding<'a>]) {
        for finding in findings {
            let (rule, verdict) = (finding.rule, &finding.verdict);
            let words = rule.tell_referrer.as_deref().filter(|words| !self.sender_words.contains(words));
            self.sender_words.extend(words);
            let dates = |fact| self.book.dates(fact, &self.history, &finding.entry, verdict.as_of, verdict.level);
            let earlier = !self.is_about(&finding.entry);
            self.decision.fired.push(RuleFired {
                rule: rule.id.clone(),
                level: rule.level,
                why: rule.why.render(&self.book.rules.facts, &verdict.table, &dates),
                event_id: earlier.then(|| finding.entry.event_id.clone()),
            });
        }
        for finding in findings {
            let same = |entry: &&mut Arc<Entry>| entry.is_same_event(&finding.entry);
            let Some(entry) = self.history.entries.iter_mut().find(same) else { continue };
            let entry = Arc::make_mut(entry);
            entry.level = entry.level.max(finding.verdict.level);
            if !entry.fired.contains(&finding.rule.id) {
                entry.fired.push(finding.rule.id.clone());
                entry.fired.sort();
            }
            let level = self.level_since_decided(finding, findings);
            raise_case_level(&mut self.history, level);
            self.keep_when_raised(&finding.entry, level);
        }
    }

    /// What fires later than its entry came raises the case from now on, whatever a person decided in between.
    fn keep_when_raised(&mut self, of: &Entry, level: Option<Level>) {
        let mut entries = self.history.entries.iter_mut();
        let later = entries.find(|entry| entry.is_same_event(of)).filter(|entry| entry.received_at < self.at);
        if let (Some(entry), Some(level)) = (later, level) {
            note_raised(Arc::make_mut(entry), level, self.at);
        }
    }

    /// The level of what fires for an entry, without what a person has put to rest since it came, unless it fires anew.
    fn level_since_decided(&self, finding: &Finding<'a>, anew: &[Finding<'a>]) -> Option<Level> {
        let fires_anew = |id: &str| anew.iter().any(|new| new.rule.id == id && new.entry.is_same_event(&finding.entry));
        let counts = |rule: &&&Rule| fires_anew(&rule.id) || !is_put_to_rest(&self.history, &finding.entry, rule.level);
        finding.verdict.fired.iter().filter(counts).filter_map(|rule| rule.level).max()
    }

    /// The facts that the rules for this kind read, as they stood: enough to make the decision again.
    pub fn record_facts(&mut self, kind: &str, verdict: &Verdict<'_>) {
        let facts = &self.book.rules.facts;
        let used = self
            .book
            .read_by(kind)
            .map(|id| FactUsed { name: facts.name(id).to_owned(), value: facts.value(&verdict.table, id) });
        self.decision.facts = used.collect();
        self.decision.event_level = verdict.level;
    }

    /// Says so when a count reaches back to before histories are complete: this child's, or all.
    pub fn note_coverage(&mut self, entry: &Entry) {
        let Some(since) = self.context.covered_since.max(self.history.covered_since) else { return };
        let as_of = AsOf::entry(entry);
        let date = date_in_words(crate::engine::calendar::london_date(since), 0);
        for label in self.book.uncovered(&entry.kind, as_of, since) {
            self.decision.notes.push(format!("History is not complete before {date}: {label}."));
        }
    }

    /// Tells the sender, unless their own unit must not learn of it.
    pub fn tell_sender(&mut self, event: &ReferralEvent, status: FeedbackStatus, words: &[&str]) {
        if self.sender_knows {
            return;
        }
        let mut held_back = held_back_of(&self.history);
        held_back.extend(held_back_by(&self.context.keys, &self.book.rules, event));
        if sender_held_back(&self.context.keys, &event.source, &held_back) {
            self.decision.notes.push("The sender's own unit is not told what becomes of this.".to_owned());
            return;
        }
        let not_understood = not_understood(&self.book.rules, event);
        let unusable = unusable::words(&self.context.keys, &self.book.rules, event);
        let sent_under = self.sent_under.as_ref();
        let (source, event_id) = (&event.source, sent_under.map_or(&event.event_id, |(event_id, _)| event_id));
        let beside = sent_under.map(|(_, told)| *told).into_iter().chain(self.words_of_danger.iter().copied());
        let words =
            words.iter().copied().chain(beside).chain(not_understood.iter().chain(&unusable).map(String::as_str));
        let words: Vec<&str> = words.collect();
        let feedback = self.feedback(source, event_id, event.partner_reference.clone(), status, &words);
        self.effects.push(Effect::Feedback(feedback));
    }

    /// A feedback record: what became of it, each sentence once, and whom to ring.
    pub fn feedback(
        &self,
        source: &Source,
        event_id: &str,
        partner_reference: Option<String>,
        status: FeedbackStatus,
        words: &[&str],
    ) -> Feedback {
        let decision = &self.decision.decision_id;
        let feedback_id = derived(&["feedback", decision, &source.partner, &source.unit, event_id]);
        let ring = self.context.on_front_door_phone();
        let message = format!("{} To add or ask something, ring the front door{ring}.", each_once(words));
        let address = ReplyTo {
            subject: self.subject,
            task_id: Uuid::parse_str(&address_of(source, event_id)).unwrap_or_default(),
            agency: source.partner.clone(),
            unit: Some(source.unit.clone()),
        };
        Feedback {
            reply_to: Some(self.context.sealer.seal(&address)),
            feedback_id,
            event_id: event_id.to_owned(),
            partner: source.partner.clone(),
            unit: source.unit.clone(),
            partner_reference,
            status,
            message,
            at: self.at,
        }
    }

    pub fn publish(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Hands over all there is, the decision last.
    pub fn into_step(mut self) -> Step {
        let mut delta = Delta::default();
        delta.histories.insert(self.subject, self.history);
        self.effects.push(Effect::Decision(Box::new(self.decision)));
        Step { delta, effects: self.effects }
    }

    pub fn disposed(&mut self, disposition: Disposition) {
        self.decision.disposition = disposition;
    }
}

/// What the address of feedback on an event is sealed for, so that it names the event to us, and to nobody else.
pub fn address_of(source: &Source, event_id: &str) -> String {
    derived(&["feedback on", &source.partner, &source.unit, event_id])
}

/// Several findings of one rule say the same.
fn each_once(words: &[&str]) -> String {
    let said: IndexSet<&str> = words.iter().copied().collect();
    said.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_sentence_is_said_once_where_it_was_first() {
        assert_eq!(
            super::each_once(&["Received.", "Ring 999.", "Ask them.", "Ring 999."]),
            "Received. Ring 999. Ask them."
        );
    }
}
