//! Names that others give to what they send: which of ours is meant by one, and whether it may be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::shape::Record;
use super::{Fault, SchemaName};

/// Attributes that are known by name. `subject` and `dataschema` are accepted and not used: who an event is about is in
/// its data, and its schema is the published one.
pub const ATTRIBUTES: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "dataschema",
    "subject",
    "data",
    "traceparent",
    "tracestate",
    "receivedtime",
];
/// Others that CloudEvents name, or that brokers and libraries add as a rule.
const EXTENSIONS: [&str; 4] = ["data_base64", "partitionkey", "sequence", "correlationid"];
/// A name that is shorter is taken for one of ours only as it is, and one of ours that is no longer only as that is: a slip may make
/// another word of it, or a person's name.
pub const SLIP_CHARS_MIN: usize = 8;
/// Slips that still tell which name was meant: of a short one none, or it would be any other short one.
const EDITS_MAX: usize = 2;
const SLIP_ONE_CHARS_MIN: usize = 3;
const SLIP_TWO_CHARS_MIN: usize = 6;
/// One of ours in capitals that is longer than an abbreviation (ID, UPN, SEX) may be a family name, as forms are filled in.
const CAPITALS_MAX: usize = 3;
/// Longer than any name of ours: whoever sends such a one meant none.
const NAME_BYTES_MAX: usize = 64;
/// What is shown of a name that may be a person's: a program may use one as a key.
pub const UNNAMED: &str = "(unnamed)";
const BY_ALPHABET: &str = " (number ";
/// What others call some of our fields.
const ALSO_CALLED: [(&str, &str); 10] = [
    ("surname", "family_name"),
    ("lastname", "family_name"),
    ("forename", "given_names"),
    ("forenames", "given_names"),
    ("firstname", "given_names"),
    ("nhsno", "nhs_number"),
    ("birthdate", "date_of_birth"),
    ("gp", "gp_ods"),
    ("school", "school_urn"),
    ("gender", "sex"),
];

/// The fields of what is sent to us, and the attributes: as they are, and those that hold others.
static OURS: LazyLock<Names> = LazyLock::new(Names::of_the_schemas);

#[derive(Default)]
struct Names {
    whole: BTreeSet<String>,
    /// Of fields that are records, what is in them: that may stand behind their name (`childSchoolUrn`).
    records: BTreeMap<String, BTreeSet<String>>,
    /// Those of which a slip is told, by their length.
    long: BTreeMap<usize, Vec<Vec<char>>>,
}

/// A name someone else chose, if it may be repeated: it is one of ours but for case and separators (a long one also but for a slip), or the
/// names of a record of ours and of fields (`childSchoolUrn`), and so no person's.
pub fn speakable(name: &str) -> &str {
    if is_speakable(name) { name } else { UNNAMED }
}

pub fn is_speakable(name: &str) -> bool {
    is_spoken(name, true)
}

/// The same without slips, which take longest to find: of what stands above a name in its path.
pub fn spoken_as_it_is(name: &str) -> &str {
    if is_spoken(name, false) { name } else { UNNAMED }
}

/// Which one is meant that is not repeated: of a map, whose order nobody keeps.
pub fn by_alphabet(number: usize) -> String {
    format!("{BY_ALPHABET}{number} of the names in order of the alphabet)")
}

/// Whether two faults are of one place. Two names that cannot be repeated are two, unless they have one number.
pub fn is_of_one_place(one: &Fault, other: &Fault) -> bool {
    let number = |fault: &Fault| Some(fault.problem.split_once(BY_ALPHABET)?.1.split_once(' ')?.0.to_owned());
    let is_named = !one.path.ends_with(UNNAMED);
    one.path == other.path
        && (is_named || number(one).is_some_and(|number_of_one| Some(number_of_one) == number(other)))
}

fn is_spoken(name: &str, with_slips: bool) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) {
        return false;
    }
    let words = words(name);
    let whole = words.concat();
    // A short one with a capital may be somebody's name.
    let is_ours = OURS.whole.contains(&whole) && (whole.len() >= SLIP_CHARS_MIN || is_written_as_a_field(name));
    let is_within_record = is_written_as_a_field(name) && OURS.is_within_record(&words);
    is_ours || is_within_record || (with_slips && OURS.has_nearly(&whole))
}

