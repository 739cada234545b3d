//! The test harness: starts the real program, kills and restarts it, speaks HTTP to it, and finds
//! the real backends.
//!
//! Owns processes and waiting. Must not know any service's rules: it speaks HTTP as a stranger does.
#![allow(clippy::print_stdout, reason = "a test says what was not run")]

mod backends;
mod client;
mod program;

pub use backends::{
    Backend, authority, cassandra, cassandra_cluster, keycloak, keycloak_tls, opensearch, python,
    rabbitmq, rabbitmq_tls, s3, s3_second,
};
pub use client::{Answer, Client, multipart};
pub use program::{Program, ProgramBuilder, free_port};
