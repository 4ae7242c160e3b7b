//! Kills of the real process.
