//! Scenarios over the real program, from outside, on every engine.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a scenario says what it saw, and ends where it fails"
)]

mod bad_input;
mod kill;
mod main_job;
mod oidc;
mod roles;
mod schema_fuzz;
mod traces;
