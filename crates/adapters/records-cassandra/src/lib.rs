//! The records port on Apache Cassandra, by the `scylla` driver.
//!
//! Owns the translation of declarations into CQL tables, of operations into prepared statements,
//! and of the driver's errors into the port's. Must not know any service's tables.
//!
//! Reads and timestamped writes are at `LOCAL_QUORUM`; conditional changes are lightweight
//! transactions at `LOCAL_SERIAL`, and serial reads settle those under way. Only what may be
//! repeated is retried by the driver: a conditional change never is, because a repetition would see
//! itself. A batch over partitions is a logged batch.
#![warn(missing_docs)]

mod config;
mod connect;
mod cql;
mod errors;
mod migrate;
mod read;
mod statements;
mod values;
mod write;

pub use config::Config;

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_records::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records, RecordsError,
    Scan, StoredRow, TableCursor, TablePage, TableSchema, Write,
};
use scylla::client::session::Session;

use statements::Statements;

/// Records in one keyspace of a Cassandra cluster. Many may share it; calls run side by side.
#[derive(Debug)]
pub struct CassandraRecords {
    session: Arc<Session>,
    statements: Statements,
    clock: SharedClock,
}

impl CassandraRecords {
    /// Connects, trying again while no node answers, and uses the keyspace; makes it where
    /// [`Config::create_keyspace`] says so.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration that cannot work, `Unavailable` when no node answered in
    /// [`Config::connect_timeout_seconds`], `Schema` when there is no such keyspace.
    pub async fn connect(config: Config, clock: SharedClock) -> Result<Self, RecordsError> {
        config.check()?;
        let session = Arc::new(connect::session(&config, &clock).await?);
        let statements = Statements::new(Arc::clone(&session));
        Ok(Self {
            session,
            statements,
            clock,
        })
    }
}

#[async_trait]
impl Records for CassandraRecords {
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        self.read_row(schema, key, level).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        self.scan_partition(scan).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        self.write_all(writes).await
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        self.apply_conditional(conditional).await
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        self.read_table(schema, after, limit).await
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        self.stored_number().await
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.migrate_to(plan).await
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        self.session
            .query_unpaged("SELECT key FROM system.local", ())
            .await
            .map(|_| ())
            .map_err(errors::of_read)
    }
}
