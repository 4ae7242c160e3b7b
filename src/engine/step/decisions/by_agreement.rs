//! Which tasks hang on the family's agreement, and how each stands by all that is known: a function of the history alone. Services need it;
//! others ask for it, or offer help again to a family that has refused.

use crate::engine::history::agreement::{
    GIVEN, UNSAFE_TO_ASK, had_agreed, is_refused, is_unsafe, last_word, said, standing_for, taken_back_since,
};
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::scalar::FactValue;
use crate::engine::rules::RuleBook;

/// What hangs on agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hangs {
    /// It is given where they agree alone.
    Service,
    /// Help is offered again, for they had refused it.
    Offer,
    /// They are asked whether they agree.
    Asks,
}

/// Whether whoever holds a task is to go on with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    GoesOn,
    /// A later referral says that they refuse: what runs goes on, and what was stopped does not begin.
    SaidToRefuse,
    /// Nobody is to go to the family.
    Unsafe,
    Refused,
    /// Nobody says that they agree, nor that they refuse.
    NotAgreed,
    /// Of an offer: there is no more to be offered.
    Agreed,
    /// No rule would ask it any more; whoever holds it is told nothing by that.
    NotAsked,
}

impl Standing {
    /// As it is kept with a task what its holder was told.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::GoesOn => "goes_on",
            Self::SaidToRefuse => "said_to_refuse",
            Self::Unsafe => "unsafe",
            Self::Refused => "refused",
            Self::NotAgreed => "not_agreed",
            Self::Agreed => "agreed",
            Self::NotAsked => "not_asked",
        }
    }
}

/// None: agreement is nothing to it.
pub fn hangs(rules: &RuleBook, task: &HeldTask) -> Option<Hangs> {
    if task.chases.is_some() {
        None
    } else if needs_agreement(rules, task) {
        Some(Hangs::Service)
    } else if is_for_refusal(rules, task) {
        Some(Hangs::Offer)
    } else if task.agency != rules.front_door && is_not_asked_where(rules, task, UNSAFE_TO_ASK) {
        Some(Hangs::Asks)
    } else {
        None
    }
}

/// How a task of an event stands.
pub fn standing(history: &History, rules: &RuleBook, (task, hangs): (&HeldTask, Hangs), of: &Entry) -> Standing {
    let is_sent = hangs == Hangs::Service || task.agency != rules.front_door;
    if is_sent && is_unsafe(history, None) {
        return Standing::Unsafe;
    }
    match hangs {
        Hangs::Service if !had_agreed(history, of) => {
            if is_refused(history) {
                Standing::Refused
            } else {
                Standing::NotAgreed
            }
        }
        Hangs::Service if taken_back_since(history, of).is_some() => Standing::SaidToRefuse,
        Hangs::Service => Standing::GoesOn,
        Hangs::Offer if last_word(history).is_some_and(|(state, _)| state == GIVEN) => Standing::Agreed,
        Hangs::Offer | Hangs::Asks if is_asked_still(history, rules, task, of) => Standing::GoesOn,
        Hangs::Offer | Hangs::Asks => Standing::NotAsked,
    }
}

/// Whether help that an event asked for is under way by their agreement: that another referral says that they refuse is asked about first.
pub fn goes_on_by(history: &History, entry: &Entry) -> bool {
    had_agreed(history, entry) && !is_unsafe(history, None)
}

/// Whether no rule would ask it where agreement stands so.
fn is_not_asked_where(rules: &RuleBook, task: &HeldTask, state: &str) -> bool {
    let Some(agreement) = rules.facts.id("event.agreement") else { return false };
    let Some(fact) = rules.facts.get(agreement) else { return false };
    let slot = fact.encode(&FactValue::Code(state.to_owned()));
    rules.would_not_ask(task, &|id| slot.filter(|_| id == agreement))
}

/// Whether it would be asked, as agreement stands by now, of the event that it was asked for.
fn is_asked_still(history: &History, rules: &RuleBook, task: &HeldTask, of: &Entry) -> bool {
    let recorded = history.agreement.as_ref().map(|standing| (standing.state.as_str(), standing.at));
    let stands = || standing_for(history, of, recorded).or_else(|| said(of));
    let state = taken_back_since(history, of).or_else(stands).unwrap_or("not_asked");
    !is_not_asked_where(rules, task, state)
}

/// Whether every rule that asks it does so only of a family that has refused.
fn is_for_refusal(rules: &RuleBook, task: &HeldTask) -> bool {
    [GIVEN, "not_asked"].into_iter().all(|state| is_not_asked_where(rules, task, state))
}

/// Whether a task is a service; of one raised by an earlier release the rules that asked it tell.
fn needs_agreement(rules: &RuleBook, task: &HeldTask) -> bool {
    task.needs_agreement.unwrap_or_else(|| {
        let asked = task.rules.iter().filter_map(|id| rules.rule(id)).flat_map(|rule| &rule.tasks);
        let mut asked = asked.filter(|asked| asked.action == task.action).peekable();
        asked.peek().is_some() && asked.all(|asked| asked.needs_agreement)
    })
}
