//! Metrics catalogue and logging.
