//! The `why` of a rule: text with facts in braces, checked on loading, filled in for one judgement.

use super::facts::{FactId, FactTable, Facts};

/// A `why`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template {
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    Text(String),
    /// `{history.missing_90d}`: the value.
    Fact(FactId),
    /// `{history.missing_90d.dates}`: when the counted entries happened.
    Dates(FactId),
}

impl Template {
    pub fn plain(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// The facts named, so that a reader who may not see one is given the title instead.
    pub fn reads(&self) -> impl Iterator<Item = FactId> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Fact(fact) | Part::Dates(fact) => Some(*fact),
        })
    }

    /// The text for one judgement. `dates` writes out when the entries of a history count happened.
    pub fn render(&self, facts: &Facts, table: &FactTable, dates: &dyn Fn(FactId) -> String) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::Fact(fact) => match facts.value(table, *fact) {
                    Some(value) => text.push_str(&value.to_string()),
                    None => text.push_str("not known"),
                },
                Part::Dates(fact) => text.push_str(&dates(*fact)),
            }
        }
        text
    }
}
