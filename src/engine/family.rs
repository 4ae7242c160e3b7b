//! Whether a child named with another is of the same family, by what the sender says they are to each other.

use crate::engine::model::detail::Detail;

/// Who shares a child's carers and household.
const OF_FAMILY: [&str; 7] = ["brother", "sister", "sibling", "twin", "triplet", "mother", "mum"];

/// What may stand beside such a word and leave it what it says.
const BESIDE_IT: [&str; 23] = [
    "half", "step", "foster", "adoptive", "adopted", "full", "younger", "youngest", "older", "oldest", "elder",
    "eldest", "little", "big", "baby", "unborn", "maternal", "paternal", "same", "the", "of", "child", "s",
];

/// A sister's friend, the other child, a classmate: of another family, as is whoever is not said to be of this one. Where
/// nothing is said, the children of a referral are its family's, save those of an incident between children.
pub fn is_shared(relationship: Option<&str>, detail: &Detail) -> bool {
    let said = relationship.map(words).unwrap_or_default();
    if said.is_empty() {
        return !matches!(detail, Detail::SexualBehaviourReported(_));
    }
    said.iter().any(|word| is_of_family(word))
        && said.iter().all(|word| is_of_family(word) || BESIDE_IT.contains(&word.as_str()))
        && !said.windows(2).any(is_whose)
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Stepbrother, half-sister, brothers.
fn is_of_family(word: &str) -> bool {
    let one = word.strip_suffix('s').unwrap_or(word);
    OF_FAMILY.iter().any(|family| one == *family || (one.ends_with(family) && family.len() > 5))
}

/// "Sister's child" is no sister.
fn is_whose(pair: &[String]) -> bool {
    matches!(pair, [who, of] if is_of_family(who) && of == "s")
}

#[cfg(test)]
mod tests {
    use super::is_shared;
    use crate::engine::model::codes::Hackett;
    use crate::engine::model::detail::{ConcernReported, Detail, SexualBehaviourReported};

    fn check(relationship: Option<&str>, at_home: bool, between_children: bool) {
        let home = Detail::ConcernReported(ConcernReported { concern: None, proposed_level: None });
        let incident = Detail::SexualBehaviourReported(SexualBehaviourReported { hackett: Some(Hackett::Violent) });
        assert_eq!(is_shared(relationship, &home), at_home, "{relationship:?} at home");
        assert_eq!(is_shared(relationship, &incident), between_children, "{relationship:?} between children");
    }

    #[test]
    fn only_who_is_said_to_be_of_the_family_is() {
        for family in
            ["sibling", "Brother", "half-sister", "Stepbrother", "younger brother", "Mother", "twin", "siblings"]
        {
            check(Some(family), true, true);
        }
        let others = [
            "other child involved",
            "sister's friend",
            "friend",
            "cousin",
            "child who was harmed",
            "sister's child",
            "victim",
        ];
        for other in others {
            check(Some(other), false, false);
        }
    }

    #[test]
    fn where_nothing_is_said_an_incident_between_children_is_of_two_families() {
        check(None, true, false);
        check(Some(" "), true, false);
    }
}
