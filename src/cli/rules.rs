//! `rules check` and `rules test`: what is wrong with a rule book, and whether it does what its scenarios say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{read_text, unwritable};
use super::router::RouterArguments;
use super::rule_book::{self, RuleFolder, SCENARIOS_FOLDER, counted};
use super::{CliError, Ending, output};
use crate::engine::rules::RuleBook;
use crate::replay::coverage::Coverage;
use crate::replay::report::side_by_side;
use crate::replay::scenario;
use miette::Report;

mod page;
mod publish;

/// Check a rule book, or test it against scenarios
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  pathway-router rules check rules/cheshire-east")]
pub enum Command {
    /// Read a rule book and report every fault at once
    #[command(after_help = "Example:\n  pathway-router rules check rules/cheshire-east")]
    Check {
        /// Folder of the rule book
        dir: PathBuf,
    },
    /// Put a rule book into force from some time on, for every router of the partnership
    #[command(
        after_help = "It travels ahead: the time must be at least 10 minutes away. Events are judged by the book in force \
when they were received. To take a published book back before it takes effect, publish the one before it again, for the \
same time.\n\nExample:\n  pathway-router rules publish rules/cheshire-east --effective-from 2026-12-01T00:00:00Z \\\n      \
--to http://127.0.0.1:8080 --token-file data/tokens/operator.token"
    )]
    Publish {
        /// Folder of the rule book
        dir: PathBuf,

        /// From when on, with its offset; left out: as its book.toml says
        #[arg(long, value_name = "TIME")]
        effective_from: Option<String>,

        #[command(flatten)]
        router: RouterArguments,
    },
    /// List the rule books that are published, the last one last
    #[command(after_help = "Example:\n  pathway-router rules list --to http://127.0.0.1:8080 \\\n      \
