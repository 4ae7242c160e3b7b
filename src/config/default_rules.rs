//! The default rule book, built into the binary so that it works alone.

/// File name and text of each file of `rules/cheshire-east`.
pub const FILES: &[(&str, &str)] = &[];
