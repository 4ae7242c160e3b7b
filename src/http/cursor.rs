//! How far a reader has read: opaque to them, the next offset of each partition to us. Any instance serves any cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::broker::{BrokerError, Reader};

/// The first byte of every cursor; another form gets another number.
const FORM: u8 = 3;
/// How much of its list's digest a cursor carries.
const LIST_BYTES: usize = 4;

/// The next offset to read, by partition of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Which list it is a place in: the start of the digest of its name.
    list: [u8; LIST_BYTES],
    offsets: Vec<i64>,
}

impl Cursor {
    /// Before the first record of the list of this name.
    pub fn start(name: &str, partitions: u32) -> Self {
        Self { list: list(name), offsets: (0..partitions).map(|_| 0).collect() }
    }

    /// None unless it is a cursor that the list of this name, of this topic, has given, or could have.
    pub fn parse(text: &str, name: &str, topic: &str, reader: &dyn Reader) -> Result<Option<Self>, BrokerError> {
        let Some(cursor) = Self::decode(text, name, reader.partitions(topic)?) else { return Ok(None) };
        for (partition, offset) in (0..).zip(&cursor.offsets) {
            if *offset > reader.end_offset(topic, partition)? {
                return Ok(None);
            }
        }
        Ok(Some(cursor))
    }

    fn decode(text: &str, name: &str, partitions: u32) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[FORM], rest) = bytes.split_first_chunk::<1>()? else { return None };
        let (list_sent, offsets) = rest.split_first_chunk::<LIST_BYTES>()?;
        let (offsets, []) = offsets.as_chunks::<8>() else { return None };
        let offsets: Vec<i64> = offsets.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        let fits = u32::try_from(offsets.len()) == Ok(partitions) && offsets.iter().all(|offset| *offset >= 0);
        (fits && *list_sent == list(name)).then_some(Self { list: *list_sent, offsets })
    }

    pub fn next(&self, partition: u32) -> i64 {
        usize::try_from(partition).ok().and_then(|index| self.offsets.get(index)).copied().unwrap_or(0)
    }

    /// The record at `offset` was read.
    pub fn advance(&mut self, partition: u32, offset: i64) {
        let slot = usize::try_from(partition).ok().and_then(|index| self.offsets.get_mut(index));
        if let Some(next) = slot {
            *next = offset.saturating_add(1);
        }
    }
}

fn list(name: &str) -> [u8; LIST_BYTES] {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    digest.first_chunk().copied().unwrap_or_default()
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![FORM];
        bytes.extend(self.list);
        bytes.extend(self.offsets.iter().flat_map(|offset| offset.to_be_bytes()));
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_returns_as_it_was_given() {
        let mut cursor = Cursor::start("tasks.camhs", 2);
        cursor.advance(1, 41);
        let parsed = Cursor::decode(&cursor.to_string(), "tasks.camhs", 2).unwrap();
        assert_eq!((parsed.next(0), parsed.next(1)), (0, 42));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let of_two = Cursor::start("tasks.camhs", 2).to_string();
        let of_another = Cursor::start("feedback.camhs", 1).to_string();
        let mut negative = Cursor::start("tasks.camhs", 1);
        negative.offsets[0] = -1;
        for text in ["", "0", "%%", "AA", &of_two, &of_another, &negative.to_string()] {
            assert_eq!(Cursor::decode(text, "tasks.camhs", 1), None, "{text}");
        }
    }
}