--token-file data/tokens/operator.token")]
    List {
        #[command(flatten)]
        router: RouterArguments,
    },
    /// Run scenario files and show expected and got side by side
    #[command(
        after_help = "A scenario is tested against --rules, else against the book it names, else against the rule \
book it lies in (the nearest folder above that holds book.toml). docs/rules.md says how to write one.\n\n\
Examples:\n  pathway-router rules test rules/cheshire-east\n  \
pathway-router rules test my-scenario.toml --rules rules/cheshire-east"
    )]
    Test {
        /// A rule book's folder (all its scenarios), a folder of scenarios, or one scenario file
        path: PathBuf,

        /// Folder of the rule book, when the scenarios do not lie in it
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// Write the rule book as one HTML page, for the screen, for paper and for a screen reader
    #[command(after_help = "Example:\n  pathway-router rules book rules/cheshire-east --out rule-book.html")]
    Book {
        /// Folder of the rule book
        dir: PathBuf,

        /// File to write; standard output without it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// A book may be read so, and published books are; but nobody should write one without knowing.
const NO_LADDER: &str = "the book has no ladder: of a task that nobody answers, nobody would be told. Add ladders.toml, with at least one ladder \
                         that names no levels (docs/rules.md, `ladders.toml`)";

pub fn run(command: &Command) -> Result<Ending, CliError> {
    match command {
        Command::Check { dir } => check(dir),
        Command::Test { path, rules } => test(path, rules.as_deref()),
        Command::Book { dir, out } => book(dir, out.as_deref()),
        Command::Publish { dir, effective_from, router } => publish::publish(dir, effective_from.as_deref(), router),
        Command::List { router } => publish::list(router),
    }
}

fn book(dir: &Path, out: Option<&Path>) -> Result<Ending, CliError> {
    let book = rule_book::read_sound(dir)?;
    let page = page::page(&book).map_err(|error| CliError::failed(format!("the page could not be made: {error}")))?;
    match out {
        Some(path) => {
            fs::write(path, page).map_err(|error| unwritable(path, &error))?;
            output::line(format_args!("{}: {}", path.display(), counted(book.rules.len(), "rule")));
        }
        None => output::line(page),
    }
    Ok(Ending::Clean)
}

fn check(dir: &Path) -> Result<Ending, CliError> {
    match rule_book::read(dir)? {
        RuleFolder::Sound(book) => {
            let (rules, agencies) = (counted(book.rules.len(), "rule"), book.agencies.len());
            let mut faults = without_scenario(dir, &book)?;
            if book.ladders.is_empty() {
                faults.push(Report::msg(format!("{}: {NO_LADDER}", dir.display())));
            }
            if !faults.is_empty() {
                return Ok(report_faults(dir, &faults));
            }
            output::line(format_args!("{}: {rules}, {agencies} agencies, no faults", book.title));
            output::line(format_args!("rule book {}", book.hash));
            Ok(Ending::Clean)
        }
        RuleFolder::Faulty(reports) => Ok(report_faults(dir, &reports)),
    }
}

fn report_faults(dir: &Path, reports: &[Report]) -> Ending {
    for report in reports {
        eprintln!("{report:?}");
    }
    eprintln!("{}: {}", dir.display(), counted(reports.len(), "fault"));
    Ending::FoundSomething
}

/// Rules that no scenario of the book's own folder makes fire, and scenarios that cannot be run: faults of the book.
fn without_scenario(dir: &Path, book: &RuleBook) -> Result<Vec<Report>, CliError> {
    let folder = dir.join(SCENARIOS_FOLDER);
    if !folder.is_dir() {
        output::line(format_args!("no {SCENARIOS_FOLDER} folder: whether each rule has a scenario was not checked"));
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    let mut coverage = Coverage::default();
    for file in scenario_files(&folder)? {
        let text = read_text(Some(&file))?;
        let ran = scenario::parse(&text).and_then(|scenario| scenario::run(&scenario, &text, book));
        match ran {
            Ok(ran) => coverage.join(ran.coverage),
            Err(fault) => faults.push(Report::msg(format!("{}:{}: {}", file.display(), fault.line, fault.problem))),
        }
    }
    if !faults.is_empty() {
        output::line(format_args!("whether each rule has a scenario was not checked: one of these may show it"));
        return Ok(faults);
    }
    for rule in book.rules.iter().filter(|rule| !coverage.fired.contains(&rule.id)) {
        let problem = format!("rule {} has no scenario: none makes it fire", rule.id);
        faults.push(rule_book::report_of_rule(dir, rule, &problem, "add one to scenarios/ that shows it firing")?);
    }
    Ok(faults)
}

fn test(path: &Path, rules: Option<&Path>) -> Result<Ending, CliError> {
    let files = scenario_files(path)?;
    let mut books = BTreeMap::new();
    let (mut passed, mut coverage) = (0, Coverage::default());
    for file in &files {
        let name = file.display().to_string();
        let text = read_text(Some(file))?;
        let scenario = match scenario::parse(&text) {
            Ok(scenario) => scenario,
            Err(fault) => {
                output::line(format_args!("FAULTY  {name}:{}: {}", fault.line, fault.problem));
                continue;
            }
        };
        let folder = book_folder(file, scenario.book.as_deref(), rules)?;
        if !books.contains_key(&folder) {
            books.insert(folder.clone(), rule_book::read_sound(&folder)?);
        }
        let Some(book) = books.get(&folder) else { continue };
        match scenario::run(&scenario, &text, book) {
            Ok(ran) if ran.differences.is_empty() => {
                output::line(format_args!("ok      {} ({})", ran.title, counted(ran.steps, "step")));
                coverage.join(ran.coverage);
                passed += 1;
            }
            Ok(ran) => {
                output::line(format_args!("FAILED  {}\n{}", ran.title, side_by_side(&name, &ran)));
                coverage.join(ran.coverage);
            }
            Err(fault) => output::line(format_args!("FAULTY  {name}:{}: {}", fault.line, fault.problem)),
        }
    }
    if let (true, Some(book)) = (path.is_dir(), books.values().next()) {
        print_coverage(book, &coverage);
    }
    output::line(format_args!(
        "{}: {passed} as expected, {} not",
        counted(files.len(), "scenario"),
        files.len() - passed
    ));
    Ok(if passed == files.len() { Ending::Clean } else { Ending::FoundSomething })
}

/// What the scenarios have shown, and what no scenario has: worth a scenario each.
fn print_coverage(book: &RuleBook, coverage: &Coverage) {
    let gaps = coverage.gaps(book);
    let fired = book.rules.iter().filter(|rule| coverage.fired.contains(&rule.id)).count();
    output::line(format_args!(
        "coverage: {fired} of {} fired; {}",
        counted(book.rules.len(), "rule"),
        counted(Coverage::comparisons(book), "comparison")
    ));
    if gaps.is_empty() {
        output::line(format_args!("coverage: complete, each comparison seen true, false and where it can be unknown"));
    }
    for gap in gaps {
        output::line(format_args!("  not shown: {gap}"));
    }
}

/// The scenario files meant by `path`, in order of name.
fn scenario_files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let inner = path.join(SCENARIOS_FOLDER);
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let unreadable = |error| CliError::Usage(format!("{} could not be read: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.is_dir() && folder.ends_with(SCENARIOS_FOLDER) {
            let (file, folder) = (file.display(), folder.display());
            return Err(CliError::Usage(format!(
                "{file} is a folder: scenarios lie in {folder} itself; move it elsewhere"
            )));
        }
        if rule_book::is_toml(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::Usage(format!("{} holds no scenario files (*.toml)", folder.display())));
    }
    Ok(files)
}

fn book_folder(file: &Path, named: Option<&str>, rules: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(rules) = rules {
        return Ok(rules.to_owned());
    }
    if let Some(named) = named {
        return Ok(file.parent().unwrap_or(Path::new("")).join(named));
    }
    rule_book::enclosing(file).ok_or_else(|| {
        let file = file.display();
        CliError::Usage(format!("{file} does not lie in a rule book's folder; name the rule book with --rules DIR"))
    })
}
