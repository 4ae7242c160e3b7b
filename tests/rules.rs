//! Rule books: every fault is found and placed, and the compiled form judges as the plain one and as CEL do.

#[path = "rules/book.rs"]
mod book;
#[path = "rules/condition_faults.rs"]
mod condition_faults;
#[path = "rules/content.rs"]
mod content;
#[path = "rules/directory.rs"]
mod directory;
#[path = "rules/docs.rs"]
mod docs;
#[path = "rules/file_faults.rs"]
mod file_faults;
#[path = "rules/oracle.rs"]
mod oracle;
#[path = "rules/rule_faults.rs"]
mod rule_faults;
