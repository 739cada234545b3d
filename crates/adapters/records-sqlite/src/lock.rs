//! One process for one database.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use riwaq_records::RecordsError;

/// Holds the lock file as long as it lives; the system releases it when the process dies.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock that belongs to this database.
    pub(crate) fn take(database: &Path) -> Result<Self, RecordsError> {
        let path = lock_path(database);
        let cannot =
            |reason: String| RecordsError::unavailable(format!("{}: {reason}", path.display()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cannot(error.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(cannot(
                "another process has these records open; SQLite records work for one process only, \
                 so stop the other one or use Cassandra"
                    .into(),
            )),
            Err(TryLockError::Error(error)) => Err(cannot(error.to_string())),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
