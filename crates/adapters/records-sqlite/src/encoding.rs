//! How values are stored.

use riwaq_records::{ColumnType, Key, RecordsError, TableSchema, Value};
use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use uuid::Uuid;

/// A value on its way into a statement.
pub(crate) struct Bound<'a>(ToSqlOutput<'a>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match &self.0 {
            ToSqlOutput::Borrowed(value) => ToSqlOutput::Borrowed(*value),
            ToSqlOutput::Owned(value) => ToSqlOutput::Borrowed(ValueRef::from(value)),
            other => other.clone(),
        })
    }
}

/// Whether the column at this position keeps UUIDs in their sortable form.
pub(crate) fn is_sorted(schema: &TableSchema, position: usize) -> bool {
    position >= schema.partition_columns && position < schema.key_columns()
}

/// The value as it is stored.
pub(crate) fn bound(value: &Value, sorted: bool) -> Bound<'_> {
    let borrowed = match value {
        Value::Null => ValueRef::Null,
        Value::Bool(value) => ValueRef::Integer(i64::from(*value)),
        Value::BigInt(value) | Value::Timestamp(value) => ValueRef::Integer(*value),
        Value::Double(value) => ValueRef::Real(*value),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
        Value::Uuid(uuid) => {
            let text = if sorted {
                sortable(*uuid)
            } else {
                uuid.hyphenated().to_string()
            };
            return Bound(ToSqlOutput::Owned(Owned::Text(text)));
        }
    };
    Bound(ToSqlOutput::Borrowed(borrowed))
}

/// Text that sorts by its bytes as the port sorts UUIDs: the version, for version 1 the time, and
/// the UUID itself.
fn sortable(uuid: Uuid) -> String {
    let key = riwaq_records::uuid_order_key(uuid);
    let version = key[0];
    if version == 1 {
        let mut time = [0; 8];
        time.copy_from_slice(&key[1..9]);
        return format!("1/{:016x}/{}", u64::from_be_bytes(time), uuid.hyphenated());
    }
    format!("{version:x}/{}", uuid.hyphenated())
}

/// Binds values to the parameters from `first` on. `position` is the column of the first value.
pub(crate) fn bind(
    statement: &mut Statement<'_>,
    first: usize,
    schema: &TableSchema,
    position: usize,
    values: &[Value],
) -> rusqlite::Result<()> {
    for (at, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(first + at, bound(value, is_sorted(schema, position + at)))?;
    }
    Ok(())
}

/// Binds a whole key to the first parameters.
pub(crate) fn bind_key(
    statement: &mut Statement<'_>,
    schema: &TableSchema,
    key: &Key,
) -> rusqlite::Result<()> {
    bind(statement, 1, schema, 0, key.values())
}

/// Reads the column at `position` of a table.
pub(crate) fn value(
    schema: &TableSchema,
    position: usize,
    stored: ValueRef<'_>,
) -> Result<Value, RecordsError> {
    let column = &schema.columns[position];
    let corrupt = |reason: &str| {
        RecordsError::corrupt(schema.name, format!("column {}: {reason}", column.name))
    };
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| corrupt("is not UTF-8"))
    };
    Ok(match (stored, column.kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(value), ColumnType::Bool) => Value::Bool(value != 0),
        (ValueRef::Integer(value), ColumnType::BigInt) => Value::BigInt(value),
        (ValueRef::Integer(value), ColumnType::Timestamp) => Value::Timestamp(value),
        (ValueRef::Real(value), ColumnType::Double) => Value::Double(value),
        (ValueRef::Text(bytes), ColumnType::Text | ColumnType::Json) => Value::Text(text(bytes)?),
        (ValueRef::Text(bytes), ColumnType::Uuid) => {
            let skipped = if is_sorted(schema, position) {
                bytes.len().saturating_sub(36)
            } else {
                0
            };
            Value::Uuid(
                Uuid::try_parse_ascii(&bytes[skipped..]).map_err(|_| corrupt("is not a UUID"))?,
            )
        }
        (ValueRef::Blob(bytes), ColumnType::Blob) => Value::Blob(bytes.to_vec().into()),
        _ => return Err(corrupt("has another type")),
    })
}

/// Reads an `op_id`.
pub(crate) fn op_id(
    schema: &TableSchema,
    stored: ValueRef<'_>,
) -> Result<Option<Uuid>, RecordsError> {
    let ValueRef::Text(bytes) = stored else {
        return Ok(None);
    };
    let uuid = Uuid::try_parse_ascii(bytes);
    uuid.map(Some)
        .map_err(|_| RecordsError::corrupt(schema.name, "op_id is not a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sortable_text_sorts_as_the_port_says() {
        let uuids = [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-0000-1000-8000-000000000000",
            "00000000-0001-1000-8000-000000000000",
            "00000000-0000-4000-8000-000000000000",
            "ffffffff-ffff-4fff-bfff-ffffffffffff",
            "00000000-0000-7000-8000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ];
        let texts: Vec<String> = uuids
            .iter()
            .map(|text| sortable(Uuid::parse_str(text).unwrap()))
            .collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (text, uuid) in texts.iter().zip(uuids) {
            assert!(text.ends_with(uuid));
        }
    }
}
