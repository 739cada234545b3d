//! The checks that every engine makes before it does anything, so that all refuse alike.

use std::collections::HashSet;
use std::ops::Bound;

use crate::{
    Column, ColumnType, Conditional, Expect, Key, OP_ID, RecordsError, Row, RowChange, Scan,
    TableSchema, Value, Write, WriteMode, limits, value::TIMESTAMP_LIMIT_MS,
};

/// Checks a declaration.
///
/// # Errors
/// [`RecordsError::Schema`] naming table, column and rule.
pub fn schema(schema: &TableSchema) -> Result<(), RecordsError> {
    let refuse = |reason: String| {
        Err(RecordsError::schema(format!(
            "table {}: {reason}",
            schema.name
        )))
    };
    if !is_name(schema.name) || schema.name.starts_with("riwaq_") {
        return refuse("is not a permitted name".into());
    }
    if schema.since == 0 {
        return refuse("migrations are numbered from 1".into());
    }
    if schema.partition_columns == 0 || schema.key_columns() > schema.columns.len() {
        return refuse("needs a partition key within its columns".into());
    }
    if schema.columns.len() > limits::COLUMNS {
        return refuse(format!("has more than {} columns", limits::COLUMNS));
    }
    let mut names = HashSet::from([OP_ID]);
    for (at, column) in schema.columns.iter().enumerate() {
        if !is_name(column.name) || !names.insert(column.name) {
            return refuse(format!(
                "column {} is not a permitted name, or there twice",
                column.name
            ));
        }
        let in_key = at < schema.key_columns();
        if in_key && (column.nullable || !column.kind.may_be_key()) {
            return refuse(format!(
                "key column {} is nullable, double or JSON",
                column.name
            ));
        }
        let added = column.since > schema.since;
        if column.since < schema.since || (added && (in_key || !column.nullable)) {
            return refuse(format!(
                "column {} is added later, so it must be nullable and not in the key",
                column.name
            ));
        }
    }
    let Some(ttl) = schema.ttl_column else {
        return Ok(());
    };
    match schema.others().iter().find(|column| column.name == ttl) {
        Some(Column {
            kind: ColumnType::Timestamp,
            nullable: false,
            ..
        }) => Ok(()),
        _ => refuse(format!(
            "ttl column {ttl} must be a timestamp, not nullable and not in the key"
        )),
    }
}

/// Whether a name may be given to a table or a column: lower-case ASCII letters, digits and
/// underscore, a letter first, at most 48 characters (Cassandra's limit for tables).
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 48
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Checks a whole key.
///
/// # Errors
/// [`RecordsError::InvalidInput`] or [`RecordsError::TooLarge`].
pub fn key(schema: &TableSchema, key: &Key) -> Result<(), RecordsError> {
    values(schema, "key", schema.key(), key.values())?;
    partition_not_empty(schema, key.values())?;
    at_most("key bytes", limits::KEY_BYTES, key.size_bytes())
}

/// Checks a whole row, its key included.
///
/// # Errors
/// [`RecordsError::InvalidInput`] or [`RecordsError::TooLarge`].
pub fn row(schema: &TableSchema, row: &Row) -> Result<(), RecordsError> {
    values(schema, "row", schema.columns, row.values())?;
    partition_not_empty(schema, row.values())?;
    at_most("key bytes", limits::KEY_BYTES, row.key(schema).size_bytes())?;
    at_most("row bytes", limits::ROW_BYTES, row.size_bytes())
}

