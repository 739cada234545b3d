//! Rows and keys.

use uuid::Uuid;

use crate::{TableSchema, Value};

/// The values of one row, one for each of [`TableSchema::columns`], in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    /// A row of these values. Checked against a table when it is used.
    #[must_use]
    pub const fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// The values, without copying.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.0
    }

    /// The row's primary key. Short, and refused later, if the row is too short for `schema`.
    #[must_use]
    pub fn key(&self, schema: &TableSchema) -> Key {
        Key::new(self.0.iter().take(schema.key_columns()).cloned().collect())
    }

    /// What the row counts towards the size limits, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.iter().map(Value::size_bytes).sum()
    }

    /// What stays of two rows of one key that were put with the same timestamp: of each column the
    /// value that [`Value::wins_tie_against`] the other, whichever came first.
    #[must_use]
    pub fn merged_at_tie(self, other: Self) -> Self {
        let winner = |(a, b): (Value, Value)| if a.wins_tie_against(&b) { a } else { b };
        Self(self.0.into_iter().zip(other.0).map(winner).collect())
    }
}

/// A whole primary key: the partition's columns, then the clustering columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Key(Vec<Value>);

impl Key {
    /// A key of these values. Checked against a table when it is used.
    #[must_use]
    pub const fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// The partition's part.
    #[must_use]
    pub fn partition(&self, schema: &TableSchema) -> &[Value] {
        &self.0[..schema.partition_columns.min(self.0.len())]
    }

    /// The clustering columns' part.
    #[must_use]
    pub fn clustering(&self, schema: &TableSchema) -> &[Value] {
        &self.0[schema.partition_columns.min(self.0.len())..]
    }

    /// What the key counts towards the size limits, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.iter().map(Value::size_bytes).sum()
    }
}

/// A row as the store returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// The values.
    pub row: Row,
    /// In a conditional table, the id of the operation that wrote the row last; otherwise none.
    pub op_id: Option<Uuid>,
}
