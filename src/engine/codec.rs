//! Avro encoding and decoding of every record; refuses truncation and trailing bytes.
