//! The typed facade over a [`Records`].

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    Change, Expect, Field, Key, KeyPart, ReadLevel, Records, RecordsError, ScanRequest, Stored,
    StoredRow, Table, TableCursor, WriteBatch,
};

/// Typed access to a store of records; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    records: Arc<dyn Records>,
}

/// What became of a conditional change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused change has changed nothing"]
pub enum Decision<T> {
    /// It is made, by this call or by an earlier one with the same `op_id`.
    Applied,
    /// The condition does not hold; nothing is changed.
    Refused {
        /// The row that there is.
        current: Option<Stored<T>>,
    },
}

impl<T> Decision<T> {
    /// Whether the change is made.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied)
    }
}

/// A typed page of a whole-table scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedTablePage<T> {
    /// Rows; may be none before the end.
    pub rows: Vec<Stored<T>>,
    /// Where to go on; none at the end.
    pub next: Option<TableCursor>,
}

impl Store {
    /// A facade over these records.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The records beneath.
    #[must_use]
    pub fn records(&self) -> &Arc<dyn Records> {
        &self.records
    }

    /// The row with this key. Sees every acknowledged write.
    ///
    /// # Errors
    /// As for [`Records::get`].
    pub async fn get<T: Table>(&self, key: T::Key) -> Result<Option<T>, RecordsError> {
        Ok(self
            .get_stored::<T>(key, ReadLevel::Quorum)
            .await?
            .map(|stored| stored.row))
    }

    /// The row with this key and its `op_id`, at a chosen level.
    ///
    /// # Errors
    /// As for [`Records::get`].
    pub async fn get_stored<T: Table>(
        &self,
        key: T::Key,
        level: ReadLevel,
    ) -> Result<Option<Stored<T>>, RecordsError> {
        let key = Key::new(key.to_values()?);
        self.records
            .get(T::schema(), &key, level)
            .await?
            .map(Stored::read)
            .transpose()
    }

    /// A scan of one partition, to be narrowed and then run.
    pub fn scan<T: Table>(&self, partition: T::Partition) -> ScanRequest<T> {
        ScanRequest::new(Arc::clone(&self.records), partition)
    }

    /// Writes the row if there is none with its key.
    ///
    /// # Errors
    /// As for [`Change::apply`].
    pub async fn insert_if_absent<T: Table>(
        &self,
        row: &T,
        op_id: Uuid,
    ) -> Result<Decision<T>, RecordsError> {
        self.change::<T>(op_id)
            .insert_if_absent(row)?
            .apply()
            .await
            .map(one)
    }

    /// Replaces the row that has this row's key, if it matches.
    ///
    /// # Errors
    /// As for [`Change::apply`].
    pub async fn compare_and_set<T: Table>(
        &self,
        row: &T,
        expect: Expect,
        op_id: Uuid,
    ) -> Result<Decision<T>, RecordsError> {
        self.change::<T>(op_id)
            .compare_and_set(row, expect)?
            .apply()
            .await
            .map(one)
    }

    /// Deletes the row, if it matches. After [`RecordsError::Unknown`] nobody can tell an own
    /// deletion from another's: read, and treat absence as done.
    ///
    /// # Errors
    /// As for [`Change::apply`].
    pub async fn delete_if<T: Table>(
        &self,
        key: T::Key,
        expect: Expect,
        op_id: Uuid,
    ) -> Result<Decision<T>, RecordsError> {
        self.change::<T>(op_id)
            .delete_if(key, expect)?
            .apply()
            .await
            .map(one)
    }

    /// Conditional changes of several rows of one partition, all or none.
    pub fn change<T: Table>(&self, op_id: Uuid) -> Change<T> {
        Change::new(Arc::clone(&self.records), op_id)
    }

    /// Writes every column of a row of a timestamped table; the newest timestamp stays.
    ///
    /// # Errors
    /// As for [`Records::write`].
    pub async fn put_at<T: Table>(
        &self,
        row: &T,
        timestamp_micros: i64,
    ) -> Result<(), RecordsError> {
        self.batch().put_at(row, timestamp_micros)?.write().await
    }

    /// Deletes a row of a timestamped table as of the timestamp; wins a tie.
    ///
    /// # Errors
    /// As for [`Records::write`].
    pub async fn delete_at<T: Table>(
        &self,
        key: T::Key,
        timestamp_micros: i64,
    ) -> Result<(), RecordsError> {
        self.batch()
            .delete_at::<T>(key, timestamp_micros)?
            .write()
            .await
    }

    /// Timestamped writes over any partitions and tables, all or nothing, not isolated.
    pub fn batch(&self) -> WriteBatch {
        WriteBatch::new(Arc::clone(&self.records))
    }

    /// A page of a whole table, for operators' work.
    ///
    /// # Errors
    /// As for [`Records::scan_table`].
    pub async fn scan_table<T: Table>(
        &self,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TypedTablePage<T>, RecordsError> {
        let page = self.records.scan_table(T::schema(), after, limit).await?;
        let rows: Result<Vec<_>, _> = page.rows.into_iter().map(Stored::read).collect();
        Ok(TypedTablePage {
            rows: rows?,
            next: page.next,
        })
    }
}

impl Expect {
    /// Like [`Expect::column`], from any field type.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn field<F: Field>(name: &'static str, value: &F) -> Result<Self, RecordsError> {
        let value = value
            .to_value()
            .map_err(|reason| RecordsError::invalid(name, reason))?;
        Ok(Self::column(name, value))
    }
}

fn one<T>(outcome: crate::ChangeOutcome<T>) -> Decision<T> {
    match outcome {
        crate::ChangeOutcome::Applied => Decision::Applied,
        crate::ChangeOutcome::Refused { current } => Decision::Refused {
            current: current.into_iter().next().flatten(),
        },
    }
}

/// Reads each present row of an engine's answer.
pub(crate) fn read_all<T: Table>(
    rows: Vec<Option<StoredRow>>,
) -> Result<Vec<Option<Stored<T>>>, RecordsError> {
    rows.into_iter()
        .map(|row| row.map(Stored::read).transpose())
        .collect()
}