/// Checks a scan.
///
/// # Errors
/// [`RecordsError::InvalidInput`] or [`RecordsError::TooLarge`].
pub fn scan(scan: &Scan) -> Result<(), RecordsError> {
    let schema = scan.schema;
    values(schema, "partition", schema.partition(), &scan.partition)?;
    partition_not_empty(schema, &scan.partition)?;
    limit(scan.limit)?;
    let clustering = schema.clustering();
    if scan.prefix.len() > clustering.len() {
        return Err(RecordsError::invalid(
            "prefix",
            format!("{} has fewer clustering columns", schema.name),
        ));
    }
    values(
        schema,
        "prefix",
        &clustering[..scan.prefix.len()],
        &scan.prefix,
    )?;
    for (name, bound) in [("lower", &scan.lower), ("upper", &scan.upper)] {
        let (Bound::Included(value) | Bound::Excluded(value)) = bound else {
            continue;
        };
        let Some(column) = clustering.get(scan.prefix.len()) else {
            return Err(RecordsError::invalid(
                name,
                "no clustering column is left to compare",
            ));
        };
        values(
            schema,
            name,
            std::slice::from_ref(column),
            std::slice::from_ref(value),
        )?;
    }
    let Some(after) = &scan.after else {
        return Ok(());
    };
    values(schema, "after", clustering, after)?;
    if clustering.is_empty() || !after.starts_with(&scan.prefix) {
        return Err(RecordsError::invalid(
            "after",
            "is not a clustering key of this range",
        ));
    }
    Ok(())
}

/// Checks the `limit` of a scan.
///
/// # Errors
/// [`RecordsError::InvalidInput`] for 0, [`RecordsError::TooLarge`].
pub fn limit(limit: usize) -> Result<(), RecordsError> {
    if limit == 0 {
        return Err(RecordsError::invalid("limit", "must be at least 1"));
    }
    at_most("scan limit in rows", limits::SCAN_ROWS, limit)
}

/// Checks the writes of one call.
///
/// # Errors
/// [`RecordsError::InvalidInput`] or [`RecordsError::TooLarge`].
pub fn writes(writes: &[Write]) -> Result<(), RecordsError> {
    for write in writes {
        let schema = write.schema();
        if schema.write_mode != WriteMode::Timestamped {
            return Err(RecordsError::invalid(
                schema.name,
                "is a conditional table: write it by apply",
            ));
        }
        if write.timestamp_micros() <= 0 {
            return Err(RecordsError::invalid(
                "timestamp_micros",
                "must be positive",
            ));
        }
        match write {
            Write::Put { row: put, .. } => row(schema, put)?,
            Write::Delete { key: deleted, .. } => key(schema, deleted)?,
        }
    }
    several(writes.len(), writes.iter().map(Write::batch_bytes).sum())
}

/// Checks a conditional change.
///
/// # Errors
/// [`RecordsError::InvalidInput`] or [`RecordsError::TooLarge`].
pub fn conditional(conditional: &Conditional) -> Result<(), RecordsError> {
    let schema = conditional.schema;
    if schema.write_mode != WriteMode::Conditional {
        return Err(RecordsError::invalid(
            schema.name,
            "is a timestamped table: write it by write",
        ));
    }
    if conditional.op_id.is_nil() {
        return Err(RecordsError::invalid(OP_ID, "must not be nil"));
    }
    let mut keys: Vec<Key> = Vec::with_capacity(conditional.changes.len());
    for change in &conditional.changes {
        match change {
            RowChange::InsertIfAbsent(inserted) => row(schema, inserted)?,
            RowChange::CompareAndSet { row: new, expect } => {
                row(schema, new)?;
                expectation(schema, expect)?;
            }
            RowChange::DeleteIf {
                key: deleted,
                expect,
            } => {
                key(schema, deleted)?;
                expectation(schema, expect)?;
            }
        }
        let changed = change.key(schema);
        if keys
            .first()
            .is_some_and(|first| first.partition(schema) != changed.partition(schema))
        {
            return Err(RecordsError::invalid(
                "changes",
                "are not all in one partition",
            ));
        }
        if keys.contains(&changed) {
            return Err(RecordsError::invalid("changes", "change one row twice"));
        }
        keys.push(changed);
    }
    if keys.is_empty() {
        return Err(RecordsError::invalid("changes", "must not be empty"));
    }
    several(
        keys.len(),
        conditional
            .changes
            .iter()
            .map(|change| schema.batch_bytes(change.size_bytes()))
            .sum(),
    )
}

