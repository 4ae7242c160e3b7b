//! How far a reader has read: opaque to them, the next offset of each partition to us. Any instance serves any cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The first byte of every cursor; another form gets another number.
const FORM: u8 = 1;

/// The next offset to read, by partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(Vec<i64>);

impl Cursor {
    /// Before the first record.
    pub fn start(partitions: u32) -> Self {
        Self((0..partitions).map(|_| 0).collect())
    }

    /// None unless it is a cursor of ours for as many partitions.
    pub fn parse(text: &str, partitions: u32) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[FORM], offsets) = bytes.split_first_chunk::<1>()? else { return None };
        let (offsets, []) = offsets.as_chunks::<8>() else { return None };
        let offsets: Vec<i64> = offsets.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        let fits = u32::try_from(offsets.len()) == Ok(partitions) && offsets.iter().all(|offset| *offset >= 0);
        fits.then_some(Self(offsets))
    }

    pub fn next(&self, partition: u32) -> i64 {
        usize::try_from(partition).ok().and_then(|index| self.0.get(index)).copied().unwrap_or(0)
    }

    /// The record at `offset` was read.
    pub fn advance(&mut self, partition: u32, offset: i64) {
        let slot = usize::try_from(partition).ok().and_then(|index| self.0.get_mut(index));
        if let Some(next) = slot {
            *next = offset.saturating_add(1);
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![FORM];
        bytes.extend(self.0.iter().flat_map(|offset| offset.to_be_bytes()));
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_returns_as_it_was_given() {
        let mut cursor = Cursor::start(2);
        cursor.advance(1, 41);
        let parsed = Cursor::parse(&cursor.to_string(), 2).unwrap();
        assert_eq!((parsed.next(0), parsed.next(1)), (0, 42));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let of_two = Cursor::start(2).to_string();
        let mut negative = Cursor::start(1);
        negative.0[0] = -1;
        for text in ["", "0", "%%", "AA", &of_two, &negative.to_string()] {
            assert_eq!(Cursor::parse(text, 1), None, "{text}");
        }
    }
}
