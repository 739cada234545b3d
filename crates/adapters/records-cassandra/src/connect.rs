//! A session with the cluster.

use std::time::Duration;

use riwaq_clock::SharedClock;
use riwaq_records::RecordsError;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use std::sync::Arc;

use crate::{Config, errors};

/// The driver gives up at once when the first node is away, so trying again is ours.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

pub(crate) async fn session(config: &Config, clock: &SharedClock) -> Result<Session, RecordsError> {
    let deadline = clock.monotonic() + Duration::from_secs(config.connect_timeout_seconds);
    let session = loop {
        match builder(config).build().await {
            Ok(session) => break session,
            Err(error) if clock.monotonic() >= deadline => {
                let nodes = config.contact_points.join(", ");
                return Err(RecordsError::unavailable(format!(
                    "no answer from {nodes}: {error}"
                )));
            }
            Err(error) => tracing::warn!(%error, "cassandra does not answer, trying again"),
        }
        clock.sleep(BETWEEN_TRIES).await;
    };
    if config.create_keyspace {
        create_keyspace(&session, config).await?;
    }
    session
        .use_keyspace(&config.keyspace, false)
        .await
        .map_err(|error| {
            RecordsError::schema(format!(
                "keyspace {} cannot be used: {error}",
                config.keyspace
            ))
        })?;
    Ok(session)
}

fn builder(config: &Config) -> SessionBuilder {
    // The data centre is preferred, and no other asked: LOCAL_QUORUM counts its copies alone.
    let nearest = DefaultPolicy::builder()
        .prefer_datacenter(config.datacenter.clone())
        .token_aware(true)
        .permit_dc_failover(false)
        .build();
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(Duration::from_millis(config.request_timeout_ms)))
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .load_balancing_policy(nearest)
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .connection_timeout(Duration::from_millis(config.connection_timeout_ms))
        // Tables are declared in the program: the driver need not read the whole schema.
        .fetch_schema_metadata(true)
        .schema_agreement_timeout(Duration::from_secs(60))
        .default_execution_profile_handle(profile.into_handle());
    if !config.user.is_empty() {
        builder = builder.user(&config.user, &config.password);
    }
    builder
}

async fn create_keyspace(session: &Session, config: &Config) -> Result<(), RecordsError> {
    let cql = format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{}': {}}} AND durable_writes = true",
        config.keyspace, config.datacenter, config.replication_factor
    );
    session
        .query_unpaged(cql, ())
        .await
        .map(|_| ())
        .map_err(errors::of_read)
}
