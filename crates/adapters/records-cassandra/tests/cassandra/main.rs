//! The adapter on real nodes: one, and three.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and what it spawns ends with it"
)]

mod conformance;
mod connect;
mod durability;
mod keyspace;
mod lines;
mod plain_cql;
mod tls;
