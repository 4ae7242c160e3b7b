//! Whether what is asked is done already, as an event or a named person says: the same, be it asked for the first time or held.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::engine::history::decisions::{
    Order, closes, decided, known_until, last_raised, level_named, order, settles,
};
use crate::engine::history::episodes;
use crate::engine::history::known_as::are_two;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::{FactValue, Level, Timestamp};
use crate::engine::rules::book::TaskRule;

/// May be told before it is held: its time of completion is optional.
const RETURN_INTERVIEW: &str = "return_interview.completed";

/// What is asked, by any of these, for which event, since when and at which level.
pub struct Sought<'a> {
    pub asked: &'a [&'a TaskRule],
    /// None where it is remembered no longer.
    pub cause: Option<&'a Entry>,
    pub since: Timestamp,
    pub level: Option<Level>,
}

impl TaskRule {
    /// Whether a word of an event or a person may settle it.
    pub fn is_settled_by_word(&self) -> bool {
        !self.settled_by.is_empty() || !self.settled_by_decisions.is_empty()
    }
}

impl Sought<'_> {
    /// The first word that it is done, or is not asked for any more.
    pub fn settled_by<'h>(&self, history: &'h History) -> Option<&'h Arc<Entry>> {
        // Worked out once, and where a decision lowers at all: of many, each would else be held against every entry.
        let raised: OnceCell<Option<Order>> = OnceCell::new();
        let raised = || *raised.get_or_init(|| self.level.and_then(|level| last_raised(history, level)));
        let says_so = |said: &&Arc<Entry>| self.is_settled_by(history, said, &raised);
        history.entries.iter().filter(says_so).min_by_key(|said| known_until(said))
    }

    /// `raised`: when a person last set the level at which it is asked.
    fn is_settled_by(&self, history: &History, said: &Entry, raised: &dyn Fn() -> Option<Order>) -> bool {
        if said.withdrawn {
            return false;
        }
        let mut asked = self.asked.iter();
        asked.any(|asked| self.by_decision(asked, said, raised) || self.by_event(history, asked, said))
            // Nobody asks for what they say is done; and what is said of one of two children under one identifier says nothing of the
            // other.
            && !self.cause.is_some_and(|cause| said.is_same_event(cause) || are_two(history, cause, said))
    }

    /// Whether a named person decided what says that it is done: since it was asked, or that the child is not at its level, and nobody
    /// has decided otherwise since. What was decided before it was asked settles nothing of it, whenever that was recorded.
    fn by_decision(&self, asked: &TaskRule, said: &Entry, raised: &dyn Fn() -> Option<Order>) -> bool {
        // When it came tells of most that it is none, and costs least.
        if asked.settled_by_decisions.is_empty() || !episodes::is_since(said, self.since) {
            return false;
        }
        let lowers = |code: &str| self.is_lower(said, code) && raised() <= Some(order(said));
        let is_said = |code: &str| asked.settled_by_decisions.contains(code) || lowers(code);
        decided(said).is_some_and(is_said)
    }

    fn is_lower(&self, said: &Entry, code: &str) -> bool {
        level_named(said).is_some_and(|to| settles(code) && Some(to) < self.level)
    }

    /// The first decision that set a level below it since it was asked, or closed the case, though the level was set again later.
    pub fn lowered_by<'h>(&self, history: &'h History) -> Option<&'h Arc<Entry>> {
        let is_of_another = |said: &Entry| self.cause.is_some_and(|cause| are_two(history, cause, said));
        let is_lowering = |said: &&Arc<Entry>| {
            let lowers = decided(said).is_some_and(|code| self.is_lower(said, code) || closes(code));
            lowers && !said.withdrawn && episodes::is_since(said, self.since) && !is_of_another(said)
        };
        let is_asked = self.asked.iter().any(|asked| !asked.settled_by_decisions.is_empty());
        history.entries.iter().filter(|_| is_asked).filter(is_lowering).min_by_key(|said| known_until(said))
    }

    /// Whether an event says that it is done: one that came since it was asked, or names the same episode; this, and not what was asked
    /// at another time.
    fn by_event(&self, history: &History, asked: &TaskRule, said: &Entry) -> bool {
        if !asked.settled_by.contains(said.kind.as_str()) || !says_it_is_done(said) {
            return false;
        }
        let of_its_own = || self.cause.is_some_and(|cause| episodes::is_said_of(said, cause));
        let of_another = |cause: &Entry| history.entries.iter().any(|other| is_of_other(said, cause, other));
        let is_about_it = |cause: &Entry| !episodes::is_before(said, cause) && !of_another(cause);
        (said.received_at >= self.since || of_its_own()) && self.cause.is_none_or(is_about_it)
    }
}

/// An interview that was accepted is done when it is said to have been held; one that was refused, or not offered, is not
/// waited for.
fn says_it_is_done(said: &Entry) -> bool {
    let is_false = |fact: &str| said.facts.get(fact) == Some(&FactValue::Bool(false));
    said.kind != RETURN_INTERVIEW
        || said.anchors.contains_key("completed_at")
        || is_false("accepted")
        || is_false("offered")
}

/// Whether `said` names the episode of another happening of the kind that it was asked for.
fn is_of_other(said: &Entry, cause: &Entry, other: &Arc<Entry>) -> bool {
    said.episode_ref.is_some()
        && said.episode_ref != cause.episode_ref
        && said.episode_ref == other.episode_ref
        && other.kind == cause.kind
        && !other.withdrawn
}
