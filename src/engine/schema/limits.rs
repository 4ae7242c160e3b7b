//! How much one record from outside may hold. Every limit has a name.

/// A whole record, as sent.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// One text field.
pub const TEXT_CHARS_MAX: usize = 4_000;

/// The narrative: a long account, not a case file.
pub const NARRATIVE_CHARS_MAX: usize = 50_000;

/// One list or set of names and values.
pub const LIST_ITEMS_MAX: usize = 200;

/// Items of one list in any record, our own included: what a decoder believes of a length it reads.
pub const SEQUENCE_ITEMS_MAX: usize = 100_000;

/// How far ahead of its receipt something may have happened: clocks differ.
pub const AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// Nothing before this can be meant: 1900-01-01T00:00:00Z.
pub const EARLIEST_MS: i64 = -2_208_988_800_000;

/// Nothing after this can be meant: 2200-01-01T00:00:00Z.
pub const LATEST_MS: i64 = 7_258_118_400_000;

/// How long a text field of this name may be.
pub fn text_chars_max(field: &str) -> usize {
    if field == "narrative" { NARRATIVE_CHARS_MAX } else { TEXT_CHARS_MAX }
}
