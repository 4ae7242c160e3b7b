//! Who a record is about: check digits, normalised names, keyed subject keys.
