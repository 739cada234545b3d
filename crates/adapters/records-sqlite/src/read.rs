//! Reading rows.

use std::ops::Bound;

use bytes::Bytes;
use riwaq_records::slices::{Slice, slices};
use riwaq_records::{
    Direction, Key, Order, RecordsError, Row, Scan, StoredRow, TableCursor, TablePage, TableSchema,
    Value,
};
use rusqlite::{Connection, Row as SqliteRow};

use crate::encoding;
use crate::error::not_done;
use crate::sql::{RangeShape, TableSql, order};

/// How much a read may return on the caller's own thread before it is moved to another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    /// What is read in well under a millisecond.
    pub(crate) const SHORT: Self = Self {
        rows: 64,
        bytes: 256 * 1024,
    };
    /// Everything.
    pub(crate) const NONE: Self = Self {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
}

/// The rows of a scan, as far as the budget went.
pub(crate) struct Scanned {
    pub(crate) rows: Vec<StoredRow>,
    /// Whether there is nothing more to read.
    pub(crate) finished: bool,
}

/// The row with this key.
pub(crate) fn get(
    connection: &Connection,
    schema: &'static TableSchema,
    sql: &TableSql,
    key: &Key,
) -> Result<Option<StoredRow>, RecordsError> {
    let failed = |error: rusqlite::Error| not_done(schema.name, &error);
    let mut statement = connection.prepare_cached(&sql.get).map_err(failed)?;
    encoding::bind_key(&mut statement, schema, key).map_err(failed)?;
    let mut rows = statement.raw_query();
    let Some(found) = rows.next().map_err(failed)? else {
        return Ok(None);
    };
    let keys = schema.key_columns();
    let mut values = Vec::with_capacity(schema.columns.len());
    values.extend_from_slice(key.values());
    for position in keys..schema.columns.len() {
        values.push(column(schema, found, position, position - keys)?);
    }
    let op_id = op_id(schema, found, schema.others().len())?;
    Ok(Some(StoredRow {
        row: Row::new(values),
        op_id,
    }))
}

/// A scan of a partition.
pub(crate) fn scan(
    connection: &Connection,
    sql: &TableSql,
    scan: &Scan,
    budget: Budget,
) -> Result<Scanned, RecordsError> {
    let mut scanned = Scanned {
        rows: Vec::new(),
        finished: false,
    };
    let mut left = budget;
    for slice in slices(scan) {
        let Slice {
            prefix,
            lower,
            upper,
        } = slice;
        let equal = [scan.partition.as_slice(), &prefix].concat();
        let range = Range {
            equal,
            lower,
            upper,
        };
        let backward = scan.direction == Direction::Backward;
        let limit = scan.limit - scanned.rows.len();
        if !read_range(
            connection,
            (scan.schema, sql),
            &range,
            backward,
            limit,
            &mut left,
            &mut scanned.rows,
        )? {
            return Ok(scanned);
        }
        if scanned.rows.len() >= scan.limit {
            break;
        }
    }
    scanned.finished = true;
    Ok(scanned)
}

/// A page of a whole table, in the order of its primary key.
pub(crate) fn scan_table(
    connection: &Connection,
    schema: &'static TableSchema,
    sql: &TableSql,
    after: Option<&Key>,
    limit: usize,
) -> Result<TablePage, RecordsError> {
    let mut rows = Vec::new();
    // One more than asked for tells whether there is a next page.
    let wanted = limit + 1;
    for range in table_ranges(schema, after) {
        let (mut budget, left) = (Budget::NONE, wanted - rows.len());
        read_range(
            connection,
            (schema, sql),
            &range,
            false,
            left,
            &mut budget,
            &mut rows,
        )?;
        if rows.len() >= wanted {
            break;
        }
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| make_cursor(schema, &last.row))
        .transpose()?;
    Ok(TablePage { rows, next })
}

/// Equal on the first key columns, within bounds on the next.
struct Range {
    equal: Vec<Value>,
    lower: Bound<Value>,
    upper: Bound<Value>,
}

