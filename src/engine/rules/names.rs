//! Names that the rule book and the catalogue give, looked up for every field of every task and every entry of a history.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Names of fields that an agency may see, in no order: whoever shows them puts them in order.
pub type FieldNames = HashSet<String, BuildHasherDefault<NameHash>>;

/// What is known by such a name.
pub type ByName<K, V> = HashMap<K, V, BuildHasherDefault<NameHash>>;

/// As good as any hash for names that nobody outside can choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameHash(u64);

const ODD: u64 = 0x517c_c1b7_2722_0a95;

impl NameHash {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(ODD);
    }
}

impl Hasher for NameHash {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        self.add(rest.iter().fold(1, |word, byte| (word << 8) | u64::from(*byte)));
    }

    /// What ends a text says nothing: one text is one name.
    fn write_u8(&mut self, _end: u8) {}

    /// Multiplying mixes upwards: the upper half is the better.
    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }
}
