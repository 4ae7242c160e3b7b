//! A small made-up rule book, and ways to change one file of it.

use std::path::Path;

use pathway_router::engine::rules::fault::{RuleFault, SourceFile};
use pathway_router::engine::rules::{RuleBook, load};

pub const BOOK: &str = r#"
name = "testshire"
title = "Thresholds of need, for tests"
effective_from = 2026-01-01T00:00:00Z
front_door = "social-care"
"#;

pub const RULES: &str = r#"
[R10]
title = "Missing and at high risk"
sentence = "A missing child graded high, under 13 or on a protection plan is at risk of significant harm."
source = "local"
on = ["missing.started", "missing.regraded"]
when = "!(event.grade in ['absent', 'away']) && (event.grade == 'high' || child.age_years < 13 || status.cpp)"
level = "L4b"
basis = "V,P"
why = "Graded {event.grade}; aged {child.age_years}."
tasks = [
  { to = ["police", "social-care/manager"], do = "Hold a strategy discussion", by = "24 h", acknowledge = "15 min" },
]

[R13]
title = "Third time missing in 90 days"
sentence = "Three times missing in 90 days is discussed by everyone."
source = "local"
on = "missing.started"
when = "history.missing_90d >= 3 && !(event.grade in ['absent', 'away'])"
level = "L4a"
basis = "P"
why = "Missing {history.missing_90d} times in 90 days: {history.missing_90d.dates}."
tasks = [{ to = ["social-care", "police"], do = "Hold a meeting", by = "5 wd" }]

[R11]
title = "Still missing"
sentence = "A child still missing after 24 hours is looked at by a manager."
source = "local"
on = "missing.started"
when = "status.missing_open"
after = "24 h"
from = "last_seen_at"
level = "L4b"
basis = "P"
tasks = [{ to = ["social-care/manager"], do = "Review the search", by = "now" }]

[R02]
title = "Social care decides"
sentence = "Whatever reaches social care is decided within a day."
source = "statute"
on = "concerns"
when = "'social-care' in result.agencies"
basis = "P"
tasks = [{ to = ["social-care"], do = "Decide", by = "1 wd" }]
tell_referrer = "Social care will decide within one working day."

[R05]
title = "Many smaller concerns"
sentence = "Three concerns below level 4 in 90 days are looked at together."
source = "local"
on = "concerns"
when = "history.below_l4_90d >= 3"
level = "L3"
basis = "D"
tasks = [{ to = ["social-care/manager"], do = "Review", by = "1 wd" }]
"#;

pub const FACTS: &str = r#"
[event.immediate_danger]
label = "whether the child is in immediate danger"
absent = false
because = "absent means not claimed"

[event.grade]
label = "the police grade"

[history.missing_90d]
label = "times missing in 90 days"
count = ["missing.started"]
where = "!(event.grade in ['absent', 'away'])"
window = "90d"
once_per = "episode"

[history.below_l4_90d]
label = "concerns below level 4 in 90 days"
count = "concerns"
window = "90d"
min_level = "L1"
max_level = "L3"
"#;

pub const BASES: &str = r#"
[P]
title = "Public task"
statement = "Children Act 1989 s17 and s47; UK GDPR Article 6(1)(e)."
[V]
title = "Vital interests"
statement = "UK GDPR Article 6(1)(d)."
[D]
title = "Duty to share"
statement = "Children Act 2004 s16LA; UK GDPR Article 6(1)(c)."
in_force_from = 2026-09-30
until_then = "P"
"#;

pub const AGENCIES: &str = r#"
[social-care]
title = "Children's social care"
roles = ["manager"]
sees = ["level", "child.*", "event.*", "history.*", "narrative"]
confidential_addresses = true
[police]
title = "Police"
sees = ["child.given_names", "event.grade"]
[school]
title = "Schools"
units = "school"
otherwise = "social-care"
sees = ["child.given_names"]
"#;

/// The files of the book, with one replaced or added.
pub fn files(changed: &str, text: &str) -> Vec<SourceFile> {
    let mut files = vec![
        ("book.toml", BOOK),
        ("rules.toml", RULES),
        ("facts.toml", FACTS),
        ("bases.toml", BASES),
        ("agencies.toml", AGENCIES),
    ];
    files.retain(|(name, _)| *name != changed);
    if !changed.is_empty() {
        files.push((changed, text));
    }
    let file = |(name, text): (&str, &str)| SourceFile { name: name.to_owned(), text: text.to_owned() };
    files.into_iter().map(file).collect()
}

pub fn book() -> RuleBook {
    match load(&files("", "")) {
        Ok(book) => book,
        Err(faults) => panic!("{}", written(&faults)),
    }
}

/// The faults of the book with one file replaced or added.
pub fn faults(changed: &str, text: &str) -> Vec<RuleFault> {
    match load(&files(changed, text)) {
        Ok(_) => panic!("the book has no fault"),
        Err(faults) => faults,
    }
}

/// The faults of the small book with one file replaced, one a line: `file:line:column: problem; what to write`.
pub fn check_faults(file: &str, text: &str, expected: &str) {
    let found = written(&faults(file, text));
    assert_eq!(found.trim(), expected.trim(), "\n--- found ---\n{found}");
}

/// One fault a line.
pub fn written(faults: &[RuleFault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// The files of the book in `rules/cheshire-east`, its scenarios left out.
pub fn default_files() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/cheshire-east");
    let mut files = Vec::new();
    for part in ["", "rules/"] {
        for entry in std::fs::read_dir(folder.join(part)).expect("the default book") {
            let path = entry.expect("a readable folder").path();
            if path.is_file() {
                let name = format!("{part}{}", path.file_name().expect("a name").to_string_lossy());
                files.push(SourceFile { name, text: std::fs::read_to_string(&path).expect("a readable file") });
            }
        }
    }
    files
}

pub fn default_book() -> RuleBook {
    match load(&default_files()) {
        Ok(book) => book,
        Err(faults) => panic!("\n{}", written(&faults)),
    }
}
