//! The port's suite over SQLite.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use riwaq_clock::SystemClock;
use riwaq_records::conformance::{self, Factory};
use riwaq_records::{Records, RecordsError};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use tempfile::TempDir;

struct Sqlite {
    folder: TempDir,
    current: Mutex<(usize, Arc<dyn Records>)>,
}

fn open(path: PathBuf) -> Result<Arc<dyn Records>, RecordsError> {
    let config = SqliteConfig {
        readers: 2,
        ..SqliteConfig::at(path)
    };
    Ok(Arc::new(SqliteRecords::open(
        config,
        SystemClock::shared(),
    )?))
}

impl Sqlite {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path().join("0").join("records.db")).unwrap();
        Self {
            folder,
            current: Mutex::new((0, store)),
        }
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }
}

/// What the disk holds at this moment, as if the process had died.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        // The log's index is shared memory, which does not outlive a machine; it is made anew.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[async_trait]
impl Factory for Sqlite {
    fn engine(&self) -> &str {
        "sqlite"
    }

    async fn handle(&self) -> Result<Arc<dyn Records>, RecordsError> {
        Ok(Arc::clone(&self.current.lock().unwrap().1))
    }

    async fn reopen(&self) -> Result<Arc<dyn Records>, RecordsError> {
        let mut current = self.current.lock().unwrap();
        let next = current.0 + 1;
        copy_files(&self.folder(current.0), &self.folder(next));
        *current = (next, open(self.folder(next).join("records.db"))?);
        Ok(Arc::clone(&current.1))
    }

    async fn fresh(&self) -> Result<Arc<dyn Records>, RecordsError> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        open(folder.join("records.db"))
    }

    fn seeds(&self) -> u64 {
        24
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    conformance::run(Arc::new(Sqlite::new())).await.unwrap();
}
