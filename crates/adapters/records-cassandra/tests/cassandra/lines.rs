//! Nodes behind other addresses than they name themselves, and lines to them that break.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use riwaq_records::conformance::tables;
use riwaq_records::{MigrationPlan, Records};
use riwaq_records_cassandra::{CassandraRecords, Config};
use riwaq_test_kit::{Backend, ChaosProxy, Fault, cassandra_cluster};

use crate::keyspace::{Keyspaces, connect};

const SOON: Duration = Duration::from_secs(60);

/// A proxy in front of each node, and records that know the nodes by the proxies' addresses alone.
async fn behind_proxies(keyspaces: &Keyspaces, nodes: &str) -> (Vec<ChaosProxy>, CassandraRecords) {
    let nodes: Vec<SocketAddr> = nodes.split(',').map(|node| node.parse().unwrap()).collect();
    let proxies: Vec<_> = (0..)
        .zip(&nodes)
        .map(|(seed, node)| ChaosProxy::start([*node], seed).unwrap())
        .collect();
    let pairs = nodes.iter().zip(&proxies);
    let config = Config {
        contact_points: proxies
            .iter()
            .map(|proxy| proxy.address().to_string())
            .collect(),
        address_map: pairs
            .map(|(node, proxy)| (node.ip(), proxy.address()))
            .collect(),
        request_timeout_ms: 2_000,
        keepalive_seconds: 1,
        ..keyspaces.fresh()
    };
    let records = connect(config).await.unwrap();
    let plan = MigrationPlan::new(tables().into_iter().take(1)).unwrap();
    records.migrate(&plan).await.unwrap();
    (proxies, records)
}

async fn works_again(records: &CassandraRecords) {
    let began = Instant::now();
    while records.ping().await.is_err() {
        assert!(began.elapsed() < SOON, "not recovered in {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_name_addresses_that_lead_nowhere_are_reached_by_the_map() {
    let Backend::Ready(nodes) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&nodes);
    let (proxies, records) = behind_proxies(&keyspaces, &nodes).await;
    // Each node has its pool, and every one of them leads over a proxy: with all proxies cut, nobody answers.
    let began = Instant::now();
    while proxies.iter().any(|proxy| proxy.accepted() == 0) {
        assert!(began.elapsed() < SOON);
        records.ping().await.unwrap();
    }
    for proxy in &proxies {
        proxy.set(Fault::Cut).await;
    }
    assert!(records.ping().await.is_err());
    for proxy in &proxies {
        proxy.set(Fault::None).await;
    }
    works_again(&records).await;
    keyspaces.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_that_breaks_is_worked_around_and_all_of_them_fail_in_bounded_time() {
    let Backend::Ready(nodes) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&nodes);
    let (proxies, records) = behind_proxies(&keyspaces, &nodes).await;
    for fault in [Fault::Cut, Fault::HalfOpen] {
        for proxy in &proxies {
            proxy.set(fault).await;
            for _ in 0..10 {
                works_again(&records).await;
            }
            proxy.set(Fault::None).await;
            works_again(&records).await;
        }
        for proxy in &proxies {
            proxy.set(fault).await;
        }
        let began = Instant::now();
        let error = records.ping().await.unwrap_err();
        assert!(error.is_retryable(), "{fault:?}: {error:?}");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{fault:?}: {took:?}");
        for proxy in &proxies {
            proxy.set(Fault::None).await;
        }
        works_again(&records).await;
    }
    keyspaces.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_while_no_quorum_answers_waits_for_one() {
    let Backend::Ready(nodes) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&nodes);
    let (proxies, records) = behind_proxies(&keyspaces, &nodes).await;
    for proxy in &proxies {
        proxy.set(Fault::Cut).await;
    }
    let mended = async {
        assert!(records.ping().await.is_err());
        for proxy in &proxies {
            proxy.set(Fault::None).await;
        }
    };
    let (number, ()) = tokio::join!(records.schema_number(), mended);
    assert_eq!(number.unwrap(), 1);
    keyspaces.drop_all().await;
}
