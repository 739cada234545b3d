//! Clients that the composition root knows of, and that need no registration.

use std::collections::{BTreeMap, BTreeSet};

use riwaq_identity::{SERVICE_CLIENT_PREFIX, SERVICE_ROLE};

use crate::app::BuildError;
use crate::domain::client::{ClientRecord, Grant};
use crate::secrets::{MIN_SECRET_BYTES, fingerprint};

/// A client that the composition root knows of.
#[derive(Clone)]
pub enum ConfiguredClient {
    /// One of our services, as `riwaq-<name>`, for its calls to others.
    Service {
        /// Its short name (`users`).
        name: String,
        /// Its secret, at least 32 bytes.
        secret: String,
    },
    /// A confidential client that signs people in: the gateway.
    Portal {
        /// Its id.
        client_id: String,
        /// Its secret, at least 32 bytes.
        secret: String,
        /// Where people come back to, signed in.
        redirect_uris: Vec<String>,
        /// Where people come back to, signed out.
        post_logout_redirect_uris: Vec<String>,
    },
    /// A public client for programs on people's machines; redirects to a loopback address of any port.
    Native {
        /// Its id (`riwaq-cli`).
        client_id: String,
        /// Its name, for people.
        name: String,
    },
}

pub(crate) fn configured_clients(
    clients: &[ConfiguredClient],
) -> Result<BTreeMap<String, ClientRecord>, BuildError> {
    let mut all = BTreeMap::new();
    for client in clients {
        let (client_id, record, secret) = record(client);
        let refuse = |message: &str| BuildError::Client {
            client_id: client_id.clone(),
            message: message.to_owned(),
        };
        if secret.is_some_and(|secret| secret.len() < MIN_SECRET_BYTES) {
            return Err(refuse("its secret needs at least 32 bytes"));
        }
        record
            .check()
            .map_err(|(field, why)| refuse(&format!("{field}: {why}")))?;
        if all.insert(client_id.clone(), record).is_some() {
            return Err(refuse("it is configured twice"));
        }
    }
    Ok(all)
}

fn record(client: &ConfiguredClient) -> (String, ClientRecord, Option<&String>) {
    match client {
        ConfiguredClient::Service { name, secret } => {
            let client_id = format!("{SERVICE_CLIENT_PREFIX}{name}");
            let record = ClientRecord {
                name: client_id.clone(),
                secret_fingerprint: Some(fingerprint(secret)),
                redirect_uris: Vec::new(),
                post_logout_redirect_uris: Vec::new(),
                grants: BTreeSet::from([Grant::ClientCredentials]),
                roles: BTreeSet::from([SERVICE_ROLE.to_owned()]),
            };
            (client_id, record, Some(secret))
        }
        ConfiguredClient::Portal {
            client_id,
            secret,
            redirect_uris,
            post_logout_redirect_uris,
        } => {
            let record = ClientRecord {
                secret_fingerprint: Some(fingerprint(secret)),
                post_logout_redirect_uris: post_logout_redirect_uris.clone(),
                ..ClientRecord::public("Riwaq", redirect_uris.clone())
            };
            (client_id.clone(), record, Some(secret))
        }
        ConfiguredClient::Native { client_id, name } => {
            let loopbacks = ["http://127.0.0.1/callback", "http://[::1]/callback"]
                .map(String::from)
                .to_vec();
            (
                client_id.clone(),
                ClientRecord::public(name, loopbacks),
                None,
            )
        }
    }
}
