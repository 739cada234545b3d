//! Every engine refuses the same things, and does nothing then.

use std::ops::Bound;

use uuid::Uuid;

use super::tables::{Account, Claim, Entry, Everything, Named};
use super::{CaseResult, Context, Failure, ensure, equal, invalid, too_large};
use crate::{
    Column, ColumnType, Key, ReadLevel, RecordsError, Row, Scan, Store, Table, TableSchema, Value,
    Write, WriteMode, limits,
};

fn put(schema: &'static TableSchema, values: Vec<Value>) -> Vec<Write> {
    vec![Write::Put {
        schema,
        row: Row::new(values),
        timestamp_micros: 1,
    }]
}

fn everything(id: Uuid) -> Result<Vec<Value>, RecordsError> {
    Ok(Everything::empty(id, 1).to_row()?.into_values())
}

pub(super) async fn rows_that_break_the_declaration_are_refused(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let schema = Everything::schema();
    let bad = [
        ("wrong type", "number", Value::Text("1".into())),
        ("wrong type", "text", Value::BigInt(1)),
        ("wrong type", "flag", Value::BigInt(1)),
        ("not a number", "ratio", Value::Double(f64::NAN)),
        ("infinite", "ratio", Value::Double(f64::NEG_INFINITY)),
        ("minus zero", "ratio", Value::Double(-0.0)),
        ("a time beyond the range", "at", Value::Timestamp(i64::MAX)),
        ("a time before the range", "at", Value::Timestamp(i64::MIN)),
        ("null in the partition key", "id", Value::Null),
        ("null in a clustering column", "k", Value::Null),
    ];
    for (what, column, value) in bad {
        let mut values = everything(id)?;
        let at = schema
            .position(column)
            .ok_or_else(|| Failure::new(column))?;
        values[at] = value;
        invalid(what, store.records().write(put(schema, values)).await)?;
    }
    let mut short = everything(id)?;
    short.pop();
    invalid(
        "too few values",
        store.records().write(put(schema, short)).await,
    )?;
    invalid(
        "no values",
        store.records().write(put(schema, Vec::new())).await,
    )?;
    let mut long = everything(id)?;
    long.push(Value::Null);
    invalid(
        "too many values",
        store.records().write(put(schema, long)).await,
    )?;
    for timestamp_micros in [0, -1, i64::MIN] {
        let row = Row::new(everything(id)?);
        let writes = vec![Write::Put {
            schema,
            row,
            timestamp_micros,
        }];
        invalid("timestamp", store.records().write(writes).await)?;
    }
    let text = Value::Text("null in a column that is not nullable".into());
    let row = vec![text.clone(), text.clone(), text, Value::Null];
    invalid(
        "null",
        store.records().write(put(Named::schema(), row)).await,
    )?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &Vec::new(),
    )
}

pub(super) async fn sizes_beyond_the_limits_are_refused(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let row = Everything {
        text: Some("x".repeat(limits::ROW_BYTES)),
        ..Everything::empty(id, 1)
    };
    too_large("row", store.put_at(&row, 1).await)?;
    let mut batch = store.batch();
    for k in 0..=limits::BATCH_ROWS as i64 {
        batch = batch.put_at(&Everything::empty(id, k), 1)?;
    }
    too_large("rows of a batch", batch.write().await)?;
    let half = "x".repeat(limits::BATCH_BYTES / 2);
    let rows = [1, 2].map(|k| Everything {
        text: Some(half.clone()),
        ..Everything::empty(id, k)
    });
    let batch = store.batch().put_at(&rows[0], 1)?.put_at(&rows[1], 1)?;
    too_large("bytes of a batch", batch.write().await)?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &Vec::new(),
    )?;
    let accounts = ["a", "b"].map(|name| Account {
        memo: Some(half.clone()),
        ..Account::new(id, name, 0)
    });
    let change = store
        .change::<Account>(Uuid::new_v4())
        .insert_if_absent(&accounts[0])?;
    too_large(
        "bytes of a change",
        change.insert_if_absent(&accounts[1])?.apply().await,
    )?;
    let mut change = store.change::<Account>(Uuid::new_v4());
    for at in 0..=limits::BATCH_ROWS {
        change = change.insert_if_absent(&Account::new(id, &at.to_string(), 0))?;
    }
    too_large("rows of a change", change.apply().await)?;
    too_large(
        "limit",
        store
            .scan::<Everything>((id,))
            .limit(limits::SCAN_ROWS + 1)
            .page()
            .await,
    )?;
    too_large(
        "limit",
        store
            .scan_table::<Everything>(None, limits::SCAN_ROWS + 1)
            .await,
    )?;
    equal(
        "accounts",
        &store.scan::<Account>((id,)).all().await?,
        &Vec::new(),
    )
}

