//! The rule book: loaded from TOML, checked with every fault at once, compiled to bitmaps.
