//! How a task stands to others: what it follows, what it chases, and whether it wants an answer.

use std::sync::Arc;

use super::{Asked, READDRESSED_RULE, Raising};
use crate::engine::calendar::instant_in_words;
use crate::engine::history::is_open;
use crate::engine::model::history::HeldTask;
use crate::engine::model::subject::SubjectKey;
use crate::engine::model::task::{DIGEST, WORD};
use crate::engine::rules::RuleBook;

/// How a task stands to one that its recipient, or another, was given before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Relation {
    /// It follows the latest that its recipient holds for the same event, if there is one.
    #[default]
    Usual,
    /// It is about what these tasks were raised for.
    Follows(Vec<String>),
    /// Nobody has answered these tasks: this one says so, higher up.
    Chases(Vec<String>),
    /// It asks whether its child and another are one.
    Besides(SubjectKey),
    /// Word of what became of an answer to that task. It needs none itself, and is not remembered.
    Word(String),
    /// To be read with others of its day. It asks for nothing; who was told is remembered.
    Digest,
}

impl Relation {
    /// What is published as the task's kind, and the one place that tells a word, and the digest, from what waits for an answer:
    /// the same rule may ask for either.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Relation::Word(_) => Some(WORD),
            Relation::Digest => Some(DIGEST),
            Relation::Usual | Relation::Follows(_) | Relation::Chases(_) | Relation::Besides(_) => None,
        }
    }

    /// Whether its recipient owes an answer to it.
    pub fn wants_answer(&self) -> bool {
        self.kind().is_none()
    }

    /// The unanswered tasks it is about.
    pub fn chased(&self) -> &[String] {
        match self {
            Relation::Chases(task_ids) => task_ids,
            Relation::Usual | Relation::Follows(_) | Relation::Besides(_) | Relation::Word(_) | Relation::Digest => &[],
        }
    }

    /// Those beside the first.
    pub fn chased_also(&self) -> Option<Vec<String>> {
        beside_first(self.chased())
    }

    /// The tasks that it follows beside the first.
    pub fn followed_also(&self) -> Option<Vec<String>> {
        match self {
            Relation::Follows(task_ids) | Relation::Chases(task_ids) => beside_first(task_ids),
            Relation::Usual | Relation::Besides(_) | Relation::Word(_) | Relation::Digest => None,
        }
    }
}

fn beside_first(task_ids: &[String]) -> Option<Vec<String>> {
    task_ids.get(1..).filter(|also| !also.is_empty()).map(<[String]>::to_vec)
}

/// Whether a holder is asked by the one of these what they were asked by the other before, sooner, by a rule that fired later for the same event:
/// the two are one piece of work. Not a service that needs agreement, nor what a person passed on.
pub fn is_asked_sooner(rules: &RuleBook, before: &HeldTask, sooner: &HeldTask) -> bool {
    let is_by_rules = |task: &HeldTask| {
        let is_passed_on = || task.rules.iter().any(|rule| rule == READDRESSED_RULE);
        let is_plain = task.needs_agreement.is_none() && task.chases.is_none() && !is_passed_on();
        is_plain && task.rules.iter().any(|rule| rules.rule(rule).is_some())
    };
    sooner.action == before.action
        && sooner.event_id == before.event_id
        && sooner.partner == before.partner
        && sooner.raised_at > before.raised_at
        && sooner.due_at < before.due_at
        && (&sooner.agency, &sooner.unit, &sooner.role) == (&before.agency, &before.unit, &before.role)
        && sooner.in_place_of == before.in_place_of
        && is_by_rules(sooner)
        && is_by_rules(before)
}

impl<'b> Raising<'b> {
    /// The task this one follows: that which asks the same for later, else the latest the same recipient holds for the same event, else its
    /// agency's.
    pub(super) fn follows(&self, asked: &Asked<'b>) -> Option<String> {
        match &asked.relation {
            Relation::Usual | Relation::Besides(_) | Relation::Digest => {}
            Relation::Follows(task_ids) if task_ids.is_empty() => {}
            Relation::Follows(task_ids) | Relation::Chases(task_ids) => return task_ids.first().cloned(),
            Relation::Word(task_id) => return Some(task_id.clone()),
        }
        let of_event = |held: &&Arc<HeldTask>| {
            held.is_of(&asked.entry) && held.agency == asked.address.agency && held.unit == asked.address.unit
        };
        let latest = || self.history.tasks.iter().rev().find(of_event);
        self.asked_for_later(asked).or_else(latest).map(|held| held.task_id.clone())
    }

    /// What its recipient holds already by which the same is asked for later.
    fn asked_for_later(&self, asked: &Asked<'b>) -> Option<&Arc<HeldTask>> {
        let mut held =
            self.history.tasks.iter().rev().filter(|held| {
                asked.relation == Relation::Usual && held.action == asked.action && is_open(&held.state)
            });
        let rules = &self.book.rules;
        held.find(|held| is_asked_sooner(rules, held, &self.held_task(asked, "")))
    }

    pub(super) fn held_for_later(&self, asked: &Asked<'b>) -> Option<String> {
        let by = instant_in_words(self.asked_for_later(asked)?.due_at);
        Some(format!(
            "It is the same that you hold already, to be done by {by}, and is needed sooner. What you answer to this counts for that, too."
        ))
    }
}
