//! Derives a table declaration from a Rust struct.
