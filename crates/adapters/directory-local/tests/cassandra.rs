//! The port's suite over records in a real Cassandra node, reopened by a new session.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use common::cheap;
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_directory::SharedDirectory;
use riwaq_directory::conformance::{Backing, Factory, run_all};
use riwaq_directory_local::{LocalDirectory, LocalDirectoryConfig, LoginKey, tables};
use riwaq_records::{Conditional, Expect, MigrationPlan, Outcome, Records, RowChange, Store};
use riwaq_records_cassandra::{CassandraRecords, Config};
use riwaq_test_kit::{Backend, cassandra};
use uuid::Uuid;

/// One keyspace for every check, since making tables takes long: each begins by emptying it.
struct OverCassandra(Keyspace);

#[derive(Clone)]
struct Keyspace {
    config: Config,
    records: Arc<CassandraRecords>,
}

impl Keyspace {
    async fn create(address: String) -> Self {
        let name = format!("directory_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let config = Config {
            contact_points: vec![address],
            user: "cassandra".into(),
            password: "cassandra".into(),
            keyspace: name,
            // A test machine is busy; a request that the node took must not be given up for that.
            request_timeout_ms: 30_000,
            ..Config::default()
        };
        let records = connected(&config).await;
        let plan = MigrationPlan::new(tables()).unwrap();
        records.migrate(&plan).await.unwrap();
        Self { config, records }
    }

    async fn empty(&self) {
        for schema in tables() {
            let mut after = None;
            loop {
                let page = self.records.scan_table(schema, after.as_ref(), 200).await;
                let page = page.unwrap();
                for stored in page.rows {
                    let delete = RowChange::DeleteIf {
                        key: stored.row.key(schema),
                        expect: Expect::op_id(stored.op_id.unwrap()),
                    };
                    let conditional = Conditional {
                        schema,
                        changes: vec![delete],
                        op_id: Uuid::new_v4(),
                    };
                    let outcome = self.records.apply(conditional).await.unwrap();
                    assert!(matches!(outcome, Outcome::Applied), "somebody else is here");
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
}

async fn connected(config: &Config) -> Arc<CassandraRecords> {
    let clock = SystemClock::shared();
    Arc::new(
        CassandraRecords::connect(config.clone(), clock)
            .await
            .unwrap(),
    )
}

#[async_trait]
impl Factory for OverCassandra {
    async fn fresh(&self) -> Box<dyn Backing> {
        self.0.empty().await;
        Box::new(self.0.clone())
    }
}

#[async_trait]
impl Backing for Keyspace {
    async fn open(&self) -> SharedDirectory {
        let config = LocalDirectoryConfig {
            hashing: cheap(),
            ..LocalDirectoryConfig::default()
        };
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let key = LoginKey::new(&[9; 32]).unwrap();
        let store = Store::new(self.records.clone());
        Arc::new(LocalDirectory::new(store, clock, key, config).unwrap())
    }

    async fn reopen(&mut self) -> SharedDirectory {
        self.records = connected(&self.config).await;
        self.open().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_local_directory_conforms_over_cassandra() {
    if let Backend::Ready(address) = cassandra() {
        let keyspace = Keyspace::create(address).await;
        run_all("local over cassandra", &OverCassandra(keyspace)).await;
    }
}
