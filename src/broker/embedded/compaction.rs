//! Which records of a compacted partition are out of date, so that the writer can delete them a few at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Out-of-date records are left alone until there are this many, or half as many as there are keys.
const SUPERSEDED_MIN: usize = 10_000;

/// The newest offset of each key. An index in memory, not in the file: keys are hashes, and an index over them
/// would touch a page of its own for every record written.
#[derive(Default)]
pub struct Compaction {
    newest: HashMap<Box<[u8]>, i64>,
    superseded: BinaryHeap<Reverse<i64>>,
}

impl Compaction {
    /// Notes a committed record.
    pub fn appended(&mut self, key: &[u8], offset: i64, tombstone: bool) {
        let before = if tombstone {
            // A tombstone is itself of no use once what it removes is gone; it is deleted after it, by offset.
            self.superseded.push(Reverse(offset));
            self.newest.remove(key)
        } else {
            self.newest.insert(key.into(), offset)
        };
        self.superseded.extend(before.map(Reverse));
    }

    /// Whether enough has gathered to be worth deleting among other work.
    pub fn is_due(&self) -> bool {
        self.superseded.len() > SUPERSEDED_MIN.max(self.newest.len() / 2)
    }

    pub fn is_clean(&self) -> bool {
        self.superseded.is_empty()
    }

    /// The oldest out-of-date offsets, at most `count`: forgotten here, so put them back if deleting them fails.
    pub fn take(&mut self, count: usize) -> Vec<i64> {
        let mut offsets = Vec::new();
        while offsets.len() < count
            && let Some(Reverse(offset)) = self.superseded.pop()
        {
            offsets.push(offset);
        }
        offsets
    }

    pub fn put_back(&mut self, offsets: &[i64]) {
        self.superseded.extend(offsets.iter().copied().map(Reverse));
    }
}

#[cfg(test)]
mod tests {
    use super::Compaction;

    #[test]
    fn only_the_newest_of_each_key_is_kept() {
        let mut compaction = Compaction::default();
        for (offset, key, tombstone) in [(0, b"a", false), (1, b"b", false), (2, b"a", false), (3, b"b", true)] {
            compaction.appended(key, offset, tombstone);
        }
        assert_eq!(compaction.take(2), [0, 1], "oldest first");
        compaction.put_back(&[1]);
        assert_eq!(compaction.take(9), [1, 3], "the tombstone goes after what it removes");
        assert!(compaction.is_clean());
    }
}