pub(super) async fn keys_beyond_the_rules_are_refused(context: Context) -> CaseResult {
    let store = context.store().await?;
    let named = |name: &str, part: &str, word: &str| Named {
        name: name.into(),
        part: part.into(),
        word: word.into(),
        value: String::new(),
    };
    let unique = Uuid::new_v4().to_string();
    invalid(
        "empty partition",
        store.put_at(&named("", &unique, "w"), 1).await,
    )?;
    invalid(
        "empty partition",
        store.put_at(&named(&unique, "", "w"), 1).await,
    )?;
    invalid(
        "empty partition",
        store
            .get::<Named>((String::new(), unique.clone(), "w".into()))
            .await,
    )?;
    invalid(
        "empty partition",
        store
            .scan::<Named>((unique.clone(), String::new()))
            .all()
            .await,
    )?;
    invalid(
        "empty claim",
        store
            .insert_if_absent(&Claim::new("", 1), Uuid::new_v4())
            .await,
    )?;
    let word = "x".repeat(limits::KEY_BYTES);
    too_large("key", store.put_at(&named(&unique, "p", &word), 1).await)?;
    too_large(
        "key",
        store.get::<Named>((unique.clone(), "p".into(), word)).await,
    )?;
    // An empty clustering column is a value like any other, and so is the longest key.
    let longest = "x".repeat(limits::KEY_BYTES - unique.len() - 1);
    for word in ["", longest.as_str()] {
        store.put_at(&named(&unique, "p", word), 1).await?;
    }
    let rows = store
        .scan::<Named>((unique.clone(), "p".into()))
        .all()
        .await?;
    equal(
        "rows",
        &rows,
        &vec![named(&unique, "p", ""), named(&unique, "p", &longest)],
    )?;
    let records = store.records();
    let short = Key::new(vec![Value::Text(unique)]);
    invalid(
        "half a key",
        records
            .get(Named::schema(), &short, ReadLevel::Quorum)
            .await,
    )?;
    let foreign = Key::new(vec![Value::BigInt(1), Value::BigInt(1)]);
    invalid(
        "a key of other types",
        records
            .get(Everything::schema(), &foreign, ReadLevel::Quorum)
            .await,
    )
}

pub(super) async fn scans_that_make_no_sense_are_refused(context: Context) -> CaseResult {
    let store = context.store().await?;
    let records = store.records();
    let partition = vec![Value::Uuid(Uuid::new_v4()), Value::BigInt(1)];
    let scan = || Scan::partition(Entry::schema(), partition.clone());
    let text = |text: &str| Value::Text(text.into());
    let key = |kind: &str| vec![text(kind), Value::BigInt(1), Value::Uuid(Uuid::nil())];
    let bad = [
        ("limit 0", Scan { limit: 0, ..scan() }),
        (
            "half a partition",
            Scan {
                partition: vec![partition[0].clone()],
                ..scan()
            },
        ),
        (
            "prefix too long",
            Scan {
                prefix: [key("a"), key("a")].concat(),
                ..scan()
            },
        ),
        (
            "prefix of another type",
            Scan {
                prefix: vec![Value::BigInt(1)],
                ..scan()
            },
        ),
        (
            "bound of another type",
            Scan {
                lower: Bound::Included(Value::BigInt(1)),
                ..scan()
            },
        ),
        (
            "bound that is null",
            Scan {
                upper: Bound::Excluded(Value::Null),
                ..scan()
            },
        ),
        (
            "bound without a column",
            Scan {
                prefix: key("a"),
                upper: Bound::Included(text("a")),
                ..scan()
            },
        ),
        (
            "half a key to begin behind",
            Scan {
                after: Some(vec![text("a")]),
                ..scan()
            },
        ),
        (
            "a key outside of the prefix",
            Scan {
                prefix: vec![text("a")],
                after: Some(key("b")),
                ..scan()
            },
        ),
    ];
    for (what, scan) in bad {
        invalid(what, records.scan(&scan).await)?;
    }
    let claim = Scan::partition(Claim::schema(), vec![text("claim")]);
    invalid(
        "a key where there is none",
        records
            .scan(&Scan {
                after: Some(Vec::new()),
                ..claim
            })
            .await,
    )?;
    invalid("limit 0", store.scan_table::<Entry>(None, 0).await)
}

static NOWHERE: TableSchema = TableSchema {
    name: "suite_nowhere",
    since: 1,
    write_mode: WriteMode::Timestamped,
    columns: &[Column {
        name: "id",
        kind: ColumnType::BigInt,
        nullable: false,
        since: 1,
    }],
    partition_columns: 1,
    clustering: &[],
    ttl_column: None,
};

pub(super) async fn an_unknown_table_is_a_schema_error(context: Context) -> CaseResult {
    let store: Store = context.store().await?;
    let records = store.records();
    let key = Key::new(vec![Value::BigInt(1)]);
    let schema_error = |error: Option<RecordsError>| match error {
        Some(RecordsError::Schema { .. }) => Ok(()),
        other => Err(Failure::new(format!(
            "expected a schema error, got {other:?}"
        ))),
    };
    schema_error(records.get(&NOWHERE, &key, ReadLevel::Quorum).await.err())?;
    schema_error(
        records
            .scan(&Scan::partition(&NOWHERE, key.values().to_vec()))
            .await
            .err(),
    )?;
    schema_error(records.scan_table(&NOWHERE, None, 10).await.err())?;
    schema_error(
        records
            .write(put(&NOWHERE, key.values().to_vec()))
            .await
            .err(),
    )?;
    let id = Uuid::new_v4();
    let mut batch = put(Everything::schema(), everything(id)?);
    batch.extend(put(&NOWHERE, key.values().to_vec()));
    schema_error(records.write(batch).await.err())?;
    ensure!(
        store.get::<Everything>((id, 1)).await?.is_none(),
        "half of a batch was written"
    );
    Ok(())
}
