//! The records port on Apache Cassandra, by the `scylla` driver.
//!
//! Owns the translation of declarations into CQL tables, of operations into prepared statements,
//! and of the driver's errors into the port's. Must not know any service's tables.
//!
//! Reads and timestamped writes are at `LOCAL_QUORUM`; conditional changes are lightweight
//! transactions at `LOCAL_SERIAL`, and serial reads settle those under way. Only what may be
//! repeated is retried by the driver: a conditional change never is, because a repetition would see
//! itself. A batch over partitions is a logged batch. Requests go to a node that has the row, in the
//! configured data centre.
//!
//! Nodes come and go without this crate's doing: the driver connects again within ten seconds of a node's return,
//! at once when another node tells of it. What cannot reach a quorum fails within
//! [`Config::request_timeout_ms`]; only the number of the schema, and with it a migration, is asked for as long as
//! [`Config::connect_timeout_seconds`], since that is how a program starts.
//!
//! Metrics: those of `riwaq-calls`, and `riwaq_backend_nodes` by state, each with `backend="cassandra"`.
#![warn(missing_docs)]

mod config;
mod connect;
mod cql;
mod errors;
mod keyspace;
mod metrics;
mod migrate;
mod patience;
mod read;
mod retry;
mod risks;
mod statements;
mod values;
mod write;

pub use config::Config;

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_records::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records, RecordsError,
    Risk, Scan, StoredRow, TableCursor, TablePage, TableSchema, Write,
};
use scylla::client::session::Session;

use metrics::Metrics;
use statements::Statements;

/// Records in one keyspace of a Cassandra cluster. Many may share it; calls run side by side.
#[derive(Debug)]
pub struct CassandraRecords {
    session: Arc<Session>,
    statements: Statements,
    clock: SharedClock,
    metrics: Metrics,
    config: Config,
}

impl CassandraRecords {
    /// Connects, trying again while no node answers, and looks at the keyspace; makes it where
    /// [`Config::create_keyspace`] says so. One contact point that answers is enough.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration that cannot work, a refused role and an untrusted certificate among it;
    /// `Unavailable` when no node answered in [`Config::connect_timeout_seconds`]; `Schema` when there is no
    /// such keyspace, or one with fewer copies than [`Config::replication_factor`].
    pub async fn connect(config: Config, clock: SharedClock) -> Result<Self, RecordsError> {
        config.check()?;
        let session = Arc::new(connect::session(&config, &clock).await?);
        let statements = Statements::new(Arc::clone(&session), &config);
        let metrics = Metrics::new(Arc::clone(&clock));
        metrics.nodes(&session);
        Ok(Self {
            session,
            statements,
            clock,
            metrics,
            config,
        })
    }

    fn counted<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, RecordsError>> + Send,
    ) -> impl Future<Output = Result<T, RecordsError>> + Send {
        self.metrics.of(operation, &self.session, call)
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
        let operation = match level {
            ReadLevel::Quorum => "get",
            ReadLevel::Serial => "get_serial",
        };
        self.counted(operation, self.read_row(schema, key, level))
            .await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        self.counted("scan", self.scan_partition(scan)).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        let operation = if writes.len() > 1 { "batch" } else { "write" };
        self.counted(operation, self.write_all(writes)).await
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        self.counted("apply", self.apply_conditional(conditional))
            .await
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        self.counted("scan_table", self.read_table(schema, after, limit))
            .await
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        self.counted("schema_number", self.stored_number()).await
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.counted("migrate", self.migrate_to(plan)).await
    }

    /// Asks for a row at `LOCAL_QUORUM`, as requests do: one node that answers is not enough.
    async fn ping(&self) -> Result<(), RecordsError> {
        let answered = self.counted("ping", self.try_quorum()).await;
        self.metrics.nodes(&self.session);
        answered
    }

    /// Asks each node of the data centre itself: their settings are their own.
    async fn risks(&self) -> Result<Vec<Risk>, RecordsError> {
        self.counted("risks", self.found_risks()).await
    }
}
