//! INTAKE: a partner's bytes become inbox records, or quarantine with the reason.
