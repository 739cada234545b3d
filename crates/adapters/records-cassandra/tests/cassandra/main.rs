//! The adapter on real nodes: one, and three.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod connect;
mod keyspace;
mod lines;
mod plain_cql;
mod tls;
