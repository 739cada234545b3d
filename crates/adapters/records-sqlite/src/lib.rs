//! Records in SQLite: one writer thread, group commit, `synchronous=FULL`.
//!
//! Owns one database file and the lock beside it: a second process that opens the same file is
//! refused at once. Must not know what the tables mean.
//!
//! # How it works
//! - Every write goes to one thread, which takes all that is waiting, runs it in one `BEGIN IMMEDIATE`
//!   transaction and answers after the commit has reached the disk. The more writers wait, the
//!   more of them share one sync.
//! - Reads use a small pool of read-only connections. What is acknowledged is committed, so they see it.
//!   A short read runs where it is asked for (a few microseconds, cheaper than a change of thread); a long one
//!   is moved to a thread that may block.
//! - Tables are typed (`STRICT`), `WITHOUT ROWID`, and their primary key has the declared order, so a scan
//!   in either direction reads the key's own tree. They can be read with the `sqlite3` program.
//!
//! # How values look
//! | column | SQLite |
//! |---|---|
//! | bool, bigint | `INTEGER` |
//! | timestamp | `INTEGER`, milliseconds since 1970 |
//! | double | `REAL` |
//! | text, JSON | `TEXT` |
//! | blob | `BLOB` |
//! | uuid | `TEXT`; as a clustering column with the version in front (`4/…`, and for version 1 the time as well), because the port sorts UUIDs by version first |
//!
//! A timestamped table has two more columns: `_at`, the time of the newest write in microseconds, and `_dead_since`, the
//! wall time in seconds at which a deleted row was deleted; null in rows that live. A tombstone is removed after
//! [`SqliteConfig::tombstone_seconds`]. `PRAGMA user_version` is the schema number.
#![warn(missing_docs)]

mod config;
mod encoding;
mod error;
mod lock;
mod migrate;
mod pool;
mod read;
mod sql;
mod store;
mod sweep;
mod write;
mod writer;

pub use config::SqliteConfig;
pub use store::SqliteRecords;
