//! A durable event queue in SQLite, for one process.
//!
//! Owns the file `events.db` in its folder and one thread that writes it. Must not know what an
//! event means. Delivery is decided in memory by [`riwaq_events::dispatch`]; this crate keeps the
//! events and what became of them.
//!
//! How it keeps the port's promises:
//! - One thread owns the connection (WAL, `synchronous = FULL`). Publications that arrive while it
//!   commits share the next commit, so many publishers cost one sync of the disk.
//! - An acknowledgement is written with the next commit and not waited for: a crash in between
//!   means one more delivery, which the port allows.
//! - That a delivery was begun is written only when it takes long; it counts the attempts of an
//!   event that kills the process.
//! - Replicas are tasks of this process, so a broadcast needs no storage.
//! - `events.lock` is held as long as the queue is open: a second process is refused.
//!
//! The tables are made to be read with `sqlite3`: `deliveries` has one row for each group that
//! still owes an acknowledgement, `dead_letters` what was given up, `event_groups` who wants what.
#![warn(missing_docs)]

mod command;
mod events;
mod journal;
mod schema;
mod store;
mod writer;

use std::path::PathBuf;

use riwaq_events::{EventsError, RetryPolicy};
use serde::{Deserialize, Serialize};

pub use events::SqliteEvents;

/// How the queue works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteEventsConfig {
    /// When failed deliveries come back and when they are given up.
    pub retry: RetryPolicy,
    /// The most requests in one commit.
    pub max_commit_requests: usize,
    /// Waiting events of one type in one group that are held in memory; the rest waits on disk.
    pub max_memory_events: usize,
    /// The same in bytes.
    pub max_memory_bytes: usize,
}

impl Default for SqliteEventsConfig {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            max_commit_requests: 512,
            max_memory_events: 1024,
            max_memory_bytes: 1024 * 1024,
        }
    }
}

/// Why a queue could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{path} is in use by another process; the embedded event queue serves one process only"
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this program.
    #[error("{path} has schema {found}; this program knows up to {known}")]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its number.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] EventsError),
}
