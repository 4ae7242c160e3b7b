//! The only conductor: step(state, record) gives a delta and effects.
