//! The port's suite over records in SQLite, reopened as after a restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use common::cheap;
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_directory::SharedDirectory;
use riwaq_directory::conformance::{Backing, Factory, run_all};
use riwaq_directory_local::{LocalDirectory, LocalDirectoryConfig, LoginKey, tables};
use riwaq_records::{MigrationPlan, Records, Store};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use tempfile::TempDir;

struct OverSqlite;

struct Database {
    folder: TempDir,
    records: Option<Arc<SqliteRecords>>,
}

impl Database {
    async fn opened(&mut self) {
        // The file is one process's: the former one has to be gone.
        self.records = None;
        let config = SqliteConfig {
            path: self.folder.path().join("records.db"),
            ..SqliteConfig::default()
        };
        let records = SqliteRecords::open(config, SystemClock::shared()).unwrap();
        records
            .migrate(&MigrationPlan::new(tables()).unwrap())
            .await
            .unwrap();
        self.records = Some(Arc::new(records));
    }
}

#[async_trait]
impl Factory for OverSqlite {
    async fn fresh(&self) -> Box<dyn Backing> {
        let mut database = Database {
            folder: TempDir::new().unwrap(),
            records: None,
        };
        database.opened().await;
        Box::new(database)
    }
}

#[async_trait]
impl Backing for Database {
    async fn open(&self) -> SharedDirectory {
        let records = self.records.clone().unwrap();
        let config = LocalDirectoryConfig {
            hashing: cheap(),
            ..LocalDirectoryConfig::default()
        };
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let key = LoginKey::new(&[9; 32]).unwrap();
        Arc::new(LocalDirectory::new(Store::new(records), clock, key, config).unwrap())
    }

    async fn reopen(&mut self) -> SharedDirectory {
        self.opened().await;
        self.open().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_local_directory_conforms_over_sqlite() {
    run_all("local over sqlite", &OverSqlite).await;
}
