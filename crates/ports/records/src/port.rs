//! The port.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, RecordsError, Risk, Scan,
    StoredRow, TableCursor, TablePage, TableSchema, Write,
};

/// A store of records. The guarantees stand in the [crate's documentation](crate).
///
/// Every method first checks its input with [`crate::validate`], so that all engines refuse the
/// same things with the same errors.
#[async_trait]
pub trait Records: Send + Sync + Debug + 'static {
    /// The row with this key, if there is one. Sees every acknowledged write.
    ///
    /// # Errors
    /// `InvalidInput`, `TooLarge`, `Unavailable` (also on a time-out), `Schema` (no such table), `Corrupt`.
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError>;

    /// Rows of one partition in clustering order. Sees every acknowledged write. Fewer rows than
    /// `limit` means that there are no more in this range.
    ///
    /// # Errors
    /// As for [`Self::get`].
    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError>;

    /// Writes of timestamped tables: a single one, or a batch over any partitions and tables that
    /// is all or nothing but not isolated (a reader may see a part of it for a while). Durable
    /// when Ok. Idempotent. An empty list does nothing.
    ///
    /// # Errors
    /// `InvalidInput` (also for a conditional table), `TooLarge`, `Unavailable`, `Unknown`, `Schema`.
    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError>;

    /// Changes of rows of one partition of one conditional table under conditions. Linearizable
    /// within the partition; all or nothing; durable when Ok. A repetition with the same `op_id`
    /// is refused and shows rows with that `op_id`; [`crate::Store`] takes that for applied.
    ///
    /// # Errors
    /// `InvalidInput` (also for a timestamped table), `TooLarge`, `Unavailable`, `Unknown`, `Schema`.
    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError>;

    /// A page of the whole table, in the engine's own order; `limit` is 1 to
    /// [`crate::limits::SCAN_ROWS`]. Every row that is there from the first page to the last is
    /// seen exactly once. For operators' work only: it reads the whole cluster.
    ///
    /// # Errors
    /// As for [`Self::get`]; `InvalidInput` for a cursor that this engine did not make.
    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError>;

    /// The number of the last migration that was applied; 0 for an empty store.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn schema_number(&self) -> Result<u32, RecordsError>;

    /// Applies the migrations that the store does not have yet, one by one in their order. May be
    /// repeated, also after a crash in the middle.
    ///
    /// # Errors
    /// `Schema` if the store has a number that the plan does not know; `Unavailable`; `Unknown`.
    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError>;

    /// Whether the store answers now. For readiness.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn ping(&self) -> Result<(), RecordsError>;

    /// What, in the way that the store is set up, may lose rows that it acknowledged; empty when nothing is known to.
    /// For operators: it may ask every machine of the store, and what one of them does not tell is a risk as well. An
    /// engine that nobody else sets up has none.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn risks(&self) -> Result<Vec<Risk>, RecordsError> {
        Ok(Vec::new())
    }
}
