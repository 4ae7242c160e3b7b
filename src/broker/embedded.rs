//! A durable single-node log in one SQLite file.
