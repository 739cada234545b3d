//! Records in memory: the reference for the other engines, and the store of tests.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::{
    Conditional, Direction, Key, MigrationPlan, MigrationReport, Order, Outcome, ReadLevel,
    Records, RecordsError, Row, RowChange, Scan, Step, StoredRow, TableCursor, TablePage,
    TableSchema, Value, Write, slices, validate,
};

/// Records in memory. Clones share one store. Rows never expire and tombstones stay, which the
/// port allows; nothing outlives the last clone.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    number: u32,
    tables: HashMap<&'static str, Contents>,
}

/// One table: rows in the order of their whole keys, ascending.
#[derive(Debug, Default)]
struct Contents {
    columns: Vec<&'static str>,
    rows: BTreeMap<Ordered, Entry>,
}

/// What is kept under one key.
#[derive(Clone, Debug)]
struct Entry {
    /// The values of [`Contents::columns`]; none for a tombstone.
    values: Option<Vec<Value>>,
    /// When it was written or deleted, in a timestamped table.
    at: i64,
    /// Who wrote it, in a conditional table.
    op_id: Option<Uuid>,
}

/// A key, ordered by its values.
#[derive(Clone, Debug, PartialEq)]
struct Ordered(Vec<Value>);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        let differing = self
            .0
            .iter()
            .zip(&other.0)
            .map(|(a, b)| a.compare(b))
            .find(|order| order.is_ne());
        differing.unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
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

impl State {
    fn table(&mut self, schema: &TableSchema) -> Result<&mut Contents, RecordsError> {
        let Some(contents) = self.tables.get_mut(schema.name) else {
            return Err(RecordsError::schema(format!(
                "there is no table {}",
                schema.name
            )));
        };
        match schema
            .columns
            .iter()
            .find(|column| !contents.columns.contains(&column.name))
        {
            Some(column) => Err(RecordsError::schema(format!(
                "table {} has no column {}",
                schema.name, column.name
            ))),
            None => Ok(contents),
        }
    }

    fn migrate(&mut self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        plan.refuse_unknown(self.number)?;
        let from = self.number;
        for (number, steps) in plan.after(from) {
            for step in steps {
                self.take(step);
            }
            self.number = number;
        }
        Ok(MigrationReport {
            from,
            to: self.number,
        })
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::CreateTable(schema) => {
                let young = |column: &&crate::Column| column.since <= schema.since;
                let columns = schema
                    .columns
                    .iter()
                    .filter(young)
                    .map(|column| column.name)
                    .collect();
                self.tables.entry(schema.name).or_insert(Contents {
                    columns,
                    rows: BTreeMap::new(),
                });
            }
            Step::AddColumn(schema, column) => {
                if let Some(contents) = self.tables.get_mut(schema.name)
                    && !contents.columns.contains(&column.name)
                {
                    contents.columns.push(column.name);
                    for values in contents
                        .rows
                        .values_mut()
                        .filter_map(|entry| entry.values.as_mut())
                    {
                        values.push(Value::Null);
                    }
                }
            }
            Step::DropTable(name) => {
                self.tables.remove(name);
            }
            Step::DropColumn(table, name) => {
                let Some(contents) = self.tables.get_mut(table) else {
                    return;
                };
                let Some(at) = contents.columns.iter().position(|column| column == name) else {
                    return;
                };
                contents.columns.remove(at);
                for values in contents
                    .rows
                    .values_mut()
                    .filter_map(|entry| entry.values.as_mut())
                {
                    values.remove(at);
                }
            }
        }
    }
}

impl Contents {
    /// Where the table keeps each column of the schema.
    fn positions(&self, schema: &TableSchema) -> Vec<usize> {
        let position = |name| self.columns.iter().position(|column| *column == name);
        schema
            .columns
            .iter()
            .filter_map(|column| position(column.name))
            .collect()
    }

    fn read(&self, schema: &TableSchema, entry: &Entry) -> Option<StoredRow> {
        let values = entry.values.as_ref()?;
        let row = self
            .positions(schema)
            .into_iter()
            .map(|at| values[at].clone())
            .collect();
        Some(StoredRow {
            row: Row::new(row),
            op_id: entry.op_id,
        })
    }

    fn get(&self, schema: &TableSchema, key: &Key) -> Option<StoredRow> {
        self.rows
            .get(&Ordered(key.values().to_vec()))
            .and_then(|entry| self.read(schema, entry))
    }

    /// The row's values laid over what is there, so that columns unknown to the schema stay.
    fn laid_over(&self, schema: &TableSchema, row: Row, old: Option<&Entry>) -> Vec<Value> {
        let mut values = old
            .and_then(|entry| entry.values.clone())
            .unwrap_or_else(|| vec![Value::Null; self.columns.len()]);
        for (at, value) in self.positions(schema).into_iter().zip(row.into_values()) {
            values[at] = value;
        }
        values
    }

    fn put_at(&mut self, schema: &TableSchema, mut row: Row, at: i64) {
        let key = Ordered(row.key(schema).values().to_vec());
        let old = self.rows.get(&key).cloned();
        if let Some(old) = &old {
            if at < old.at || (at == old.at && old.values.is_none()) {
                return;
            }
            if at == old.at
                && let Some(present) = self.read(schema, old)
            {
                row = row.merged_at_tie(present.row);
            }
        }
        let values = Some(self.laid_over(schema, row, old.as_ref()));
        self.rows.insert(
            key,
            Entry {
                values,
                at,
                op_id: None,
            },
        );
    }

    fn delete_at(&mut self, key: &Key, at: i64) {
        let key = Ordered(key.values().to_vec());
        if self.rows.get(&key).is_none_or(|old| at >= old.at) {
            self.rows.insert(
                key,
                Entry {
                    values: None,
                    at,
                    op_id: None,
                },
            );
        }
    }

    fn change(&mut self, schema: &TableSchema, change: RowChange, op_id: Uuid) {
        let key = Ordered(change.key(schema).values().to_vec());
        match change {
            RowChange::DeleteIf { .. } => {
                self.rows.remove(&key);
            }
            RowChange::InsertIfAbsent(row) | RowChange::CompareAndSet { row, .. } => {
                let values = Some(self.laid_over(schema, row, self.rows.get(&key)));
                self.rows.insert(
                    key,
                    Entry {
                        values,
                        at: 0,
                        op_id: Some(op_id),
                    },
                );
            }
        }
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
