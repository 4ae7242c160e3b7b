//! Rule books: every fault is found and placed, and the compiled form judges as the plain one and as CEL do.

#[path = "rules/book.rs"]
mod book;

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

/// Every file of a rule book folder, its scenarios left out.
fn folder(path: &std::path::Path) -> Vec<pathway_router::engine::rules::fault::SourceFile> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).expect("a folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_file() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            files.push(pathway_router::engine::rules::fault::SourceFile { name, text });
        }
    }
    files
}

#[test]
fn the_default_book_has_no_fault() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/cheshire-east");
    match pathway_router::engine::rules::load(&folder(&root)) {
        Ok(book) => assert!(!book.rules.is_empty()),
        Err(faults) => panic!("\n{}", book::written(&faults)),
    }
}
