//! Accounts: our own or Keycloak's.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_clock::SharedClock;
use riwaq_directory::Directory;
use riwaq_directory_keycloak::KeycloakDirectory;
use riwaq_directory_local::{LocalDirectory, LoginKey};
use riwaq_kit::Secret;
use riwaq_records::{Records, Store};

use crate::config::{Config, DirectoryEngine};
use crate::secrets::Secrets;

/// The directory alone.
pub(crate) async fn directory(
    config: &Config,
    secrets: &Secrets,
    records: Arc<dyn Records>,
    clock: &SharedClock,
) -> Result<Arc<dyn Directory>> {
    let store = Store::new(records);
    match config.directory.engine {
        DirectoryEngine::Local => {
            let key = LoginKey::new(&secrets.derive("directory login names"))?;
            let options = config.directory.local.clone();
            let local = LocalDirectory::new(store, Arc::clone(clock), key, options)
                .context("directory.local")?;
            Ok(Arc::new(local))
        }
        DirectoryEngine::Keycloak => {
            let mut keycloak = config.directory.keycloak.clone();
            keycloak.client_secret = client_secret(config, secrets).expose().to_owned();
            let directory = KeycloakDirectory::open(&keycloak, store, Arc::clone(clock))
                .await
                .context("accounts in Keycloak")?;
            Ok(Arc::new(directory))
        }
    }
}

/// The secret of the client that administers the realm: the configured one, or ours, which
/// `riwaq keycloak provision` sets.
pub(crate) fn client_secret(config: &Config, secrets: &Secrets) -> Secret {
    match &config.directory.keycloak_client_secret {
        Some(secret) => secret.clone(),
        None => secrets.derive_text(&format!("client {}", config.directory.keycloak.client_id)),
    }
}
