//! Settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The program to start as the child. Empty: this program itself, which the composition root
    /// fills in.
    pub program: PathBuf,
    /// Its arguments; one more with the job follows them.
    pub args: Vec<String>,
    /// Refuse to read documents where the kernel has neither Landlock nor seccomp. Without it
    /// the child still has limits of memory, time and files.
    pub require_confinement: bool,
    /// Most children at a time.
    pub concurrency: usize,
    /// Limits of one document.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            args: vec!["extract".to_owned()],
            require_confinement: true,
            concurrency: 2,
            limits: Limits::default(),
        }
    }
}

/// Limits of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of the file.
    pub file_bytes: u64,
    /// Most bytes that an archive may unpack to, as far as it is read.
    pub unpacked_bytes: u64,
    /// Most entries of an archive.
    pub archive_entries: usize,
    /// Most pages or slides; of a longer document the first are read.
    pub pages: u32,
    /// Most characters; of a longer document the first are read.
    pub characters: usize,
    /// Memory of the child beyond the program and the file, in bytes.
    pub memory_bytes: u64,
    /// Processor time of the child.
    pub cpu_seconds: u64,
    /// Time from start to end.
    pub wall_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 200 * 1024 * 1024,
            unpacked_bytes: 256 * 1024 * 1024,
            archive_entries: 10_000,
            pages: 1_000,
            characters: 10_000_000,
            memory_bytes: 512 * 1024 * 1024,
            cpu_seconds: 60,
            wall_seconds: 120,
        }
    }
}
