//! Declarations of tables.

use crate::{ColumnType, Row, Value, limits};

/// The name of the column that every conditional table has beside its declared ones: the id of
/// the operation that wrote the row last.
pub const OP_ID: &str = "op_id";

/// How long a row stays after the time in its `ttl` column, in seconds: readers decide by their
/// own clock whether a row has expired, so the engine must not be ahead of any of them.
pub const TTL_GRACE_SECONDS: u32 = 86_400;

/// The longest time to live that engines are given, in seconds (Cassandra allows 20 years).
pub const TTL_MAX_SECONDS: u32 = 19 * 365 * 86_400;

/// The latest time, in seconds since 1970, at which engines are told to let a row go: January 2038. Cassandra 5.0
/// takes later ones and then cannot send such a row between its nodes in a lightweight transaction (it
/// computes the size of the message wrongly), so that the row can never be changed again.
pub const TTL_END_SECONDS: i64 = i32::MAX as i64 - 1;

/// How a table is written. A table is never written in both ways, because the two order their
/// writes by different clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Only by [`crate::Records::apply`]. The table has a column `op_id uuid`.
    Conditional,
    /// Only by [`crate::Records::write`], with the writer's timestamps.
    Timestamped,
}

/// The order of a clustering column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Lower-case ASCII, digits and underscore, beginning with a letter, at most 48 characters.
    pub name: &'static str,
    /// The type.
    pub kind: ColumnType,
    /// Whether [`Value::Null`] is allowed. Never for key columns.
    pub nullable: bool,
    /// The number of the migration that adds the column. Later than the table's only for
    /// nullable columns that are not in the key.
    pub since: u32,
}

/// One table. Usually made by `#[derive(Table)]`.
#[derive(Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Follows the same rule as a column's name, and does not begin with `riwaq_`.
    pub name: &'static str,
    /// The number of the migration that creates the table.
    pub since: u32,
    /// How it is written.
    pub write_mode: WriteMode,
    /// All columns: those of the partition key, then clustering columns, then the others.
    pub columns: &'static [Column],
    /// How many columns the partition key has (at least one).
    pub partition_columns: usize,
    /// The order of each clustering column.
    pub clustering: &'static [Order],
    /// The `timestamp` column (not nullable, not in the key) after whose time, plus
    /// [`TTL_GRACE_SECONDS`], an engine may remove the row. For tidiness only: readers must check
    /// the column themselves.
    pub ttl_column: Option<&'static str>,
}

impl TableSchema {
    /// How many columns the primary key has.
    #[must_use]
    pub const fn key_columns(&self) -> usize {
        self.partition_columns + self.clustering.len()
    }

    /// The columns of the partition key.
    #[must_use]
    pub fn partition(&self) -> &'static [Column] {
        &self.columns[..self.partition_columns]
    }

    /// The clustering columns.
    #[must_use]
    pub fn clustering(&self) -> &'static [Column] {
        &self.columns[self.partition_columns..self.key_columns()]
    }

    /// The columns of the primary key.
    #[must_use]
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.key_columns()]
    }

    /// The columns outside of the key.
    #[must_use]
    pub fn others(&self) -> &'static [Column] {
        &self.columns[self.key_columns()..]
    }

    /// The position of a column in [`Self::columns`] and in a [`Row`].
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether the table has the column [`OP_ID`].
    #[must_use]
    pub const fn has_op_id(&self) -> bool {
        matches!(self.write_mode, WriteMode::Conditional)
    }

    /// What a row with values of `values` bytes counts towards [`limits::BATCH_BYTES`].
    #[must_use]
    pub fn batch_bytes(&self, values: usize) -> usize {
        let cells = self.others().len() + usize::from(self.has_op_id());
        values + limits::BATCH_ROW_OVERHEAD_BYTES + cells * limits::BATCH_CELL_OVERHEAD_BYTES
    }

    /// The time to live to give a row written at `now_ms`, in whole seconds: up to its `ttl`
    /// column plus [`TTL_GRACE_SECONDS`]. 0, which is for ever, where that is more than [`TTL_MAX_SECONDS`] or
    /// ends after [`TTL_END_SECONDS`]: a row may stay too long, never too short. None where the table has none.
    #[must_use]
    pub fn ttl_seconds(&self, row: &Row, now_ms: i64) -> Option<u32> {
        let position = self.position(self.ttl_column?)?;
        let Some(Value::Timestamp(expires_at)) = row.values().get(position) else {
            return None;
        };
        let left = expires_at.saturating_sub(now_ms).max(0) / 1000;
        let seconds = left.saturating_add(TTL_GRACE_SECONDS.into());
        let ends = (now_ms / 1000).saturating_add(seconds);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        if seconds > TTL_MAX_SECONDS || ends > TTL_END_SECONDS {
            return Some(0);
        }
        Some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_let_go_after_its_time_or_never() {
        let table = crate::conformance::tables()
            .into_iter()
            .find(|table| table.ttl_column.is_some())
            .unwrap();
        let position = table.position(table.ttl_column.unwrap()).unwrap();
        let now = 1_800_000_000_000;
        let of = |expires_at: i64| {
            let mut values = vec![Value::Null; table.columns.len()];
            values[position] = Value::Timestamp(expires_at);
            table.ttl_seconds(&Row::new(values), now)
        };
        assert_eq!(of(now + 60_000), Some(60 + TTL_GRACE_SECONDS));
        assert_eq!(of(now - 60_000), Some(TTL_GRACE_SECONDS));
        let last = (TTL_END_SECONDS - i64::from(TTL_GRACE_SECONDS)) * 1000;
        assert_eq!(
            of(last),
            Some(u32::try_from(TTL_END_SECONDS - now / 1000).unwrap())
        );
        assert_eq!(of(last + 1000), Some(0));
        assert_eq!(of(4_000_000_000_000), Some(0));
    }
}
