//! What can be configured.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the blobs lie and when the folder counts as full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder; created where it is missing. One process at a time uses it, on a local file system.
    pub folder: PathBuf,
    /// How many bytes of the file system stay free: uploads are refused before it is full.
    pub min_free_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data/blobs"),
            min_free_bytes: 256 * 1024 * 1024,
        }
    }
}
