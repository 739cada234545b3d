//! What a store is asked, and what it answers.

use std::ops::Bound;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Key, Row, StoredRow, TableSchema, Value};

/// How sure a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadLevel {
    /// Sees every acknowledged write.
    #[default]
    Quorum,
    /// Also settles conditional writes that are still under way: what it does not see, and was
    /// begun before it, will not appear later. For reading after [`crate::RecordsError::Unknown`].
    Serial,
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// In the order that the table declares.
    #[default]
    Forward,
    /// In the opposite order.
    Backward,
}

/// A read of a part of one partition, in clustering order.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table.
    pub schema: &'static TableSchema,
    /// The values of all partition columns.
    pub partition: Vec<Value>,
    /// What the first clustering columns must equal; may be empty.
    pub prefix: Vec<Value>,
    /// Lower bound, *by value* and whatever the declared order, on the clustering column that follows `prefix`.
    pub lower: Bound<Value>,
    /// Upper bound, by value, on the same column.
    pub upper: Bound<Value>,
    /// The direction.
    pub direction: Direction,
    /// At most this many rows: 1 to [`crate::limits::SCAN_ROWS`].
    pub limit: usize,
    /// Begin behind this whole clustering key, in the scan's direction. It need not exist any
    /// more. It must begin with `prefix`.
    pub after: Option<Vec<Value>>,
}

impl Scan {
    /// A scan of a whole partition: forward, with the largest limit.
    #[must_use]
    pub const fn partition(schema: &'static TableSchema, partition: Vec<Value>) -> Self {
        Self {
            schema,
            partition,
            prefix: Vec::new(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
            direction: Direction::Forward,
            limit: crate::limits::SCAN_ROWS,
            after: None,
        }
    }
}

/// One unconditional write, ordered by its own timestamp and not by its arrival.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Writes every column of the row.
    Put {
        /// A timestamped table.
        schema: &'static TableSchema,
        /// The row.
        row: Row,
        /// Microseconds since 1970 or any other growing positive number, as the table's writers agree.
        timestamp_micros: i64,
    },
    /// Deletes the row as of the timestamp: wins against puts of the same or an earlier one.
    Delete {
        /// A timestamped table.
        schema: &'static TableSchema,
        /// The row's key.
        key: Key,
        /// As for [`Write::Put`].
        timestamp_micros: i64,
    },
}

impl Write {
    /// The table.
    #[must_use]
    pub const fn schema(&self) -> &'static TableSchema {
        match self {
            Self::Put { schema, .. } | Self::Delete { schema, .. } => schema,
        }
    }

    /// The timestamp in microseconds.
    #[must_use]
    pub const fn timestamp_micros(&self) -> i64 {
        match self {
            Self::Put {
                timestamp_micros, ..
            }
            | Self::Delete {
                timestamp_micros, ..
            } => *timestamp_micros,
        }
    }

    /// What the write counts towards the size limits, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Put { row, .. } => row.size_bytes(),
            Self::Delete { key, .. } => key.size_bytes(),
        }
    }

    /// What the write counts towards [`crate::limits::BATCH_BYTES`]: its values and its overhead, in bytes.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.schema().batch_bytes(self.size_bytes())
    }
}

/// What an existing row must look like: every named column equals the value. At least one of the
/// values must not be null (Cassandra would otherwise take an absent row for a match).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect(Vec<(&'static str, Value)>);

impl Expect {
    /// The row was written last by this operation: nobody has changed it since it was read.
    #[must_use]
    pub fn op_id(op_id: Uuid) -> Self {
        Self(vec![(crate::OP_ID, Value::Uuid(op_id))])
    }

    /// The column equals the value. The column must not be in the key, nor be double or JSON.
    #[must_use]
    pub fn column(name: &'static str, value: impl Into<Value>) -> Self {
        Self(vec![(name, value.into())])
    }

    /// And this column equals this value, too.
    #[must_use]
    pub fn and(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// The columns and the values that they must have.
    #[must_use]
    pub fn columns(&self) -> &[(&'static str, Value)] {
        &self.0
    }

    /// Whether a stored row matches. For engines that compare in the program.
    #[must_use]
    pub fn matches(&self, schema: &TableSchema, stored: &StoredRow) -> bool {
        self.0.iter().all(|(name, expected)| {
            if *name == crate::OP_ID {
                return stored.op_id.map_or(Value::Null, Value::Uuid) == *expected;
            }
            schema
                .position(name)
                .and_then(|at| stored.row.values().get(at))
                == Some(expected)
        })
    }
}

/// A change of one row under a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum RowChange {
    /// Writes the row if there is none with its key.
    InsertIfAbsent(Row),
    /// Replaces every column of the row that has this key, if it matches.
    CompareAndSet {
        /// The new row.
        row: Row,
        /// What the present row must look like.
        expect: Expect,
    },
    /// Deletes the row, if it matches.
    DeleteIf {
        /// The row's key.
        key: Key,
        /// What the present row must look like.
        expect: Expect,
    },
}

impl RowChange {
    /// The key of the row that is changed.
    #[must_use]
    pub fn key(&self, schema: &TableSchema) -> Key {
        match self {
            Self::InsertIfAbsent(row) | Self::CompareAndSet { row, .. } => row.key(schema),
            Self::DeleteIf { key, .. } => key.clone(),
        }
    }

    /// What the change counts towards the size limits, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::InsertIfAbsent(row) | Self::CompareAndSet { row, .. } => row.size_bytes(),
            Self::DeleteIf { key, .. } => key.size_bytes(),
        }
    }

    /// Whether the change may be made, given the row that there is.
    #[must_use]
    pub fn allowed_on(&self, schema: &TableSchema, current: Option<&StoredRow>) -> bool {
        match (self, current) {
            (Self::InsertIfAbsent(_), current) => current.is_none(),
            (Self::CompareAndSet { expect, .. } | Self::DeleteIf { expect, .. }, Some(current)) => {
                expect.matches(schema, current)
            }
            (_, None) => false,
        }
    }
}

/// Changes of one or several rows of **one partition of one table**: all, if every condition
/// holds, or none. Linearizable.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// A conditional table.
    pub schema: &'static TableSchema,
    /// The changes; no two of the same row.
    pub changes: Vec<RowChange>,
    /// Identifies this operation; stored with every row that it writes. A retry uses the same
    /// id, anything else a new one. Never the nil UUID.
    pub op_id: Uuid,
}

/// What became of a [`Conditional`].
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All changes are made.
    Applied,
    /// A condition does not hold; nothing is changed.
    Refused {
        /// The rows that there are, one for each change in its order, read at
        /// [`ReadLevel::Serial`]: possibly newer than what the condition was held against.
        current: Vec<Option<StoredRow>>,
    },
}

/// Where a whole-table scan goes on. Opaque, only for the engine that made it and the same table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCursor(Bytes);

impl TableCursor {
    /// Wraps an engine's own bytes. A forged one is answered with an error or with rows from
    /// elsewhere in the same table, so never take one from outside.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept and handed back.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A page of a whole-table scan.
#[derive(Clone, Debug, PartialEq)]
pub struct TablePage {
    /// Rows, in the engine's own order; may be fewer than asked for, even none, before the end.
    pub rows: Vec<StoredRow>,
    /// Where to go on; none at the end.
    pub next: Option<TableCursor>,
}
