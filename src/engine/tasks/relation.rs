//! How a task stands to others: what it follows, what it chases, and whether it wants an answer.

use crate::engine::model::subject::SubjectKey;
use crate::engine::model::task::{DIGEST, WORD};

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
