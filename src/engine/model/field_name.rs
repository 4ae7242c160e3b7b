//! The name of a field that somebody is shown: known when the router is built, or made up by a rule book.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Every task says a dozen of them, twice: none is copied. The same whatever it is held by.
#[derive(Clone, Debug)]
pub enum FieldName {
    Known(&'static str),
    Shared(Arc<str>),
}

impl Deref for FieldName {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            FieldName::Known(name) => name,
            FieldName::Shared(name) => name,
        }
    }
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for FieldName {}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for FieldName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq<str> for FieldName {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for FieldName {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl From<&'static str> for FieldName {
    fn from(name: &'static str) -> Self {
        FieldName::Known(name)
    }
}

impl From<String> for FieldName {
    fn from(name: String) -> Self {
        FieldName::Shared(name.into())
    }
}

impl Serialize for FieldName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(FieldName::from)
    }
}
