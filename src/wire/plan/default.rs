//! A field's default, as its schema's JSON gives it, in Avro's bytes.

use serde_json::Value;

use crate::wire::schema::{Kind, Type};

/// None: the default does not fit its type.
pub fn write(of: &Type, json: &Value, into: &mut Vec<u8>) -> Option<()> {
    match &of.kind {
        Kind::Null => json.as_null()?,
        Kind::Boolean => into.push(u8::from(json.as_bool()?)),
        Kind::Int | Kind::Long => long(json.as_i64()?, into),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a default that a float cannot hold is rounded, as in Avro"
        )]
        Kind::Float => into.extend((json.as_f64()? as f32).to_le_bytes()),
        Kind::Double => into.extend(json.as_f64()?.to_le_bytes()),
        Kind::String => bytes(json.as_str()?.as_bytes(), into)?,
        // Avro writes bytes as text of code points 0 to 255.
        Kind::Bytes => bytes(&latin1(json.as_str()?)?, into)?,
        Kind::Fixed(size) => into.extend(latin1(json.as_str()?).filter(|bytes| bytes.len() == *size)?),
        Kind::Array(items) => {
            let list = json.as_array()?;
            block(list.len(), into)?;
            list.iter().try_for_each(|item| write(items, item, into))?;
            end(list.is_empty(), into);
        }
        Kind::Map(values) => {
            let members = json.as_object()?;
            block(members.len(), into)?;
            for (name, value) in members {
                bytes(name.as_bytes(), into)?;
                write(values, value, into)?;
            }
            end(members.is_empty(), into);
        }
        // A union's default is of its first branch.
        Kind::Union(branches) => {
            long(0, into);
            write(branches.first()?, json, into)?;
        }
        Kind::Enum(symbols) => {
            let number = symbols.symbols.iter().position(|symbol| Some(symbol.as_str()) == json.as_str())?;
            long(i64::try_from(number).ok()?, into);
        }
        Kind::Record(record) => {
            let members = json.as_object()?;
            for field in &record.fields {
                write(&field.of, members.get(&field.name).or(field.default.as_ref())?, into)?;
            }
        }
    }
    Some(())
}

fn block(length: usize, into: &mut Vec<u8>) -> Option<()> {
    long(i64::try_from(length).ok()?, into);
    Some(())
}

/// An empty list's block is its end already.
fn end(is_empty: bool, into: &mut Vec<u8>) {
    if !is_empty {
        long(0, into);
    }
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

fn bytes(value: &[u8], into: &mut Vec<u8>) -> Option<()> {
    long(i64::try_from(value.len()).ok()?, into);
    into.extend(value);
    Some(())
}

/// Zigzag, seven bits a byte.
pub fn long(number: i64, into: &mut Vec<u8>) {
    let mut rest = number.cast_unsigned() << 1 ^ (number >> 63).cast_unsigned();
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            return into.push(low);
        }
        into.push(low | 0x80);
    }
}
