//! Whether a child named with another is of the same family, by what the sender says they are to each other.

use crate::engine::model::detail::Detail;

/// What is said of a child who is named with another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kin {
    /// They share carers and household.
    Same,
    Other,
    /// What is said cannot be read: neither is asserted, and nothing of the one family goes to the other.
    Unclear,
}

/// Who shares a child's carers and household.
const OF_FAMILY: [&str; 16] = [
    "brother", "sister", "sibling", "twin", "triplet", "mother", "mum", "mam", "father", "dad", "daughter", "son",
    "stepson", "baby", "unborn", "newborn",
];
const PARENTS: [&str; 5] = ["mother", "mum", "mam", "father", "dad"];

/// Who lives there without a word for what they are to each other.
const AT_HOME: [&str; 2] = ["household", "family"];

/// Who is of another family, whatever else is said: a sister's friend, the other child.
const OF_ANOTHER: [&str; 18] = [
    "friend",
    "girlfriend",
    "boyfriend",
    "cousin",
    "classmate",
    "schoolmate",
    "schoolfriend",
    "peer",
    "pupil",
    "neighbour",
    "acquaintance",
    "stranger",
    "other",
    "another",
    "different",
    "unrelated",
    "visitor",
    "guest",
];

/// What may stand beside such a word and leave it what it says: of which sort, and what became of them.
const BESIDE_IT: [&str; 64] = [
    "half",
    "step",
    "foster",
    "adoptive",
    "adopted",
    "full",
    "birth",
    "biological",
    "younger",
    "youngest",
    "older",
    "oldest",
    "elder",
    "eldest",
    "little",
    "big",
    "young",
    "teenage",
    "expectant",
    "pregnant",
    "maternal",
    "paternal",
    "same",
    "own",
    "the",
    "a",
    "an",
    "of",
    "in",
    "at",
    "to",
    "and",
    "child",
    "children",
    "s",
    "her",
    "his",
    "their",
    "my",
    "our",
    "who",
    "that",
    "is",
    "was",
    "are",
    "were",
    "has",
    "been",
    "be",
    "also",
    "harmed",
    "hurt",
    "injured",
    "abused",
    "assaulted",
    "present",
    "there",
    "lives",
    "living",
    "with",
    "aged",
    "years",
    "old",
    "expected",
];

/// Where nothing is said of it ("child who was harmed"), the children of an incident between children are of two families. Where nothing
/// is said at all, the children of any other referral are its family's.
pub fn read(relationship: Option<&str>, detail: &Detail) -> Kin {
    let said = relationship.map(words).unwrap_or_default();
    let is_silent = said.iter().all(|word| BESIDE_IT.contains(&word.as_str()));
    match detail {
        Detail::SexualBehaviourReported(_) if is_silent => Kin::Other,
        _ if said.is_empty() => Kin::Same,
        _ => kin(&said),
    }
}

pub fn is_shared(relationship: Option<&str>, detail: &Detail) -> bool {
    read(relationship, detail) == Kin::Same
}

pub fn is_unclear(relationship: Option<&str>, detail: &Detail) -> bool {
    read(relationship, detail) == Kin::Unclear
}

/// Whether a child is said to be the mother or father of the one they are named with.
pub fn is_parent(relationship: Option<&str>) -> bool {
    let said = relationship.map(words).unwrap_or_default();
    kin(&said) == Kin::Same && said.iter().any(|word| is_among(&PARENTS, word))
}

fn kin(said: &[String]) -> Kin {
    let is_read = |word: &String| is_of_family(word) || BESIDE_IT.contains(&word.as_str());
    if said.iter().any(|word| is_among(&OF_ANOTHER, word)) {
        Kin::Other
    } else if said.iter().any(|word| is_of_family(word)) && said.iter().all(is_read) && !said.windows(2).any(is_whose) {
        Kin::Same
    } else {
        Kin::Unclear
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_among(list: &[&str], word: &str) -> bool {
    list.contains(&word) || word.strip_suffix('s').is_some_and(|one| list.contains(&one))
}

/// Stepbrother, half-sister, brothers; who is of the household.
fn is_of_family(word: &str) -> bool {
    let one = word.strip_suffix('s').unwrap_or(word);
    let is_compound = || OF_FAMILY.iter().any(|family| one.ends_with(family) && family.len() > 5);
    is_among(&OF_FAMILY, word) || AT_HOME.contains(&word) || is_compound() && !one.starts_with("grand")
}

/// "Sister's child" is no sister.
fn is_whose(pair: &[String]) -> bool {
    matches!(pair, [who, of] if is_of_family(who) && of == "s")
}

#[cfg(test)]
mod tests {
    use super::{Kin, is_parent, read};
    use crate::engine::model::codes::Hackett;
    use crate::engine::model::detail::{ConcernReported, Detail, SexualBehaviourReported};

    fn check(relationship: Option<&str>, at_home: Kin, between_children: Kin) {
        let home = Detail::ConcernReported(ConcernReported { concern: None, proposed_level: None });
        let incident = Detail::SexualBehaviourReported(SexualBehaviourReported { hackett: Some(Hackett::Violent) });
        assert_eq!(read(relationship, &home), at_home, "{relationship:?} at home");
        assert_eq!(read(relationship, &incident), between_children, "{relationship:?} between children");
    }

    #[test]
    fn only_who_is_said_to_be_of_the_family_is() {
        let family = [
            "sibling",
            "Brother",
            "half-sister",
            "Stepbrother",
            "younger brother",
            "Mother",
            "twin",
            "siblings",
            "brother (was harmed)",
            "younger brother who was harmed",
            "son",
            "baby",
            "unborn child",
            "her own baby",
            "father",
            "child of the household",
            "lives in the same household",
            "stepdaughter, aged 7",
        ];
        for family in family {
            check(Some(family), Kin::Same, Kin::Same);
        }
        for other in ["other child involved", "sister's friend", "friend", "cousin", "child of another family"] {
            check(Some(other), Kin::Other, Kin::Other);
        }
    }

    #[test]
    fn of_what_cannot_be_read_nothing_is_said() {
        check(Some("child who was harmed"), Kin::Unclear, Kin::Other);
        for unclear in ["sister's child", "victim", "not a brother", "grandmother", "person", "same children's home"] {
            check(Some(unclear), Kin::Unclear, Kin::Unclear);
        }
    }

    #[test]
    fn where_nothing_is_said_an_incident_between_children_is_of_two_families() {
        check(None, Kin::Same, Kin::Other);
        check(Some(" "), Kin::Same, Kin::Other);
    }

    #[test]
    fn a_mother_or_father_is_told_by_the_word() {
        for parent in ["mother", "Mum", "young father", "teenage mother"] {
            assert!(is_parent(Some(parent)), "{parent}");
        }
        for other in ["brother", "mother's friend", "grandmother", "baby", ""] {
            assert!(!is_parent(Some(other)), "{other}");
        }
    }
}
