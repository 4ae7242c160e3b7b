//! An Avro schema as a registry gives it, parsed to a tree in which every name is followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

/// A type, with what it stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub kind: Kind,
    /// `timestamp-millis`, `uuid`, …; also those that are not known here.
    pub logical: Option<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Array(Arc<Type>),
    Map(Arc<Type>),
    Union(Arc<Vec<Type>>),
    Enum(Arc<Symbols>),
    Record(Arc<Record>),
}

#[derive(PartialEq, Debug)]
pub struct Symbols {
    pub full_name: String,
    pub symbols: Vec<String>,
    pub default: Option<String>,
}

#[derive(PartialEq, Debug)]
pub struct Record {
    pub full_name: String,
    pub fields: Vec<Field>,
}

#[derive(PartialEq, Debug)]
pub struct Field {
    pub name: String,
    pub of: Type,
    pub default: Option<Value>,
}

impl Type {
    fn plain(kind: Kind) -> Self {
        Self { kind, logical: None }
    }

    /// In words, for whoever wrote the schema.
    pub fn spoken(&self) -> String {
        let kind = match &self.kind {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Fixed(_) => "fixed",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Enum(_) => "enum",
            Kind::Record(_) => "record",
        };
        match &self.logical {
            Some(logical) => format!("{kind} ({logical})"),
            None => kind.to_owned(),
        }
    }
}

/// Parses a schema's text.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Type, String> {
    let json: Value = serde_json::from_str(text).map_err(|_| "the schema is not JSON".to_owned())?;
    Parser::default().of(&json, "")
}

#[derive(Default)]
struct Parser {
    /// None: being defined.
    named: BTreeMap<String, Option<Type>>,
}

impl Parser {
    fn of(&mut self, json: &Value, namespace: &str) -> Result<Type, String> {
        match json {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.of(branch, namespace));
                Ok(Type::plain(Kind::Union(Arc::new(branches.collect::<Result<_, _>>()?))))
            }
            Value::Object(members) => self.complex(members, namespace),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err("a type must be a name, a list or an object".to_owned())
            }
        }
    }

    fn by_name(&self, name: &str, namespace: &str) -> Result<Type, String> {
        let kind = match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            other => {
                return match self.named.get(&qualified(other, namespace)).or_else(|| self.named.get(other)) {
                    Some(Some(known)) => Ok(known.clone()),
                    Some(None) => Err("a type refers to itself".to_owned()),
                    None => Err("a type is used that is not defined before".to_owned()),
                };
            }
        };
        Ok(Type::plain(kind))
    }

    fn complex(&mut self, members: &Map<String, Value>, namespace: &str) -> Result<Type, String> {
        let logical = members.get("logicalType").and_then(Value::as_str).map(Arc::from);
        let kind = members.get("type").ok_or("an object without a type")?;
        let parsed = match kind.as_str() {
            Some("array") => Type::plain(Kind::Array(Arc::new(self.part(members, "items", namespace)?))),
            Some("map") => Type::plain(Kind::Map(Arc::new(self.part(members, "values", namespace)?))),
            Some("enum") => self.symbols(members, namespace)?,
            Some("fixed") => self.fixed(members, namespace)?,
            Some("record" | "error") => self.record(members, namespace)?,
            Some(_) | None => self.of(kind, namespace)?,
        };
        Ok(Type { logical: logical.or(parsed.logical), ..parsed })
    }

    fn part(&mut self, members: &Map<String, Value>, name: &str, namespace: &str) -> Result<Type, String> {
        self.of(members.get(name).ok_or_else(|| format!("{name} is missing"))?, namespace)
    }

    fn symbols(&mut self, members: &Map<String, Value>, namespace: &str) -> Result<Type, String> {
        let (full_name, _) = full_name(members, namespace)?;
        let symbols = members.get("symbols").and_then(Value::as_array).ok_or("an enum without symbols")?;
        let symbols = symbols.iter().filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect();
        let default = members.get("default").and_then(Value::as_str).map(str::to_owned);
        let kind = Kind::Enum(Arc::new(Symbols { full_name: full_name.clone(), symbols, default }));
        Ok(self.define(full_name, Type::plain(kind)))
    }

    fn fixed(&mut self, members: &Map<String, Value>, namespace: &str) -> Result<Type, String> {
        let (full_name, _) = full_name(members, namespace)?;
        let size = members.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        let kind = Kind::Fixed(size.ok_or("a fixed type without a size")?);
        Ok(self.define(full_name, Type::plain(kind)))
    }

    fn record(&mut self, members: &Map<String, Value>, namespace: &str) -> Result<Type, String> {
        let (full_name, namespace) = full_name(members, namespace)?;
        self.named.insert(full_name.clone(), None);
        let mut fields = Vec::new();
        for field in members.get("fields").and_then(Value::as_array).ok_or("a record without fields")? {
            let field = field.as_object().ok_or("a field that is no object")?;
            fields.push(Field {
                name: field.get("name").and_then(Value::as_str).ok_or("a field without a name")?.to_owned(),
                of: self.part(field, "type", &namespace)?,
                default: field.get("default").cloned(),
            });
        }
        let kind = Kind::Record(Arc::new(Record { full_name: full_name.clone(), fields }));
        Ok(self.define(full_name, Type::plain(kind)))
    }

    fn define(&mut self, full_name: String, defined: Type) -> Type {
        self.named.insert(full_name, Some(defined.clone()));
        defined
    }
}

/// The full name, and the namespace of what lies within.
fn full_name(members: &Map<String, Value>, namespace: &str) -> Result<(String, String), String> {
    let name = members.get("name").and_then(Value::as_str).ok_or("a named type without a name")?;
    let namespace = members.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
    let full = qualified(name, namespace);
    let within = full.rsplit_once('.').map_or(String::new(), |(within, _)| within.to_owned());
    Ok((full, within))
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}
