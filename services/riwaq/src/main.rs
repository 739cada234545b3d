//! The Riwaq program: every role of a university workspace, in one process or each in its own.
//!
//! Owns the composition: which adapters stand behind the ports, which services run here, and how
//! they reach one another. Must not know any rule of a service.

mod adapters;
mod cli;
mod config;
mod roles;
mod secrets;

fn main() {}
