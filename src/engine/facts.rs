//! Facts of one judgement: what the rules may read, gathered from event, child, status and history.
