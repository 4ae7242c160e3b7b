//! Lanes and their supervision: poll, step, commit.
