//! A schema as the walkers use it: a tree, every reference followed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::engine::model::detail::KINDS;

/// The type of a value. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Bytes,
    String,
    Uuid,
    Date,
    Timestamp,
    Array(Arc<Shape>),
    Map(Arc<Shape>),
    /// `null` or the other.
    Optional(Arc<Shape>),
    /// One of boolean, long, string.
    Scalar,
    /// One of several records.
    Branches(Arc<Vec<Branch>>),
    Enum(Arc<Symbols>),
    Record(Arc<Record>),
}

/// One record of a union.
#[derive(Debug)]
pub struct Branch {
    /// As JSON shows it: an event kind (`missing.started`) or the record's name in lower case (`referral`).
    pub label: String,
    pub record: Arc<Record>,
}

#[derive(Debug)]
pub struct Symbols {
    pub symbols: Vec<String>,
    /// What an unknown symbol is read as.
    pub default: Option<String>,
}

#[derive(Debug)]
pub struct Record {
    /// With its namespace: `pathway.Child`.
    pub full_name: String,
    pub fields: Vec<Field>,
}

impl Record {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub shape: Shape,
    /// What it is when left out, as JSON.
    pub default: Option<Value>,
    /// Where the name stands for ever that it was first known by; 0: it was not yet.
    known_at: AtomicUsize,
}

impl Field {
    /// Whether this is its name. Encoders ask by the same few thousand words for ever, a thousand times an event: one that was compared
    /// once is known by where it stands.
    pub fn is_named(&self, name: &'static str) -> bool {
        let at = name.as_ptr().addr();
        if self.known_at.load(Ordering::Relaxed) == at && self.name.len() == name.len() {
            return true;
        }
        let is_its = self.name == name;
        if is_its && self.known_at.load(Ordering::Relaxed) == 0 {
            self.known_at.store(at, Ordering::Relaxed);
        }
        is_its
    }
}

impl Shape {
    /// What each item of a list is.
    pub fn items(&self) -> Option<Shape> {
        match self.required() {
            Shape::Array(items) => Some(items.as_ref().clone()),
            _ => None,
        }
    }

    /// What each value of a map is.
    pub fn values(&self) -> Option<Shape> {
        match self.required() {
            Shape::Map(values) => Some(values.as_ref().clone()),
            _ => None,
        }
    }

    /// What a record's field is.
    pub fn field(&self, name: &str) -> Option<Shape> {
        match self.required() {
            Shape::Record(record) => record.field(name).map(|field| field.shape.clone()),
            _ => None,
        }
    }

    /// The branch with this full name.
    pub fn branch(&self, full_name: &str) -> Option<Shape> {
        match self.required() {
            Shape::Branches(branches) => branches
                .iter()
                .find(|branch| branch.record.full_name == full_name)
                .map(|branch| Shape::Record(branch.record.clone())),
            _ => None,
        }
    }

    /// The record that it is, or that its items are; of several, each.
    pub fn records(&self) -> Vec<&Record> {
        match self {
            Shape::Record(record) => vec![&**record],
            Shape::Branches(branches) => branches.iter().map(|branch| &*branch.record).collect(),
            Shape::Optional(inner) | Shape::Array(inner) | Shape::Map(inner) => inner.records(),
            Shape::Null
            | Shape::Boolean
            | Shape::Int
            | Shape::Long
            | Shape::Bytes
            | Shape::String
            | Shape::Uuid
            | Shape::Date
            | Shape::Timestamp
            | Shape::Scalar
            | Shape::Enum(_) => Vec::new(),
        }
    }

    /// Without its `null`.
    pub fn required(&self) -> &Shape {
        match self {
            Shape::Optional(inner) => inner,
            other => other,
        }
    }
}

/// Parses a schema whose root is a record.
///
/// # Errors
/// What the walkers cannot use, in words.
pub fn parse(text: &str) -> Result<Arc<Record>, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut parser = Parser { namespace: text_of(&json, "namespace").unwrap_or_default(), named: BTreeMap::new() };
    match parser.shape(&json)? {
        Shape::Record(record) => Ok(record),
        _ => Err("the root is not a record".to_owned()),
    }
}

struct Parser {
    namespace: String,
    named: BTreeMap<String, Shape>,
}

