//! Identifiers: known numbers, single slips, spellings of one name, and which key wins.

use proptest::prelude::*;

use super::*;
use crate::engine::model::scalar::Date;

/// The number made valid, if it can be: the tests' own way of working it out.
fn nhs_number(nine: u32) -> Option<String> {
    let text = format!("{nine:09}");
    (0..10).map(|check| format!("{text}{check}")).find(|number| {
        let sum: u32 =
            number.bytes().enumerate().map(|(place, byte)| (10 - place as u32) * u32::from(byte - b'0')).sum();
        sum.is_multiple_of(11)
    })
}

#[test]
fn nhs_numbers() {
    for valid in ["9434765919", "9000000009", "9990000018", "4505577104"] {
        assert!(nhs_number_is_valid(valid), "{valid}");
    }
    for wrong in ["9434765918", "943476591", "94347659190", "943476591X", "", "0000000000", "1111111111", "９434765919"]
    {
        assert!(!nhs_number_is_valid(wrong), "{wrong}");
    }
}

#[test]
fn unique_pupil_numbers() {
    for valid in ["H801200001001", "A12345678901A"].map(with_check_letter) {
        assert!(upn_is_valid(&valid), "{valid}");
    }
    assert!(upn_is_valid("H801200001001"));
    for wrong in
        ["G801200001001", "H80120000100", "H8012000010011", "I801200001001", "", "H8012000O1001", "A000000000000"]
    {
        assert!(!upn_is_valid(wrong), "{wrong}");
    }
}

fn with_check_letter(upn: &str) -> String {
    let body: String = upn.chars().skip(1).collect();
    "ABCDEFGHJKLMNPQRTUVWXYZ"
        .chars()
        .map(|letter| format!("{letter}{body}"))
        .find(|upn| upn_is_valid(upn))
        .expect("one")
}

#[test]
fn spellings_of_one_name() {
    let check = |one: &str, other: &str| assert_eq!(normalise_name(one), normalise_name(other), "{one} / {other}");
    check("Zoë", "ZOE");
    check("Zo\u{eb}", "Zoe\u{308}");
    check("O'Brien-Smith", "o brien smith");
    check("Weiß", "WEISS");
    check("WEI\u{1e9e}", "weiss");
    check("İpek", "ipek");
    check("ﬁona", "Fiona");
    check(" Siân  Mai ", "sian mai");
    check("D’Arcy", "D'arcy");
    check("Twin ①", "twin-1");
    check("\u{645}\u{64f}\u{62d}", "\u{645}\u{62d}");
    assert_eq!(normalise_name("Anne-Marie 2nd!"), "annemarie2nd");
    let differ = |one: &str, other: &str| assert_ne!(normalise_name(one), normalise_name(other), "{one} / {other}");
    differ("Ann", "Anne");
    differ("Twin 1", "Twin 2");
    differ("Twin I", "Twin II");
    differ("Twin Ⅰ", "Twin Ⅱ");
    differ("Twin A", "Twin B");
    differ("Twin one", "Twin two");
    differ("Baby boy", "Baby girl");
    differ("सीता", "सता");
    differ("かな", "がな");
    assert_eq!(normalise_name("李 小龍"), "李小龍");
}

fn source(unit: &str) -> Source {
    Source { partner: "leighton-hospital".to_owned(), agency: None, unit: unit.to_owned() }
}

fn child() -> Child {
    Child {
        nhs_number: Some("943 476 5919".to_owned()),
        upn: Some("h801200001001".to_owned()),
        local_id: Some("A-17".to_owned()),
        given_names: Some("Robin".to_owned()),
        family_name: Some("Example".to_owned()),
        date_of_birth: Some(Date(15_000)),
        ..Child::default()
    }
}

fn kinds(child: &Child) -> (IdentifierKind, Vec<IdentifierKind>, bool, Vec<String>) {
    let keys = Keys::from_secret(&[1; 32]);
    let found = Identifiers::of(&keys, child, &source("ward-1"), "event-1");
    let weaker = found.weaker.iter().map(|(kind, _)| *kind).collect();
    (found.strongest.0, weaker, found.sighting.is_some(), found.unverified)
}

