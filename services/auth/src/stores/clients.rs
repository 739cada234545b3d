//! Clients: those that the configuration names, and those that were registered.

use std::collections::{BTreeMap, BTreeSet};

use riwaq_clock::SharedClock;
use riwaq_identity::SERVICE_CLIENT_PREFIX;
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::{Decision, Store};

use super::operation_id;
use crate::domain::client::{ClientRecord, Grant, is_client_id};
use crate::records::ClientRow;
use crate::secrets::{fingerprint, random_text};

/// Every client that may ask for tokens.
#[derive(Clone)]
pub(crate) struct Clients {
    store: Store,
    clock: SharedClock,
    configured: BTreeMap<String, ClientRecord>,
}

/// What a new client is registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClient {
    /// Its id: 1 to 64 of `a-z 0-9 - _ .`; not beginning with `riwaq-`, which our own services do.
    pub client_id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether it can keep a secret: false for a program on somebody's machine.
    pub confidential: bool,
    /// Addresses that people come back to, signed in: https, or http on a loopback address.
    pub redirect_uris: Vec<String>,
    /// Addresses that people come back to, signed out.
    pub post_logout_redirect_uris: Vec<String>,
    /// How it gets tokens.
    pub grants: BTreeSet<Grant>,
    /// Its own roles, for client credentials.
    pub roles: BTreeSet<String>,
}

/// A client that was just registered: the only time that its secret is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedClient {
    /// Its id.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<String>,
}

impl Clients {
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        configured: BTreeMap<String, ClientRecord>,
    ) -> Self {
        Self {
            store,
            clock,
            configured,
        }
    }

    pub(crate) async fn get(&self, client_id: &str) -> ApiResult<Option<ClientRecord>> {
        if let Some(client) = self.configured.get(client_id) {
            return Ok(Some(client.clone()));
        }
        // Whatever is no id is nobody's, and need not be looked up.
        if !is_client_id(client_id) {
            return Ok(None);
        }
        Ok(self
            .store
            .get::<ClientRow>((client_id.to_owned(),))
            .await?
            .map(|row| row.client))
    }

    pub(crate) async fn create(&self, new: NewClient) -> ApiResult<CreatedClient> {
        if !is_client_id(&new.client_id) {
            return Err(Problem::field(
                "client_id",
                "has 1 to 64 of a-z, 0-9, -, _ and .",
            ));
        }
        if new.client_id.starts_with(SERVICE_CLIENT_PREFIX)
            || self.configured.contains_key(&new.client_id)
        {
            return Err(Problem::field("client_id", "must not begin with riwaq-"));
        }
        let client_secret = if new.confidential {
            Some(random_text()?)
        } else {
            None
        };
        let client = ClientRecord {
            name: new.name,
            secret_fingerprint: client_secret.as_deref().map(fingerprint),
            redirect_uris: new.redirect_uris,
            post_logout_redirect_uris: new.post_logout_redirect_uris,
            grants: new.grants,
            roles: new.roles,
        };
        client
            .check()
            .map_err(|(field, why)| Problem::field(field, why))?;
        riwaq_directory::validate_roles(&client.roles)?;
        if client.roles.contains(riwaq_identity::SERVICE_ROLE) {
            return Err(Problem::field("roles", "`service` is for our own services"));
        }
        let row = ClientRow {
            client_id: new.client_id,
            client,
            created_at: self.clock.now(),
        };
        match self.store.insert_if_absent(&row, operation_id()).await? {
            Decision::Applied => Ok(CreatedClient {
                client_id: row.client_id,
                client_secret,
            }),
            Decision::Refused { .. } => Err(Problem::conflict("there is a client with this id")),
        }
    }
}
