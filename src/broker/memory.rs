//! An in-memory log for tests and simulations; faults can be injected.
