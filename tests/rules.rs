//! Rule books: every fault is found and placed, and the compiled form judges as the plain one and as CEL do.

#[path = "rules/book.rs"]
mod book;
#[path = "rules/oracle.rs"]
mod oracle;

#[test]
fn rules_that_read_the_outcome_come_after_those_that_make_it() {
    let book = book::book();
    let strata: Vec<_> = book.rules.iter().map(|rule| (rule.id.as_str(), rule.stratum)).collect();
    assert_eq!(strata, [("R02", 2), ("R05", 1), ("R10", 0), ("R11", 0), ("R13", 0)]);
    assert_eq!(book.strata(), 3);
}

#[test]
fn an_unknown_file_is_a_fault() {
    let faults = book::faults("rule.toml", "");
    assert!(book::written(&faults).contains("no place in a rule book"), "{}", book::written(&faults));
}

#[test]
fn the_default_book_has_no_fault() {
    assert!(!book::default_book().rules.is_empty());
}
