//! What an operator sees without us: typed, named columns in cqlsh.

use std::collections::BTreeMap;

use riwaq_records::{MigrationPlan, Records, conformance};
use riwaq_test_kit::{Backend, cassandra};

use crate::keyspace::{Keyspaces, connect};

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_typed_and_named_in_plain_cql() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces::at(&address);
    let config = keyspaces.fresh();
    let keyspace = config.keyspace.clone();
    let records = connect(config).await.unwrap();
    let tables = conformance::tables();
    records
        .migrate(&MigrationPlan::new(tables.clone()).unwrap())
        .await
        .unwrap();

    let session = keyspaces.plain().await;
    let cql = "SELECT column_name, type, kind FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?";
    for table in tables {
        let rows = session
            .query_unpaged(cql, (&keyspace, table.name))
            .await
            .unwrap();
        let rows = rows.into_rows_result().unwrap();
        let found: BTreeMap<String, (String, String)> = rows
            .rows::<(String, String, String)>()
            .unwrap()
            .map(|row| row.map(|(name, kind, role)| (name, (kind, role))).unwrap())
            .collect();
        for (at, column) in table.columns.iter().enumerate() {
            let (kind, role) = &found[column.name];
            assert_eq!(
                kind,
                cql_type(column.kind),
                "{}.{}",
                table.name,
                column.name
            );
            let expected = match at {
                at if at < table.partition_columns => "partition_key",
                at if at < table.key_columns() => "clustering",
                _ => "regular",
            };
            assert_eq!(role, expected, "{}.{}", table.name, column.name);
        }
        let op_id = usize::from(table.has_op_id());
        assert_eq!(found.len(), table.columns.len() + op_id, "{}", table.name);
    }
    keyspaces.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_waits_long_for_a_node_that_has_just_died_ours_for_the_schema_among_them() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces::at(&address);
    let config = keyspaces.fresh();
    let keyspace = config.keyspace.clone();
    let records = connect(config).await.unwrap();
    let table = conformance::tables().swap_remove(0);
    let plan = MigrationPlan::new([table]).unwrap();
    records.migrate(&plan).await.unwrap();

    let session = keyspaces.plain().await;
    let cql =
        "SELECT table_name, speculative_retry FROM system_schema.tables WHERE keyspace_name = ?";
    let rows = session.query_unpaged(cql, (&keyspace,)).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    let found: BTreeMap<String, String> = rows
        .rows::<(String, String)>()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected = ["riwaq_schema", table.name].map(|name| (name.into(), "MIN(99p,100ms)".into()));
    assert_eq!(found, BTreeMap::from(expected));
    keyspaces.drop_all().await;
}

/// Written out again on purpose: the test must not believe the adapter's own table.
fn cql_type(kind: riwaq_records::ColumnType) -> &'static str {
    use riwaq_records::ColumnType::{BigInt, Blob, Bool, Double, Json, Text, Timestamp, Uuid};
    match kind {
        Bool => "boolean",
        BigInt => "bigint",
        Double => "double",
        Text | Json => "text",
        Blob => "blob",
        Uuid => "uuid",
        Timestamp => "timestamp",
    }
}
