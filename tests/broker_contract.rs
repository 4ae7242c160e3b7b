//! One suite that every broker passes, and what only the embedded one promises.

#[path = "broker_contract/alone.rs"]
mod alone;
#[path = "broker_contract/embedded.rs"]
mod embedded;
#[path = "broker_contract/kit.rs"]
mod kit;
#[path = "broker_contract/linked.rs"]
mod linked;
#[path = "broker_contract/memory.rs"]
mod memory;
#[path = "broker_contract/suite.rs"]
mod suite;
