//! The port's suite on a real node, and on three.

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_records::conformance::{self, Factory};
use riwaq_records::{Records, RecordsError};
use riwaq_records_cassandra::Config;
use riwaq_test_kit::{Backend, cassandra, cassandra_cluster};

use crate::keyspace::{Keyspaces, connect};

struct Nodes {
    name: &'static str,
    keyspaces: Arc<Keyspaces>,
    shared: Config,
}

#[async_trait]
impl Factory for Nodes {
    fn engine(&self) -> &str {
        self.name
    }

    async fn handle(&self) -> Result<Arc<dyn Records>, RecordsError> {
        Ok(Arc::new(connect(self.shared.clone()).await?))
    }

    async fn reopen(&self) -> Result<Arc<dyn Records>, RecordsError> {
        self.handle().await
    }

    async fn fresh(&self) -> Result<Arc<dyn Records>, RecordsError> {
        Ok(Arc::new(connect(self.keyspaces.fresh()).await?))
    }

    fn seeds(&self) -> u64 {
        2
    }
}

async fn conforms(name: &'static str, backend: Backend<String>) {
    let Backend::Ready(addresses) = backend else {
        return;
    };
    let keyspaces = Keyspaces::at(&addresses);
    let nodes = Nodes {
        name,
        shared: keyspaces.fresh(),
        keyspaces: Arc::clone(&keyspaces),
    };
    if let Err(failures) = conformance::run(Arc::new(nodes)).await {
        panic!("{failures}");
    }
    keyspaces.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_conforms() {
    conforms("cassandra", cassandra()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_conform() {
    conforms("cassandra-cluster", cassandra_cluster()).await;
}
