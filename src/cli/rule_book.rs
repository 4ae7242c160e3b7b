//! A rule book's folder, read for a command: the book, or every fault with its file, line and what to write instead.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NamedSource, Report, SourceSpan};

use super::CliError;
use super::files::read_text;
use crate::engine::context::RuleBooks;
use crate::engine::facts::PreparedBook;
use crate::engine::rules::book::{Place, Rule};
use crate::engine::rules::fault::{RuleFault, SourceFile};
use crate::engine::rules::{self, RuleBook};

/// The file every rule book's folder has.
const BOOK_FILE: &str = "book.toml";
/// Folder of a rule book that holds its scenarios, not its rules.
pub const SCENARIOS_FOLDER: &str = "scenarios";

/// A rule book's folder that was read.
pub enum RuleFolder {
    Sound(Box<RuleBook>),
    /// Reports for a person, one a fault.
    Faulty(Vec<Report>),
}

/// Reads every TOML file of the folder and judges the whole.
pub fn read(folder: &Path) -> Result<RuleFolder, CliError> {
    let files = files(folder)?;
    Ok(match rules::load_given(&files) {
        Ok(book) => RuleFolder::Sound(Box::new(book)),
        Err(faults) => RuleFolder::Faulty(faults.iter().map(|fault| report(folder, &files, fault)).collect()),
    })
}

/// The folder's TOML files, in order of their names.
pub fn files(folder: &Path) -> Result<Vec<SourceFile>, CliError> {
    if !folder.join(BOOK_FILE).is_file() {
        let folder = folder.display();
        return Err(CliError::Usage(format!("{folder} is no rule book's folder: it has no {BOOK_FILE}")));
    }
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// As `read`, for commands that need a sound book: prints the faults of any other.
pub fn read_sound(folder: &Path) -> Result<RuleBook, CliError> {
    match read(folder)? {
        RuleFolder::Sound(book) => Ok(*book),
        RuleFolder::Faulty(reports) => {
            for report in &reports {
                eprintln!("{report:?}");
            }
            let count = reports.len();
            Err(CliError::failed(format!("{} has {}", folder.display(), counted(count, "fault"))))
        }
    }
}

/// Something wrong with a rule of a sound book, shown where the rule stands.
pub fn report_of_rule(folder: &Path, rule: &Rule, problem: &str, write_instead: &str) -> Result<Report, CliError> {
    let Place { file, line, span } = &rule.place;
    let source = SourceFile { name: file.clone(), text: read_text(Some(&folder.join(file)))? };
    let fault = RuleFault {
        file: file.clone(),
        line: *line,
        column: 1,
        span: *span,
        problem: problem.to_owned(),
        write_instead: write_instead.to_owned(),
    };
    Ok(report(folder, &[source], &fault))
}

/// The book alone, and so in force at any time: these commands ask what it would have done.
pub fn alone(book: &RuleBook) -> RuleBooks {
    RuleBooks::new(vec![PreparedBook::new(book.clone())])
}

/// The nearest folder at or above `path` that is a rule book's.
pub fn enclosing(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    path.ancestors().find(|folder| folder.join(BOOK_FILE).is_file()).map(Path::to_owned)
}

/// `1 fault`, `2 faults`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// By whatever case its name is written in: what the loader has no place for it says.
pub fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

fn collect(top: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<(), CliError> {
    let unreadable = |error| CliError::Usage(format!("{} could not be read: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if path.is_dir() && name != SCENARIOS_FOLDER {
            collect(top, &path, files)?;
        } else if path.is_file() && is_toml(&path) {
            files.push(SourceFile { text: read_text(Some(&path))?, name });
        }
    }
    Ok(())
}

#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{problem}")]
#[diagnostic(help("{write_instead}"))]
struct Shown {
    problem: String,
    write_instead: String,
    #[source_code]
    text: NamedSource<String>,
    #[label("here")]
    span: SourceSpan,
}

fn report(folder: &Path, files: &[SourceFile], fault: &RuleFault) -> Report {
    let Some(file) = files.iter().find(|file| file.name == fault.file) else {
        return Report::msg(fault.to_string());
    };
    let length = fault.span.end.saturating_sub(fault.span.start);
    Report::new(Shown {
        problem: fault.problem.clone(),
        write_instead: fault.write_instead.clone(),
        text: NamedSource::new(folder.join(&file.name).display().to_string(), file.text.clone()),
        span: (fault.span.start, length).into(),
    })
}
