//! Writing rows, inside of the writer's transaction.

use riwaq_records::{
    Conditional, Key, Outcome, RecordsError, Row, RowChange, StoredRow, TableSchema, Value, Write,
};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection};
use uuid::Uuid;

use crate::encoding;
use crate::error::not_done;
use crate::read;
use crate::sql::Statements;

/// Carries out writes and conditional changes.
pub(crate) struct Executor<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) statements: &'a Statements,
    /// Wall time in seconds since 1970, for tombstones.
    pub(crate) now_seconds: i64,
}

impl Executor<'_> {
    /// Timestamped writes.
    pub(crate) fn write(&self, writes: &[Write]) -> Result<(), RecordsError> {
        for write in writes {
            match write {
                Write::Put {
                    schema,
                    row,
                    timestamp_micros,
                } => self.put(schema, row, *timestamp_micros),
                Write::Delete {
                    schema,
                    key,
                    timestamp_micros,
                } => self.bury(schema, key, *timestamp_micros),
            }?;
        }
        Ok(())
    }

    fn put(&self, schema: &'static TableSchema, row: &Row, at: i64) -> Result<(), RecordsError> {
        let failed = |error: rusqlite::Error| not_done(schema.name, &error);
        let sql = self.statements.of(schema);
        let mut statement = self.prepare(schema, &sql.put)?;
        encoding::bind(&mut statement, 1, schema, 0, row.values()).map_err(failed)?;
        statement
            .raw_bind_parameter(schema.columns.len() + 1, at)
            .map_err(failed)?;
        if statement.raw_execute().map_err(failed)? > 0 {
            return Ok(());
        }
        // Something as new or newer is there; only a live row of the same time takes part of this one.
        let Some(present) = self.live_at(schema, &sql.state, &row.key(schema), at)? else {
            return Ok(());
        };
        let merged = row.clone().merged_at_tie(present.clone());
        if merged == present {
            return Ok(());
        }
        let mut statement = self.prepare(schema, &sql.merge)?;
        encoding::bind(&mut statement, 1, schema, 0, merged.values()).map_err(failed)?;
        statement
            .raw_bind_parameter(schema.columns.len() + 1, at)
            .map_err(failed)?;
        statement.raw_execute().map_err(failed)?;
        Ok(())
    }

    /// The row with this key, if it lives and was written at exactly this time.
    fn live_at(
        &self,
        schema: &'static TableSchema,
        state: &str,
        key: &Key,
        at: i64,
    ) -> Result<Option<Row>, RecordsError> {
        let failed = |error: rusqlite::Error| not_done(schema.name, &error);
        let mut statement = self.prepare(schema, state)?;
        encoding::bind_key(&mut statement, schema, key).map_err(failed)?;
        let mut rows = statement.raw_query();
        let Some(found) = rows.next().map_err(failed)? else {
            return Ok(None);
        };
        let same = found.get_ref(0).map_err(failed)? == ValueRef::Integer(at);
        let lives = found.get_ref(1).map_err(failed)? == ValueRef::Integer(1);
        if !same || !lives {
            return Ok(None);
        }
        let mut values: Vec<Value> = key.values().to_vec();
        for position in schema.key_columns()..schema.columns.len() {
            values.push(read::column(
                schema,
                found,
                position,
                position - schema.key_columns() + 2,
            )?);
        }
        Ok(Some(Row::new(values)))
    }

    fn bury(&self, schema: &'static TableSchema, key: &Key, at: i64) -> Result<(), RecordsError> {
        let failed = |error: rusqlite::Error| not_done(schema.name, &error);
        let sql = self.statements.of(schema);
        let mut statement = self.prepare(schema, &sql.bury)?;
        encoding::bind_key(&mut statement, schema, key).map_err(failed)?;
        let keys = schema.key_columns();
        statement.raw_bind_parameter(keys + 1, at).map_err(failed)?;
        statement
            .raw_bind_parameter(keys + 2, self.now_seconds)
            .map_err(failed)?;
        statement.raw_execute().map_err(failed)?;
        Ok(())
    }

    /// A conditional change.
    pub(crate) fn apply(&self, conditional: &Conditional) -> Result<Outcome, RecordsError> {
        let Conditional {
            schema,
            changes,
            op_id,
        } = conditional;
        if let [RowChange::InsertIfAbsent(row)] = changes.as_slice() {
            // The most frequent change needs no read when it succeeds.
            if self.insert(schema, row, *op_id)? {
                return Ok(Outcome::Applied);
            }
            return Ok(Outcome::Refused {
                current: vec![self.current(schema, &row.key(schema))?],
            });
        }
        let current: Vec<Option<StoredRow>> = changes
            .iter()
            .map(|change| self.current(schema, &change.key(schema)))
            .collect::<Result<_, _>>()?;
        let mut pairs = changes.iter().zip(&current);
        if !pairs.all(|(change, current)| change.allowed_on(schema, current.as_ref())) {
            return Ok(Outcome::Refused { current });
        }
        for change in changes {
            match change {
                RowChange::InsertIfAbsent(row) => {
                    self.insert(schema, row, *op_id)?;
                }
                RowChange::CompareAndSet { row, .. } => self.update(schema, row, *op_id)?,
                RowChange::DeleteIf { key, .. } => self.delete(schema, key)?,
            }
        }
        Ok(Outcome::Applied)
    }

    fn current(
        &self,
        schema: &'static TableSchema,
        key: &Key,
    ) -> Result<Option<StoredRow>, RecordsError> {
        read::get(self.connection, schema, &self.statements.of(schema), key)
    }

    /// Whether it was inserted.
    fn insert(
        &self,
        schema: &'static TableSchema,
        row: &Row,
        op_id: Uuid,
    ) -> Result<bool, RecordsError> {
        Ok(self.run_on_row(schema, &self.statements.of(schema).insert, row, op_id)? > 0)
    }

    fn update(
        &self,
        schema: &'static TableSchema,
        row: &Row,
        op_id: Uuid,
    ) -> Result<(), RecordsError> {
        self.run_on_row(schema, &self.statements.of(schema).update, row, op_id)
            .map(|_| ())
    }

    fn run_on_row(
        &self,
        schema: &'static TableSchema,
        sql: &str,
        row: &Row,
        op_id: Uuid,
    ) -> Result<usize, RecordsError> {
        let failed = |error: rusqlite::Error| not_done(schema.name, &error);
        let mut statement = self.prepare(schema, sql)?;
        encoding::bind(&mut statement, 1, schema, 0, row.values()).map_err(failed)?;
        let op_id = Value::Uuid(op_id);
        let bound = encoding::bound(&op_id, false);
        statement
            .raw_bind_parameter(schema.columns.len() + 1, bound)
            .map_err(failed)?;
        statement.raw_execute().map_err(failed)
    }

    fn delete(&self, schema: &'static TableSchema, key: &Key) -> Result<(), RecordsError> {
        let failed = |error: rusqlite::Error| not_done(schema.name, &error);
        let sql = self.statements.of(schema);
        let mut statement = self.prepare(schema, &sql.delete)?;
        encoding::bind_key(&mut statement, schema, key).map_err(failed)?;
        statement.raw_execute().map_err(failed)?;
        Ok(())
    }

    fn prepare(
        &self,
        schema: &TableSchema,
        sql: &str,
    ) -> Result<CachedStatement<'_>, RecordsError> {
        self.connection
            .prepare_cached(sql)
            .map_err(|error| not_done(schema.name, &error))
    }
}
