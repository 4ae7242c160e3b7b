//! What is wrong in a file an operator wrote: file, line, what, and what to write instead. Never a secret's value.

use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NamedSource, SourceSpan};

/// One fault.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfigFault {
    pub file: PathBuf,
    /// Counted from 1; none when the whole file is at fault.
    pub line: Option<usize>,
    /// Bytes of the file that are at fault.
    pub span: Option<Range<usize>>,
    pub problem: String,
    /// What to write or do.
    pub remedy: String,
}

impl ConfigFault {
    /// A fault of a whole file or folder.
    pub fn of_file(file: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, span: None, problem: problem.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for ConfigFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}; {}", self.problem, self.remedy)
    }
}

/// Every fault found, in the order of the files.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigFaults(pub Vec<ConfigFault>);

fn lines(faults: &[ConfigFault]) -> String {
    faults.iter().map(ConfigFault::to_string).collect::<Vec<_>>().join("\n")
}

impl ConfigFaults {
    pub fn one(fault: ConfigFault) -> Self {
        Self(vec![fault])
    }

    /// One report a fault, with the line of the file shown, for a terminal.
    pub fn reports(&self) -> Vec<miette::Report> {
        self.0.iter().map(|fault| miette::Report::new(Shown::of(fault))).collect()
    }
}

/// A fault with the text it lies in.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{problem}")]
#[diagnostic(help("{remedy}"))]
struct Shown {
    problem: String,
    remedy: String,
    #[source_code]
    text: Option<NamedSource<String>>,
    #[label("here")]
    span: Option<SourceSpan>,
}

impl Shown {
    fn of(fault: &ConfigFault) -> Self {
        let text = fault.span.as_ref().and_then(|_| std::fs::read_to_string(&fault.file).ok());
        let problem = match &text {
            Some(_) => fault.problem.clone(),
            None => {
                let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
                format!("{}{line}: {}", fault.file.display(), fault.problem)
            }
        };
        Self {
            problem,
            remedy: fault.remedy.clone(),
            text: text.map(|text| NamedSource::new(fault.file.display().to_string(), text)),
            span: fault.span.clone().map(SourceSpan::from),
        }
    }
}
