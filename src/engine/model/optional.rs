//! Fields that an earlier schema does not have: left out of a record where they are empty, so that it still fits that schema.

use std::cell::Cell;

thread_local! {
    /// The schema at hand has every field.
    static IN_FULL: Cell<bool> = const { Cell::new(false) };
}

/// Writes by a schema that has every field: none is left out, for the encoder sets aside, each in a buffer of its own, all
/// that comes after one that is.
pub fn in_full<T>(write: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IN_FULL.set(self.0);
        }
    }
    let _before = Before(IN_FULL.replace(true));
    write()
}

/// Whether an optional field is left out.
pub(super) fn none_left_out<T>(value: &Option<T>) -> bool {
    value.is_none() && !IN_FULL.get()
}

/// Whether a list is left out.
pub(super) fn empty_left_out<T>(values: &[T]) -> bool {
    values.is_empty() && !IN_FULL.get()
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
