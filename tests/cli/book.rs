//! `rules book`: one page that stands alone, that a screen reader can walk, and that says all a rule says.

use std::collections::BTreeSet;
use std::fs;

use super::check;

const BOOK: &str = "rules/cheshire-east";

fn page() -> String {
    check(&["rules", "book", BOOK], 0, &["<!DOCTYPE html>"]).out
}

/// Every value of an attribute, in order.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let start = format!(" {attribute}=\"");
    page.split(start.as_str()).skip(1).map(|rest| rest.split('"').next().expect("an end")).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('\'', "&#39;")
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page();
    for outside in ["http:", "https:", "<script", "<link", " src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_screen_reader_can_walk_the_page() {
    let page = page();
    assert!(page.contains("<html lang=\"en-GB\">") && page.contains("<title>Right Help, Right Time"));
    for landmark in ["<header>", "<nav aria-label=", "<main id=\"main\">", "<footer>"] {
        assert_eq!(page.matches(landmark).count(), 1, "{landmark}");
    }
    let levels: Vec<u32> =
        page.match_indices("<h").filter_map(|(place, _)| page[place + 2..].chars().next()?.to_digit(10)).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a heading skips a level");
    assert_eq!(page.matches("<table").count(), page.matches("<caption>").count(), "every table has its caption");
    assert_eq!(page.matches("<th ").count(), page.matches("<th scope=").count(), "every header says of what");
    assert_eq!(page.matches("<th>").count(), 0);
    let ids: Vec<&str> = values(&page, "id");
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id stands twice");
    let links = values(&page, "href").into_iter().filter_map(|link| link.strip_prefix('#'));
    let labels = values(&page, "aria-labelledby");
    for target in links.chain(labels) {
        assert!(distinct.contains(target), "nothing is called {target}");
    }
}

#[test]
fn all_that_an_agency_may_see_is_listed() {
    let page = page();
    let row = |agency: &str| {
        let row = page.split(&format!("id=\"agency-{agency}\"")).nth(1).expect("its row");
        row.split("</tr>").next().expect("an end")
    };
    let shown: [(&str, &[&str]); 4] = [
        ("school", &["what was reported", "when it happened", "who reported it"]),
        ("lado", &["the employer's agency", "the employer's unit", "suspect agency", "suspect unit", "suspect role"]),
        ("exploitation-group", &["the place, as", "the person, as", "the group, as"]),
        ("other-authority", &["when the child was last seen", "where it happened or the child was last seen"]),
    ];
    for (agency, words) in shown {
        for word in words {
            assert!(row(agency).contains(&escaped(word)), "{agency}: {word}: {}", row(agency));
        }
    }
}

#[test]
fn every_rule_says_what_it_says_in_the_book() {
    let page = page();
    let mut rules = 0;
    for entry in fs::read_dir(super::root().join(BOOK).join("rules")).expect("rules") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("a file");
        for (id, rule) in text.parse::<toml::Table>().expect("TOML") {
            let (_, from) = page.split_once(&format!("<article class=\"rule\" id=\"{id}\"")).expect("the rule");
            let article = from.split("</article>").next().expect("an end");
            for key in ["title", "sentence", "source"] {
                let said = rule[key].as_str().map(escaped).expect("text");
                assert!(article.contains(&said), "{id} {key}");
            }
            let tasks = rule.get("tasks").and_then(toml::Value::as_array).into_iter().flatten();
            for task in tasks {
                let action = task["do"].as_str().map(escaped).expect("text");
                assert!(article.contains(&action), "{id}: {action}");
                assert!(article.contains("What is shared with whom"), "{id}");
            }
            rules += 1;
        }
    }
    assert!(rules > 50);
}

#[test]
fn what_a_rule_says_is_text_never_markup() {
    let folder = tempfile::tempdir().expect("a folder");
    super::rules::copy_of_the_book(folder.path());
    let rule =
        "[R99]\ntitle = '<b>Loud</b>'\nsentence = 'a < b & c'\nsource = 'local'\non = 'concerns'\nlevel = 'L1'\n";
    fs::write(folder.path().join("rules.toml"), rule).expect("a rule");
    let out = folder.path().join("page.html");
    let (path, file) = (folder.path().to_str().expect("a path"), out.to_str().expect("a path"));
    check(&["rules", "book", path, "--out", file], 0, &["page.html", "rules"]);
    let page = fs::read_to_string(&out).expect("the page");
    assert!(page.contains("&#60;b&#62;Loud&#60;/b&#62;") && !page.contains("<b>Loud"));
    check(&["rules", "book", "src"], 2, &["no rule book's folder"]);
    check(&["rules", "book", path, "--out", "no/such/folder/page.html"], 1, &["could not be written"]);
}

/// What stands on the page for a reader: not the file's own words, which are folded away.
fn said(page: &str) -> String {
    let mut parts = page.split("<code>");
    let first = parts.next().expect("a page").to_owned();
    parts.fold(first, |said, part| said + part.split_once("</code>").expect("an end").1)
}

#[test]
fn conditions_are_said_in_words() {
    let page = page();
    let said = said(&page);
    for written in ["&#38;&#38;", "status.missing_open", "event.emergency_call_made", " == ", "result.agencies"] {
        assert!(!said.contains(written), "{written}");
    }
    assert!(page.contains("status.missing_open"), "the file's own words are there to compare");
    for words in [
        "Only when it is not so that 999 was rung, and it is not so that the child was named in another child&#39;s referral.",
        "Only when the child is missing now.",
        "the police&#39;s grade is neither absent nor away",
        "the child&#39;s age is below 13",
        "Early Help Brokerage is asked something by a rule",
    ] {
        assert!(said.contains(words), "{words}");
    }
}

#[test]
fn what_no_rule_says_is_said_besides() {
    let page = page();
    for (place, words) in [
        ("id=\"R20\"", "not written yet"),
        ("id=\"R24\"", "not written yet"),
        ("id=\"ladders\"", "The head of service above whoever holds the task"),
        ("id=\"besides\"", "outside them <strong>edt</strong>"),
    ] {
        let (_, from) = page.split_once(place).expect(place);
        assert!(from.contains(words), "{place}: {words}");
    }
    let (_, levels) = page.split_once("id=\"levels-heading\"").expect("the levels");
    let (_, row) = levels.split_once("<a href=\"#R01\">").expect("a row");
    let row = row.split("</tr>").next().expect("an end");
    assert_eq!(row.matches("At once").count(), 1, "{row}");
}
