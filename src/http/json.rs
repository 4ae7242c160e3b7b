//! JSON as it was sent, with the names that stand twice in one object: of two values nobody knows which was meant.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::engine::schema::path::Path;

/// Of each element of a list, or of the document.
const REPEATED_TOLD_MAX: usize = 20;

/// A document, and where names stand twice: of a list with the place of the element they stand in, and where in it.
#[derive(Debug)]
pub struct Document {
    pub value: Value,
    pub repeated: Vec<(Option<usize>, String)>,
}

/// Reads a document. The error's line and column are safe to tell; its words may quote the body.
pub fn read(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    let repeated = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let path = Path::root();
    let value =
        Reading { repeated: &repeated, element: None, is_outermost: true, path: &path }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Document { value, repeated: repeated.into_inner() })
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    repeated: &'a RefCell<Vec<(Option<usize>, String)>>,
    /// Of the outermost list.
    element: Option<usize>,
    is_outermost: bool,
    /// Within the element, if there is one.
    path: &'a Path<'a>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = list.len();
            let (element, path) = match self.is_outermost {
                true => (Some(place), Path::root()),
                false => (self.element, self.path.item(place)),
            };
            let reading = Reading { element, is_outermost: false, path: &path, ..self };
            let Some(value) = elements.next_element_seed(reading)? else { return Ok(Value::Array(list)) };
            list.push(value);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = self.path.theirs(&name);
            let value = members.next_value_seed(Reading { is_outermost: false, path: &path, ..self })?;
            if object.contains_key(&name) {
                self.note(&path);
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

impl Reading<'_> {
    /// That a name stands twice. One is enough to refuse what it stands in: some are told, so that they are mended together.
    fn note(&self, path: &Path<'_>) {
        let mut repeated = self.repeated.borrow_mut();
        let told = repeated.iter().rev().take_while(|(element, _)| *element == self.element);
        if told.take(REPEATED_TOLD_MAX).count() < REPEATED_TOLD_MAX {
            repeated.push((self.element, path.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REPEATED_TOLD_MAX, read};

    #[test]
    fn of_names_that_stand_twice_so_many_are_told_of_each_element() {
        let twice = vec![r#""a":1,"a":2"#; 3 * REPEATED_TOLD_MAX].join(",");
        let repeated = read(format!("[{{{twice}}},{{{twice}}}]").as_bytes()).unwrap().repeated;
        for element in [Some(0), Some(1)] {
            assert_eq!(repeated.iter().filter(|(of, _)| *of == element).count(), REPEATED_TOLD_MAX);
        }
    }

    #[test]
    fn a_name_that_stands_twice_in_one_object_is_found_and_in_two_objects_is_not() {
        let cases = [
            (r#"{"id": 1, "data": {"id": 2}, "carers": [{"id": 3}, {"id": 4}]}"#, vec![]),
            (r#"{"id": 1, "data": {"id": 2, "id": 2}}"#, vec![(None, "data.id".to_owned())]),
            (r#"[{"id": 1}, {"carers": [{"id": 1, "id": null}]}]"#, vec![(Some(1), "carers[0].id".to_owned())]),
            (r#"{"Ann": {"id": 1, "id": 2}}"#, vec![(None, "(unnamed).id".to_owned())]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()).unwrap().repeated, expected, "{text}");
        }
        assert!(read(b"{} {}").is_err());
    }

    #[test]
    fn what_is_read_is_what_a_plain_reader_reads() {
        for text in ["null", "[1, -2, 2.5, true, \"x\\u00e9\"]", r#"{"z": {}, "a": [[]], "n": 18446744073709551615}"#] {
            let plain: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text.as_bytes()).unwrap().value, plain);
        }
    }
}
