//! The rows of versions: one shape for every aggregate, with the aggregate's own typed columns.

use riwaq_records::{Column, Key, Order, Row, StoredRow, Value, WriteMode};

use crate::{Aggregate, AggregateId, Error, Result, Version};

/// How many columns the journal itself has between the clustering column and the aggregate's own.
const FIXED: usize = 5;

/// Declares the table of an aggregate's versions as a function that returns it.
///
/// ```
/// use uuid::Uuid;
/// riwaq_aggregates::version_table! {
///     /// Every version of every course.
///     pub fn course_versions() = "course_versions", since 1;
///     key { id: Uuid }
///     columns { title: String, status: String, archived_by: Option<Uuid> = 4 }
/// }
/// assert_eq!(course_versions().name, "course_versions");
/// ```
///
/// Beside `key` and `columns` (any type that is a [`riwaq_records::Field`]; `= 4` names the later
/// migration that adds a nullable one) the table has `version` (clustering, newest first),
/// `changed_at`, `actor_id`, `change`, `state_schema`, `state` (JSON), and the port's `op_id`.
#[macro_export]
macro_rules! version_table {
    (
        $(#[$meta:meta])*
        $vis:vis fn $function:ident() = $name:literal, since $since:literal;
        key { $($key:ident: $key_type:ty),+ $(,)? }
        columns { $($column:ident: $column_type:ty $(= $column_since:literal)?),* $(,)? }
    ) => {
        $(#[$meta])*
        $vis fn $function() -> &'static $crate::records::TableSchema {
            use $crate::records::{Column, ColumnType, Field, Order, TableSchema, WriteMode};
            const KEY: &[&str] = &[$(stringify!($key)),+];
            static COLUMNS: &[Column] = &[
                $(Column {
                    name: stringify!($key), kind: <$key_type as Field>::COLUMN_TYPE, nullable: false, since: $since,
                },)+
                Column { name: "version", kind: ColumnType::BigInt, nullable: false, since: $since },
                Column { name: "changed_at", kind: ColumnType::Timestamp, nullable: false, since: $since },
                Column { name: "actor_id", kind: ColumnType::Uuid, nullable: true, since: $since },
                Column { name: "change", kind: ColumnType::Text, nullable: false, since: $since },
                Column { name: "state_schema", kind: ColumnType::BigInt, nullable: false, since: $since },
                Column { name: "state", kind: ColumnType::Json, nullable: false, since: $since },
                $(Column {
                    name: stringify!($column),
                    kind: <$column_type as Field>::COLUMN_TYPE,
                    nullable: <$column_type as Field>::NULLABLE,
                    since: $crate::version_table!(@since $since $(, $column_since)?),
                },)*
            ];
            static SCHEMA: TableSchema = TableSchema {
                name: $name,
                since: $since,
                write_mode: WriteMode::Conditional,
                columns: COLUMNS,
                partition_columns: KEY.len(),
                clustering: &[Order::Descending],
                ttl_column: None,
            };
            &SCHEMA
        }
    };
    (@since $table:literal) => { $table };
    (@since $table:literal, $column:literal) => { $column };
}

/// Refuses a table that was not made by [`version_table!`](crate::version_table), and columns that do not fit it.
pub(crate) fn check<A: Aggregate>() -> Result<()> {
    let schema = A::table();
    let at = schema.partition_columns;
    let names: Vec<_> = schema
        .columns
        .iter()
        .skip(at)
        .take(FIXED + 1)
        .map(|column: &Column| column.name)
        .collect();
    let expected = [
        "version",
        "changed_at",
        "actor_id",
        "change",
        "state_schema",
        "state",
    ];
    let shape = names == expected
        && schema.clustering == [Order::Descending]
        && schema.write_mode == WriteMode::Conditional;
    if !shape {
        return Err(Error::invalid(
            "table",
            format!("{} was not declared by version_table!", schema.name),
        ));
    }
    let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if A::KIND.is_empty() || A::KIND.len() > 32 || !A::KIND.bytes().all(word) {
        return Err(Error::invalid(
            "kind",
            format!("`{}` is not one word of a-z and _", A::KIND),
        ));
    }
    if A::SCHEMA == 0 {
        return Err(Error::invalid(
            "schema",
            "the forms of a state are numbered from 1",
        ));
    }
    Ok(())
}

/// The key of one version.
pub(crate) fn key<A: Aggregate>(id: &A::Id, version: i64) -> Key {
    let mut values = id.to_values();
    values.push(Value::BigInt(version));
    Key::new(values)
}

/// The row of a version. Checked against the limits of the port, so that a state that is too large
/// is refused before anything is written.
pub(crate) fn row<A: Aggregate>(version: &Version<A>) -> Result<Row> {
    if version.change.is_empty() || version.change.len() > 64 {
        return Err(Error::invalid("change", "must have 1 to 64 bytes"));
    }
    let state = serde_json::to_string(&version.state).map_err(Error::encode)?;
    let mut values = version.id.to_values();
    values.extend([
        Value::BigInt(version.version),
        Value::from(version.at),
        Value::from(version.actor),
        Value::Text(version.change.clone()),
        Value::BigInt(i64::from(A::SCHEMA)),
        Value::Text(state),
    ]);
    values.extend(version.state.columns());
    let row = Row::new(values);
    riwaq_records::validate::row(A::table(), &row)?;
    Ok(row)
}

/// The version of a stored row.
pub(crate) fn read<A: Aggregate>(stored: StoredRow) -> Result<Version<A>> {
    let partition = A::table().partition_columns;
    let op_id = stored.op_id.unwrap_or_default();
    let mut values = stored.row.into_values();
    if values.len() < partition + FIXED + 1 {
        return Err(corrupt::<A>("", 0, "the row is too short"));
    }
    values.truncate(partition + FIXED + 1);
    let rest = values.split_off(partition);
    let id =
        A::Id::from_values(&values).ok_or_else(|| corrupt::<A>("", 0, "the key cannot be read"))?;
    let Ok(
        [
            Value::BigInt(version),
            Value::Timestamp(at),
            actor,
            Value::Text(change),
            Value::BigInt(schema),
            Value::Text(state),
        ],
    ) = <[Value; FIXED + 1]>::try_from(rest)
    else {
        return Err(corrupt::<A>(&id.to_text(), 0, "a column has another type"));
    };
    let state = read_state::<A>(schema, &state)
        .map_err(|reason| corrupt::<A>(&id.to_text(), version, &reason))?;
    let at = chrono::DateTime::from_timestamp_millis(at)
        .ok_or_else(|| corrupt::<A>(&id.to_text(), version, "changed_at is not a time"))?;
    let actor = match actor {
        Value::Uuid(actor) => Some(actor),
        _ => None,
    };
    Ok(Version {
        id,
        version,
        at,
        actor,
        change,
        op_id,
        state,
    })
}

/// Today's form needs no detour over a JSON value; older ones are upcast step by step.
fn read_state<A: Aggregate>(schema: i64, state: &str) -> Result<A, String> {
    let schema = u32::try_from(schema).map_err(|_| format!("form {schema}"))?;
    if schema == A::SCHEMA {
        return serde_json::from_str(state).map_err(|error| error.to_string());
    }
    if schema > A::SCHEMA {
        return Err(format!(
            "form {schema} is newer than this program, which knows up to {}",
            A::SCHEMA
        ));
    }
    let mut value = serde_json::from_str(state).map_err(|error| error.to_string())?;
    for step in schema..A::SCHEMA {
        value = A::upcast(step, value)?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn corrupt<A: Aggregate>(id: &str, version: i64, reason: &str) -> Error {
    Error::Corrupt {
        kind: A::KIND.to_owned(),
        id: id.to_owned(),
        version,
        reason: reason.to_owned(),
    }
}