/// The ranges behind a key, nearest first.
fn table_ranges(schema: &TableSchema, after: Option<&Key>) -> Vec<Range> {
    let Some(after) = after else {
        return vec![Range {
            equal: Vec::new(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }];
    };
    let behind = |position: usize| {
        let beyond = Bound::Excluded(after.values()[position].clone());
        let (lower, upper) = match order(schema, position) {
            Order::Ascending => (beyond, Bound::Unbounded),
            Order::Descending => (Bound::Unbounded, beyond),
        };
        Range {
            equal: after.values()[..position].to_vec(),
            lower,
            upper,
        }
    };
    (0..schema.key_columns()).rev().map(behind).collect()
}

/// Reads a range into `rows`; false if the budget ended first.
fn read_range(
    connection: &Connection,
    (schema, sql): (&'static TableSchema, &TableSql),
    range: &Range,
    backward: bool,
    limit: usize,
    budget: &mut Budget,
    rows: &mut Vec<StoredRow>,
) -> Result<bool, RecordsError> {
    let failed = |error: rusqlite::Error| not_done(schema.name, &error);
    let (equal, lower, upper) = (range.equal.len(), &range.lower, &range.upper);
    let shape = RangeShape {
        schema,
        equal,
        lower,
        upper,
        backward,
    };
    let mut statement = connection
        .prepare_cached(&sql.range(&shape))
        .map_err(failed)?;
    encoding::bind(&mut statement, 1, schema, 0, &range.equal).map_err(failed)?;
    let mut parameter = equal + 1;
    for bound in [lower, upper] {
        let (Bound::Included(value) | Bound::Excluded(value)) = bound else {
            continue;
        };
        encoding::bind(
            &mut statement,
            parameter,
            schema,
            equal,
            std::slice::from_ref(value),
        )
        .map_err(failed)?;
        parameter += 1;
    }
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    statement
        .raw_bind_parameter(parameter, most)
        .map_err(failed)?;
    let mut found = statement.raw_query();
    while let Some(row) = found.next().map_err(failed)? {
        if budget.rows == 0 || budget.bytes == 0 {
            return Ok(false);
        }
        let stored = whole_row(schema, row)?;
        budget.rows -= 1;
        budget.bytes = budget.bytes.saturating_sub(stored.row.size_bytes());
        rows.push(stored);
    }
    Ok(true)
}

fn whole_row(schema: &TableSchema, row: &SqliteRow<'_>) -> Result<StoredRow, RecordsError> {
    let mut values = Vec::with_capacity(schema.columns.len());
    for at in 0..schema.columns.len() {
        values.push(column(schema, row, at, at)?);
    }
    Ok(StoredRow {
        row: Row::new(values),
        op_id: op_id(schema, row, schema.columns.len())?,
    })
}

/// The table's column at `position`, which the statement returned as its column `at`.
pub(crate) fn column(
    schema: &TableSchema,
    row: &SqliteRow<'_>,
    position: usize,
    at: usize,
) -> Result<Value, RecordsError> {
    let stored = row
        .get_ref(at)
        .map_err(|error| not_done(schema.name, &error))?;
    encoding::value(schema, position, stored)
}

fn op_id(
    schema: &TableSchema,
    row: &SqliteRow<'_>,
    at: usize,
) -> Result<Option<uuid::Uuid>, RecordsError> {
    if !schema.has_op_id() {
        return Ok(None);
    }
    let stored = row
        .get_ref(at)
        .map_err(|error| not_done(schema.name, &error))?;
    encoding::op_id(schema, stored)
}

fn make_cursor(schema: &TableSchema, row: &Row) -> Result<TableCursor, RecordsError> {
    let bytes = serde_json::to_vec(row.key(schema).values());
    let bytes = bytes.map_err(|error| RecordsError::corrupt(schema.name, error))?;
    Ok(TableCursor::new(Bytes::from(bytes)))
}

/// The key that a cursor holds.
pub(crate) fn read_cursor(schema: &TableSchema, cursor: &TableCursor) -> Result<Key, RecordsError> {
    let foreign = |reason: String| RecordsError::invalid("cursor", reason);
    let values =
        serde_json::from_slice(cursor.as_bytes()).map_err(|error| foreign(error.to_string()))?;
    let key = Key::new(values);
    riwaq_records::validate::key(schema, &key).map_err(|error| foreign(error.to_string()))?;
    Ok(key)
}
