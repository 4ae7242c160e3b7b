//! The directory of a book: whom a unit is found by, and its faults, each where it stands.

use pathway_router::engine::model::event::Child;
use pathway_router::engine::rules::directory::Directory;
use pathway_router::engine::rules::load;

use crate::book::{check_faults, default_book, files, written};

#[test]
fn faults_of_a_directory() {
    check_faults(
        "directory.toml",
        r#"
[locality.crewe]
hub = 'crewe-hub'
[locality.Crewe]
title = 'Crewe'
[school.12345]
name = 'School'
phase = 'big'
safeguarding_unit = '999009'
[practice.A1]
name = 'Surgery'
merged_into = 'A2'
[practice.B1]
name = 'Surgery'
merged_into = 'B2'
[practice.B2]
name = 'Surgery'
merged_into = 'b1'
colour = 'blue'
[authority.Stockport]
[hospital.x]
"#,
        r#"
directory.toml:2:11: locality crewe lacks `title`; add `title = "Crewe"`
directory.toml:2:11: locality crewe: given twice, written otherwise; give it once
directory.toml:6:9: `12345` is not a school's URN; write its six digits: [school.999001]
directory.toml:8:9: school 12345: there is no phase `big`; write one of `nursery`, `primary`, `middle`, `secondary`, `all-through`, `post-16`, `special`, `alternative`
directory.toml:9:21: school 12345: its safeguarding unit is no school of this directory; write the URN of a school listed here, or leave it out
directory.toml:12:15: practice A1: merged into one that this directory does not list; add [practice.A2]
directory.toml:15:15: practice B1: merged round in a circle; leave `merged_into` out of the one that stands
directory.toml:18:15: practice B2: merged round in a circle; leave `merged_into` out of the one that stands
directory.toml:19:1: practice B2: there is no key `colour`; write one of `name`, `merged_into`
directory.toml:20:12: authority Stockport lacks `unit`; add `unit = "stockport"`
directory.toml:21:2: a directory has no `hospital`; write one of `locality`, `school`, `practice`, `authority`
"#,
    );
}

#[test]
fn other_authorities_need_a_directory() {
    check_faults(
        "agencies.toml",
        r#"
[social-care]
title = "Children's social care"
roles = ["manager"]
[police]
title = "Police"
[other-authority]
title = "Other authorities"
units = "authority"
"#,
        r#"
agencies.toml:7:2: agency other-authority: units = "authority", and no authority is listed; add directory.toml with [authority."Stockport"] and the like
"#,
    );
}

/// The unit of an agency of the shipped book for a child.
fn unit(agency: &str, child: &Child, placed_by: Option<&str>) -> Option<String> {
    let book = default_book();
    book.directory.unit(&book.agencies[agency], child, placed_by)
}

#[test]
fn units_are_found_as_people_write_them_and_unknown_ones_are_not() {
    let by = |school: &str, practice: &str, locality: &str| Child {
        school_urn: Some(school.to_owned()),
        gp_ods: Some(practice.to_owned()),
        locality: Some(locality.to_owned()),
        ..Child::default()
    };
    let known = by(" 999003", "n81009", "CREWE");
    assert_eq!(unit("school", &known, None).as_deref(), Some("999001"));
    assert_eq!(unit("gp", &known, None).as_deref(), Some("N81001"));
    assert_eq!(unit("family-hub", &known, None).as_deref(), Some("crewe"));
    assert_eq!(unit("other-authority", &known, Some("stockport ")).as_deref(), Some("stockport"));
    let unknown = by("654321", "X1", "atlantis");
    for agency in ["school", "gp", "family-hub"] {
        assert_eq!(unit(agency, &unknown, None), None, "{agency}");
        assert_eq!(unit(agency, &Child::default(), None), None, "{agency}");
    }
    assert_eq!(unit("other-authority", &known, Some("Cheshire East")), None);
    assert_eq!(unit("other-authority", &known, None), None);
}

#[test]
fn a_table_that_is_left_out_says_nothing() {
    let book = load(&files("", "")).unwrap_or_else(|faults| panic!("{}", written(&faults)));
    assert_eq!(book.directory, Directory::default());
    let child = Child { school_urn: Some("123456".to_owned()), ..Child::default() };
    assert_eq!(book.directory.unit(&book.agencies["school"], &child, None).as_deref(), Some("123456"));
}

#[test]
fn a_calendar_of_a_school_that_is_not_listed_and_a_number_that_is_no_ods_code() {
    let directory = "[school.999001]\nname = 'School'\nphase = 'primary'\n[practice.1234]\nname = 'Surgery'\n";
    let calendar = "[bank_holidays]\nfrom = '2026-01-01'\nto = '2026-12-31'\ndates = ['2026-01-01']\n\
                    [[school]]\nurn = '999010'\nterms = [['2026-04-13', '2026-05-22']]\n";
    let mut all = files("directory.toml", directory);
    all.extend(files("calendar.toml", calendar).pop());
    let found = load(&all).map(|_| ()).expect_err("two faults");
    assert_eq!(
        written(&found),
        "calendar.toml:6:7: directory.toml lists no school `999010`: this calendar would count for nobody; did you mean `999001`?\n\
         directory.toml:4:11: `1234` is not a practice's ODS code; write a letter, then digits and letters: [practice.N81001]\n"
    );
}
