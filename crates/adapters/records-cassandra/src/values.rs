//! Values between the port and CQL.

use bytes::Bytes;
use riwaq_records::{ColumnType, RecordsError, Row, StoredRow, TableSchema, Value};
use scylla::value::{CqlTimestamp, CqlValue, Row as CqlRow};

/// A bound value; none is null.
pub(crate) type Bind = Option<CqlValue>;

pub(crate) fn bind(value: &Value) -> Bind {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => CqlValue::Boolean(*value),
        Value::BigInt(value) => CqlValue::BigInt(*value),
        Value::Double(value) => CqlValue::Double(*value),
        Value::Text(text) => CqlValue::Text(text.clone()),
        Value::Blob(bytes) => CqlValue::Blob(bytes.to_vec()),
        Value::Uuid(uuid) => CqlValue::Uuid(*uuid),
        Value::Timestamp(millis) => CqlValue::Timestamp(CqlTimestamp(*millis)),
    })
}

pub(crate) fn bind_all(values: &[Value]) -> Vec<Bind> {
    values.iter().map(bind).collect()
}

/// A row as the table declares it, its columns in the order of [`crate::cql`]'s `SELECT`.
pub(crate) fn stored(schema: &TableSchema, row: CqlRow) -> Result<StoredRow, RecordsError> {
    let mut columns = row.columns.into_iter();
    let mut values = Vec::with_capacity(schema.columns.len());
    for column in schema.columns {
        let value = match columns.next().flatten() {
            None => Value::Null,
            Some(value) => read(value, column.kind).ok_or_else(|| {
                RecordsError::corrupt(schema.name, format!("{} has another type", column.name))
            })?,
        };
        values.push(value);
    }
    let op_id = match columns.next().flatten() {
        Some(CqlValue::Uuid(id)) => Some(id),
        _ => None,
    };
    Ok(StoredRow {
        row: Row::new(values),
        op_id,
    })
}

fn read(value: CqlValue, kind: ColumnType) -> Option<Value> {
    Some(match (value, kind) {
        (CqlValue::Boolean(value), ColumnType::Bool) => Value::Bool(value),
        (CqlValue::BigInt(value), ColumnType::BigInt) => Value::BigInt(value),
        (CqlValue::Double(value), ColumnType::Double) => Value::Double(value),
        (CqlValue::Text(text), ColumnType::Text | ColumnType::Json) => Value::Text(text),
        (CqlValue::Blob(bytes), ColumnType::Blob) => Value::Blob(Bytes::from(bytes)),
        (CqlValue::Uuid(uuid), ColumnType::Uuid) => Value::Uuid(uuid),
        (CqlValue::Timestamp(CqlTimestamp(millis)), ColumnType::Timestamp) => {
            Value::Timestamp(millis)
        }
        _ => return None,
    })
}
