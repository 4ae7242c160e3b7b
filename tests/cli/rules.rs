//! Rule books and events judged without a router: `rules check`, `rules test`, `decide`, `import --as-events`.

use std::fs;
use std::path::Path;

use super::{check, command};

const BOOK: &str = "rules/cheshire-east";

pub fn copy_of_the_book(folder: &Path) {
    fs::create_dir(folder.join("rules")).expect("a folder");
    for part in ["", "rules/"] {
        for entry in fs::read_dir(super::root().join(BOOK).join(part)).expect("the rule book") {
            let path = entry.expect("a file").path();
            if path.is_file() {
                fs::copy(&path, folder.join(part).join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
    }
}

#[test]
fn the_rule_book_is_sound_and_a_broken_one_is_told_by_file_and_line() {
    check(&["rules", "check", BOOK], 0, &["rules", "agencies, no faults"]);
    check(&["rules", "check", "src"], 2, &["no rule book's folder"]);
    let folder = tempfile::tempdir().expect("a folder");
    copy_of_the_book(folder.path());
    let rules = folder.path().join("rules/missing.toml");
    let text = fs::read_to_string(&rules).expect("rules").replacen("\ntitle", "\ntilte", 1);
    fs::write(&rules, text).expect("rules");
    let path = folder.path().to_str().expect("a path");
    check(&["rules", "check", path], 1, &["tilte", "missing.toml", "fault"]);
    check(&["decide", "--rules", path, "tests/samples/events/missing.started.json"], 1, &["tilte"]);
}

#[test]
fn a_rule_without_a_scenario_is_a_fault_where_the_book_has_scenarios() {
    let folder = tempfile::tempdir().expect("a folder");
    copy_of_the_book(folder.path());
    let path = folder.path().to_str().expect("a path");
    check(&["rules", "check", path], 0, &["no scenarios folder", "no faults"]);
    let scenarios = folder.path().join("scenarios");
    fs::create_dir(&scenarios).expect("a folder");
    for entry in fs::read_dir(super::root().join(BOOK).join("scenarios")).expect("scenarios") {
        let from = entry.expect("a file").path();
        let name = from.file_name().expect("a name").to_owned();
        if name != "r42-serious-incident.toml" {
            fs::copy(&from, scenarios.join(name)).expect("a copy");
        }
    }
    let done = check(
        &["rules", "check", path],
        1,
        &["rule R42-suspected has no scenario", "serious-incident.toml:16", "1 fault"],
    );
    assert!(!done.err.contains("R31 has no"), "{}", done.err);
    check(&["rules", "test", path], 0, &["not shown: rules/serious-incident.toml:16: R42-suspected: never fired"]);
    fs::write(scenarios.join("broken.toml"), "title = 3\n").expect("a scenario");
    // It may be the one that shows R42.
    let done = check(&["rules", "check", path], 1, &["broken.toml:1", "1 fault", "was not checked"]);
    assert!(!done.err.contains("has no scenario"), "{}", done.err);
    fs::remove_file(scenarios.join("broken.toml")).expect("it goes");
    fs::create_dir(scenarios.join("old")).expect("a folder");
    check(&["rules", "check", path], 2, &["old is a folder", "scenarios lie in"]);
}

#[test]
fn a_book_in_which_silence_is_told_to_nobody_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    copy_of_the_book(folder.path());
    let rules = folder.path().join("rules");
    for entry in fs::read_dir(&rules).expect("rules") {
        let file = entry.expect("a file").path();
        let text =
            fs::read_to_string(&file).expect("rules").replace("completed_by_due = true", "completed_by_due = false");
        fs::write(&file, text).expect("rules");
    }
    let agencies = folder.path().join("book.toml");
    let text = fs::read_to_string(&agencies).expect("a book");
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("told_of_breaches")).collect();
    fs::write(&agencies, kept.join("\n")).expect("a book");
    fs::remove_file(folder.path().join("ladders.toml")).expect("it goes");
    let path = folder.path().to_str().expect("a path");
    check(&["rules", "check", path], 1, &["the book has no ladder", "Add ladders.toml", "1 fault"]);
    let page = check(&["rules", "book", path], 0, &["of a task that nobody answers, nobody is told"]).out;
    assert!(page.contains("This book names nobody who is told of the breach") && !page.contains("climbs the ladder"));
    let shipped =
        check(&["rules", "book", BOOK], 0, &["is told of the breach", "climbs the ladder", "R40-overdue"]).out;
    assert!(!shipped.contains("names nobody who is told"), "the shipped book names whom");
    for besides in
        ["Immediate danger", "A child who has died", "Forgotten tasks", "Where the front door is the suspect"]
    {
        assert!(shipped.contains(besides), "{besides}");
    }
}

#[test]
fn a_near_miss_of_a_rule_that_does_not_exist_is_a_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    let path = file.to_str().expect("a path");
    for (expected, fault) in [
        ("not_rules = ['R3O']", "names rule `R3O`, which the rule book does not have"),
        ("unknown = ['CONCERN-FMG']", "did you mean `CONCERN-FGM`?"),
        (
            "tasks = [{ to = 'polise' }]",
            "names agency `polise`, which the rule book does not have: did you mean `police`?",
        ),
        ("tasks = [{ to = 'police', rules = ['R40-overdu'] }]", "did you mean `R40-overdue`?"),
    ] {
        let scenario = format!(
            "title = 'A near miss'\n[child.a]\nnhs_number = '9990000026'\n[[step]]\nat = '2026-10-12 10:00'\n\
             event = 'concern.reported'\nfrom = 'schools/990001'\nchild = 'a'\ndetail = {{ concern = 'other' }}\n[step.expect]\n{expected}\n"
        );
        fs::write(&file, scenario).expect("a scenario");
        check(&["rules", "test", path, "--rules", BOOK], 1, &["FAULTY", "mine.toml:4", fault]);
    }
}

