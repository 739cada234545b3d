//! Accounts kept in records, passwords by argon2id.
//!
//! Owns the tables `directory_accounts` and `directory_logins`, the hashing of passwords and
//! the keyed hashing of login names. Must not know profiles, tokens, sessions or which engine
//! keeps the records.
//!
//! A login name is a claim: a row keyed by HMAC-SHA256 of the normalised name that names its
//! account. An account row lists the keys of its own names, and a name counts only where both agree, so
//! that a crash between the two leaves at worst a claim that nobody's account lists, which the next
//! who wants the name takes over (see `claims`).

#![warn(missing_docs)]

mod accounts;
mod claims;
mod config;
mod directory;
mod hashing;
mod login_key;
mod rows;
mod secrets;

pub use accounts::LocalDirectory;
pub use config::{ConfigError, HashingConfig, LocalDirectoryConfig};
pub use login_key::LoginKey;
pub use rows::tables;
