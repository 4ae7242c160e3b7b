//! What is remembered of a subject: insertion, windows, retention, folding, merging.
