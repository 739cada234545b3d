//! Tables as Rust structs.

use uuid::Uuid;

use crate::{KeyPart, RecordsError, Row, StoredRow, TableSchema};

/// A struct that is a row of a table. Made by `#[derive(Table)]`.
///
/// What only the types can tell is checked when the struct is compiled: a key column is neither
/// optional nor a double,
/// ```compile_fail,E0080
/// #[derive(riwaq_records::Table)]
/// #[table(name = "rows", write = "conditional", partition(id))]
/// struct Row { id: Option<i64> }
/// ```
/// and a column that is added later is optional:
/// ```compile_fail,E0080
/// #[derive(riwaq_records::Table)]
/// #[table(name = "rows", write = "conditional", partition(id))]
/// struct Row { id: i64, #[column(since = 2)] n: i64 }
/// ```
pub trait Table: Sized + Send + Sync + 'static {
    /// The partition columns as a tuple.
    type Partition: KeyPart;
    /// The clustering columns as a tuple; `()` where there are none.
    type Clustering: KeyPart;
    /// The whole primary key as a tuple.
    type Key: KeyPart;

    /// The declaration.
    fn schema() -> &'static TableSchema;

    /// The row to store.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] naming the column whose value cannot be stored.
    fn to_row(&self) -> Result<Row, RecordsError>;

    /// The struct of a stored row.
    ///
    /// # Errors
    /// [`RecordsError::Corrupt`] naming the column that cannot be read.
    fn from_row(row: Row) -> Result<Self, RecordsError>;
}

/// A row that was read, with the id of the operation that wrote it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The row.
    pub row: T,
    /// In a conditional table, the id of the operation that wrote the row last; otherwise nil.
    pub op_id: Uuid,
}

impl<T: Table> Stored<T> {
    /// Reads an engine's answer.
    ///
    /// # Errors
    /// [`RecordsError::Corrupt`].
    pub fn read(stored: StoredRow) -> Result<Self, RecordsError> {
        Ok(Self {
            row: T::from_row(stored.row)?,
            op_id: stored.op_id.unwrap_or_default(),
        })
    }
}
