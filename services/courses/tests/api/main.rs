//! The courses service as its callers see it: over HTTP and gRPC, on a memory store.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the modules of one test program"
)]

mod bad_input;
mod courses;
mod document;
mod enrolments;
mod internal;
mod lists;
mod repeats;
mod rights;
mod sections;
mod world;
