//! Fields that an earlier schema does not have: left out of a record where they are empty, so that it still fits that schema.

/// Whether an optional field is left out.
pub(super) fn none_left_out<T>(value: &Option<T>) -> bool {
    value.is_none()
}

/// Whether a list is left out.
pub(super) fn empty_left_out<T>(values: &[T]) -> bool {
    values.is_empty()
}

/// A list that is null where it is empty.
pub(super) mod list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        if values.is_empty() { serializer.serialize_none() } else { serializer.serialize_some(values) }
    }

    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
    }
}