impl Parser {
    fn shape(&mut self, json: &Value) -> Result<Shape, String> {
        match json {
            Value::String(name) => self.named_shape(name),
            Value::Array(branches) => self.union(branches),
            Value::Object(_) => self.complex(json),
            _ => Err("a type must be text, a list or an object".to_owned()),
        }
    }

    fn named_shape(&self, name: &str) -> Result<Shape, String> {
        Ok(match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "bytes" => Shape::Bytes,
            "string" => Shape::String,
            other => {
                self.named.get(other).cloned().ok_or_else(|| format!("type {other} is not defined before its use"))?
            }
        })
    }

    fn complex(&mut self, json: &Value) -> Result<Shape, String> {
        let kind = text_of(json, "type").ok_or("an object without a type")?;
        match (kind.as_str(), text_of(json, "logicalType").as_deref()) {
            ("string", Some("uuid")) => Ok(Shape::Uuid),
            ("int", Some("date")) => Ok(Shape::Date),
            ("long", Some("timestamp-millis")) => Ok(Shape::Timestamp),
            (_, Some(other)) => Err(format!("logical type {other} is not used here")),
            ("array", None) => Ok(Shape::Array(Arc::new(self.shape(part(json, "items")?)?))),
            ("map", None) => Ok(Shape::Map(Arc::new(self.shape(part(json, "values")?)?))),
            ("enum", None) => self.symbols(json),
            ("record", None) => self.record(json),
            (name, None) => self.named_shape(name),
        }
    }

    fn union(&mut self, branches: &[Value]) -> Result<Shape, String> {
        let null = branches.first().is_some_and(|branch| branch == "null");
        let rest = if null { branches.get(1..).unwrap_or_default() } else { branches };
        let inner = match rest {
            [only] => self.shape(only)?,
            [Value::String(a), Value::String(b), Value::String(c)]
                if (a.as_str(), b.as_str(), c.as_str()) == ("boolean", "long", "string") =>
            {
                Shape::Scalar
            }
            several => Shape::Branches(Arc::new(self.branches(several)?)),
        };
        Ok(if null { Shape::Optional(Arc::new(inner)) } else { inner })
    }

    fn branches(&mut self, branches: &[Value]) -> Result<Vec<Branch>, String> {
        let mut shapes = Vec::new();
        for branch in branches {
            let Shape::Record(record) = self.shape(branch)? else {
                return Err("a union of several types must be of records".to_owned());
            };
            shapes.push(Branch { label: label(&record.full_name), record });
        }
        Ok(shapes)
    }

    fn symbols(&mut self, json: &Value) -> Result<Shape, String> {
        let symbols = part(json, "symbols")?.as_array().ok_or("symbols must be a list")?;
        let symbols = symbols.iter().filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect();
        let shape = Shape::Enum(Arc::new(Symbols { symbols, default: text_of(json, "default") }));
        self.named.insert(self.full_name(json)?, shape.clone());
        Ok(shape)
    }

    fn record(&mut self, json: &Value) -> Result<Shape, String> {
        let full_name = self.full_name(json)?;
        let mut fields = Vec::new();
        for field in part(json, "fields")?.as_array().ok_or("fields must be a list")? {
            fields.push(Field {
                name: text_of(field, "name").ok_or("a field without a name")?,
                shape: self.shape(part(field, "type")?)?,
                default: field.get("default").cloned(),
                known_at: AtomicUsize::new(0),
            });
        }
        let shape = Shape::Record(Arc::new(Record { full_name: full_name.clone(), fields }));
        self.named.insert(full_name, shape.clone());
        Ok(shape)
    }

    fn full_name(&self, json: &Value) -> Result<String, String> {
        let name = text_of(json, "name").ok_or("a named type without a name")?;
        Ok(if name.contains('.') { name } else { format!("{}.{name}", self.namespace) })
    }
}

fn part<'a>(json: &'a Value, name: &str) -> Result<&'a Value, String> {
    json.get(name).ok_or_else(|| format!("{name} is missing"))
}

fn text_of(json: &Value, name: &str) -> Option<String> {
    json.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// How JSON names a branch: by event kind, else by the record's own name in lower case with underscores.
fn label(full_name: &str) -> String {
    if let Some((kind, _)) = KINDS.iter().find(|(_, avro)| *avro == full_name) {
        return (*kind).to_owned();
    }
    let name = full_name.rsplit('.').next().unwrap_or(full_name);
    let mut label = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(letter.to_ascii_lowercase());
    }
    label
}
