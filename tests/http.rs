//! HTTP as callers meet it: a real server on a free port, a broker in memory.

#[path = "http/access.rs"]
mod access;
#[path = "http/events.rs"]
mod events;
#[path = "http/inbox.rs"]
mod inbox;
#[path = "http/kit.rs"]
mod kit;
#[path = "http/operations.rs"]
mod operations;
#[path = "http/operator.rs"]
mod operator;
#[path = "http/refused.rs"]
mod refused;
#[path = "http/rounds.rs"]
mod rounds;
#[path = "http/streams.rs"]
mod streams;
#[path = "http/tls.rs"]
mod tls;
