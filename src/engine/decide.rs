//! Judging one entry: strata, levels, what fired and what is unknown.
