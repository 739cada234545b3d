//! The assistant as its callers see it: over HTTP and gRPC, on a memory store, beside a search
//! that is a fake behind the real table of callers.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the modules of one test program"
)]

mod answers;
mod bad_input;
mod conversations;
mod internal;
mod interrupted;
mod repeats;
mod search;
mod world;
