//! What can be configured.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the records are kept in SQLite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The database file. Its folder is made if it is missing; beside it lie the write-ahead log
    /// and the lock file.
    pub path: PathBuf,
    /// Connections for reading, and so how many reads run at a time (1 to 64).
    pub readers: usize,
    /// Page cache of each connection in KiB (64 to 1,048,576).
    pub cache_kib: u32,
    /// How many writes may share one commit (1 to 100,000).
    pub group_writes: usize,
    /// How many writes may wait before callers wait, too (1 to 1,000,000).
    pub queue_writes: usize,
    /// How long a deleted row's timestamp is remembered, in seconds: an older put that arrives later than this
    /// after the deletion would bring the row back. The default is Cassandra's gc_grace, ten days.
    pub tombstone_seconds: u32,
    /// How often, at most, old tombstones and expired rows are looked for, in seconds.
    pub sweep_seconds: u32,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/records.db"),
            readers: 4,
            cache_kib: 2048,
            group_writes: 1000,
            queue_writes: 10_000,
            tombstone_seconds: 864_000,
            sweep_seconds: 600,
        }
    }
}

impl SqliteConfig {
    /// The defaults with another file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    /// Names the first value that is out of its range.
    pub(crate) fn check(&self) -> Result<(), riwaq_records::RecordsError> {
        let ranges = [
            ("readers", self.readers, 1, 64),
            ("cache_kib", self.cache_kib as usize, 64, 1_048_576),
            ("group_writes", self.group_writes, 1, 100_000),
            ("queue_writes", self.queue_writes, 1, 1_000_000),
        ];
        for (name, value, least, most) in ranges {
            if value < least || value > most {
                let reason = format!("must be between {least} and {most}, and is {value}");
                return Err(riwaq_records::RecordsError::invalid(name, reason));
            }
        }
        Ok(())
    }
}
