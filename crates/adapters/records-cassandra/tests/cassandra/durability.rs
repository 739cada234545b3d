//! What a node acknowledged is there after kill -9, and a cluster that does not promise it is told of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use riwaq_records::{MigrationPlan, Records, Store, Table};
use riwaq_records_cassandra::Config;
use riwaq_test_kit::{Backend, CassandraNodes, cassandra, cassandra_cluster};
use uuid::Uuid;

use crate::keyspace::{Keyspaces, connect};

const WRITERS: usize = 8;
/// Acknowledged before the node is killed.
const BEFORE: usize = 2_000;
const NODE_WITHIN: Duration = Duration::from_secs(120);

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "put", write = "timestamped", partition(id))]
struct Put {
    id: Uuid,
    text: String,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "claimed", write = "conditional", partition(id))]
struct Claimed {
    id: Uuid,
    text: String,
}

/// Set as docs/operations/cassandra.md tells an operator to set it. As Cassandra comes, a node forgets what it
/// acknowledged in its last milliseconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_has_every_row_that_it_acknowledged() {
    let Some(mut nodes) = CassandraNodes::start(1).await.unwrap() else {
        return;
    };
    let keyspaces = Keyspaces::at(&nodes.contact_points());
    let config = Config {
        request_timeout_ms: 5_000,
        ..keyspaces.fresh()
    };
    let store = store(&config).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|at| tokio::spawn(write(store.clone(), at, Arc::clone(&acknowledged))))
        .collect();
    tokio::time::timeout(NODE_WITHIN, async {
        while acknowledged.load(Ordering::Relaxed) < BEFORE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    nodes.kill(0).unwrap();
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    nodes.launch(0).unwrap();
    nodes.wait(0).await.unwrap();

    let store = Store::new(Arc::new(connect(config).await.unwrap()));
    let lost: Vec<_> = stream::iter(&written)
        .map(|id| is_lost(&store, *id))
        .buffer_unordered(WRITERS)
        .filter_map(async |lost| lost)
        .collect()
        .await;
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged rows are lost",
        lost.len(),
        written.len()
    );
}

async fn store(config: &Config) -> Store {
    let records = connect(config.clone()).await.unwrap();
    let plan = MigrationPlan::new([Put::schema(), Claimed::schema()]).unwrap();
    records.migrate(&plan).await.unwrap();
    Store::new(Arc::new(records))
}

/// Writes until a write fails; every other writer under a condition. What was acknowledged.
async fn write(store: Store, at: usize, acknowledged: Arc<AtomicUsize>) -> Vec<Uuid> {
    let mut written = Vec::new();
    loop {
        let (id, text) = (Uuid::new_v4(), "acknowledged".to_owned());
        let done = if at.is_multiple_of(2) {
            store.put_at(&Put { id, text }, 1).await
        } else {
            let claimed = Claimed { id, text };
            let decision = store.insert_if_absent(&claimed, Uuid::new_v4()).await;
            decision.map(|decision| assert!(decision.is_applied()))
        };
        if done.is_err() {
            return written;
        }
        written.push(id);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

async fn is_lost(store: &Store, id: Uuid) -> Option<Uuid> {
    let put = store.get::<Put>((id,)).await.unwrap();
    let claimed = store.get::<Claimed>((id,)).await.unwrap();
    (put.is_none() && claimed.is_none()).then_some(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_acknowledges_before_it_writes_is_named_with_the_remedy() {
    let Some(nodes) = CassandraNodes::start_as_they_come(1).await.unwrap() else {
        return;
    };
    let keyspaces = Keyspaces::at(&nodes.contact_points());
    let records = connect(keyspaces.fresh()).await.unwrap();
    let risks = records.risks().await.unwrap();
    let [risk] = risks.as_slice() else {
        panic!("{risks:?}");
    };
    assert!(
        risk.what.starts_with("127.0.0.1: acknowledged before"),
        "{risk:?}"
    );
    assert!(risk.remedy.contains("commitlog_sync: batch"), "{risk:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_write_first_and_a_keyspace_with_a_log_are_no_risk() {
    let Backend::Ready(addresses) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&addresses);
    let records = connect(keyspaces.fresh()).await.unwrap();
    assert_eq!(records.risks().await.unwrap(), []);
    keyspaces.drop_all().await;
}

/// The remedies are run as they are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_without_a_log_and_a_role_that_may_not_ask_are_told_with_the_remedy() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces::at(&address);
    let config = keyspaces.fresh();
    connect(config.clone()).await.unwrap();
    let plain = keyspaces.plain().await;
    let role = format!("role_{}", Uuid::new_v4().simple());
    let keyspace = &config.keyspace;
    for cql in [
        format!("CREATE ROLE {role} WITH LOGIN = true AND PASSWORD = 'its-password'"),
        format!("GRANT SELECT ON KEYSPACE {keyspace} TO {role}"),
        format!("ALTER KEYSPACE {keyspace} WITH durable_writes = false"),
    ] {
        plain.query_unpaged(cql, ()).await.unwrap();
    }
    let of_role = Config {
        user: role.clone(),
        password: "its-password".into(),
        ..config
    };
    let records = connect(of_role).await.unwrap();
    let risks = records.risks().await.unwrap();
    let [log, right] = risks.as_slice() else {
        panic!("{risks:?}");
    };
    assert!(log.what.contains("durable_writes"), "{log:?}");
    assert!(
        right.what.contains(&format!("{role} may not read")),
        "{right:?}"
    );
    for risk in &risks {
        let cql = risk.remedy.strip_prefix("as an administrator: ").unwrap();
        plain.query_unpaged(cql, ()).await.unwrap();
    }
    // A node keeps what a role may do for a while.
    let risks = tokio::time::timeout(NODE_WITHIN, async {
        loop {
            let risks = records.risks().await.unwrap();
            if risks.is_empty() {
                return risks;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert_eq!(risks.await.unwrap(), []);
    plain
        .query_unpaged(format!("DROP ROLE {role}"), ())
        .await
        .unwrap();
    keyspaces.drop_all().await;
}
