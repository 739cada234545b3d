//! Settings of the index.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of the index in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder; created where missing.
    pub folder: PathBuf,
    /// Memory for documents that are not committed yet, in bytes; at least 15,000,000.
    pub write_buffer_bytes: usize,
    /// Most changes that share one commit.
    pub commit_changes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("index"),
            write_buffer_bytes: 20_000_000,
            commit_changes: 1_000,
        }
    }
}

impl Config {
    /// The defaults in this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            ..Self::default()
        }
    }
}
