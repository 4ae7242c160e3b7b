//! Names that others give to what they send: which of ours is meant by one, and whether it may be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::SchemaName;
use super::shape::{Record, Shape};

/// Attributes that CloudEvents name, and extensions that brokers and libraries add as a rule.
const OF_CLOUD_EVENTS: [&str; 16] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "subject",
    "traceparent",
    "tracestate",
    "receivedtime",
    "data_base64",
    "partitionkey",
    "sequence",
    "correlationid",
];
/// Names that are shorter are ours only as they are: a slip may make a person's of them.
const SLIP_CHARS_MIN: usize = 8;
/// What is shown of a name that may be a person's: a program may use one as a key.
const UNNAMED: &str = "(unnamed)";

/// The fields of what is sent to us, and the attributes: as they are, and the words they are made of.
static OURS: LazyLock<Names> = LazyLock::new(Names::of_the_schemas);

#[derive(Default)]
struct Names {
    whole: BTreeSet<String>,
    words: BTreeSet<String>,
    /// Those of which a slip is told, by their length.
    long: BTreeMap<usize, Vec<Vec<char>>>,
}

/// Slips that still tell which name was meant.
const EDITS_MAX: usize = 2;
/// Longer than any name of ours: whoever sends such a one meant none.
const NAME_BYTES_MAX: usize = 64;

/// A name someone else chose, if it may be repeated: it is one of ours but for case and separators (a long one also but for a slip), or is
/// made of several of the words that ours are made of (`childSchoolUrn`), and so no person's.
pub fn speakable(name: &str) -> &str {
    if is_speakable(name) { name } else { UNNAMED }
}

pub fn is_speakable(name: &str) -> bool {
    is_spoken_as_it_is(name) || (is_plain(name) && OURS.has_nearly(&words(name).concat()))
}

/// The same without slips, which take longest to find: of what stands above a name in its path.
pub fn spoken_as_it_is(name: &str) -> &str {
    if is_spoken_as_it_is(name) { name } else { UNNAMED }
}

fn is_spoken_as_it_is(name: &str) -> bool {
    if name.len() > NAME_BYTES_MAX || !is_plain(name) {
        return false;
    }
    let words = words(name);
    OURS.whole.contains(&words.concat()) || (words.len() > 1 && words.iter().all(|word| OURS.words.contains(word)))
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// `given`, `names` of `given_names`, `givenNames` and `Given-Names`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        let is_break = matches!(letter, '_' | '-' | '.');
        if (is_break || (was_small && letter.is_ascii_uppercase())) && words.last().is_some_and(|word| !word.is_empty())
        {
            words.push(String::new());
        }
        if let (false, Some(word)) = (is_break, words.last_mut()) {
            word.push(letter.to_ascii_lowercase());
        }
        was_small = !letter.is_ascii_uppercase();
    }
    words
}

impl Names {
    fn of_the_schemas() -> Self {
        let mut names = Self::default();
        OF_CLOUD_EVENTS.iter().for_each(|name| names.add(name));
        for schema in [SchemaName::ReferralEvent, SchemaName::Outcome] {
            if let Ok(schema) = schema.published() {
                names.add_fields(schema.root());
            }
        }
        names
    }

    fn add(&mut self, name: &str) {
        let words = words(name);
        let whole = words.concat();
        self.words.extend(words);
        if whole.len() >= SLIP_CHARS_MIN && !self.whole.contains(&whole) {
            self.long.entry(whole.len()).or_default().push(whole.chars().collect());
        }
        self.whole.insert(whole);
    }

    /// Whether a long name of ours was meant but for a slip.
    fn has_nearly(&self, whole: &str) -> bool {
        if whole.len() < SLIP_CHARS_MIN || whole.len() > NAME_BYTES_MAX {
            return false;
        }
        let lengths = whole.len().saturating_sub(EDITS_MAX)..=whole.len().saturating_add(EDITS_MAX);
        let whole: Vec<char> = whole.chars().collect();
        self.long.range(lengths).flat_map(|(_, names)| names).any(|name| edits(&whole, name) <= EDITS_MAX)
    }

    fn add_fields(&mut self, record: &Record) {
        for field in &record.fields {
            self.add(&field.name);
            self.add_within(&field.shape);
        }
    }

    fn add_within(&mut self, shape: &Shape) {
        match shape {
            Shape::Record(record) => self.add_fields(record),
            Shape::Branches(branches) => branches.iter().for_each(|branch| self.add_fields(&branch.record)),
            Shape::Optional(inner) | Shape::Array(inner) | Shape::Map(inner) => self.add_within(inner),
            Shape::Null
            | Shape::Boolean
            | Shape::Int
            | Shape::Long
            | Shape::Bytes
            | Shape::String
            | Shape::Uuid
            | Shape::Date
            | Shape::Timestamp
            | Shape::Scalar
            | Shape::Enum(_) => {}
        }
    }
}

/// The known name a sender most likely meant: the same but for case and separators, or within two edits.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let folded = fold(name);
    // As many letters more or less are as many edits: most names are out by that alone.
    let may_be = |candidate: &&&str| letters(candidate).abs_diff(folded.len()) <= EDITS_MAX;
    known
        .iter()
        .filter(may_be)
        .map(|candidate| (edits(&folded, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= EDITS_MAX && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `dob` for `date_of_birth`.
pub fn by_initials<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let initials = |candidate: &str| candidate.split('_').filter_map(|word| word.chars().next()).collect::<String>();
    known.iter().find(|candidate| candidate.contains('_') && initials(candidate).eq_ignore_ascii_case(name)).copied()
}

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn letters(name: &str) -> usize {
    name.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Levenshtein's distance.
fn edits(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.iter().enumerate() {
        let mut next = vec![index.saturating_add(1)];
        for (to, window) in right.iter().zip(row.windows(2)) {
            let (diagonal, above) = match window {
                [diagonal, above] => (*diagonal, *above),
                _ => (usize::MAX, usize::MAX),
            };
            let before = next.last().copied().unwrap_or(usize::MAX);
            let substituted = diagonal.saturating_add(usize::from(from != to));
            next.push(substituted.min(above.saturating_add(1)).min(before.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_repeated_only_where_it_is_made_of_our_words() {
        for ours in ["nhs_number", "nhsNumber", "NHSNumber", "nhs_numbr", "Given-Names", "childSchoolUrn", "id"] {
            assert_eq!(speakable(ours), ours);
        }
        for theirs in ["ZebedeeQuillfeather", "Tim", "dob", "child_Ada", "Ada Child", "number_9434765919", ""] {
            assert_eq!(speakable(theirs), UNNAMED, "{theirs}");
        }
    }
}
