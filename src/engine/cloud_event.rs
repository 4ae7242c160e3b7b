//! CloudEvents 1.0 in and out: structured JSON, with every fault of a bad event at once.
