//! The opaque key of a subject: a keyed hash only the router can make.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// HMAC-SHA-256 of a subject's strongest verified identifier. On the wire: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(pub [u8; 32]);

impl SubjectKey {
    pub fn to_hex(self) -> String {
        String::from_utf8_lossy(&self.digits()).into_owned()
    }

    fn digits(self) -> [u8; 64] {
        let mut digits = [0; 64];
        // Two digits a byte: it fits.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        digits
    }

    /// None unless `text` is 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl std::fmt::Debug for SubjectKey {
    /// Keys identify a child to whoever holds two of them, so none is printed by accident.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SubjectKey(..)")
    }
}

impl Serialize for SubjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.digits()).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for SubjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl Visitor<'_> for HexVisitor {
            type Value = SubjectKey;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("64 hex digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SubjectKey, E> {
                SubjectKey::parse(text).ok_or_else(|| E::custom("not a subject key"))
            }
        }
        deserializer.deserialize_str(HexVisitor)
    }
}
