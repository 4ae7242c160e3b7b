//! The published Avro schemas, parsed once, and the walker that reads and writes JSON by them.
