//! What the issuer says of itself (OpenID Connect Discovery 1.0), as it was heard last.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, ClientId, ClientSecret, DiscoveryError, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, ProviderMetadata,
};
use riwaq_kit::problem::Chain;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Inner, IssuerError};

/// How long what the issuer says of itself is believed.
pub(super) const BELIEVED: Duration = Duration::from_secs(300);
/// The same before people are sent there: else they would find nobody, and no word from us.
pub(super) const SEEN: Duration = Duration::from_secs(5);
/// How long it is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What discovery says beyond the core.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Endings {
    /// RFC 8414, section 2.
    pub(super) revocation_endpoint: Option<Url>,
    /// OpenID Connect RP-Initiated Logout 1.0, section 2.1.
    pub(super) end_session_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for Endings {}

pub(super) type Metadata = ProviderMetadata<
    Endings,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

pub(super) type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

pub(super) struct Known {
    pub(super) metadata: Metadata,
    since: Duration,
}

impl Inner {
    pub(super) async fn client(&self) -> Result<Client, IssuerError> {
        self.client_seen(BELIEVED).await
    }

    /// With what the issuer said within this time.
    pub(super) async fn client_seen(&self, within: Duration) -> Result<Client, IssuerError> {
        let known = self.known(within).await?;
        let secret = self
            .config
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let id = ClientId::new(self.config.client_id.clone());
        let client = CoreClient::from_provider_metadata(known.metadata.clone(), id, secret);
        Ok(client.set_redirect_uri(self.redirect.clone()))
    }

    /// What the issuer says of itself, asked by one at a time, and not again at once after a failure.
    pub(super) async fn known(&self, within: Duration) -> Result<Arc<Known>, IssuerError> {
        if let Some(known) = self.believed(within) {
            return Ok(known);
        }
        let mut failure = self.asking.lock().await;
        if let Some(known) = self.believed(within) {
            return Ok(known);
        }
        let now = self.clock.monotonic();
        if let Some((at, error)) = &*failure
            && now < *at + PAUSE
        {
            return Err(error.clone());
        }
        match Metadata::discover_async(self.issuer.clone(), &self.http_client()).await {
            Ok(metadata) => {
                *failure = None;
                let known = Arc::new(Known {
                    metadata,
                    since: self.clock.monotonic(),
                });
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(error) => {
                let error = from_discovery(&error);
                *failure = Some((self.clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }

    fn believed(&self, within: Duration) -> Option<Arc<Known>> {
        let known = self.known.load_full()?;
        let age = self.clock.monotonic().saturating_sub(known.since);
        (age < within).then_some(known)
    }

    pub(super) fn forget(&self) {
        self.known.store(None);
    }
}

fn from_discovery(error: &DiscoveryError<IssuerError>) -> IssuerError {
    match error {
        DiscoveryError::Request(error) => error.clone(),
        error => IssuerError::Said(Chain(error).to_string()),
    }
}
