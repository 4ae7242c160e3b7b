//! Writes a record by its schema, straight into one buffer: Avro's binary encoding.
//!
//! Fields come in the schema's order. One that is left out, or that the record does not know of, is null where the schema allows that.

use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::engine::schema::shape::{Field, Record, Shape};

/// The record does not follow the schema. Where, a second pass finds out.
#[derive(Debug, thiserror::Error)]
#[error("does not follow its schema")]
pub struct Mismatch;

impl serde::ser::Error for Mismatch {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Mismatch
    }
}

/// Appends a record to what is written.
pub fn write<T: Serialize>(record: &T, root: &Record, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    record.serialize(Writer { out, place: Place::Record(root) })
}

/// A writer of the record whole, for whoever follows it field by field.
pub fn writer<'w>(root: &'w Record, out: &'w mut Vec<u8>) -> impl Serializer<Ok = (), Error = Mismatch> + 'w {
    Writer { out, place: Place::Record(root) }
}

/// Writes one value at its place in the schema.
struct Writer<'w, 's> {
    out: &'w mut Vec<u8>,
    place: Place<'s>,
}

#[derive(Clone, Copy)]
enum Place<'s> {
    /// The whole, or a branch that was chosen.
    Record(&'s Record),
    Of(&'s Shape),
}

/// Branches of `boolean`, `long` and `string`, by the names that the codec gives them.
static SCALARS: [(&str, Shape); 3] = [("Boolean", Shape::Boolean), ("Long", Shape::Long), ("String", Shape::String)];

static STRING: Shape = Shape::String;

/// Zigzag, seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), Mismatch> {
    put(out, i64::try_from(count).map_err(|_| Mismatch)?);
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Mismatch> {
    put_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

impl<'s> Writer<'_, 's> {
    /// What the value is, once it is not null.
    fn present(&mut self) -> Result<&'s Shape, Mismatch> {
        match self.place {
            Place::Record(_) => Err(Mismatch),
            Place::Of(Shape::Optional(inner)) => {
                put(self.out, 1);
                Ok(inner)
            }
            Place::Of(shape) => Ok(shape),
        }
    }

    fn record(&mut self) -> Result<&'s Record, Mismatch> {
        if let Place::Record(record) = self.place {
            return Ok(record);
        }
        match self.present()? {
            Shape::Record(record) => Ok(record),
            _ => Err(Mismatch),
        }
    }

    fn integer(mut self, number: i64) -> Result<(), Mismatch> {
        let fits = match self.present()? {
            Shape::Long | Shape::Timestamp => true,
            Shape::Int | Shape::Date => i32::try_from(number).is_ok(),
            _ => false,
        };
        if !fits {
            return Err(Mismatch);
        }
        put(self.out, number);
        Ok(())
    }

    /// One branch of several, by its name; `null` comes before them all.
    fn branch(&mut self, name: &str) -> Result<Place<'s>, Mismatch> {
        let Place::Of(shape) = self.place else { return Err(Mismatch) };
        let nulls = usize::from(matches!(shape, Shape::Optional(_)));
        let found = match shape.required() {
            Shape::Scalar => (nulls..)
                .zip(&SCALARS)
                .find(|(_, (known, _))| *known == name)
                .map(|(place, (_, shape))| (place, Place::Of(shape))),
            Shape::Branches(branches) => {
                let mut branches = (nulls..).zip(branches.iter());
                let found = branches.find(|(_, branch)| branch.record.full_name == name);
                found.map(|(place, branch)| (place, Place::Record(&branch.record)))
            }
            _ => None,
        };
        let (place, branch) = found.ok_or(Mismatch)?;
        put_count(self.out, place)?;
        Ok(branch)
    }
}

impl<'w, 's> Serializer for Writer<'w, 's> {
    type Ok = ();
    type Error = Mismatch;
    type SerializeSeq = Items<'w, 's>;
    type SerializeTuple = Impossible<(), Mismatch>;
    type SerializeTupleStruct = Impossible<(), Mismatch>;
    type SerializeTupleVariant = Impossible<(), Mismatch>;
    type SerializeMap = Items<'w, 's>;
    type SerializeStruct = Fields<'w, 's>;
    type SerializeStructVariant = Impossible<(), Mismatch>;

