//! Timestamped writes and conditional changes.

use riwaq_records::{
    Conditional, Expect, Outcome, ReadLevel, RecordsError, Row, RowChange, TableSchema, Write,
    validate,
};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row as CqlRow};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

use crate::retry::RetryWrite;
use crate::statements::Shape;
use crate::values::{Bind, bind, bind_all};
use crate::{CassandraRecords, errors};

type Bound = (PreparedStatement, Vec<Bind>);

/// How many times as long as another request a batch may take.
const BATCH_PATIENCE: u32 = 2;

impl CassandraRecords {
    pub(crate) async fn write_all(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        validate::writes(&writes)?;
        match writes.as_slice() {
            [] => Ok(()),
            [write] => self.write_one(write).await,
            writes => self.write_batch(writes).await,
        }
    }

    async fn write_one(&self, write: &Write) -> Result<(), RecordsError> {
        let (mut statement, values) = self.bound_write(write).await?;
        let (policy, begun) = RetryWrite::watched();
        statement.set_retry_policy(Some(policy));
        let written = self.session.execute_unpaged(&statement, values).await;
        written
            .map(|_| ())
            .map_err(|error| errors::of_write(error, begun.load(Ordering::Acquire)))
    }

    /// A logged batch: two nodes put it into their logs, and carry it to the end from there. The node that is asked
    /// waits for both, and takes a node that died a moment ago for one of the two until it has noticed, which
    /// takes ten seconds and more. It gives up after its own time-out; then the log of the other has the batch,
    /// which makes it all or nothing, and what is left to see to is that a quorum has the rows now.
    async fn write_batch(&self, writes: &[Write]) -> Result<(), RecordsError> {
        let mut bound = Vec::with_capacity(writes.len());
        for write in writes {
            bound.push(self.bound_write(write).await?);
        }
        let (mut batch, values) = batch_of(bound);
        let (policy, begun) = RetryWrite::watched();
        batch.set_is_idempotent(true);
        batch.set_retry_policy(Some(policy));
        // The nodes' own time-out must pass first, or nobody says where the batch is.
        let patience = Duration::from_millis(self.config.request_timeout_ms) * BATCH_PATIENCE;
        batch.set_request_timeout(Some(patience));
        match self.session.batch(&batch, values).await {
            Ok(_) => Ok(()),
            Err(error) if errors::is_in_a_log(&error) => {
                let each = writes.iter().map(|write| self.write_one(write));
                futures::future::try_join_all(each).await.map(|_| ())
            }
            Err(error) => Err(errors::of_write(error, begun.load(Ordering::Acquire))),
        }
    }

    async fn bound_write(&self, write: &Write) -> Result<Bound, RecordsError> {
        match write {
            Write::Put {
                schema,
                row,
                timestamp_micros,
            } => {
                let statement = self.statements.get(schema, Shape::Put).await?;
                let mut values = bind_all(row.values());
                values.push(Some(CqlValue::BigInt(*timestamp_micros)));
                values.extend(self.time_to_live(schema, row));
                Ok((statement, values))
            }
            Write::Delete {
                schema,
                key,
                timestamp_micros,
            } => {
                let statement = self.statements.get(schema, Shape::Delete).await?;
                let mut values = vec![Some(CqlValue::BigInt(*timestamp_micros))];
                values.extend(key.values().iter().map(bind));
                Ok((statement, values))
            }
        }
    }

