//! The test harness: starts the real program in either mode, kills and restarts it, spoils its network, speaks
//! HTTP to it as a program or a browser does, keeps the history of what was asked, and finds the real backends.
//!
//! Owns processes and waiting. Must not know any service's rules: it speaks HTTP as a stranger does.
#![allow(clippy::print_stdout, reason = "a test says what was not run")]

mod backends;
mod browser;
mod cassandra_nodes;
mod chaos;
mod client;
mod history;
mod installation;
mod minio_node;
mod one_time;
mod ports;
mod process;
mod program;
mod rabbitmq_node;
mod tries;

pub use backends::{
    Backend, authority, cassandra, cassandra_cluster, cassandra_home, cluster, keycloak,
    keycloak_tls, minio_program, opensearch, pebble_program, python, rabbitmq, rabbitmq_home,
    rabbitmq_tls, s3, s3_second,
};
pub use browser::{Browser, Form, Page, sign_in_at};
pub use cassandra_nodes::CassandraNodes;
pub use chaos::{ChaosProxy, Fault};
pub use client::{Answer, Client, multipart};
pub use history::{History, Operation, Outcome, Pending, Verdict};
pub use installation::{Figures, Installation, InstallationBuilder, Replica};
pub use minio_node::MinioNode;
pub use ports::{ReservedPort, free_port};
pub use process::{Process, pss_kib};
pub use program::{Program, ProgramBuilder};
pub use rabbitmq_node::RabbitmqNode;
pub use tries::{Patience, Tried, retry_after};
