//! Typed writes: conditional changes of a partition, and batches of timestamped writes.

use std::marker::PhantomData;
use std::sync::Arc;

use uuid::Uuid;

use crate::store::read_all;
use crate::{
    Conditional, Expect, Key, KeyPart, Outcome, ReadLevel, Records, RecordsError, RowChange,
    Stored, StoredRow, Table, Write,
};

/// Conditional changes of several rows of one partition, being gathered.
#[derive(Debug)]
#[must_use = "nothing is changed before apply"]
pub struct Change<T> {
    records: Arc<dyn Records>,
    op_id: Uuid,
    changes: Vec<RowChange>,
    table: PhantomData<fn() -> T>,
}

/// What became of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused change has changed nothing"]
pub enum ChangeOutcome<T> {
    /// All changes are made, by this call or by an earlier one with the same `op_id`.
    Applied,
    /// A condition does not hold; nothing is changed.
    Refused {
        /// The rows that there are, one for each change in its order.
        current: Vec<Option<Stored<T>>>,
    },
}

impl<T> ChangeOutcome<T> {
    /// Whether the changes are made.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied)
    }
}

impl<T: Table> Change<T> {
    pub(crate) fn new(records: Arc<dyn Records>, op_id: Uuid) -> Self {
        Self {
            records,
            op_id,
            changes: Vec::new(),
            table: PhantomData,
        }
    }

    /// Writes the row if there is none with its key.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn insert_if_absent(mut self, row: &T) -> Result<Self, RecordsError> {
        self.changes.push(RowChange::InsertIfAbsent(row.to_row()?));
        Ok(self)
    }

    /// Replaces the row that has this row's key, if it matches.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn compare_and_set(mut self, row: &T, expect: Expect) -> Result<Self, RecordsError> {
        self.changes.push(RowChange::CompareAndSet {
            row: row.to_row()?,
            expect,
        });
        Ok(self)
    }

    /// Deletes the row, if it matches.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn delete_if(mut self, key: T::Key, expect: Expect) -> Result<Self, RecordsError> {
        self.changes.push(RowChange::DeleteIf {
            key: Key::new(key.to_values()?),
            expect,
        });
        Ok(self)
    }

    /// Makes the changes. An unknown outcome is settled by a serial read where a row that this
    /// change writes shows our `op_id`; a refusal that shows it is an earlier success.
    ///
    /// # Errors
    /// As for [`Records::apply`]. After `Unknown` the change may still happen: retry it with the same `op_id`.
    pub async fn apply(self) -> Result<ChangeOutcome<T>, RecordsError> {
        let schema = T::schema();
        let written: Vec<Option<Key>> = self
            .changes
            .iter()
            .map(|change| {
                (!matches!(change, RowChange::DeleteIf { .. })).then(|| change.key(schema))
            })
            .collect();
        let conditional = Conditional {
            schema,
            changes: self.changes,
            op_id: self.op_id,
        };
        match self.records.apply(conditional).await {
            Ok(Outcome::Applied) => Ok(ChangeOutcome::Applied),
            Ok(Outcome::Refused { current }) => {
                let ours = written.iter().zip(&current).any(|(written, row)| {
                    written.is_some() && row.as_ref().is_some_and(|row| is_ours(row, self.op_id))
                });
                if ours {
                    return Ok(ChangeOutcome::Applied);
                }
                Ok(ChangeOutcome::Refused {
                    current: read_all(current)?,
                })
            }
            Err(RecordsError::Unknown { reason }) => {
                // Any one row will do, since the change is all or nothing.
                for key in written.iter().flatten() {
                    match self.records.get(schema, key, ReadLevel::Serial).await {
                        Ok(Some(row)) if is_ours(&row, self.op_id) => {
                            return Ok(ChangeOutcome::Applied);
                        }
                        Ok(_) => {}
                        // The store is away: asking it for the others as well only takes time.
                        Err(_) => break,
                    }
                }
                Err(RecordsError::Unknown { reason })
            }
            Err(error) => Err(error),
        }
    }
}

fn is_ours(row: &StoredRow, op_id: Uuid) -> bool {
    row.op_id == Some(op_id)
}

/// Timestamped writes, being gathered.
#[derive(Debug)]
#[must_use = "nothing is written before write"]
pub struct WriteBatch {
    records: Arc<dyn Records>,
    writes: Vec<Write>,
}

impl WriteBatch {
    pub(crate) const fn new(records: Arc<dyn Records>) -> Self {
        Self {
            records,
            writes: Vec::new(),
        }
    }

    /// Writes every column of the row; the newest timestamp stays.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn put_at<T: Table>(
        mut self,
        row: &T,
        timestamp_micros: i64,
    ) -> Result<Self, RecordsError> {
        self.writes.push(Write::Put {
            schema: T::schema(),
            row: row.to_row()?,
            timestamp_micros,
        });
        Ok(self)
    }

    /// Deletes the row as of the timestamp; wins a tie.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn delete_at<T: Table>(
        mut self,
        key: T::Key,
        timestamp_micros: i64,
    ) -> Result<Self, RecordsError> {
        let key = Key::new(key.to_values()?);
        self.writes.push(Write::Delete {
            schema: T::schema(),
            key,
            timestamp_micros,
        });
        Ok(self)
    }

    /// Adds writes that were made elsewhere, of any tables.
    pub fn extend(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// The writes gathered so far, for whoever executes them elsewhere or stores them.
    #[must_use]
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// As for [`Records::write`].
    pub async fn write(self) -> Result<(), RecordsError> {
        self.records.write(self.writes).await
    }
}