    fn serialize_bool(mut self, value: bool) -> Result<(), Mismatch> {
        let Shape::Boolean = self.present()? else { return Err(Mismatch) };
        self.out.push(u8::from(value));
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<(), Mismatch> {
        self.integer(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<(), Mismatch> {
        self.integer(i64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), Mismatch> {
        self.integer(i64::try_from(value).map_err(|_| Mismatch)?)
    }

    /// No schema of ours has a fraction.
    fn serialize_f32(self, _: f32) -> Result<(), Mismatch> {
        Err(Mismatch)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Mismatch> {
        Err(Mismatch)
    }

    fn serialize_char(self, value: char) -> Result<(), Mismatch> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Mismatch> {
        match self.present()? {
            Shape::String | Shape::Uuid => put_bytes(self.out, value.as_bytes()),
            Shape::Enum(known) => {
                let place = known.symbols.iter().position(|symbol| symbol == value);
                put_count(self.out, place.ok_or(Mismatch)?)
            }
            _ => Err(Mismatch),
        }
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Mismatch> {
        let Shape::Bytes = self.present()? else { return Err(Mismatch) };
        put_bytes(self.out, value)
    }

    fn serialize_none(self) -> Result<(), Mismatch> {
        match self.place {
            Place::Of(Shape::Optional(_)) => put(self.out, 0),
            Place::Of(Shape::Null) => {}
            Place::Of(_) | Place::Record(_) => return Err(Mismatch),
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Mismatch> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Mismatch> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Mismatch> {
        Err(Mismatch)
    }

    /// Symbols come in the order of the variants, as a rule.
    fn serialize_unit_variant(mut self, _: &'static str, place: u32, symbol: &'static str) -> Result<(), Mismatch> {
        let Shape::Enum(known) = self.present()? else { return Err(Mismatch) };
        let usual = usize::try_from(place).map_err(|_| Mismatch)?;
        let is_usual = known.symbols.get(usual).is_some_and(|known| known == symbol);
        let place = if is_usual { Some(usual) } else { known.symbols.iter().position(|known| known == symbol) };
        put_count(self.out, place.ok_or(Mismatch)?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Mismatch> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Mismatch> {
        let place = self.branch(variant)?;
        value.serialize(Writer { out: self.out, place })
    }

    fn serialize_seq(mut self, length: Option<usize>) -> Result<Items<'w, 's>, Mismatch> {
        let Shape::Array(items) = self.present()? else { return Err(Mismatch) };
        Items::of(self.out, items, length)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Mismatch> {
        Err(Mismatch)
    }

    fn serialize_map(mut self, length: Option<usize>) -> Result<Items<'w, 's>, Mismatch> {
        let Shape::Map(values) = self.present()? else { return Err(Mismatch) };
        Items::of(self.out, values, length)
    }

    fn serialize_struct(mut self, _: &'static str, _: usize) -> Result<Fields<'w, 's>, Mismatch> {
        let record = self.record()?;
        Ok(Fields { out: self.out, left: record.fields.iter() })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Mismatch> {
        Err(Mismatch)
    }
}

/// What a list or a map holds: one block, its count before it.
struct Items<'w, 's> {
    out: &'w mut Vec<u8>,
    shape: &'s Shape,
    left: usize,
}

impl<'w, 's> Items<'w, 's> {
    fn of(out: &'w mut Vec<u8>, shape: &'s Shape, length: Option<usize>) -> Result<Self, Mismatch> {
        // Whatever is written knows how much it is.
        let left = length.ok_or(Mismatch)?;
        if left > 0 {
            put_count(out, left)?;
        }
        Ok(Self { out, shape, left })
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Mismatch> {
        item.serialize(Writer { out: self.out, place: Place::Of(self.shape) })
    }

    fn count_down(&mut self) -> Result<(), Mismatch> {
        self.left = self.left.checked_sub(1).ok_or(Mismatch)?;
        Ok(())
    }

    fn close(self) -> Result<(), Mismatch> {
        put(self.out, 0);
        if self.left == 0 { Ok(()) } else { Err(Mismatch) }
    }
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Mismatch> {
        self.count_down()?;
        self.item(item)
    }

    fn end(self) -> Result<(), Mismatch> {
        self.close()
    }
}

impl SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Mismatch> {
        self.count_down()?;
        key.serialize(Writer { out: self.out, place: Place::Of(&STRING) })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        self.item(value)
    }

    fn end(self) -> Result<(), Mismatch> {
        self.close()
    }
}

/// The fields of a record that are still to be written.
struct Fields<'w, 's> {
    out: &'w mut Vec<u8>,
    left: std::slice::Iter<'s, Field>,
}

/// Null, where a field may be.
fn put_null(out: &mut Vec<u8>, shape: &Shape) -> Result<(), Mismatch> {
    match shape {
        Shape::Optional(_) => put(out, 0),
        Shape::Null => {}
        _ => return Err(Mismatch),
    }
    Ok(())
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Mismatch> {
        for field in self.left.by_ref() {
            if field.is_named(name) {
                return value.serialize(Writer { out: self.out, place: Place::Of(&field.shape) });
            }
            put_null(self.out, &field.shape)?;
        }
        Err(Mismatch)
    }

    /// Of a field that this schema does not have, nothing is written.
    fn skip_field(&mut self, name: &'static str) -> Result<(), Mismatch> {
        match self.left.as_slice().first().filter(|next| next.is_named(name)) {
            Some(next) => {
                self.left.next();
                put_null(self.out, &next.shape)
            }
            None => Ok(()),
        }
    }

    fn end(self) -> Result<(), Mismatch> {
        let Self { out, mut left } = self;
        left.try_for_each(|field| put_null(out, &field.shape))
    }
}
