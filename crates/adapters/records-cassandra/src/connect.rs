//! A session with the cluster.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_records::RecordsError;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, MetadataError,
    NewSessionError, TranslationError,
};
use scylla::policies::address_translator::{AddressTranslator, UntranslatedPeer};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use crate::patience::insist;
use crate::retry::RetryReads;
use crate::{Config, errors, keyspace};

/// Connects and sees to the keyspace, trying again as long as the configuration allows: the driver gives up at once
/// when no contact point answers.
pub(crate) async fn session(config: &Config, clock: &SharedClock) -> Result<Session, RecordsError> {
    let builder = builder(config)?;
    let patience = Duration::from_secs(config.connect_timeout_seconds);
    insist(&**clock, patience, || try_session(&builder, config)).await
}

async fn try_session(builder: &SessionBuilder, config: &Config) -> Result<Session, RecordsError> {
    let session = builder.build().await.map_err(|error| {
        refusal(config, &error).unwrap_or_else(|| {
            let nodes = config.contact_points.join(", ");
            RecordsError::unavailable(format!("no answer from {nodes}: {error}"))
        })
    })?;
    keyspace::prepare(&session, config).await?;
    Ok(session)
}

fn builder(config: &Config) -> Result<SessionBuilder, RecordsError> {
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
        .retry_policy(Arc::new(RetryReads))
        .load_balancing_policy(nearest)
        .build();
    let keepalive = Duration::from_secs(config.keepalive_seconds);
    let schema = Duration::from_secs(config.schema_timeout_seconds);
    let connections = NonZeroUsize::new(config.connections_per_node).unwrap_or(NonZeroUsize::MIN);
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .pool_size(PoolSize::PerHost(connections))
        .connection_timeout(Duration::from_millis(config.connection_timeout_ms))
        .keepalive_interval(keepalive)
        .keepalive_timeout(keepalive)
        .schema_agreement_timeout(schema)
        // Where each keyspace's copies lie is needed to send a request to a node that has the row.
        .fetch_schema_metadata(true)
        .keyspaces_to_fetch([&config.keyspace])
        .default_execution_profile_handle(profile.into_handle());
    if !config.address_map.is_empty() {
        let translator = Translator(config.address_map.clone());
        builder = builder.address_translator(Arc::new(translator));
    }
    if !config.user.is_empty() {
        builder = builder.user(&config.user, &config.password);
    }
    if config.tls {
        let tls = riwaq_trust::client(config.ca_file.as_deref());
        let tls = tls.map_err(|error| RecordsError::invalid("ca_file", error.to_string()))?;
        builder = builder.tls_context(Some(Arc::new(tls)));
    }
    Ok(builder)
}

/// Leads to nodes by other addresses than they name themselves.
struct Translator(BTreeMap<IpAddr, SocketAddr>);

#[async_trait]
impl AddressTranslator for Translator {
    async fn translate_address(
        &self,
        node: &UntranslatedPeer,
    ) -> Result<SocketAddr, TranslationError> {
        // The driver puts the port of the contact point behind it, so only the address says which node it is.
        let named = node.untranslated_address();
        Ok(self.0.get(&named.ip()).copied().unwrap_or(named))
    }
}

/// Whether the node answered, and will answer the same again: then trying on only hides the reason.
fn refusal(config: &Config, error: &NewSessionError) -> Option<RecordsError> {
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
        ConnectionPoolError::Broken {
            last_connection_error,
        },
    )) = error
    else {
        return None;
    };
    match last_connection_error {
        ConnectionError::IoError(io) => {
            let tls = io
                .get_ref()
                .and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref());
            tls.map(|tls: &rustls::Error| {
                let field = if matches!(tls, rustls::Error::InvalidCertificate(_)) {
                    "ca_file"
                } else {
                    "tls"
                };
                RecordsError::invalid(field, format!("the node is not trusted: {tls}"))
            })
        }
        ConnectionError::ConnectionSetupRequestError(setup) => match &setup.error {
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, text)
                if !errors::is_blind(text) =>
            {
                let reason = format!("`{}` is refused: {text}", config.user);
                Some(RecordsError::invalid("user", reason))
            }
            ConnectionSetupRequestErrorKind::MissingAuthentication => Some(RecordsError::invalid(
                "user",
                "the cluster asks for a role and its password, and none is configured",
            )),
            _ => None,
        },
        _ => None,
    }
}
