//! The sealed reply address: opened by the router alone, different for each recipient.
