//! A serialiser that writes nothing: it visits every value of a record beside its shape.

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct};

use super::super::path::Path;
use super::super::shape::{Field, Shape};

/// Told of every text, number and length.
pub trait Visit {
    fn text(&mut self, shape: &Shape, path: &Path<'_>, text: &str);
    fn number(&mut self, shape: &Shape, path: &Path<'_>, number: i64);
    fn length(&mut self, path: &Path<'_>, items: usize);
}

/// The record does not have the shape it was walked with.
#[derive(Debug, thiserror::Error)]
#[error("the record does not follow its schema")]
pub struct Mismatch;

impl ser::Error for Mismatch {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        Mismatch
    }
}

/// One value on the way.
pub struct Walker<'w, 'v, V> {
    pub shape: &'w Shape,
    pub path: &'w Path<'w>,
    pub visit: &'v mut V,
}

impl<'w, 'v, V: Visit> Walker<'w, 'v, V> {
    fn number(self, number: i64) -> Result<(), Mismatch> {
        match self.shape {
            shape @ (Shape::Int | Shape::Long | Shape::Date | Shape::Timestamp | Shape::Scalar) => {
                self.visit.number(shape, self.path, number);
                Ok(())
            }
            _ => Err(Mismatch),
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(self, value: $type) -> Result<(), Mismatch> { self.number(i64::from(value)) })+
    };
}

macro_rules! refused {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(self, _value: $type) -> Result<(), Mismatch> { Err(Mismatch) })+
    };
}

impl<'w, 'v, V: Visit> ser::Serializer for Walker<'w, 'v, V> {
    type Ok = ();
    type Error = Mismatch;
    type SerializeSeq = Items<'w, 'v, V>;
    type SerializeTuple = Impossible<(), Mismatch>;
    type SerializeTupleStruct = Impossible<(), Mismatch>;
    type SerializeTupleVariant = Impossible<(), Mismatch>;
    type SerializeMap = Entries<'w, 'v, V>;
    type SerializeStruct = Fields<'w, 'v, V>;
    type SerializeStructVariant = Impossible<(), Mismatch>;

    numbers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);
    refused!(serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_char: char);

    fn serialize_bool(self, _value: bool) -> Result<(), Mismatch> {
        matches!(self.shape, Shape::Boolean | Shape::Scalar).then_some(()).ok_or(Mismatch)
    }

    fn serialize_str(self, text: &str) -> Result<(), Mismatch> {
        match self.shape {
            shape @ (Shape::String | Shape::Uuid | Shape::Scalar) => {
                self.visit.text(shape, self.path, text);
                Ok(())
            }
            _ => Err(Mismatch),
        }
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.visit.length(self.path, bytes.len());
        matches!(self.shape, Shape::Bytes).then_some(()).ok_or(Mismatch)
    }

    fn serialize_none(self) -> Result<(), Mismatch> {
        matches!(self.shape, Shape::Optional(_)).then_some(()).ok_or(Mismatch)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Mismatch> {
        match self.shape {
            Shape::Optional(inner) => value.serialize(Walker { shape: inner, path: self.path, visit: self.visit }),
            _ => Err(Mismatch),
        }
    }

    fn serialize_unit(self) -> Result<(), Mismatch> {
        Err(Mismatch)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Mismatch> {
        Err(Mismatch)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<(), Mismatch> {
        match self.shape {
            Shape::Enum(symbols) if symbols.symbols.iter().any(|symbol| symbol == variant) => Ok(()),
            _ => Err(Mismatch),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Mismatch> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Mismatch> {
        match self.shape {
            Shape::Scalar => value.serialize(self),
            shape @ Shape::Branches(_) => {
                let branch = shape.branch(variant).ok_or(Mismatch)?;
                value.serialize(Walker { shape: &branch, path: self.path, visit: self.visit })
            }
            _ => Err(Mismatch),
        }
    }

    fn serialize_seq(self, items: Option<usize>) -> Result<Self::SerializeSeq, Mismatch> {
        let Shape::Array(shape) = self.shape else { return Err(Mismatch) };
        self.visit.length(self.path, items.unwrap_or_default());
        Ok(Items { shape, path: self.path, index: 0, visit: self.visit })
    }

    fn serialize_tuple(self, _items: usize) -> Result<Self::SerializeTuple, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _items: usize,
    ) -> Result<Self::SerializeTupleStruct, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _items: usize,
    ) -> Result<Self::SerializeTupleVariant, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_map(self, items: Option<usize>) -> Result<Self::SerializeMap, Mismatch> {
        let Shape::Map(shape) = self.shape else { return Err(Mismatch) };
        self.visit.length(self.path, items.unwrap_or_default());
        Ok(Entries { shape, path: self.path, name: String::new(), visit: self.visit })
    }

    fn serialize_struct(self, _name: &'static str, _fields: usize) -> Result<Self::SerializeStruct, Mismatch> {
        let Shape::Record(record) = self.shape else { return Err(Mismatch) };
        Ok(Fields { fields: record.fields.iter(), path: self.path, visit: self.visit })
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _fields: usize,
    ) -> Result<Self::SerializeStructVariant, Mismatch> {
        Err(Mismatch)
    }
}

/// The fields of a record, which must be those of its shape, in its order.
pub struct Fields<'w, 'v, V> {
    fields: std::slice::Iter<'w, Field>,
    path: &'w Path<'w>,
    visit: &'v mut V,
}

impl<V: Visit> SerializeStruct for Fields<'_, '_, V> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Mismatch> {
        let field = self.fields.next().filter(|field| field.name == name).ok_or(Mismatch)?;
        value.serialize(Walker { shape: &field.shape, path: &self.path.field(name), visit: self.visit })
    }

    /// Left out because it says nothing, so that an earlier schema can say the rest.
    fn skip_field(&mut self, name: &'static str) -> Result<(), Mismatch> {
        let field = self.fields.next().filter(|field| field.name == name).ok_or(Mismatch)?;
        matches!(field.shape, Shape::Optional(_)).then_some(()).ok_or(Mismatch)
    }

    fn end(mut self) -> Result<(), Mismatch> {
        self.fields.next().is_none().then_some(()).ok_or(Mismatch)
    }
}

/// The items of a list.
pub struct Items<'w, 'v, V> {
    shape: &'w Shape,
    path: &'w Path<'w>,
    index: usize,
    visit: &'v mut V,
}

impl<V: Visit> SerializeSeq for Items<'_, '_, V> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        let path = self.path.item(self.index);
        self.index = self.index.saturating_add(1);
        value.serialize(Walker { shape: self.shape, path: &path, visit: self.visit })
    }

    fn end(self) -> Result<(), Mismatch> {
        Ok(())
    }
}

/// The entries of a map.
pub struct Entries<'w, 'v, V> {
    shape: &'w Shape,
    path: &'w Path<'w>,
    name: String,
    visit: &'v mut V,
}

impl<V: Visit> SerializeMap for Entries<'_, '_, V> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Mismatch> {
        let name = serde_json::to_value(name).map_err(|_| Mismatch)?;
        self.name = name.as_str().ok_or(Mismatch)?.to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        let path = self.path.theirs(&self.name);
        value.serialize(Walker { shape: self.shape, path: &path, visit: self.visit })
    }

    fn end(self) -> Result<(), Mismatch> {
        Ok(())
    }
}
