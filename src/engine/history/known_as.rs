//! Two children under one identifier: told apart by keyed hashes of given name and birthday (where no number is known, of sex,
//! school, practice and locality, too), joined or parted by people.

use crate::engine::model::history::{Entry, History, KnownAs};

/// Where the question of two names under one key stands.
pub const ASKED: &str = "asked";
pub const ONE: &str = "one";
pub const DIFFERENT: &str = "different";

/// Whether two are called otherwise, born on another day, or told apart otherwise. What either does not say tells nothing; family names change.
/// One who gives fewer of the same names is the same: Asha, and Asha Jane. Anne-Marie and Annemarie are one.
pub fn differ(one: &KnownAs, other: &KnownAs) -> bool {
    let born_otherwise = one.birth.zip(other.birth).is_some_and(|(one, other)| one != other);
    let named = one.whole.is_some() && other.whole.is_some();
    let all_of = |some: &[i64], more: &[i64]| some.iter().all(|name| more.contains(name));
    let same_name = one.whole == other.whole || all_of(&one.given, &other.given) || all_of(&other.given, &one.given);
    born_otherwise || (named && !same_name) || are_otherwise(one, other)
}

/// Whether two of one name and birthday, neither of whom bears a number, are told apart by what else is said: by their sex, or by
/// school, practice and locality where they share none of those.
fn are_otherwise(one: &KnownAs, other: &KnownAs) -> bool {
    let said = |one: Option<i64>, other: Option<i64>| one.zip(other).map(|(one, other)| one == other);
    let places = [(one.school, other.school), (one.practice, other.practice), (one.locality, other.locality)];
    let places: Vec<bool> = places.into_iter().filter_map(|(one, other)| said(one, other)).collect();
    said(one.sex, other.sex) == Some(false) || (!places.is_empty() && !places.contains(&true))
}

/// Whether two entries of one subject are of two children, as far as is known: they differ, and no person said otherwise.
pub fn are_two(history: &History, one: &Entry, other: &Entry) -> bool {
    let (Some(first), Some(second)) = (&one.known_as, &other.known_as) else { return false };
    differ(first, second) && standing(history, first, second) != Some(ONE) && !are_one_to_sender(one, other)
}

/// Whether one sender speaks of one absence or incident by its reference: they know whom they mean, whatever else they say of them.
/// Another name or birthday is another child all the same.
fn are_one_to_sender(one: &Entry, other: &Entry) -> bool {
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    let referred = one.source.partner == other.source.partner
        && (same(&one.episode_ref, &other.episode_ref) || same(&one.police_reference, &other.police_reference));
    let alone = |known: &KnownAs| KnownAs {
        birth: known.birth,
        whole: known.whole,
        given: known.given.clone(),
        ..KnownAs::default()
    };
    let known = one.known_as.as_ref().zip(other.known_as.as_ref());
    referred && known.is_some_and(|(one, other)| !differ(&alone(one), &alone(other)))
}

/// Whether a person said that two entries of one subject are of two children: then neither counts for the other.
pub fn count_apart(history: &History, one: &Entry, other: &Entry) -> bool {
    if history.look_alikes.is_none() {
        return false;
    }
    let (Some(one), Some(other)) = (&one.known_as, &other.known_as) else { return false };
    differ(one, other) && standing(history, one, other) == Some(DIFFERENT)
}

/// Where the question stands whether two names under this key are one child.
pub fn standing<'h>(history: &'h History, one: &KnownAs, other: &KnownAs) -> Option<&'h str> {
    let same = |left: &KnownAs, right: &KnownAs| !differ(left, right);
    let of_both = history.look_alikes.iter().flatten().rev().find(|known| {
        (same(&known.one, one) && same(&known.two, other)) || (same(&known.one, other) && same(&known.two, one))
    });
    of_both.map(|known| known.standing.as_str())
}

/// Whom an arriving entry is called otherwise than, unless it is called as any that is known: the latest.
pub fn another<'h>(history: &'h History, arriving: &Entry) -> Option<&'h Entry> {
    arriving.known_as.as_ref()?;
    let named = || {
        let standing = history.entries.iter().rev().map(AsRef::as_ref);
        standing.filter(|entry: &&Entry| !entry.withdrawn && entry.known_as.is_some() && !entry.is_same_event(arriving))
    };
    let latest = named().next()?;
    named().all(|entry| are_two(history, entry, arriving)).then_some(latest)
}

#[cfg(test)]
mod tests {
    use super::differ;
    use crate::engine::identity::Keys;
    use crate::engine::model::event::Child;
    use crate::engine::model::history::KnownAs;
    use crate::engine::model::scalar::Date;

    fn called(given: &str, born: Option<&str>) -> KnownAs {
        let child = Child {
            given_names: (!given.is_empty()).then(|| given.to_owned()),
            family_name: Some("Example".to_owned()),
            date_of_birth: born.map(|born| Date::from_civil(born.parse().unwrap())),
            ..Child::default()
        };
        Keys::from_secret(&[7; 32]).known_as(&child).unwrap_or_default()
    }

    #[track_caller]
    fn check(one: (&str, Option<&str>), other: (&str, Option<&str>), two: bool) {
        let (one, other) = (called(one.0, one.1), called(other.0, other.1));
        assert_eq!(differ(&one, &other), two);
        assert_eq!(differ(&other, &one), two);
    }

    #[test]
    fn twins_differ_and_spellings_of_one_name_do_not() {
        let born = Some("2011-01-15");
        check(("Asha", born), ("Bilal", born), true);
        check(("Asha", born), ("Asha", Some("2013-01-15")), true);
        check(("Muhammad Ali", born), ("Muhammad Hassan", born), true);
        check(("Twin 1", born), ("Twin 2", born), true);
        check(("Asha Jane", born), ("ASHA", born), false);
        check(("Zoë", born), ("zoe", born), false);
        check(("Anne-Marie", born), ("Annemarie", born), false);
        check(("Anne Marie", born), ("Anne-Marie", born), false);
        check(("D'Arcy", born), ("Darcy", born), false);
    }

    #[test]
    fn of_one_name_and_birthday_sex_or_no_place_in_common_tells_two_apart() {
        let known = |sex, school, practice, locality| KnownAs {
            sex,
            school,
            practice,
            locality,
            ..called("Asha", Some("2011-01-15"))
        };
        let check = |one: &KnownAs, other: &KnownAs, two: bool| {
            assert_eq!(differ(one, other), two);
            assert_eq!(differ(other, one), two);
        };
        let asha = known(Some(1), Some(11), Some(21), Some(31));
        check(&asha, &known(Some(2), Some(11), Some(21), Some(31)), true);
        check(&asha, &known(None, Some(12), Some(22), None), true);
        check(&asha, &known(Some(1), Some(12), None, None), true);
        check(&asha, &known(Some(1), Some(12), Some(21), None), false);
        check(&asha, &known(None, None, None, None), false);
    }

    #[test]
    fn what_is_not_said_tells_nothing() {
        let born = Some("2011-01-15");
        check(("", born), ("Asha", born), false);
        check(("Asha", None), ("Asha", born), false);
        check(("Asha", None), ("Bilal", born), true);
        check(("Baby", born), ("Asha", born), false);
        check(("", None), ("Asha", born), false);
    }
}
