//! Scenarios over the real program, from outside, on every engine.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a scenario says what it saw, ends where it fails, and runs what it needs beside itself"
)]

mod bad_input;
mod kill;
mod main_job;
mod oidc;
mod roles;
mod schema_fuzz;
mod traces;
