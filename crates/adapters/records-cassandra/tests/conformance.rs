//! The port's suite on a real node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SystemClock;
use riwaq_records::conformance::{self, Factory};
use riwaq_records::{Records, RecordsError};
use riwaq_records_cassandra::{CassandraRecords, Config};
use riwaq_test_kit::{Backend, cassandra};
use uuid::Uuid;

struct Keyspaces {
    address: String,
    shared: String,
}

fn new_keyspace() -> String {
    format!("conformance_{}", &Uuid::new_v4().simple().to_string()[..12])
}

impl Keyspaces {
    async fn open(&self, keyspace: &str) -> Result<Arc<dyn Records>, RecordsError> {
        let config = Config {
            contact_points: vec![self.address.clone()],
            user: "cassandra".into(),
            password: "cassandra".into(),
            keyspace: keyspace.into(),
            // A test machine is busy; a request that the node took must not be given up for that.
            request_timeout_ms: 30_000,
            ..Config::default()
        };
        Ok(Arc::new(
            CassandraRecords::connect(config, SystemClock::shared()).await?,
        ))
    }
}

#[async_trait]
impl Factory for Keyspaces {
    fn engine(&self) -> &str {
        "cassandra"
    }

    async fn handle(&self) -> Result<Arc<dyn Records>, RecordsError> {
        self.open(&self.shared).await
    }

    async fn reopen(&self) -> Result<Arc<dyn Records>, RecordsError> {
        self.open(&self.shared).await
    }

    async fn fresh(&self) -> Result<Arc<dyn Records>, RecordsError> {
        self.open(&new_keyspace()).await
    }

    fn seeds(&self) -> u64 {
        2
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cassandra_conforms() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces {
        address,
        shared: new_keyspace(),
    };
    if let Err(failures) = conformance::run(Arc::new(keyspaces)).await {
        panic!("{failures}");
    }
}

#[tokio::test]
async fn a_cluster_that_is_away_is_unavailable_and_named() {
    let config = Config {
        contact_points: vec!["127.0.0.1:1".into()],
        connect_timeout_seconds: 0,
        ..Config::default()
    };
    let error = CassandraRecords::connect(config, SystemClock::shared())
        .await
        .unwrap_err();
    assert!(matches!(error, RecordsError::Unavailable { .. }));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_names_the_field() {
    for (config, field) in [
        (
            Config {
                contact_points: vec![],
                ..Config::default()
            },
            "contact_points",
        ),
        (
            Config {
                keyspace: "x; DROP".into(),
                ..Config::default()
            },
            "keyspace",
        ),
        (
            Config {
                datacenter: "a'b".into(),
                ..Config::default()
            },
            "datacenter",
        ),
        (
            Config {
                replication_factor: 0,
                ..Config::default()
            },
            "replication_factor",
        ),
    ] {
        let error = CassandraRecords::connect(config, SystemClock::shared())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}
