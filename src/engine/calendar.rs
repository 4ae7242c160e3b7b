//! Clocks and deadlines: working days, session days, elapsed hours, pinned bank holidays.
