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
    /// `{history.missing_90d.ordinal}`: the count as an ordinal, `third`.
    Ordinal(FactId),
}

impl Template {
    pub fn plain(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// The facts named, so that a reader who may not see one is given the title instead.
    pub fn reads(&self) -> impl Iterator<Item = FactId> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Fact(fact) | Part::Dates(fact) | Part::Ordinal(fact) => Some(*fact),
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
                Part::Ordinal(fact) => {
                    let word = ordinal(table.slot(*fact).unwrap_or_default());
                    text.push_str(&if text.is_empty() { capitalised(&word) } else { word });
                }
            }
        }
        text
    }
}

/// `third`; above twelve in figures: `13th`.
fn ordinal(count: i64) -> String {
    const WORDS: [&str; 12] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    let word = usize::try_from(count).ok().and_then(|count| WORDS.get(count.checked_sub(1)?));
    let ending = || match (count % 100, count % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    word.map_or_else(|| format!("{count}{}", ending()), |word| (*word).to_owned())
}

/// At the start of a reason.
fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::{capitalised, ordinal};

    #[test]
    fn ordinals_as_a_practitioner_writes_them() {
        let written: Vec<String> = [1, 3, 12, 13, 21, 22, 111].into_iter().map(ordinal).collect();
        assert_eq!(written, ["first", "third", "twelfth", "13th", "21st", "22nd", "111th"]);
        assert_eq!(capitalised("third"), "Third");
    }
}
