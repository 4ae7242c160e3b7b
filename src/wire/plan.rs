//! Schema resolution: a record written by another schema, put into the bytes of ours, or refused. Never guessed.
//!
//! Follows Avro's rules, and is stricter in one: what a number stands for must be the same on both sides. A plain long
//! may be seconds where we mean milliseconds.

use std::cell::Cell;

use super::schema::{Kind, Record, Symbols, Type};

mod default;
mod run;

pub use run::Unreadable;

/// Types met while planning: a schema of a few lines can name itself into billions.
const TYPES_MAX: usize = 50_000;

/// How one schema's bytes become another's.
#[derive(Debug)]
pub struct Plan {
    root: Step,
    /// Both schemas write the same bytes.
    pub is_identity: bool,
}

/// Why no record of the one schema can be read by the other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{problem}", if path.is_empty() { String::new() } else { format!("{path} ") })]
pub struct Incompatible {
    /// The field, by our names.
    pub path: String,
    pub problem: String,
}

/// One value's way. `Copy…` are written as they were read.
#[derive(Debug)]
enum Step {
    CopyNull,
    CopyBoolean,
    CopyInt,
    CopyLong,
    CopyBytes,
    CopyFixed(usize),
    Array(Box<Step>),
    Map(Box<Step>),
    /// By the writer's number: ours, or None for a symbol that we have no word for.
    Enum(Vec<Option<i64>>),
    /// By the writer's branch; None: one that we cannot read.
    OutOfUnion(Vec<Option<Step>>),
    IntoUnion(i64, Box<Step>),
    Record(RecordStep),
}

#[derive(Debug)]
struct RecordStep {
    /// In the writer's order: our place for it, or None where we have no such field.
    read: Vec<(Option<usize>, Step)>,
    /// In our order: the name, and the bytes of the default.
    write: Vec<(String, Vec<u8>)>,
    /// Each field we read comes in our order, and we read them all.
    in_order: bool,
}

/// Plans once for two schemas.
pub fn plan(writer: &Type, reader: &Type) -> Result<Plan, Incompatible> {
    let planner = Planner { types: Cell::new(0) };
    let (root, is_identity) = planner.step(writer, reader, "")?;
    Ok(Plan { root, is_identity })
}

struct Planner {
    types: Cell<usize>,
}

type Planned = Result<(Step, bool), Incompatible>;

