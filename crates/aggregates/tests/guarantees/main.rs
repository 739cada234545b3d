//! What this crate promises, on every engine that needs no server: crashes, faults, races, laws.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the modules of one test program"
)]

mod crash;
mod keys;
mod laws;
mod races;
mod slow;
mod world;
