//! Records: SQLite or Cassandra.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_clock::SharedClock;
use riwaq_records::Records;
use riwaq_records_cassandra::CassandraRecords;
use riwaq_records_sqlite::SqliteRecords;

use super::expose;
use crate::config::{Config, RecordsEngine};

/// The records alone, for commands that need nothing else.
pub(crate) async fn records(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Records>> {
    match config.records.engine {
        RecordsEngine::Sqlite => {
            let mut sqlite = config.records.sqlite.clone();
            if sqlite.path.as_os_str().is_empty() {
                sqlite.path = config.data_dir.join("records.db");
            }
            let records =
                SqliteRecords::open(sqlite, Arc::clone(clock)).context("records in SQLite")?;
            Ok(Arc::new(records))
        }
        RecordsEngine::Cassandra => {
            let mut cassandra = config.records.cassandra.clone();
            cassandra.password = expose(config.records.cassandra_password.as_ref());
            let records = CassandraRecords::connect(cassandra, Arc::clone(clock))
                .await
                .context("records in Cassandra")?;
            Ok(Arc::new(records))
        }
    }
}
