//! What the memory version keeps.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::{
    Column, Key, MigrationPlan, MigrationReport, RecordsError, Row, RowChange, Step, StoredRow,
    TableSchema, Value,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) number: u32,
    pub(super) tables: HashMap<&'static str, Contents>,
}

/// One table: rows in the order of their whole keys, ascending.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: BTreeMap<Ordered, Entry>,
}

/// What is kept under one key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The values of [`Contents::columns`]; none for a tombstone.
    pub(super) values: Option<Vec<Value>>,
    /// When it was written or deleted, in a timestamped table.
    pub(super) at: i64,
    /// Who wrote it, in a conditional table.
    pub(super) op_id: Option<Uuid>,
}

/// A key, ordered by its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ordered(pub(super) Vec<Value>);

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

impl State {
    pub(super) fn table(&mut self, schema: &TableSchema) -> Result<&mut Contents, RecordsError> {
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

    pub(super) fn migrate(
        &mut self,
        plan: &MigrationPlan,
    ) -> Result<MigrationReport, RecordsError> {
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
                let young = |column: &&Column| column.since <= schema.since;
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

    pub(super) fn read(&self, schema: &TableSchema, entry: &Entry) -> Option<StoredRow> {
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

    pub(super) fn get(&self, schema: &TableSchema, key: &Key) -> Option<StoredRow> {
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

    pub(super) fn put_at(&mut self, schema: &TableSchema, mut row: Row, at: i64) {
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

    pub(super) fn delete_at(&mut self, key: &Key, at: i64) {
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

    pub(super) fn change(&mut self, schema: &TableSchema, change: RowChange, op_id: Uuid) {
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