fn expectation(schema: &TableSchema, expect: &Expect) -> Result<(), RecordsError> {
    at_most(
        "expected columns",
        limits::EXPECT_COLUMNS,
        expect.columns().len(),
    )?;
    for (at, (name, value)) in expect.columns().iter().enumerate() {
        let field = || format!("{}.{name}", schema.name);
        if expect.columns()[..at]
            .iter()
            .any(|(earlier, _)| earlier == name)
        {
            return Err(RecordsError::invalid(field(), "is expected twice"));
        }
        let (kind, nullable) = match schema.others().iter().find(|column| column.name == *name) {
            Some(column) => (column.kind, column.nullable),
            None if *name == OP_ID => (ColumnType::Uuid, false),
            None => {
                return Err(RecordsError::invalid(
                    field(),
                    "is not a column outside of the key",
                ));
            }
        };
        if !kind.may_be_compared() {
            return Err(RecordsError::invalid(
                field(),
                "double and JSON columns cannot be compared",
            ));
        }
        check_value(value, kind, nullable)
            .map_err(|reason| RecordsError::invalid(field(), reason))?;
    }
    if expect.columns().iter().all(|(_, value)| value.is_null()) {
        return Err(RecordsError::invalid(
            "expect",
            "must name a column with a value that is not null",
        ));
    }
    Ok(())
}

/// What only several rows together are limited by.
fn several(rows: usize, bytes: usize) -> Result<(), RecordsError> {
    if rows <= 1 {
        return Ok(());
    }
    at_most("batch rows", limits::BATCH_ROWS, rows)?;
    at_most("batch bytes", limits::BATCH_BYTES, bytes)
}

fn values(
    schema: &TableSchema,
    what: &str,
    columns: &[Column],
    values: &[Value],
) -> Result<(), RecordsError> {
    if columns.len() != values.len() {
        let reason = format!("has {} values for {} columns", values.len(), columns.len());
        return Err(RecordsError::invalid(
            format!("{}: {what}", schema.name),
            reason,
        ));
    }
    for (column, value) in columns.iter().zip(values) {
        check_value(value, column.kind, column.nullable).map_err(|reason| {
            RecordsError::invalid(format!("{}.{}", schema.name, column.name), reason)
        })?;
    }
    Ok(())
}

fn check_value(value: &Value, kind: ColumnType, nullable: bool) -> Result<(), String> {
    if !value.fits(kind) {
        return Err(format!("is not of type {}", kind.name()));
    }
    match value {
        Value::Null if !nullable => Err("must not be null".into()),
        Value::Double(number)
            if !number.is_finite() || (*number == 0.0 && number.is_sign_negative()) =>
        {
            Err("must be finite, and zero without a sign".into())
        }
        Value::Timestamp(time) if time.unsigned_abs() > TIMESTAMP_LIMIT_MS.unsigned_abs() => {
            Err(format!("must be within ±{TIMESTAMP_LIMIT_MS} milliseconds"))
        }
        _ => Ok(()),
    }
}

/// Cassandra refuses an empty partition key.
fn partition_not_empty(schema: &TableSchema, values: &[Value]) -> Result<(), RecordsError> {
    for (column, value) in schema.partition().iter().zip(values) {
        let empty = match value {
            Value::Text(text) => text.is_empty(),
            Value::Blob(bytes) => bytes.is_empty(),
            _ => false,
        };
        if empty {
            let field = format!("{}.{}", schema.name, column.name);
            return Err(RecordsError::invalid(
                field,
                "must not be empty in a partition key",
            ));
        }
    }
    Ok(())
}

const fn at_most(what: &'static str, limit: usize, actual: usize) -> Result<(), RecordsError> {
    if actual > limit {
        Err(RecordsError::TooLarge {
            what,
            limit,
            actual,
        })
    } else {
        Ok(())
    }
}
