//! Keyspaces of a test's own, dropped when it is done.

use std::sync::{Arc, Mutex};

use riwaq_clock::SystemClock;
use riwaq_records::RecordsError;
use riwaq_records_cassandra::{CassandraRecords, Config};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use uuid::Uuid;

/// One server or cluster, and the keyspaces that a test made there.
pub(crate) struct Keyspaces {
    config: Config,
    made: Mutex<Vec<String>>,
}

impl Keyspaces {
    /// On the nodes at `addresses` (with commas between), one copy of each row for each node up to three.
    pub(crate) fn at(addresses: &str) -> Arc<Self> {
        let contact_points: Vec<_> = addresses.split(',').map(str::to_owned).collect();
        let replication_factor = u32::try_from(contact_points.len()).unwrap();
        let config = Config {
            contact_points,
            user: "cassandra".into(),
            password: "cassandra".into(),
            replication_factor,
            // A test machine is busy; a request that the node took must not be given up for that.
            request_timeout_ms: 30_000,
            schema_timeout_seconds: 120,
            ..Config::default()
        };
        Arc::new(Self {
            config,
            made: Mutex::default(),
        })
    }

    /// A configuration for a keyspace that is not there yet.
    pub(crate) fn fresh(&self) -> Config {
        let keyspace = format!("test_{}", &Uuid::new_v4().simple().to_string()[..12]);
        self.made.lock().unwrap().push(keyspace.clone());
        Config {
            keyspace,
            ..self.config.clone()
        }
    }

    /// A session that knows nothing of the adapter.
    pub(crate) async fn plain(&self) -> Session {
        SessionBuilder::new()
            .known_nodes(&self.config.contact_points)
            .user("cassandra", "cassandra")
            .build()
            .await
            .unwrap()
    }

    /// Drops what was made. A test that failed leaves its keyspaces to be looked at.
    pub(crate) async fn drop_all(&self) {
        let session = self.plain().await;
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        for keyspace in made {
            session
                .query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ())
                .await
                .unwrap();
        }
    }
}

/// Connects with a configuration.
pub(crate) async fn connect(config: Config) -> Result<CassandraRecords, RecordsError> {
    CassandraRecords::connect(config, SystemClock::shared()).await
}
