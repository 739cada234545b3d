//! The port, on a realm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use riwaq_aggregates::records::Store;
use riwaq_clock::SharedClock;
use riwaq_directory::{
    Account, AccountChange, AccountPage, Capabilities, Directory, DirectoryError, LoginName,
    MAX_GET, NewAccount,
};
use uuid::Uuid;

use crate::account::Person;
use crate::admin::Admin;
use crate::config::{Config, ConfigError};
use crate::error::CallError;
use crate::http::{Http, Limits};
use crate::token::{Grant, Tokens};
use crate::turns::Turns;
use crate::users::Users;

/// Accounts that are looked at side by side.
const SIDE_BY_SIDE: usize = 8;
/// Between the first two tries for a name that goes from hand to hand.
const SHORT_PAUSE: Duration = Duration::from_millis(15);
/// Between two tries to reach the server at start.
const PAUSE: Duration = Duration::from_millis(500);

/// Accounts in a realm of Keycloak; cheap to clone.
#[derive(Debug, Clone)]
pub struct KeycloakDirectory {
    pub(crate) users: Users,
    pub(crate) turns: Arc<Turns>,
    capabilities: Capabilities,
    realm_name: Arc<str>,
}

/// Why the directory was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keycloak did not answer as long as it was asked, or it does not take us for who we are.
    #[error("keycloak at {server_url}: {cause}")]
    Unreachable {
        /// The configured address.
        server_url: String,
        /// The last failure.
        cause: String,
    },
}

impl KeycloakDirectory {
    /// A directory that has not asked Keycloak for anything yet. Changes take turns by leases in `store`, which
    /// must be the same records for all replicas; see [`tables`](crate::tables).
    ///
    /// # Errors
    /// When the configuration is out of range, or the authority cannot be read.
    pub fn new(config: &Config, store: Store, clock: SharedClock) -> Result<Self, ConfigError> {
        config.check()?;
        let limits = Limits {
            connect: Duration::from_millis(config.connect_timeout_ms),
            request: config.request_timeout(),
            at_once: config.max_requests,
        };
        let http = Http::new(
            &config.server_url,
            config.ca_file.as_deref(),
            &limits,
            clock.clone(),
        )?;
        let grant = Grant::Client {
            id: config.client_id.clone(),
            secret: config.client_secret.clone(),
        };
        let admin = Admin::new(http, Tokens::new(&config.realm, grant));
        let turns = Turns::new(
            store,
            clock,
            Duration::from_secs(config.turn_seconds),
            Duration::from_millis(config.turn_timeout_ms),
        );
        Ok(Self {
            users: Users::new(admin, &config.realm),
            turns: Arc::new(turns),
            capabilities: Capabilities {
                verifies_passwords: false,
                sets_passwords: !config.passwords_read_only,
                changes_login_names: !config.login_names_read_only,
            },
            realm_name: config.realm.as_str().into(),
        })
    }

    /// The same, after Keycloak has answered and has let us sign in. Waits for it for the configured time.
    ///
    /// # Errors
    /// As for [`KeycloakDirectory::new`]; a server that is not there for all that time, or that refuses us.
    pub async fn open(
        config: &Config,
        store: Store,
        clock: SharedClock,
    ) -> Result<Self, OpenError> {
        let directory = Self::new(config, store, clock.clone())?;
        let patience = Duration::from_secs(config.open_timeout_seconds);
        let begun = clock.monotonic();
        loop {
            match directory.check_access().await {
                Ok(()) => return Ok(directory),
                Err(error) if clock.monotonic().saturating_sub(begun) >= patience => {
                    return Err(OpenError::Unreachable {
                        server_url: config.server_url.clone(),
                        cause: error.to_string(),
                    });
                }
                Err(error) => tracing::info!(cause = %error, "keycloak is not there yet"),
            }
            clock.sleep(PAUSE).await;
        }
    }

    /// Whether the realm answers: for readiness. Cheap, and without our own token.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`] with the reason.
    pub async fn ping(&self) -> Result<(), DirectoryError> {
        let http = self.users.admin().http();
        let request = http.request(Method::GET, &format!("/realms/{}", self.realm_name));
        http.send("ping", request).await?;
        Ok(())
    }

    /// Whether we can sign in and may see people: for the start, and for `riwaq doctor`.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`] with the reason: not there, secret refused, rights missing.
    pub async fn check_access(&self) -> Result<(), DirectoryError> {
        self.users.admin().sign_in().await?;
        self.users.page(0, 1).await?;
        Ok(())
    }

    pub(crate) fn capabilities_of_server(&self) -> Capabilities {
        self.capabilities
    }

    /// Between two tries that others may be in the way of.
    pub(crate) async fn pause(&self, attempt: u32) {
        let clock = self.users.admin().http().clock();
        clock.sleep(SHORT_PAUSE * attempt).await;
    }

    /// What Keycloak knows of somebody.
    pub(crate) async fn account(&self, person: &Person) -> Result<Account, CallError> {
        let roles = async {
            match person.roles_due() {
                Some(due) => Ok(due),
                None => self.users.roles(person.id).await,
            }
        };
        let (roles, has_password) = futures::try_join!(roles, self.users.has_password(person.id))?;
        Ok(Account {
            id: person.id,
            roles,
            status: person.status(),
            version: person.version(),
            has_password,
        })
    }

    /// The same for several, in their order.
    pub(crate) async fn accounts(&self, people: Vec<Person>) -> Result<Vec<Account>, CallError> {
        stream::iter(people)
            .map(|person| async move { self.account(&person).await })
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await
    }
}

#[async_trait]
impl Directory for KeycloakDirectory {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn create(&self, account: NewAccount) -> Result<Account, DirectoryError> {
        self.import(account).await
    }

    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError> {
        if ids.len() > MAX_GET {
            return Err(DirectoryError::invalid(
                "ids",
                format!("at most {MAX_GET} ids"),
            ));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.users.get_many(ids).await?;
        let in_order = ids
            .iter()
            .filter_map(|id| found.iter().find(|person| person.id == *id).cloned())
            .collect();
        Ok(self.accounts(in_order).await?)
    }

    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError> {
        self.change(id, change).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError> {
        // Not those who stand for clients.
        if self.users.get(id).await?.is_some() {
            self.users.delete(id).await?;
        }
        Ok(())
    }

    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError> {
        let Ok(name) = LoginName::parse(login) else {
            return Ok(None);
        };
        match self.users.find(&name).await? {
            Some(person) => Ok(Some(self.account(&person).await?)),
            None => Ok(None),
        }
    }

    async fn verify_password(
        &self,
        _login: &str,
        _password: &str,
    ) -> Result<Option<Account>, DirectoryError> {
        // Keycloak's own page asks for passwords: there the second factor and the waits after
        // failures cannot be passed by.
        Err(DirectoryError::Unsupported {
            operation: "verifying passwords",
        })
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError> {
        self.page(after, limit).await
    }

    async fn settle(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.complete(id).await
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.users.log_out(id).await?;
        Ok(())
    }
}
