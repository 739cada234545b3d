//! Reading rows, parts of partitions and whole tables.

use std::ops::{Bound, ControlFlow};

use riwaq_records::{
    Direction, Key, ReadLevel, RecordsError, Scan, StoredRow, TableCursor, TablePage, TableSchema,
    Value, slices, validate,
};
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row as CqlRow};

use crate::statements::{Shape, Side};
use crate::values::{Bind, bind, bind_all, stored};
use crate::{CassandraRecords, errors};

impl CassandraRecords {
    pub(crate) async fn read_row(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        validate::key(schema, key)?;
        let mut statement = self.statements.get(schema, Shape::Get).await?;
        if level == ReadLevel::Serial {
            statement.set_consistency(Consistency::LocalSerial);
            // It takes part in the rounds of the writers: a second one beside it would contend with it.
            statement.set_execution_profile_handle(None);
        }
        let result = self
            .session
            .execute_unpaged(&statement, bind_all(key.values()))
            .await
            .map_err(errors::of_read)?;
        Ok(rows(schema, result)?.into_iter().next())
    }

    pub(crate) async fn scan_partition(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        validate::scan(scan)?;
        let mut found = Vec::new();
        for slice in slices::slices(scan) {
            let left = scan.limit - found.len();
            if left == 0 {
                break;
            }
            found.extend(self.read_slice(scan, &slice, left).await?);
        }
        Ok(found)
    }

    async fn read_slice(
        &self,
        scan: &Scan,
        slice: &slices::Slice,
        limit: usize,
    ) -> Result<Vec<StoredRow>, RecordsError> {
        let shape = Shape::Scan {
            prefix: slice.prefix.len(),
            lower: Side::of(&slice.lower),
            upper: Side::of(&slice.upper),
            reversed: scan.direction == Direction::Backward,
        };
        let statement = self.statements.get(scan.schema, shape).await?;
        let mut values = bind_all(&scan.partition);
        values.extend(slice.prefix.iter().map(bind));
        values.extend([&slice.lower, &slice.upper].into_iter().filter_map(bound));
        values.push(Some(CqlValue::Int(
            i32::try_from(limit).unwrap_or(i32::MAX),
        )));
        let mut found = Vec::new();
        let mut state = PagingState::start();
        loop {
            let (page, next) = self.page(&statement, &values, state).await?;
            found.extend(rows(scan.schema, page)?);
            match next.into_paging_control_flow() {
                ControlFlow::Continue(next) if found.len() < limit => state = next,
                _ => return Ok(found),
            }
        }
    }

    pub(crate) async fn read_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        validate::limit(limit)?;
        let mut statement = self.statements.get(schema, Shape::Table).await?;
        statement.set_page_size(i32::try_from(limit).unwrap_or(i32::MAX));
        let state = after.map_or_else(PagingState::start, |cursor| {
            PagingState::new_from_raw_bytes(cursor.as_bytes().to_vec())
        });
        let (page, next) = match self.page(&statement, &Vec::new(), state).await {
            // Cassandra answers bytes that it never gave with a protocol error.
            Err(RecordsError::Unavailable { reason })
                if after.is_some() && is_bad_state(&reason) =>
            {
                return Err(RecordsError::invalid(
                    "after",
                    "is not a cursor of this engine",
                ));
            }
            other => other?,
        };
        let next = match next {
            PagingStateResponse::HasMorePages { state } => state
                .as_bytes_slice()
                .map(|bytes| TableCursor::new(bytes::Bytes::copy_from_slice(bytes))),
            PagingStateResponse::NoMorePages => None,
        };
        Ok(TablePage {
            rows: rows(schema, page)?,
            next,
        })
    }

    async fn page(
        &self,
        statement: &PreparedStatement,
        values: &Vec<Bind>,
        state: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), RecordsError> {
        self.session
            .execute_single_page(statement, values, state)
            .await
            .map_err(errors::of_read)
    }
}

fn is_bad_state(reason: &str) -> bool {
    reason.contains("paging state")
}

fn bound(bound: &Bound<Value>) -> Option<Bind> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(value) | Bound::Excluded(value) => Some(bind(value)),
    }
}

fn rows(schema: &'static TableSchema, result: QueryResult) -> Result<Vec<StoredRow>, RecordsError> {
    let corrupt = |error: &dyn std::fmt::Display| RecordsError::corrupt(schema.name, error);
    let rows = result.into_rows_result().map_err(|error| corrupt(&error))?;
    rows.rows::<CqlRow>()
        .map_err(|error| corrupt(&error))?
        .map(|row| stored(schema, row.map_err(|error| corrupt(&error))?))
        .collect()
}