#[test]
fn scenarios_pass_and_a_wrong_expectation_is_shown_side_by_side() {
    check(&["rules", "test", BOOK], 0, &["coverage: complete", "as expected, 0 not"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    let scenario = r#"
title = "A wrong expectation"
[child.a]
nhs_number = "9990000026"
date_of_birth = "2011-04-02"
[[step]]
at = "2026-10-12 10:00"
event = "concern.reported"
from = "schools/990001"
child = "a"
detail = { concern = "other", proposed_level = "L4a" }
expect = { level = "L4b" }
"#;
    fs::write(&file, scenario).expect("a scenario");
    let path = file.to_str().expect("a path");
    check(&["rules", "test", path, "--rules", BOOK], 1, &["FAILED", "mine.toml:6", "expected", "got", "L4b", "L4a"]);
    check(&["rules", "test", path], 2, &["--rules"]);
    fs::write(&file, "title = 3\n").expect("a scenario");
    check(&["rules", "test", path, "--rules", BOOK], 1, &["FAULTY", "mine.toml:1"]);
    check(&["rules", "test", "nowhere", "--rules", BOOK], 2, &["nowhere"]);
}

#[test]
fn decide_judges_lines_and_goes_on_after_a_faulty_one() {
    let sample =
        fs::read_to_string(super::root().join("tests/samples/events/self_harm.reported.json")).expect("a sample");
    let event: serde_json::Value = serde_json::from_str(&sample).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    let path = file.to_str().expect("a path");
    fs::write(&file, format!("{event}\n")).expect("events");
    let done = check(&["decide", "--rules", BOOK, path], 0, &["\"fired\"", "\"judged\""]);
    for line in done.out.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("a decision as JSON");
    }
    let again = check(&["decide", "--rules", BOOK, path], 0, &[]);
    assert_eq!(done.out, again.out);
    fs::write(&file, format!("{{\"specversion\":\"1.0\"}}\nnot json\n{event}\n")).expect("events");
    let expected = ["events.jsonl:1: ", "data is required", "events.jsonl:2: the event is not JSON", "\"judged\""];
    check(&["decide", "--rules", BOOK, path], 1, &expected);
    check(&["decide", "--rules", BOOK, path, "--until", "tomorrow"], 2, &["--until"]);
    check(&["decide", "--rules", "no-such-folder", path], 2, &["no-such-folder"]);
}

#[test]
fn a_missing_file_is_judged_as_of_then_the_same_way_each_time() {
    let arguments = ["import", "ssda903", "tests/samples/ssda903/missing-2017-18.csv", "--as-events", "--rules", BOOK];
    let done = check(&arguments, 0, &["46 episodes of 16 children", "R13", "as of then", "nothing was sent"]);
    assert_eq!(done.out, check(&arguments, 0, &[]).out);
    assert!(!done.out.contains("CE1000"), "a child's id was printed");
    let broken = ["import", "ssda903", "tests/samples/ssda903/broken-rows.csv", "--as-events", "--rules", BOOK];
    let expected = [
        "broken-rows.csv:3: MIS_START is not a date",
        "broken-rows.csv:4: MISSING is neither",
        "broken-rows.csv:6: CHILD is empty",
        "broken-rows.csv:7: DOB is not a date",
        "broken-rows.csv:8: MIS_END is before MIS_START",
        "broken-rows.csv:9: 3 fields",
        "3 episodes of 1 child",
    ];
    check(&broken, 1, &expected);
    check(&["import", "ssda903", "CHANGELOG.md", "--as-events", "--rules", BOOK], 1, &["must name the columns"]);
    check(&arguments[..4], 2, &["--rules"]);
}

#[test]
fn what_lies_before_the_calendar_is_judged_all_the_same_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    copy_of_the_book(folder.path());
    let calendar =
        "[bank_holidays]\nfrom = \"2017-06-01\"\nto = \"2017-12-31\"\ndates = [\"2017-12-25\", \"2017-12-26\"]\n";
    fs::write(folder.path().join("calendar.toml"), calendar).expect("a calendar");
    let book = folder.path().to_str().expect("a path");
    let import = ["import", "ssda903", "tests/samples/ssda903/missing-2017-18.csv", "--as-events", "--rules", book];
    // A book that counts from before its calendar begins is refused, with what to do.
    check(&import, 1, &["calendar.toml:1:2", "set `effective_from` in"]);
    let about = folder.path().join("book.toml");
    let text = fs::read_to_string(&about).expect("a book").replace("2012-01-01", "2017-06-01");
    fs::write(&about, text).expect("a book");
    check(&import, 0, &["line ", "2017-04-07", "R13", "as of then"]);

    let path = super::root().join("tests/samples/events/concern.reported.json");
    let mut event: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(path).expect("a sample")).expect("JSON");
    event["time"] = "2017-05-27T12:00:00Z".into();
    event["data"]["occurred_at"] = event["time"].clone();
    event["data"]["reported_at"] = event["time"].clone();
    let file = folder.path().join("events.jsonl");
    fs::write(&file, format!("{event}\n")).expect("events");
    let path = file.to_str().expect("a path");
    let until = ["--until", "2017-05-28T00:00:00Z"];
    check(
        &[&["decide", "--rules", book, path], &until[..]].concat(),
        0,
        &["\"disposition\":\"judged\"", "\"social-care\""],
    );
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::io::Read;
    use std::process::Stdio;
    let arguments = ["import", "ssda903", "tests/samples/ssda903/missing-2017-18.csv", "--as-events", "--rules", BOOK];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0; 10];
    let mut out = child.stdout.take().expect("output");
    out.read_exact(&mut first).expect("some output");
    drop(out);
    let done = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && err.is_empty(), "{err}");
}