#[test]
fn the_strongest_verified_identifier_wins() {
    use IdentifierKind::{LocalId, NameAndBirth, NhsNumber, Upn};
    let none = Vec::<String>::new();
    assert_eq!(kinds(&child()), (NhsNumber, vec![Upn, LocalId], true, none.clone()));
    let wrong_number = Child { nhs_number: Some("9434765918".to_owned()), ..child() };
    assert_eq!(kinds(&wrong_number), (Upn, vec![LocalId], true, vec!["nhs_number".to_owned()]));
    let blank = Child { nhs_number: Some(" ".to_owned()), upn: None, ..child() };
    assert_eq!(kinds(&blank), (LocalId, vec![], true, none.clone()));
    let named = Child { nhs_number: None, upn: None, local_id: None, ..child() };
    assert_eq!(kinds(&named), (NameAndBirth, vec![], false, none.clone()));
    let nameless = Child { given_names: None, ..named.clone() };
    assert_eq!(kinds(&nameless), (IdentifierKind::None, vec![], false, none.clone()));
    for (given, family) in [("Baby", "Example"), ("BABY - girl", "Example"), ("Robin", "Unknown")] {
        let unnamed =
            Child { given_names: Some(given.to_owned()), family_name: Some(family.to_owned()), ..named.clone() };
        assert_eq!(kinds(&unnamed), (IdentifierKind::None, vec![], true, none.clone()), "{given} {family}");
    }
}

#[test]
fn keys_meet_only_where_the_identifier_does() {
    let keys = Keys::from_secret(&[1; 32]);
    let of = |child: &Child, unit: &str, event: &str| Identifiers::of(&keys, child, &source(unit), event).strongest.1;
    let spaced = child();
    let plain = Child { nhs_number: Some("9434765919".to_owned()), upn: None, given_names: None, ..child() };
    assert!(of(&spaced, "ward-1", "1") == of(&plain, "ward-2", "2"));
    let local = Child { nhs_number: None, upn: None, ..child() };
    assert!(of(&local, "ward-1", "1") == of(&local, "ward-1", "2"));
    assert!(of(&local, "ward-1", "1") != of(&local, "ward-2", "1"), "a unit's own ids mean nothing elsewhere");
    let nobody = Child::default();
    assert!(of(&nobody, "ward-1", "1") == of(&nobody, "ward-1", "1"));
    assert!(of(&nobody, "ward-1", "1") != of(&nobody, "ward-1", "2"), "two unknown children are two");
    assert!(
        keys.subject_key(IdentifierKind::NhsNumber, "9434765919")
            != keys.subject_key(IdentifierKind::LocalId, "9434765919")
    );
    assert!(
        keys.subject_key(IdentifierKind::Upn, "x") != Keys::from_secret(&[2; 32]).subject_key(IdentifierKind::Upn, "x")
    );
    let subject = keys.partner_subject("police", None);
    assert!(keys.task_topic_key(subject, "police") != keys.task_topic_key(subject, "gp"));
    assert_eq!(format!("{keys:?}"), "Keys(..)");
}

#[test]
fn the_keyed_hash_is_plain_hmac() {
    // RFC 4231, test case 2, its key padded with the zeros HMAC itself would add.
    let mut key = [0; 32];
    key[..4].copy_from_slice(b"Jefe");
    assert_eq!(
        hex::encode(KeyedHash::new(&key).of(&[b"what do ya want ", b"for nothing?"])),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

proptest! {
    #[test]
    fn one_wrong_digit_never_passes(nine in 0u32..1_000_000_000, place in 0usize..10, add in 1u8..10) {
        if let Some(number) = nhs_number(nine) {
            let same = number.bytes().all(|byte| byte == number.as_bytes()[0]);
            prop_assert_eq!(nhs_number_is_valid(&number), !same);
            let mut bytes = number.into_bytes();
            bytes[place] = b'0' + (bytes[place] - b'0' + add) % 10;
            prop_assert!(!nhs_number_is_valid(&String::from_utf8(bytes).expect("digits")));
        }
    }

    #[test]
    fn one_wrong_digit_or_letter_never_passes(body in "[1-9][0-9]{11}", place in 1usize..13, add in 1u8..10) {
        let upn = with_check_letter(&format!("A{body}"));
        let mut bytes = upn.into_bytes();
        bytes[place] = b'0' + (bytes[place] - b'0' + add) % 10;
        prop_assert!(!upn_is_valid(&String::from_utf8(bytes).expect("digits")));
    }

    #[test]
    fn normalising_twice_changes_nothing(name in "\\PC{0,24}") {
        let once = normalise_name(&name);
        prop_assert_eq!(normalise_name(&once), once);
    }

    #[test]
    fn no_text_upsets_the_checks(text in "\\PC{0,16}") {
        let _ = (nhs_number_is_valid(&text), upn_is_valid(&text));
    }
}