fn is_written_as_a_field(name: &str) -> bool {
    let is_abbreviation = name.len() <= CAPITALS_MAX && name.chars().all(|c| c.is_ascii_uppercase());
    !name.starts_with(|c: char| c.is_ascii_uppercase()) || is_abbreviation
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
        ATTRIBUTES.iter().chain(&EXTENSIONS).for_each(|name| names.add(name));
        for schema in [SchemaName::ReferralEvent, SchemaName::Outcome] {
            if let Ok(schema) = schema.published() {
                names.add_fields(schema.root());
            }
        }
        names
    }

    fn add(&mut self, name: &str) {
        let whole = words(name).concat();
        if whole.len() > SLIP_CHARS_MIN && !self.whole.contains(&whole) {
            self.long.entry(whole.len()).or_default().push(whole.chars().collect());
        }
        self.whole.insert(whole);
    }

    /// Whether words name a record of ours, and then a field in it, and so on.
    fn is_within_record(&self, words: &[String]) -> bool {
        let parts = |from: usize| {
            let rest = words.get(from..).unwrap_or_default();
            (1..=rest.len())
                .map(move |count| (from.saturating_add(count), rest.get(..count).unwrap_or_default().concat()))
        };
        // How far the words have named fields, and the last of them.
        let mut reached: BTreeSet<(usize, String)> =
            parts(0).filter(|(_, part)| self.records.contains_key(part)).collect();
        while let Some((end, last)) = reached.pop_first() {
            let Some(fields) = self.records.get(&last) else { continue };
            let within: Vec<(usize, String)> = parts(end).filter(|(_, part)| fields.contains(part)).collect();
            if within.iter().any(|(end, _)| *end == words.len()) {
                return true;
            }
            reached.extend(within);
        }
        false
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
            for inner in field.shape.records() {
                let names = inner.fields.iter().map(|field| words(&field.name).concat());
                self.records.entry(words(&field.name).concat()).or_default().extend(names);
                self.add_fields(inner);
            }
        }
    }
}

/// The known name a sender most likely meant: the same but for case and separators, or for a slip or two.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let folded = fold(name);
    let edits_max = match folded.len() {
        ..SLIP_ONE_CHARS_MIN => 0,
        SLIP_ONE_CHARS_MIN..SLIP_TWO_CHARS_MIN => 1,
        _ => EDITS_MAX,
    };
    // As many letters more or less are as many edits: most names are out by that alone.
    let may_be = |candidate: &&&str| letters(candidate).abs_diff(folded.len()) <= edits_max;
    known
        .iter()
        .filter(may_be)
        .map(|candidate| (edits(&folded, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= edits_max && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The known field that others call so: `surname` for `family_name`, `dob` for `date_of_birth`.
pub fn also_called<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded: String = fold(name).into_iter().collect();
    let field = ALSO_CALLED.iter().find(|(called, _)| *called == folded).map(|(_, field)| *field);
    known.iter().find(|known| Some(**known) == field).copied().or_else(|| by_initials(name, known))
}

/// `dob` for `date_of_birth`.
fn by_initials<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
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
        for ours in [
            "nhs_number",
            "nhsNumber",
            "NHSNumber",
            "nhs_numbr",
            "Given-Names",
            "childSchoolUrn",
            "child_nhs_number",
            "id",
            "ID",
        ] {
            assert_eq!(speakable(ours), ours);
        }
        for theirs in [
            "ZebedeeQuillfeather",
            "Tim",
            "dob",
            "child_Ada",
            "Ada Child",
            "number_9434765919",
            "",
            "Hackett",
            "Said",
            "child_hackett",
            "Said_Hackett",
            "SaidChild",
            "SAID",
            "HACKETT",
            "Detail_Place",
            "DetailHackett",
            "Callbeck",
        ] {
            assert_eq!(speakable(theirs), UNNAMED, "{theirs}");
        }
    }

    #[test]
    fn what_others_call_a_field_is_known_and_a_short_name_is_no_slip_of_another() {
        let known = ["family_name", "given_names", "nhs_number", "date_of_birth", "upn", "sex", "gp_ods", "grade"];
        let meant = |name: &str| nearest(name, &known).or_else(|| also_called(name, &known));
        let cases = [
            ("surname", Some("family_name")),
            ("foreName", Some("given_names")),
            ("nhs_no", Some("nhs_number")),
            ("dob", Some("date_of_birth")),
            ("UPN", Some("upn")),
            ("gp", Some("gp_ods")),
            ("grad", Some("grade")),
            ("Zeb", None),
        ];
        for (name, field) in cases {
            assert_eq!(meant(name), field, "{name}");
        }
    }
}
