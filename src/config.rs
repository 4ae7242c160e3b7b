//! Configuration: read raw, validated in one pass, every fault at once.