    pub(crate) async fn apply_conditional(
        &self,
        conditional: Conditional,
    ) -> Result<Outcome, RecordsError> {
        validate::conditional(&conditional)?;
        let mut bound = Vec::with_capacity(conditional.changes.len());
        for change in &conditional.changes {
            bound.push(
                self.bound_change(conditional.schema, change, conditional.op_id)
                    .await?,
            );
        }
        let result = if bound.len() == 1 {
            let Some((statement, values)) = bound.pop() else {
                return Ok(Outcome::Applied);
            };
            self.session.execute_unpaged(&statement, values).await
        } else {
            let (mut batch, values) = batch_of(bound);
            batch.set_is_idempotent(false);
            batch.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
            self.session.batch(&batch, values).await
        };
        if applied(result.map_err(errors::of_conditional)?)? {
            return Ok(Outcome::Applied);
        }
        let mut current = Vec::with_capacity(conditional.changes.len());
        for change in &conditional.changes {
            let key = change.key(conditional.schema);
            current.push(
                self.read_row(conditional.schema, &key, ReadLevel::Serial)
                    .await?,
            );
        }
        Ok(Outcome::Refused { current })
    }

    async fn bound_change(
        &self,
        schema: &'static TableSchema,
        change: &RowChange,
        op_id: Uuid,
    ) -> Result<Bound, RecordsError> {
        let op_id = Some(CqlValue::Uuid(op_id));
        match change {
            RowChange::InsertIfAbsent(row) => {
                let statement = self.statements.get(schema, Shape::InsertIfAbsent).await?;
                Ok((statement, self.assignments(schema, row, op_id)))
            }
            RowChange::CompareAndSet { row, expect } => {
                let shape = Shape::CompareAndSet(names(expect));
                let statement = self.statements.get(schema, shape).await?;
                let mut values = self.assignments(schema, row, op_id);
                values.extend(expected(expect));
                Ok((statement, values))
            }
            RowChange::DeleteIf { key, expect } => {
                let statement = self
                    .statements
                    .get(schema, Shape::DeleteIf(names(expect)))
                    .await?;
                let mut values = bind_all(key.values());
                values.extend(expected(expect));
                Ok((statement, values))
            }
        }
    }

    /// What an `UPDATE` binds before its condition.
    fn assignments(&self, schema: &TableSchema, row: &Row, op_id: Bind) -> Vec<Bind> {
        let (key, others) = row.values().split_at(schema.key_columns());
        let mut values: Vec<Bind> = self.time_to_live(schema, row).into_iter().collect();
        values.extend(others.iter().map(bind));
        values.push(op_id);
        values.extend(key.iter().map(bind));
        values
    }

    fn time_to_live(&self, schema: &TableSchema, row: &Row) -> Option<Bind> {
        let seconds = schema.ttl_seconds(row, self.clock.now().timestamp_millis())?;
        Some(Some(CqlValue::Int(
            i32::try_from(seconds).unwrap_or(i32::MAX),
        )))
    }
}

fn batch_of(bound: Vec<Bound>) -> (Batch, Vec<Vec<Bind>>) {
    let mut batch = Batch::new(BatchType::Logged);
    let mut values = Vec::with_capacity(bound.len());
    for (statement, bind) in bound {
        batch.append_statement(statement);
        values.push(bind);
    }
    (batch, values)
}

fn names(expect: &Expect) -> Vec<&'static str> {
    expect.columns().iter().map(|(name, _)| *name).collect()
}

fn expected(expect: &Expect) -> impl Iterator<Item = Bind> {
    expect.columns().iter().map(|(_, value)| bind(value))
}

/// The answer's columns vary with the statement and its outcome; the first is always `[applied]`.
fn applied(result: QueryResult) -> Result<bool, RecordsError> {
    let unreadable = |error: &dyn std::fmt::Display| RecordsError::unknown(error.to_string());
    let rows = result
        .into_rows_result()
        .map_err(|error| unreadable(&error))?;
    let row = rows
        .rows::<CqlRow>()
        .map_err(|error| unreadable(&error))?
        .next();
    match row
        .transpose()
        .map_err(|error| unreadable(&error))?
        .map(|row| row.columns)
    {
        Some(columns) => Ok(matches!(
            columns.first(),
            Some(Some(CqlValue::Boolean(true)))
        )),
        None => Err(unreadable(&"the answer to a conditional change has no row")),
    }
}
