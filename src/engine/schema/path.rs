//! Where in a record something is: built only when a fault needs it, and never showing a value, nor a name that may be one.

use super::names::{speakable, spoken_as_it_is};
use super::shape::Shape;

/// A place in a record, as a chain of borrowed steps.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Theirs(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The record itself.
    pub fn root() -> Self {
        Self { parent: None, step: Step::Root }
    }

    /// A field of this place, by a name of ours.
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    /// A field of this place, by a name that somebody else chose.
    pub fn theirs(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Theirs(name) }
    }

    pub fn item(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// The innermost field's name: lists pass on the name of their field.
    pub fn last_field(&self) -> &'a str {
        match (self.step, self.parent) {
            (Step::Name(name) | Step::Theirs(name), _) => name,
            (Step::Index(_) | Step::Root, Some(parent)) => parent.last_field(),
            (Step::Index(_) | Step::Root, None) => "",
        }
    }
}

impl Path<'_> {
    /// What others named further out is looked up alone: the last name is the one that a slip is told of.
    fn write(&self, formatter: &mut std::fmt::Formatter<'_>, shown: fn(&str) -> &str) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.write(formatter, spoken_as_it_is)?;
            if !matches!((parent.step, self.step), (Step::Root, _) | (_, Step::Index(_))) {
                formatter.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Name(name) => formatter.write_str(name),
            Step::Theirs(name) => formatter.write_str(shown(name)),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write(formatter, speakable)
    }
}

/// The path of a serde error with the keys of maps, which others choose, left out.
pub fn redacted(path: &serde_path_to_error::Path, shape: &Shape) -> String {
    let mut place = String::new();
    let mut here = Some(shape.clone());
    for segment in path {
        match segment {
            serde_path_to_error::Segment::Seq { index } => {
                place.push_str(&format!("[{index}]"));
                here = here.and_then(|shape| shape.items());
            }
            serde_path_to_error::Segment::Map { key } => {
                let field = here.as_ref().and_then(|shape| shape.field(key));
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(if field.is_some() { key } else { "*" });
                here = field.or_else(|| here.and_then(|shape| shape.values()));
            }
            serde_path_to_error::Segment::Enum { variant } => {
                here = here.and_then(|shape| shape.branch(variant));
            }
            serde_path_to_error::Segment::Unknown => break,
        }
    }
    place
}