fn incompatible<T>(path: &str, problem: impl Into<String>) -> Result<T, Incompatible> {
    Err(Incompatible { path: path.to_owned(), problem: problem.into() })
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Planner {
    /// And whether both write the same bytes.
    fn step(&self, writer: &Type, reader: &Type, path: &str) -> Planned {
        self.types.set(self.types.get() + 1);
        if self.types.get() > TYPES_MAX {
            return incompatible(path, "names too many types");
        }
        match (&writer.kind, &reader.kind) {
            (Kind::Union(branches), Kind::Union(ours)) => self.unions(branches, ours, reader, path),
            (Kind::Union(branches), _) => {
                let steps = branches.iter().map(|branch| self.step(branch, reader, path));
                self.out_of_union(steps, false, path)
            }
            (_, Kind::Union(ours)) => self.to_branch(writer, ours, path).map(|step| (step, false)),
            (_, _) => self.alike(writer, reader, path),
        }
    }

    fn unions(&self, theirs: &[Type], ours: &[Type], reader: &Type, path: &str) -> Planned {
        let steps = theirs.iter().map(|branch| self.step(branch, reader, path));
        self.out_of_union(steps, theirs == ours, path)
    }

    fn out_of_union(&self, steps: impl Iterator<Item = Planned>, identical: bool, path: &str) -> Planned {
        let mut first = None;
        let steps: Vec<Option<Step>> = steps
            .map(|planned| match planned {
                Ok((step, _)) => Some(step),
                Err(error) => {
                    first.get_or_insert(error);
                    None
                }
            })
            .collect();
        if steps.iter().all(Option::is_none) {
            let nothing = || Incompatible { path: path.to_owned(), problem: "is a union of nothing".to_owned() };
            return Err(first.unwrap_or_else(nothing));
        }
        Ok((Step::OutOfUnion(steps), identical))
    }

    /// Into the branch of the same name or kind, else the first that can take it.
    fn to_branch(&self, writer: &Type, ours: &[Type], path: &str) -> Result<Step, Incompatible> {
        let mut best = None;
        for (number, branch) in (0..).zip(ours) {
            if let Ok((step, identical)) = self.step(writer, branch, path) {
                let exact = identical || is_same_named(writer, branch);
                if exact {
                    return Ok(Step::IntoUnion(number, Box::new(step)));
                }
                best.get_or_insert(Step::IntoUnion(number, Box::new(step)));
            }
        }
        let named = ours.iter().find(|branch| is_same_named(writer, branch));
        match (best, named) {
            (Some(step), _) => Ok(step),
            // The reason lies deeper: say it.
            (None, Some(branch)) => self.step(writer, branch, path).map(|(step, _)| step),
            (None, None) => incompatible(path, format!("is written as {}, which has no place here", writer.spoken())),
        }
    }

    fn alike(&self, writer: &Type, reader: &Type, path: &str) -> Planned {
        let is_uuid = |of: &Type| of.logical.as_deref() == Some("uuid");
        let texts = writer.kind == Kind::String && reader.kind == Kind::String;
        let uuids =
            texts && (is_uuid(writer) || is_uuid(reader)) && (writer.logical.is_none() || reader.logical.is_none());
        let stands_for_same = writer.logical == reader.logical || uuids;
        let leaf = |step| Ok((step, true));
        match (&writer.kind, &reader.kind) {
            _ if !stands_for_same => self.mismatch(writer, reader, path),
            (Kind::Null, Kind::Null) => leaf(Step::CopyNull),
            (Kind::Boolean, Kind::Boolean) => leaf(Step::CopyBoolean),
            (Kind::Int, Kind::Int | Kind::Long) => leaf(Step::CopyInt),
            (Kind::Long, Kind::Long) => leaf(Step::CopyLong),
            (Kind::Float, Kind::Float) => leaf(Step::CopyFixed(4)),
            (Kind::Double, Kind::Double) => leaf(Step::CopyFixed(8)),
            (Kind::Bytes | Kind::String, Kind::Bytes | Kind::String) => leaf(Step::CopyBytes),
            (Kind::Fixed(size), Kind::Fixed(ours)) if size == ours => leaf(Step::CopyFixed(*size)),
            (Kind::Array(items), Kind::Array(ours)) => {
                let (step, identical) = self.step(items, ours, &format!("{path}[]"))?;
                Ok((Step::Array(Box::new(step)), identical))
            }
            (Kind::Map(values), Kind::Map(ours)) => {
                let (step, identical) = self.step(values, ours, &format!("{path}{{}}"))?;
                Ok((Step::Map(Box::new(step)), identical))
            }
            (Kind::Enum(theirs), Kind::Enum(ours)) if theirs.full_name == ours.full_name => Ok(symbols(theirs, ours)),
            (Kind::Record(theirs), Kind::Record(ours)) if theirs.full_name == ours.full_name => {
                self.records(theirs, ours, path)
            }
            (_, _) => self.mismatch(writer, reader, path),
        }
    }

    fn mismatch<T>(&self, writer: &Type, reader: &Type, path: &str) -> Result<T, Incompatible> {
        let name = |of: &Type| match &of.kind {
            Kind::Record(record) => format!("record {}", record.full_name),
            Kind::Enum(symbols) => format!("enum {}", symbols.full_name),
            _ => of.spoken(),
        };
        incompatible(path, format!("must be written as {}, not as {}", name(reader), name(writer)))
    }

    fn records(&self, theirs: &Record, ours: &Record, path: &str) -> Planned {
        let mut read = Vec::new();
        let mut identical = theirs.fields.len() == ours.fields.len();
        for (number, field) in theirs.fields.iter().enumerate() {
            let place = ours.fields.iter().position(|our| our.name == field.name);
            let our = place.and_then(|place| ours.fields.get(place));
            // What we have no place for is read by its own schema, and dropped.
            let reader = our.map_or(&field.of, |our| &our.of);
            let (step, same) = self.step(&field.of, reader, &under(path, &field.name))?;
            identical &= same && place == Some(number);
            read.push((place, step));
        }
        let mut write = Vec::new();
        for (number, field) in ours.fields.iter().enumerate() {
            let is_read = read.iter().any(|(place, _)| *place == Some(number));
            let mut bytes = Vec::new();
            match &field.default {
                _ if is_read => {}
                Some(json) if default::write(&field.of, json, &mut bytes).is_some() => {}
                Some(_) | None => return incompatible(&under(path, &field.name), "is missing and has no default"),
            }
            write.push((field.name.clone(), bytes));
        }
        let places: Vec<usize> = read.iter().filter_map(|(place, _)| *place).collect();
        let in_order = places.len() == write.len() && places.is_sorted();
        Ok((Step::Record(RecordStep { read, write, in_order }), identical))
    }
}

fn is_same_named(writer: &Type, reader: &Type) -> bool {
    match (&writer.kind, &reader.kind) {
        (Kind::Record(theirs), Kind::Record(ours)) => theirs.full_name == ours.full_name,
        (Kind::Enum(theirs), Kind::Enum(ours)) => theirs.full_name == ours.full_name,
        (_, _) => false,
    }
}

fn symbols(theirs: &Symbols, ours: &Symbols) -> (Step, bool) {
    let number = |symbol: &String| ours.symbols.iter().position(|our| our == symbol);
    let default = ours.default.as_ref().and_then(number);
    let ours_for = |symbol: &String| number(symbol).or(default).and_then(|number| i64::try_from(number).ok());
    (Step::Enum(theirs.symbols.iter().map(ours_for).collect()), theirs.symbols == ours.symbols)
}
