//! The state of a partition: histories by subject, staged changes over committed ones, timers in order.
