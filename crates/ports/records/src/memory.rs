//! Records in memory: the reference for the other engines, and the store of tests.

mod contents;

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use self::contents::{Ordered, State};
use crate::{
    Conditional, Direction, Key, MigrationPlan, MigrationReport, Order, Outcome, ReadLevel,
    Records, RecordsError, Scan, StoredRow, TableCursor, TablePage, TableSchema, Value, Write,
    slices, validate,
};

/// Records in memory. Clones share one store. Rows never expire and tombstones stay, which the
/// port allows; nothing outlives the last clone.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

impl Memory {
    /// An empty store, without any table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that has these tables.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] for a declaration that breaks a rule.
    pub fn with_tables(
        tables: impl IntoIterator<Item = &'static TableSchema>,
    ) -> Result<Self, RecordsError> {
        let memory = Self::new();
        memory.state().migrate(&MigrationPlan::new(tables)?)?;
        Ok(memory)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares clustering keys in the order of a scan.
fn in_order(scan: &Scan, a: &[Value], b: &[Value]) -> Ordering {
    let declared = a
        .iter()
        .zip(b)
        .zip(scan.schema.clustering)
        .map(|((a, b), order)| match order {
            Order::Ascending => a.compare(b),
            Order::Descending => b.compare(a),
        });
    let order = declared
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal);
    if scan.direction == Direction::Forward {
        order
    } else {
        order.reverse()
    }
}

fn selected(scan: &Scan, clustering: &[Value]) -> bool {
    let next = clustering.get(scan.prefix.len());
    clustering.starts_with(&scan.prefix)
        && next.is_none_or(|value| slices::within(value, &scan.lower, &scan.upper))
        && scan
            .after
            .as_ref()
            .is_none_or(|after| in_order(scan, clustering, after).is_gt())
}

#[async_trait]
impl Records for Memory {
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        _level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        validate::key(schema, key)?;
        Ok(self.state().table(schema)?.get(schema, key))
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        validate::scan(scan)?;
        let mut state = self.state();
        let contents = state.table(scan.schema)?;
        let split = scan.schema.partition_columns;
        let mut found: Vec<_> = contents
            .rows
            .range(Ordered(scan.partition.clone())..)
            .take_while(|(key, _)| key.0.starts_with(&scan.partition))
            .filter(|(key, entry)| entry.values.is_some() && selected(scan, &key.0[split..]))
            .collect();
        found.sort_by(|(a, _), (b, _)| in_order(scan, &a.0[split..], &b.0[split..]));
        Ok(found
            .into_iter()
            .take(scan.limit)
            .filter_map(|(_, entry)| contents.read(scan.schema, entry))
            .collect())
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        validate::writes(&writes)?;
        let mut state = self.state();
        for write in &writes {
            state.table(write.schema())?;
        }
        for write in writes {
            let contents = state.table(write.schema())?;
            match write {
                Write::Put {
                    schema,
                    row,
                    timestamp_micros,
                } => contents.put_at(schema, row, timestamp_micros),
                Write::Delete {
                    key,
                    timestamp_micros,
                    ..
                } => contents.delete_at(&key, timestamp_micros),
            }
        }
        Ok(())
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        validate::conditional(&conditional)?;
        let Conditional {
            schema,
            changes,
            op_id,
        } = conditional;
        let mut state = self.state();
        let contents = state.table(schema)?;
        let current: Vec<_> = changes
            .iter()
            .map(|change| contents.get(schema, &change.key(schema)))
            .collect();
        let mut pairs = changes.iter().zip(&current);
        if !pairs.all(|(change, current)| change.allowed_on(schema, current.as_ref())) {
            return Ok(Outcome::Refused { current });
        }
        for change in changes {
            contents.change(schema, change, op_id);
        }
        Ok(Outcome::Applied)
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        validate::limit(limit)?;
        let after = after
            .map(|cursor| read_cursor(schema, cursor))
            .transpose()?;
        let mut state = self.state();
        let contents = state.table(schema)?;
        let mut found = contents
            .rows
            .iter()
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .filter_map(|(key, entry)| contents.read(schema, entry).map(|row| (key, row)));
        let mut rows = Vec::new();
        let mut last = None;
        for (key, row) in found.by_ref().take(limit) {
            last = Some(key);
            rows.push(row);
        }
        let more = found.next().is_some();
        let next = last.filter(|_| more).map(make_cursor).transpose()?;
        Ok(TablePage { rows, next })
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        Ok(self.state().number)
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.state().migrate(plan)
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        Ok(())
    }
}

fn make_cursor(key: &Ordered) -> Result<TableCursor, RecordsError> {
    let bytes = serde_json::to_vec(&key.0)
        .map_err(|error| RecordsError::invalid("cursor", error.to_string()))?;
    Ok(TableCursor::new(Bytes::from(bytes)))
}

fn read_cursor(schema: &TableSchema, cursor: &TableCursor) -> Result<Ordered, RecordsError> {
    let foreign = |reason: String| RecordsError::invalid("cursor", reason);
    let values =
        serde_json::from_slice(cursor.as_bytes()).map_err(|error| foreign(error.to_string()))?;
    let key = Key::new(values);
    validate::key(schema, &key).map_err(|error| foreign(error.to_string()))?;
    Ok(Ordered(key.values().to_vec()))
}
